import { RowWindow } from '@centreond/plugin-runtime';
import { beforeEach, expect, test } from 'vitest';

const BOUND = { rows: 3, characters: 20 };

let sent: string[];
let rows: RowWindow;
beforeEach(() => {
  sent = [];
  rows = new RowWindow({ send: (message) => sent.push(message) }, BOUND);
});

/** Whether a writer that awaits its row would go on now. */
async function goesOn(): Promise<boolean> {
  const ready = rows.ready();
  if (!ready) return true;
  return Promise.race([ready.then(() => true), new Promise<boolean>((resolve) => setImmediate(() => resolve(false)))]);
}

test('rows beyond the bound are held in order, and go as earlier ones are stored', async () => {
  for (const row of ['1', '2', '3', '4', '5']) rows.row(row);
  expect(sent).toEqual(['1', '2', '3']);
  expect(rows.held).toBe(2);
  expect(await goesOn()).toBe(false);
  rows.stored(1, 1);
  expect(sent).toEqual(['1', '2', '3', '4']);
  expect(await goesOn()).toBe(false);
  rows.stored(2, 2);
  expect(sent).toEqual(['1', '2', '3', '4', '5']);
  expect(await goesOn()).toBe(true);
});

test('few large rows are bounded as many small ones are, but one alone goes whatever its size', () => {
  const large = 'x'.repeat(100);
  rows.row(large);
  rows.row('1');
  expect(sent).toEqual([large]);
  rows.stored(1, 100);
  expect(sent).toEqual([large, '1']);
});

test('other messages are not held up by rows', () => {
  for (let i = 0; i < 5; i++) rows.row('row');
  rows.send('[BEAT] [] []');
  expect(sent.at(-1)).toBe('[BEAT] [] []');
});

test('a process that is about to end sends what it holds, and holds nothing more', async () => {
  for (let i = 0; i < 5; i++) rows.row(`${i}`);
  rows.release();
  rows.row('last');
  expect(sent).toEqual(['0', '1', '2', '3', '4', 'last']);
  expect(await goesOn()).toBe(true);
});

test('a host that names no bound gets every row at once', () => {
  const unbound = new RowWindow({ send: (message) => sent.push(message) });
  for (let i = 0; i < 100; i++) unbound.row(`${i}`);
  expect(sent).toHaveLength(100);
});

test('nobody waits longer than until there is room, however many wait', async () => {
  for (let i = 0; i < 4; i++) rows.row(`${i}`);
  const waiting = Promise.all([rows.ready(), rows.ready(), rows.ready()]);
  rows.stored(3, 3);
  await waiting;
});
