import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';
import { makeTables } from '../plugins/acl-tables.ts';

const HOSTS = 4000;
const SERVICES = 100;
const PAIRS = HOSTS * SERVICES;

const daemon = new DaemonProcess();
const who = { alice: daemon.client('alice'), root: daemon.client('root', ['admin']) };
const file = path.join(daemon.folder, 'organisations.sdb');
let alice: Client;
let root: Client;
let db: Database.Database;

beforeAll(async () => {
  makeTables(file, 'keyed');
  db = new Database(file);
  db.pragma('journal_mode = WAL');
  db.pragma('busy_timeout = 0');
  const numbers = (n: number) => `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${n})`;
  db.exec(`
    INSERT INTO organizations VALUES (1, 1), (2, 1), (3, 1);
    ${numbers(HOSTS)} INSERT INTO hosts SELECT i, 1, 1, 1 FROM n;
    ${numbers(SERVICES)} INSERT INTO services SELECT i, 1, 1 FROM n;
    INSERT INTO host_services SELECT h.host_id, s.service_id FROM hosts h, services s;
    INSERT INTO hosts VALUES (100000, 2, 1, 1), (100001, 3, 1, 1);
    INSERT INTO services VALUES (100000, 2, 1), (100001, 3, 1);
    INSERT INTO host_services VALUES (100000, 100000), (100001, 100001);
    INSERT INTO acl_resources VALUES (1, 1, 1), (2, 2, 1), (3, 3, 1);
  `);
  daemon.settings.plugins = [
    { package: path.join(ROOT, 'plugins/acl'), restart: { max: 100, within: '1s' }, config: { database: file } },
    {
      package: path.join(ROOT, 'plugins/cron'),
      config: {
        definitions: [{ id: 'three', schedule: '* * * * * *', action: 'ACLRESYNC', data: { organizationId: 3 } }],
      },
    },
  ];
  await daemon.start();
  [alice, root] = await Promise.all([connect(daemon.door(who.alice)), connect(daemon.door(who.root))]);
});
afterAll(async () => {
  await alice?.close();
  await root?.close();
  db.close();
  await daemon.dispose();
});

async function instances(): Promise<Map<string, { pid: number; state: string }>> {
  const { data } = await root.send('INFORMATION', {});
  const { plugins } = data as unknown as {
    plugins: { type: string; instances: { id: string; pid: number; state: string }[] }[];
  };
  return new Map(plugins.find(({ type }) => type === 'acl')?.instances.map((one) => [one.id, one]));
}
function grants(organization: number): number {
  if (!db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'acl_grants'").get()) return 0;
  return db.prepare('SELECT count(*) FROM acl_grants WHERE organization_id = ?').pluck().get(organization) as number;
}
/** Whether somebody writes to the database. */
function written(): boolean {
  try {
    db.exec('BEGIN IMMEDIATE');
    db.exec('ROLLBACK');
    return false;
  } catch {
    return true;
  }
}

test('each organisation has an instance of its own, and another plugin may ask for it', async () => {
  expect((await root.call('ACLRESYNC', { organizationId: 2 })).data).toMatchObject({
    organizationId: 2,
    pairs: 1,
    added: 1,
  });
  await until('cron had 3 resynced', () => grants(3) === 1);
  const all = await instances();
  expect([...all.keys()].sort()).toEqual(['2', '3']);
  expect(all.get('2')?.pid).not.toBe(all.get('3')?.pid);
  // Out of the way of the tests below.
  expect(await root.call('UNLOADPLUGIN', { type: 'cron' })).toMatchObject({ ok: true });
});

test('CANCEL undoes a resync under way', async () => {
  const call = root.call('ACLRESYNC', { organizationId: 1 }, { token: 'to-cancel' });
  await until('it writes', written);
  await root.cancel('to-cancel');
  expect((await call).data).toMatchObject({ error: 'CANCELLED' });
  expect(grants(1)).toBe(0);
});

test('KILL of an organisation, or its crash, midway: the request is run again, and readers see all or nothing', async () => {
  for (const end of ['KILL', 'SIGKILL'] as const) {
    const seen = new Set<number>();
    const call = root.call('ACLRESYNC', { organizationId: 1 });
    await until('it writes', written);
    const before = await instances();
    if (end === 'KILL') expect(await root.call('KILL', { type: 'acl', id: '1' })).toMatchObject({ ok: true });
    else process.kill(before.get('1')?.pid ?? Number.NaN, 'SIGKILL');
    await until('all are granted', () => seen.add(grants(1)).has(PAIRS), 20_000);
    expect((await call).data).toMatchObject({ pairs: PAIRS, added: PAIRS });
    expect([...seen].filter((count) => count !== 0)).toEqual([PAIRS]);
    const after = await instances();
    expect(after.get('1')?.pid).not.toBe(before.get('1')?.pid);
    expect(after.get('2')?.pid).toBe(before.get('2')?.pid);
    expect((await root.call('ACLPURGEORGANIZATION', { organizationId: 1 })).data).toMatchObject({ removed: PAIRS });
    expect(grants(1)).toBe(0);
  }
  expect(grants(2)).toBe(1);
});

test('a wrong organisation, and one that there is not, are refused by name', async () => {
  await expect(root.send('ACLRESYNC', { organizationId: 'one' })).rejects.toMatchObject({ code: 'INVALID_DATA' });
  expect((await root.call('ACLRESYNC', { organizationId: 77 })).data).toMatchObject({
    error: 'INVALID_DATA',
    message: expect.stringContaining('no organization_id 77'),
  });
  await expect(root.send('KILL', { type: 'acl', id: '999' })).rejects.toMatchObject({ code: 'UNKNOWN_INSTANCE' });
});
