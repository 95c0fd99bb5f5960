import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GrantDatabase } from '../../plugins/acl/dist/database.js';
import { perform } from '../../plugins/acl/dist/grants.js';
import type { Task } from '../../plugins/acl/dist/task.js';
import {
  fillGrants,
  fillTables,
  grantsOf,
  makeTables,
  naiveGrants,
  readTables,
  SHAPES,
  type Tables,
} from './acl-tables.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'centreond-acl-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function resync(file: string, task: Omit<Task, 'kind'>) {
  const warnings: string[] = [];
  const warn = (text: string) => void warnings.push(text);
  using grants = new GrantDatabase({ file, busyMs: 1000, check: () => {}, warn });
  return { ...perform({ kind: 'resync', ...task }, grants, warn), warnings };
}

const small = (max: number) => fc.integer({ min: 1, max });
const maybe = (max: number) => fc.option(small(max), { freq: 12 });
const rows = <T extends unknown[]>(maxLength: number, ...cells: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.array(fc.tuple(...(cells as fc.Arbitrary<unknown>[])) as fc.Arbitrary<T>, { maxLength });

const INCLUDES = ['host', 'host_tag', 'service', 'service_tag'];
const FILTERS = ['host_tag', 'environment', 'poller', 'domain', 'service_tag'];
const organization = fc.constantFrom(1, 1, 1, 2);

const anyTables: fc.Arbitrary<Tables> = fc.record({
  organizations: fc.constantFrom<[number, number][]>(
    [
      [1, 1],
      [2, 1],
    ],
    [[1, 1]],
    [
      [1, 0],
      [2, 1],
    ],
  ),
  hosts: rows<[number, number, number | null, number | null]>(8, small(5), organization, maybe(2), maybe(2)),
  services: rows<[number, number, number | null]>(8, small(5), organization, maybe(2)),
  host_services: rows<[number | null, number | null]>(20, maybe(6), maybe(6)),
  host_tags: rows<[number, number]>(8, small(3), small(5)),
  service_tags: rows<[number, number]>(8, small(3), small(5)),
  acl_resources: rows<[number, number, number | null]>(4, small(3), organization, fc.constantFrom(0, 0, 1, null)),
  acl_resource_includes: rows<[number, string, number | null]>(
    8,
    small(3),
    fc.constantFrom(...INCLUDES, 'odd'),
    maybe(5),
  ),
  acl_resource_filters: rows<[number, string, number | null]>(
    4,
    small(3),
    fc.constantFrom(...FILTERS, ...FILTERS, 'odd'),
    maybe(3),
  ),
});
const anyGrants = fc.uniqueArray(fc.tuple(small(2), small(4), small(5), small(5)), { maxLength: 12, selector: String });

describe.each(SHAPES)('with tables that are %s', (shape) => {
  it('grants what the naive reference does, and touches nothing else', () => {
    const file = path.join(folder, `${shape}.sdb`);
    makeTables(file, shape);
    resync(file, { organizationId: prepared(file) });
    const db = new Database(file);
    db.pragma('synchronous = OFF');
    const before = db.prepare("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE '%acl_grants%'").all();
    const seed = Math.floor(Math.random() * 2 ** 31);
    console.info(`acl-grants ${shape}: seed ${seed}`);
    const property = fc.property(anyTables, anyGrants, fc.option(small(4)), (tables, old, only) => {
      fillTables(db, tables);
      fillGrants(db, old);
      const read = readTables(db);
      const was = grantsOf(db);
      const resource = only ?? undefined;
      const ours = (grant: string) => grant.startsWith(resource === undefined ? '1/' : `1/${resource}/`);
      const wanted = naiveGrants(read, 1, resource);
      const { resources, pairs, removed, added, active } = resync(file, {
        organizationId: 1,
        ...(resource !== undefined && { aclResourceId: resource }),
      });
      expect(grantsOf(db)).toEqual([...was.filter((grant) => !ours(grant)), ...wanted].sort());
      expect({ pairs, removed, added, active }).toEqual({
        pairs: wanted.length,
        removed: was.filter((grant) => ours(grant) && !wanted.includes(grant)).length,
        added: wanted.filter((grant) => !was.includes(grant)).length,
        active: read.organizations.some(([id, on]) => id === 1 && on === 1),
      });
      const owned = new Set(read.acl_resources.filter(([, of]) => of === 1).map(([id]) => id));
      expect(resources).toBe(active ? [...owned].filter((id) => resource === undefined || id === resource).length : 0);
      expect(readTables(db)).toEqual(read);
      // What is right is not written again.
      const again = resync(file, { organizationId: 1 });
      expect(resync(file, { organizationId: 1 })).toEqual({ ...again, removed: 0, added: 0 });
    });
    fc.assert(property, { seed, numRuns: 60 });
    expect(db.prepare("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE '%acl_grants%'").all()).toEqual(
      before,
    );
    db.close();
  });
});

/** Adds an organisation, and answers its id. */
function prepared(file: string): number {
  const db = new Database(file);
  fillTables(db, { organizations: [[1, 1]] });
  db.close();
  return 1;
}

describe('a resource', () => {
  const base: Partial<Tables> = {
    organizations: [
      [1, 1],
      [2, 1],
    ],
    hosts: [
      [1, 1, 10, 20],
      [2, 1, 11, 20],
      [3, 1, 11, 21],
      [9, 2, 10, 20],
    ],
    services: [
      [1, 1, 30],
      [2, 1, 31],
      [9, 2, 30],
    ],
    // Host 3 has no service. The last three are not pairs of one organisation.
    host_services: [
      [1, 1],
      [1, 2],
      [2, 1],
      [9, 9],
      [1, 9],
      [9, 1],
    ],
    host_tags: [
      [5, 1],
      [5, 9],
    ],
    service_tags: [
      [6, 1],
      [6, 9],
    ],
  };
  let file: string;
  let db: Database.Database;
  beforeAll(() => {
    file = path.join(folder, 'examples.sdb');
    makeTables(file, 'keyed');
    db = new Database(file);
  });
  afterAll(() => db.close());

  function granted(tables: Partial<Tables>): string[] {
    fillTables(db, { ...base, acl_resources: [[7, 1, 0]], ...tables });
    resync(file, { organizationId: 1 });
    return grantsOf(db).map((grant) => grant.slice('1/7/'.length));
  }
  const include = (...ones: [string, number][]): Partial<Tables> => ({
    acl_resource_includes: ones.map(([kind, ref]) => [7, kind, ref]),
  });
  const filter = (...ones: [string, number][]): Partial<Tables> => ({
    acl_resource_filters: ones.map(([kind, ref]) => [7, kind, ref]),
  });
  const all: Partial<Tables> = { acl_resources: [[7, 1, 1]] };

  it('of a host grants it with each of its services, of a service with each of its hosts', () => {
    expect(granted(include(['host', 1]))).toEqual(['1/1', '1/2']);
    expect(granted(include(['host', 3]))).toEqual([]);
    expect(granted(include(['service', 1]))).toEqual(['1/1', '2/1']);
    expect(granted(include(['host_tag', 5]))).toEqual(['1/1', '1/2']);
    expect(granted(include(['service_tag', 6]))).toEqual(['1/1', '2/1']);
    expect(granted(include(['host', 2], ['service', 2]))).toEqual(['1/2', '2/1']);
    expect(granted(all)).toEqual(['1/1', '1/2', '2/1']);
    expect(granted({})).toEqual([]);
  });

  it('grants what passes one value of every kind of filter', () => {
    expect(granted({ ...all, ...filter(['poller', 10]) })).toEqual(['1/1', '1/2']);
    expect(granted({ ...all, ...filter(['poller', 10], ['poller', 11]) })).toEqual(['1/1', '1/2', '2/1']);
    expect(granted({ ...all, ...filter(['poller', 10], ['domain', 30]) })).toEqual(['1/1']);
    expect(granted({ ...all, ...filter(['environment', 21]) })).toEqual([]);
    expect(granted({ ...all, ...filter(['host_tag', 5], ['service_tag', 6]) })).toEqual(['1/1']);
    expect(granted(filter(['poller', 10]))).toEqual([]);
  });

  it("never grants another organisation's hosts and services, named as they may be", () => {
    expect(granted(include(['host', 9], ['service', 9]))).toEqual([]);
    expect(granted(include(['host_tag', 5], ['service_tag', 6]))).toEqual(['1/1', '1/2', '2/1']);
  });

  it('with a filter of an unknown kind grants nothing, and says so', () => {
    expect(granted({ ...all, ...filter(['colour', 1]) })).toEqual([]);
    expect(resync(file, { organizationId: 1 }).warnings).toEqual([
      'the resource 7 has filters of no known kind, which nothing passes: colour',
    ]);
  });

  it('that is gone, or of another organisation, has its grants taken away', () => {
    expect(granted(all)).toHaveLength(3);
    db.exec('DELETE FROM acl_resources');
    expect(resync(file, { organizationId: 1, aclResourceId: 8 })).toMatchObject({ resources: 0, removed: 0 });
    expect(resync(file, { organizationId: 1, aclResourceId: 7 })).toMatchObject({ resources: 0, removed: 3 });
    expect(granted(all)).toHaveLength(3);
    db.exec('UPDATE acl_resources SET organization_id = 2');
    expect(resync(file, { organizationId: 1 })).toMatchObject({ resources: 0, pairs: 0, removed: 3 });
  });
});
