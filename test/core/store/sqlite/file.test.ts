import { chmodSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { openStore } from '../../../../core/dist/store/open-store.js';
import { draft, folder, opened, options, request } from '../opened.ts';

describe('opening', () => {
  test('refuses the database of a newer centreond in a sentence', async () => {
    const file = path.join(folder(), 'history.sdb');
    await (await openStore(options({ file }))).close();
    const db = new Database(file);
    db.exec("UPDATE centreond_meta SET value = '99' WHERE key = 'schema'");
    db.close();
    await expect(openStore(options({ file }))).rejects.toMatchObject({
      code: 'STORE_UNUSABLE',
      message: expect.stringMatching(/newer centreond \(schema 99/),
    });
  });

  test('refuses a file that is no database', async () => {
    const dir = folder();
    writeFileSync(path.join(dir, 'history.sdb'), 'not a database '.repeat(100));
    await expect(openStore(options({ file: path.join(dir, 'history.sdb') }))).rejects.toMatchObject({
      code: 'STORE_UNUSABLE',
    });
  });
});

test('every file is readable by its owner only, and so is the folder', async () => {
  const dir = path.join(folder(), 'data');
  const store = await opened({ file: path.join(dir, 'history.sdb') });
  await store.accept(request('t1'), '{}');
  const modes = readdirSync(dir).map((name) => statSync(path.join(dir, name)).mode & 0o777);
  expect(modes).toEqual([0o600, 0o600, 0o600]);
  expect(statSync(dir).mode & 0o777).toBe(0o700);
});

test("the three tables and their indexes are the original's, column for column", async () => {
  const file = path.join(folder(), 'history.sdb');
  await (await openStore(options({ file }))).close();
  const db = new Database(file, { readonly: true });
  const sql = db
    .prepare(
      "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND tbl_name IN ('centreond_identity', 'centreond_history', 'centreond_synchistory')",
    )
    .raw()
    .all();
  db.close();
  expect(sql).toMatchSnapshot();
});

test('where the disk fails, nothing that was asked for before that was known is written: it would overtake', async () => {
  const file = path.join(folder(), 'history.sdb');
  const store = await opened({ file, lockMs: 200 });
  await store.accept(request('t1'), '{}');
  const other = new Database(file);
  other.exec('BEGIN IMMEDIATE');
  const calls = Array.from({ length: 10_000 }, () => store.append(draft('t1', 120)));
  // The writer waits for the other's lock, then fails; from here on it would not.
  await calls[0]?.catch(() => other.exec('ROLLBACK'));
  const settled = await Promise.allSettled(calls);
  expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(0);
  expect(store.counters()).toMatchObject({ queued: 0, queuedBytes: 0, failures: 1 });
  expect(await store.append(draft('t1', 2))).toMatchObject({ id: 2 });
  other.close();
});

test('a restored database is readable by its owner only', async () => {
  const file = path.join(folder(), 'history.sdb');
  await (await opened({ file })).close();
  chmodSync(file, 0o644);
  await opened({ file });
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test('synchronous: extra reaches the database', async () => {
  const file = path.join(folder(), 'history.sdb');
  const store = await opened({ file, synchronous: 'extra' });
  await store.accept(request('t'), '{}');
  await store.close();
  expect(new Database(file, { readonly: true }).prepare('SELECT count(*) FROM centreond_history').pluck().get()).toBe(
    1,
  );
});
