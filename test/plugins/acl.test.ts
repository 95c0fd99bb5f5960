import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import AclPlugin from '@centreond/plugin-acl';
import { manifestOf } from '@centreond/plugin-sdk/internal';
import { failure } from '@centreond/protocol';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AclStage } from './acl-stage.ts';
import { fillTables, grantsOf, makeTables, type Tables } from './acl-tables.ts';

let folder: string;
let file: string;
let db: Database.Database;
const stages: AclStage[] = [];
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
  for (const each of stages.splice(0)) await each.stop();
  db.close();
});

async function acl(config: object = {}): Promise<AclStage> {
  const stage = await new AclStage().start({ database: file, ...config });
  stages.push(stage);
  return stage;
}
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
    expect(on.timers.size).toBe(0);
  });

  it('of an organisation that there is not is refused, named', async () => {
    const on = await acl();
    await expect(on.call('ACLRESYNC', { organizationId: 9 })).rejects.toMatchObject({
      code: 'INVALID_DATA',
      message: expect.stringContaining(`no organization_id 9 in ${file}`),
    });
    expect(on.timers.size).toBe(0);
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
    const waits = new Set<number>();
    for (let i = 0; i < 12; i++) {
      await on.call('ACLRESYNC', { organizationId: 1 });
      expect(on.waits).toHaveLength(1);
      waits.add(on.waits[0] ?? expect.fail());
    }
    for (const ms of waits) expect(ms >= 100_000 && ms <= 150_000).toBe(true);
    expect(waits.size).toBeGreaterThan(6);
    on.due();
    expect(on.sent).toEqual([{ action: 'ACLRESYNC', data: { organizationId: 1 } }]);
    // Even should that request come to nothing.
    expect(on.waits).toHaveLength(1);
  });

  it('comes for nobody who was purged, is not active, or where it is off', async () => {
    const on = await acl({ resync });
    await on.call('ACLRESYNC', { organizationId: 1 });
    await on.call('ACLPURGEORGANIZATION', { organizationId: 1 });
    expect(on.timers.size).toBe(0);
    await on.call('ACLRESYNC', { organizationId: 3 });
    expect(on.timers.size).toBe(0);
    const off = await acl({ resync: false });
    await off.call('ACLRESYNC', { organizationId: 1 });
    expect(off.timers.size).toBe(0);
  });

  it('comes again within a minute where the router does not take it', async () => {
    const on = await acl({ resync });
    await on.call('ACLRESYNC', { organizationId: 1 });
    on.refusal = failure('BUSY', { what: 'the queue', limit: 1 });
    on.due();
    await expect.poll(() => on.waits).toEqual([60_000]);
    expect(on.logged).toEqual([expect.stringContaining('the periodic resync of 1 is refused')]);
  });

  it('is not put off by resyncs of single resources', async () => {
    const on = await acl({ resync });
    await on.call('ACLRESYNC', { organizationId: 1 });
    const [first] = on.timers;
    await on.call('ACLRESYNC', { organizationId: 1, aclResourceId: 10 });
    expect([...on.timers]).toEqual([first]);
  });
});

describe('a database', () => {
  it('that is missing, broken or without its tables is named, and left as it is', async () => {
    const gone = await acl({ database: path.join(folder, 'gone.sdb') });
    const wrong = (stage: AclStage, message: RegExp) =>
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
    const first = begun();
    const waiting = on.call('ACLRESYNC', { organizationId: 1 }, first.signal);
    await first.running;
    const reason = failure('CANCELLED', { token: 't', by: 'root' });
    first.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    const second = begun();
    const other = on.call('ACLRESYNC', { organizationId: 1 }, second.signal);
    await second.running;
    const stopped = on.plugin.release();
    await expect(other).rejects.toMatchObject({ code: 'ACTION_FAILED' });
    await stopped;
    await expect(on.call('ACLRESYNC', { organizationId: 1 })).rejects.toMatchObject({ code: 'ACTION_FAILED' });
    db.exec('ROLLBACK');
    expect(() => grantsOf(db)).toThrow(/no such table/);
  });
});

/** A signal, and when the plugin has begun to look at it. */
function begun() {
  const controller = new AbortController();
  const { signal } = controller;
  const running = new Promise<void>((resolve) => {
    const listen = signal.addEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof listen>) => {
      listen(...args);
      resolve();
    };
  });
  return { signal, running, abort: (reason: Error) => controller.abort(reason) };
}

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
