import Database from 'better-sqlite3';
import { afterEach, expect, test, vi } from 'vitest';
import type { RawRow } from '../../../../core/dist/store/row-text.js';
import { Scan } from '../../../../core/dist/store/sqlite/scan.js';
import { prepareDatabase } from '../../../../core/dist/store/sqlite/schema.js';

afterEach(() => {
  vi.restoreAllMocks();
});

/** A history with so many rows of the token `t`, each `gap` ids above the last. */
function history(rows: number, gap: number): Database.Database {
  const db = new Database(':memory:');
  prepareDatabase(db);
  const add = db.prepare(
    'INSERT INTO centreond_history (id, token, code, etime, ctime, data) VALUES (?, ?, 0, 2, 1, ?)',
  );
  for (let i = 1; i <= rows; i++) add.run(i * gap, 't', '{}');
  return db;
}

/** Counts the pauses of a page of all rows, where the first row of a piece takes `first` ms to find and each other one `next` ms. */
async function pausesOf(db: Database.Database, filter: object, first: number, next: number): Promise<number> {
  let now = 0;
  let steps = [0, first];
  vi.spyOn(performance, 'now').mockImplementation(() => {
    now += steps.shift() ?? next;
    return now;
  });
  let pauses = 0;
  const ids: number[] = [];
  const take = ([id]: RawRow) => ids.push(id) > 0;
  const pause = async () => {
    steps = [0, first];
    return ++pauses > 0;
  };
  await new Scan(db).each({ limit: 1000, maxBytes: 1e6, ...filter }, take, pause);
  expect(ids).toEqual(db.prepare('SELECT id FROM centreond_history ORDER BY id').pluck().all());
  return pauses;
}

test('what an index finds is read in few pieces, however far apart its rows are', async () => {
  expect(await pausesOf(history(30, 1_000_000), { token: 't' }, 0, 1)).toBeLessThan(10);
});

test('a piece whose first row takes long to find reads more than that row', async () => {
  for (const filter of [{ token: 't' }, { etime: 1 }, { id: 0 }]) {
    expect(await pausesOf(history(100, 1), filter, 50, 1)).toBeLessThan(10);
  }
});

test('a piece ends after some milliseconds, so that others are let in', async () => {
  expect(await pausesOf(history(100, 1), { token: 't' }, 1, 1)).toBeGreaterThan(5);
});

test('rows after a time are found whatever steps the clock made back, and most before it are not read', async () => {
  const db = new Database(':memory:');
  prepareDatabase(db);
  const add = db.prepare(
    'INSERT INTO centreond_history (id, token, code, etime, ctime, data) VALUES (?, ?, 0, 2, ?, ?)',
  );
  const times: number[] = [];
  // A second for each row, and one step of 50 s back in the middle.
  for (let i = 1; i <= 2000; i++) times.push(i <= 1000 ? i : i - 50);
  for (const [i, ctime] of times.entries()) add.run(i + 1, 't', ctime, '{}');
  db.prepare("REPLACE INTO centreond_meta VALUES ('clock_back', '50')").run();
  for (const ctime of [0, 940, 949, 950, 975, 999, 1000, 1500, 1950]) {
    const found: number[] = [];
    const sizes = { fewTokens: 2000, fewRows: 20_000, firstWindow: 10, largestWindow: 10 };
    let pieces = 0;
    const pause = async () => ++pieces > 0;
    await new Scan(db, sizes).each({ limit: 1, maxBytes: 1e6, ctime }, ([id]) => found.push(id) > 0, pause);
    expect(found).toEqual(times.flatMap((time, i) => (time > ctime ? [i + 1] : [])));
    expect(pieces).toBeLessThan((found.length + 110) / 10);
  }
});
