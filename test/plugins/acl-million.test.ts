import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { failure } from '@centreond/protocol';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AclStage } from './acl-stage.ts';
import { makeTables } from './acl-tables.ts';

const MIB = 1024 * 1024;
const PAIRS = 1_000_000;

let folder: string;
let file: string;
let db: Database.Database;
let on: AclStage;

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'centreond-acl-'));
  file = path.join(folder, 'million.sdb');
  makeTables(file, 'keyed');
  db = new Database(file);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = OFF');
  const numbers = (n: number) => `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${n})`;
  db.exec(`
    INSERT INTO organizations VALUES (1, 1);
    ${numbers(10_000)} INSERT INTO hosts SELECT i, 1, i % 5, i % 3 FROM n;
    ${numbers(100)} INSERT INTO services SELECT i, 1, i % 7 FROM n;
    INSERT INTO host_services SELECT h.host_id, s.service_id FROM hosts h, services s;
    INSERT INTO acl_resources VALUES (1, 1, 1);
  `);
  on = await new AclStage().start({ database: file, resync: false });
});
afterAll(async () => {
  await on.stop();
  db.close();
  rmSync(folder, { recursive: true });
});

const count = () => db.prepare('SELECT count(*) FROM acl_grants').pluck().get();

it('a million pairs are granted whole or not at all, in little memory, and hold nothing up', async () => {
  // What a reader of another connection sees, how late this thread's timers are, and how much memory there is, meanwhile.
  const seen = new Set<unknown>();
  let most = 0;
  let latest = 0;
  let expected = performance.now();
  const before = process.memoryUsage.rss();
  const watch = setInterval(() => {
    latest = Math.max(latest, performance.now() - expected);
    most = Math.max(most, process.memoryUsage.rss());
    const there = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'acl_grants'").get();
    seen.add(there ? count() : 'no table');
    expected = performance.now() + 20;
  }, 20);
  const result = await on.call('ACLRESYNC', { organizationId: 1 });
  clearInterval(watch);
  expect(result).toMatchObject({ pairs: PAIRS, added: PAIRS, removed: 0 });
  expect(count()).toBe(PAIRS);
  expect(['no table', PAIRS]).toEqual(expect.arrayContaining([...seen]));
  const grown = (most - before) / MIB;
  console.info(
    `a million pairs: ${JSON.stringify(result)}, ${grown.toFixed(0)} MiB more, timers ${latest.toFixed(0)} ms late`,
  );
  expect(grown).toBeLessThan(100);
  expect(latest).toBeLessThan(1000);
});

it('an abort in its middle leaves everything as it was', async () => {
  const was = count();
  db.pragma('busy_timeout = 0');
  db.pragma('wal_checkpoint(TRUNCATE)');
  // First a million are taken away, then a million granted.
  db.exec('UPDATE acl_resources SET all_hosts = 0; INSERT INTO acl_resources VALUES (2, 1, 1)');
  const abort = new AbortController();
  const running = on.call('ACLRESYNC', { organizationId: 1 }, abort.signal);
  running.catch(() => undefined);
  // So much is written already that it went to the disk.
  const wal = () => statSync(`${file}-wal`).size;
  const size = wal();
  await expect.poll(wal, { interval: 1, timeout: 10_000 }).toBeGreaterThan(size + MIB);
  const reason = failure('CANCELLED', { token: 't', by: 'root' });
  const aborted = performance.now();
  abort.abort(reason);
  await expect(running).rejects.toBe(reason);
  expect(performance.now() - aborted).toBeLessThan(4000);
  expect(count()).toBe(was);
  expect(locked()).toBe(false);
});

function locked(): boolean {
  try {
    db.exec('BEGIN IMMEDIATE');
    db.exec('ROLLBACK');
    return false;
  } catch {
    return true;
  }
}
