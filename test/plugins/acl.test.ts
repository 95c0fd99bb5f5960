import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import AclPlugin from '@centreond/plugin-acl';
import { FakeClock, type TestedPlugin, testPlugin } from '@centreond/plugin-kit';
import { manifestOf } from '@centreond/plugin-sdk/internal';
import { CentreondError, type JsonObject } from '@centreond/protocol';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fillTables, grantsOf, makeTables, type Tables } from './acl-tables.ts';

let folder: string;
let file: string;
let db: Database.Database;
interface Acl {
  readonly tested: TestedPlugin<AclPlugin>;
  readonly clock: FakeClock;
  call(name: 'ACLRESYNC' | 'ACLPURGEORGANIZATION', input: object, token?: string): Promise<JsonObject>;
}
const plugins: Acl[] = [];
let files = 0;

const tables: Partial<Tables> = {
  organizations: [
    [1, 1],
    [2, 1],
    [3, 0],
  ],
  hosts: [
    [1, 1, 1, 1],
    [2, 2, 1, 1],
    [3, 3, 1, 1],
  ],
  services: [
    [1, 1, 1],
    [2, 2, 1],
    [3, 3, 1],
  ],
  host_services: [
    [1, 1],
    [2, 2],
    [3, 3],
  ],
  acl_resources: [
    [10, 1, 1],
    [11, 1, 1],
    [20, 2, 1],
    [30, 3, 1],
  ],
};

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'centreond-acl-'));
});
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(() => {
  file = path.join(folder, `${files++}.sdb`);
  makeTables(file, 'keyed');
  db = new Database(file);
  fillTables(db, tables);
});
afterEach(async () => {
  for (const each of plugins.splice(0)) await each.tested.stop();
  db.close();
});

/** The plugin, whose calls resolve with the output or reject with what the request ended with. */
async function acl(config: object = {}, more: { maxRequests?: number } = {}): Promise<Acl> {
  const clock = new FakeClock();
  const tested = await testPlugin(AclPlugin, { config: { database: file, ...config }, clock, ...more });
  const call: Acl['call'] = async (name, input, token) => {
    const { ok, data } = await tested.call(name, input, token === undefined ? {} : { token });
    if (!ok) throw new CentreondError(String(data.error), String(data.message));
    return data;
  };
  const on = { tested, clock, call };
  plugins.push(on);
  return on;
}
/** Time passes, and what it sets off ends. */
async function pass({ tested, clock }: Acl, ms: number): Promise<void> {
  await clock.advance(ms);
  await expect.poll(() => tested.router.open).toEqual([]);
}
/** The requests of the plugin itself, each as the organisation that it is for. */
const periodic = ({ tested }: Acl) =>
  tested.rows.filter(({ code, data }) => code === 0 && (data as { owner?: string }).owner === '@acl').length;
const counts = (some: object) => ({ milliseconds: expect.any(Number), ...some });

describe('ACLRESYNC', () => {
  it('puts the grants of one organisation right, and says what that took', async () => {
    const on = await acl();
    expect(await on.call('ACLRESYNC', { organizationId: 1 })).toEqual(
      counts({ organizationId: 1, resources: 2, pairs: 2, removed: 0, added: 2 }),
    );
    await on.call('ACLRESYNC', { organizationId: 2 });
    expect(grantsOf(db)).toEqual(['1/10/1/1', '1/11/1/1', '2/20/2/2']);
    db.exec('DELETE FROM acl_resources WHERE acl_resource_id = 10');
    expect(await on.call('ACLRESYNC', { organizationId: 1 })).toEqual(
      counts({ organizationId: 1, resources: 1, pairs: 1, removed: 1, added: 0 }),
    );
    expect(grantsOf(db)).toEqual(['1/11/1/1', '2/20/2/2']);
  });

  it('of one resource leaves the others as they are', async () => {
    const on = await acl();
    expect(await on.call('ACLRESYNC', { organizationId: 1, aclResourceId: 11 })).toEqual(
      counts({ organizationId: 1, resources: 1, pairs: 1, removed: 0, added: 1 }),
    );
    expect(grantsOf(db)).toEqual(['1/11/1/1']);
    // Another organisation's is nothing to this one.
    expect(await on.call('ACLRESYNC', { organizationId: 1, aclResourceId: 20 })).toMatchObject({
      resources: 0,
      added: 0,
    });
  });

  it('of an organisation that is not active takes its grants away', async () => {
    const on = await acl();
    await on.call('ACLRESYNC', { organizationId: 1 });
    db.exec('UPDATE organizations SET active = 0');
    expect(await on.call('ACLRESYNC', { organizationId: 1 })).toMatchObject({ resources: 0, pairs: 0, removed: 2 });
    expect(grantsOf(db)).toEqual([]);
    expect(on.clock.timers).toBe(0);
  });

  it('of an organisation that there is not is refused, named', async () => {
    const on = await acl();
    await expect(on.call('ACLRESYNC', { organizationId: 9 })).rejects.toMatchObject({
      code: 'INVALID_DATA',
      message: expect.stringContaining(`no organization_id 9 in ${file}`),
    });
    expect(on.clock.timers).toBe(0);
  });

  it('takes nothing but its two keys', async () => {
    const on = await acl();
    for (const input of [
      {},
      { organizationId: '1' },
      { organizationId: 1.5 },
      { organizationId: -1 },
      { organizationId: 1, all: true },
    ]) {
      await expect(on.call('ACLRESYNC', input)).rejects.toMatchObject({ code: 'INVALID_DATA' });
    }
  });
});

describe('ACLPURGEORGANIZATION', () => {
  it('takes away all grants of the organisation, be it known or not', async () => {
    const on = await acl();
    expect(await on.call('ACLPURGEORGANIZATION', { organizationId: 1 })).toMatchObject({ removed: 0 });
    await on.call('ACLRESYNC', { organizationId: 1 });
    await on.call('ACLRESYNC', { organizationId: 2 });
    db.exec('DELETE FROM organizations WHERE organization_id = 1');
    expect(await on.call('ACLPURGEORGANIZATION', { organizationId: 1 })).toEqual(
      counts({ organizationId: 1, removed: 2 }),
    );
    expect(grantsOf(db)).toEqual(['2/20/2/2']);
  });
});

describe('the periodic resync', () => {
  const resync = { everySeconds: 100, windowSeconds: 50 };

  it('comes in a random window, as a request', async () => {
    const on = await acl({ resync });
    await on.call('ACLRESYNC', { organizationId: 1 });
    const waits = new Set<number>();
    for (let i = 1; i <= 6; i++) {
      await pass(on, 99_000);
      expect(periodic(on)).toBe(i - 1);
      let waited = 99;
      for (; periodic(on) < i; waited++) await pass(on, 1000);
      waits.add(waited);
    }
    for (const seconds of waits) expect(seconds >= 100 && seconds <= 150).toBe(true);
    expect(waits.size).toBeGreaterThan(2);
  });

  it('comes for nobody who was purged, is not active, or where it is off', async () => {
    const on = await acl({ resync });
    await on.call('ACLRESYNC', { organizationId: 1 });
    await on.call('ACLPURGEORGANIZATION', { organizationId: 1 });
    expect(on.clock.timers).toBe(0);
    await on.call('ACLRESYNC', { organizationId: 3 });
    expect(on.clock.timers).toBe(0);
    const off = await acl({ resync: false });
    await off.call('ACLRESYNC', { organizationId: 1 });
    expect(off.clock.timers).toBe(0);
  });

  it('comes again within a minute where the router does not take it', async () => {
    const on = await acl({ resync }, { maxRequests: 1 });
    await on.call('ACLRESYNC', { organizationId: 1 });
    await on.call('ACLRESYNC', { organizationId: 2 });
    // The first one that comes due waits for the database, and the plugin may have no other open.
    db.exec('BEGIN IMMEDIATE');
    await on.clock.advance(150_000);
    expect(periodic(on)).toBe(1);
    expect(on.tested.log.map(({ msg }) => msg)).toContainEqual(
      expect.stringMatching(/the periodic resync of [12] is refused: .*is full \(1\)/),
    );
    db.exec('ROLLBACK');
    await pass(on, 0);
    await pass(on, 60_000);
    expect(periodic(on)).toBe(2);
  });

  it('is not put off by resyncs of single resources', async () => {
    const on = await acl({ resync });
    await on.call('ACLRESYNC', { organizationId: 1 });
    await pass(on, 99_000);
    await on.call('ACLRESYNC', { organizationId: 1, aclResourceId: 10 });
    await pass(on, 51_000);
    expect(periodic(on)).toBe(1);
  });
});

describe('a database', () => {
  it('that is missing, broken or without its tables is named, and left as it is', async () => {
    const gone = await acl({ database: path.join(folder, 'gone.sdb') });
    const wrong = (stage: Acl, message: RegExp) =>
      expect(stage.call('ACLRESYNC', { organizationId: 1 })).rejects.toMatchObject({
        code: 'ACTION_FAILED',
        message: expect.stringMatching(message),
      });
    await wrong(gone, /The database .*gone\.sdb was left as it is: unable to open database file/);
    const broken = path.join(folder, 'broken.sdb');
    writeFileSync(broken, 'this is no database, though it is long enough to be read as one'.repeat(100));
    await wrong(await acl({ database: broken }), /broken\.sdb.*not a database/);
    db.exec('DROP TABLE host_tags');
    await wrong(await acl(), /no such table: main\.host_tags/);
    expect(db.prepare("SELECT name FROM sqlite_schema WHERE name LIKE 'acl_grants%'").all()).toEqual([]);
  });

  it('that another holds locked for long is given up, for short is waited for', async () => {
    const on = await acl({ busySeconds: 1 });
    db.exec('BEGIN IMMEDIATE');
    await expect(on.call('ACLRESYNC', { organizationId: 1 })).rejects.toMatchObject({
      code: 'ACTION_FAILED',
      message: expect.stringContaining('it was locked by another process for 1 s'),
    });
    const waiting = on.call('ACLRESYNC', { organizationId: 1 });
    db.exec('ROLLBACK');
    expect(await waiting).toMatchObject({ added: 2 });
  });

  it('that is locked holds off neither an abort nor a stop', async () => {
    const on = await acl({ busySeconds: 300 });
    db.exec('BEGIN IMMEDIATE');
    const begun = () => new Promise(setImmediate); // what is aborted before that does not begin
    const waiting = on.call('ACLRESYNC', { organizationId: 1 }, 'first');
    await begun();
    expect(on.tested.abort('first')).toBe(true);
    await expect(waiting).rejects.toMatchObject({ code: 'CANCELLED' });
    const other = on.call('ACLRESYNC', { organizationId: 1 });
    await begun();
    const killed = on.tested.kill();
    await expect(other).rejects.toMatchObject({ code: 'PLUGIN_KILLED' });
    expect(await killed).toBe(true);
    await expect(on.call('ACLRESYNC', { organizationId: 1 })).rejects.toMatchObject({ code: 'NOT_READY' });
    db.exec('ROLLBACK');
    expect(() => grantsOf(db)).toThrow(/no such table/);
  });
});

it('is declared as one instance for each organisation, on demand', () => {
  const { instances, kill, actions, unexpressed } = manifestOf(AclPlugin);
  expect(instances).toEqual({ key: 'organizationId', start: 'on-demand', idleSeconds: 90_000 });
  expect(kill).toEqual({ graceSeconds: 5 });
  expect(unexpressed).toEqual([]);
  expect(
    actions.map(({ name, access, effects, idempotent, inFlight }) => [name, access, effects, idempotent, inFlight]),
  ).toEqual([
    ['ACLRESYNC', ['client'], 'write', true, 'requeue'],
    ['ACLPURGEORGANIZATION', ['client'], 'destructive', true, 'requeue'],
  ]);
});
