import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { copyDatabase, isDatabase } from '../../../../core/dist/store/sqlite/copy.js';
import { allRows, DAY, draft, folder, opened, request, START, TestClock, unsettled } from '../opened.ts';

test('a copy of a store that is written to is one moment of it: sound, each row with its request, none from later', async () => {
  const dir = folder();
  const file = path.join(dir, 'history.sdb');
  const store = await opened({ file });
  for (let i = 0; i < 200; i++) await store.accept(request(`early-${i}`), '{}');
  let on = true;
  const writing = (async () => {
    for (let i = 0; on; i++) {
      await store.accept(request(`late-${i}`), '{}');
      await store.append(draft(`late-${i}`, 2));
    }
  })();
  const to = path.join(dir, 'copy.sdb');
  expect(await copyDatabase(file, to)).toEqual({ schema: 1 });
  on = false;
  await writing;
  expect(statSync(to).mode & 0o777).toBe(0o600);
  expect(isDatabase(to)).toBe(true);

  const db = new Database(to, { readonly: true });
  expect(db.pragma('integrity_check', { simple: true })).toBe('ok');
  db.close();
  const copy = await opened({ file: to });
  const [there, here] = [await allRows(copy), await allRows(store)];
  expect(there).toEqual(here.slice(0, there.length));
  expect(there.length).toBeGreaterThanOrEqual(200);
  const open = (await unsettled(copy)).map(({ token }) => token);
  expect(open.filter((token) => token.startsWith('early-')).length).toBe(200);
  expect(copy.epoch).toBe(store.epoch);
});

test('a copy is not made over a file, nor of what is no database; another database has no schema of the store', async () => {
  const dir = folder();
  const text = path.join(dir, 'text');
  writeFileSync(text, 'SQLite is not what this is');
  expect(isDatabase(text)).toBe(false);
  await expect(copyDatabase(text, path.join(dir, 'copy'))).rejects.toThrow(/STORE|cannot be opened: .*not a database/);
  const other = path.join(dir, 'other.db');
  new Database(other).exec('CREATE TABLE cards (name TEXT)').close();
  await expect(copyDatabase(other, text)).rejects.toThrow('EEXIST');
  expect(readFileSync(text, 'utf8')).toBe('SQLite is not what this is');
  expect(await copyDatabase(other, path.join(dir, 'other-copy.db'))).toEqual({ schema: 0 });
});

test('a copy that takes the place of its database gets another epoch, and ids above those that were given meanwhile', async () => {
  const file = path.join(folder(), 'history.sdb');
  const clock = new TestClock();
  const store = await opened({ file, clock });
  await store.accept(request('before'), '{}');
  const { epoch } = store;
  await store.renewEpoch(1000);
  expect(store.epoch).not.toBe(epoch);
  expect(await store.formerEpochs()).toEqual([epoch]);
  await store.close();

  // It holds from the next run on, and after a purge of all that was there before.
  const again = await opened({ file, clock });
  expect((await again.append(draft('before', 2))).id).toBe(1002);
  await again.accept(request('now'), '{}');
  await again.append(draft('now', 2));
  expect((await allRows(again)).map(({ id }) => id)).toEqual([1, 1002, 1003, 1004]);
  expect((await again.log(0, 10, 1e6)).rows.length).toBe(4);
  clock.seconds = START + 9 * DAY;
  await again.purge();
  expect((await again.query({ token: 'now', limit: 10, maxBytes: 1e6 })).rows.map(({ id }) => id)).toEqual([1004]);
  expect((await again.append(draft('', 3, { type: 'START' }))).id).toBe(1005);
});

test('a node under another id goes on with its log where it stood, in the same database of it', async () => {
  const file = path.join(folder(), 'history.sdb');
  const store = await opened({ file });
  await store.adopt({ node: 'oslo', epoch: 'e1', rows: [], aside: [], from: 0, last: 7 });
  await store.adopt({ node: 'bergen', epoch: 'e0', rows: [], aside: [], from: 0, last: 3 });
  await store.inherit('oslo', 'bergen');
  await store.inherit('nobody', 'york');
  const cursors = [
    { node: 'oslo', epoch: 'e1', last: 7 },
    { node: 'bergen', epoch: 'e1', last: 7 },
  ];
  expect(await store.cursors()).toEqual(expect.arrayContaining(cursors));
  expect((await store.cursors()).length).toBe(2);
  const page = { node: 'bergen', epoch: 'e1', rows: [], aside: [] };
  expect((await store.adopt({ ...page, from: 7, last: 9 })).cursor).toBe(9);
  await store.close();
  expect(await (await opened({ file })).cursors()).toEqual(
    expect.arrayContaining([cursors[0], { ...cursors[1], last: 9 }]),
  );
});
