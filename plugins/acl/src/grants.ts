import type { GrantDatabase } from './database.ts';
import { idOf, Organization, whileWanted } from './organization.ts';
import { type Counts, type Task, UNKNOWN_ORGANIZATION } from './task.ts';

/** A task that cannot be done as it was asked for. */
export class TaskFault extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

// By the kind of an include: whether it reaches the host, or the service, of a pair.
const REACHED_HOST: Readonly<Record<string, string>> = {
  host: "h.host_id IN (SELECT ref_id FROM temp.include WHERE acl_resource_id = :resource AND kind = 'host')",
  host_tag: `h.host_id IN (SELECT t.host_id FROM temp.include i JOIN temp.host_tag t ON t.tag_id = i.ref_id
    WHERE i.acl_resource_id = :resource AND i.kind = 'host_tag')`,
};
const REACHED_SERVICE: Readonly<Record<string, string>> = {
  service: "s.service_id IN (SELECT ref_id FROM temp.include WHERE acl_resource_id = :resource AND kind = 'service')",
  service_tag: `s.service_id IN (SELECT t.service_id FROM temp.include i JOIN temp.service_tag t ON t.tag_id = i.ref_id
    WHERE i.acl_resource_id = :resource AND i.kind = 'service_tag')`,
};

const VALUES = (kind: string) =>
  `(SELECT ref_id FROM temp.filter WHERE acl_resource_id = :resource AND kind = '${kind}')`;
// By the kind of a filter: whether the host, or the service, of a pair passes one of its values.
const HOST_PASSES: Readonly<Record<string, string>> = {
  environment: `h.environment_id IN ${VALUES('environment')}`,
  poller: `h.poller_id IN ${VALUES('poller')}`,
  host_tag: `h.host_id IN (SELECT host_id FROM temp.host_tag WHERE tag_id IN ${VALUES('host_tag')})`,
};
const SERVICE_PASSES: Readonly<Record<string, string>> = {
  domain: `s.domain_id IN ${VALUES('domain')}`,
  service_tag: `s.service_id IN (SELECT service_id FROM temp.service_tag WHERE tag_id IN ${VALUES('service_tag')})`,
};

const WANTED = `CREATE TEMP TABLE wanted_pair (host_id INTEGER NOT NULL, service_id INTEGER NOT NULL,
  PRIMARY KEY (host_id, service_id)) WITHOUT ROWID`;

const ADD = `INSERT INTO main.acl_grants (organization_id, acl_resource_id, host_id, service_id)
  SELECT :organization, :resource, w.host_id, w.service_id FROM temp.wanted_pair w WHERE NOT EXISTS (
    SELECT 1 FROM main.acl_grants g WHERE g.organization_id = :organization AND g.acl_resource_id = :resource
      AND g.host_id = +w.host_id AND g.service_id = +w.service_id) AND ${whileWanted('w.service_id')}`;
const REMOVE = `DELETE FROM main.acl_grants WHERE organization_id = :organization AND acl_resource_id = :resource
  AND NOT EXISTS (SELECT 1 FROM temp.wanted_pair w WHERE w.host_id = +acl_grants.host_id
    AND w.service_id = +acl_grants.service_id) AND ${whileWanted('service_id')}`;
// What is granted under resources that are not the organisation's, or are no more.
const REMOVE_OTHERS = `DELETE FROM main.acl_grants WHERE organization_id = :organization
  AND (:resource IS NULL OR acl_resource_id = :resource)
  AND NOT EXISTS (SELECT 1 FROM temp.resource r WHERE r.acl_resource_id = +acl_grants.acl_resource_id)
  AND ${whileWanted('service_id')}`;
const REMOVE_ALL = `DELETE FROM main.acl_grants WHERE organization_id = :organization
  AND (:resource IS NULL OR acl_resource_id = :resource) AND ${whileWanted('service_id')}`;

/** Does the task in one transaction, which others see whole or not at all. Throws TaskFault, NoLongerWanted, or SQLite's. */
export function perform(task: Task, grants: GrantDatabase, warn: (text: string) => void): Counts {
  return grants.write(() => (task.kind === 'resync' ? resync(task, grants, warn) : purge(task, grants)));
}

function purge({ organizationId }: Task, grants: GrantDatabase): Counts {
  const counts: Counts = { resources: 0, pairs: 0, removed: 0, added: 0, active: false };
  if (grants.has('acl_grants')) counts.removed = removeAll(grants, organizationId, undefined);
  return counts;
}

function removeAll({ db }: GrantDatabase, organization: number, aclResourceId: number | undefined): number {
  return db.prepare(REMOVE_ALL).run({ organization: idOf(organization), resource: idOf(aclResourceId) }).changes;
}

function resync({ organizationId, aclResourceId }: Task, grants: GrantDatabase, warn: (text: string) => void): Counts {
  const organization = new Organization(grants, organizationId);
  const { active } = organization;
  if (active === undefined) {
    throw new TaskFault(UNKNOWN_ORGANIZATION, `the table organizations has no organization_id ${organizationId}`);
  }
  ensureGrants(grants);
  const counts: Counts = { resources: 0, pairs: 0, removed: 0, added: 0, active };
  if (!active) {
    counts.removed = removeAll(grants, organizationId, aclResourceId);
    return counts;
  }
  organization.read(aclResourceId);
  grants.db.exec(WANTED);
  const asked = { organization: idOf(organizationId), resource: idOf(aclResourceId) };
  counts.removed = grants.db.prepare(REMOVE_OTHERS).run(asked).changes;
  for (const { id, allHosts } of organization.resources()) {
    counts.resources++;
    counts.pairs += pick(organization, grants, id, allHosts, warn);
    const named = { organization: idOf(organizationId), resource: idOf(id) };
    counts.removed += grants.db.prepare(REMOVE).run(named).changes;
    counts.added += grants.db.prepare(ADD).run(named).changes;
  }
  return counts;
}

/** Our own table, and an index on it where the operator made it without. */
function ensureGrants(grants: GrantDatabase): void {
  const columns = ['organization_id', 'acl_resource_id', 'host_id', 'service_id'];
  grants.db.exec(`CREATE TABLE IF NOT EXISTS main.acl_grants (${columns.map((name) => `${name} INTEGER NOT NULL`).join(', ')},
    PRIMARY KEY (${columns.join(', ')})) WITHOUT ROWID`);
  if (grants.leads('acl_grants', ...columns)) return;
  grants.db.exec(`CREATE INDEX IF NOT EXISTS main.acl_grants_by_resource ON acl_grants (${columns.join(', ')})`);
}

/** Fills `wanted_pair` with the pairs that the resource grants, and answers how many. */
function pick(
  organization: Organization,
  { db }: GrantDatabase,
  resource: number,
  allHosts: boolean,
  warn: (text: string) => void,
): number {
  db.exec('DELETE FROM temp.wanted_pair');
  const includes = organization.kinds('include', resource);
  const filters = organization.kinds('filter', resource);
  const strange = (kinds: readonly (string | null)[], ...known: object[]) =>
    kinds.filter((kind) => !known.some((one) => Object.hasOwn(one, String(kind))));
  const strangeIncludes = strange(includes, REACHED_HOST, REACHED_SERVICE);
  if (strangeIncludes.length > 0)
    warn(`the resource ${resource} has includes of no known kind: ${strangeIncludes.join(', ')}`);
  const strangeFilters = strange(filters, HOST_PASSES, SERVICE_PASSES);
  if (strangeFilters.length > 0) {
    warn(`the resource ${resource} has filters of no known kind, which nothing passes: ${strangeFilters.join(', ')}`);
    return 0;
  }
  const reachedHosts = allHosts ? ['1'] : given(includes, REACHED_HOST);
  const reachedServices = allHosts ? [] : given(includes, REACHED_SERVICE);
  const passes = [...given(filters, HOST_PASSES), ...given(filters, SERVICE_PASSES)];

  // CROSS JOIN: in this order. Left to itself, SQLite may try every host with every service.
  const add = (from: () => string, reached: readonly string[], column: string): number => {
    if (reached.length === 0) return 0;
    const sql = `INSERT OR IGNORE INTO temp.wanted_pair SELECT p.host_id, p.service_id FROM ${from()}
      WHERE ${[`(${reached.join(' OR ')})`, ...passes, whileWanted(column)].join(' AND ')}`;
    return db.prepare(sql).run(sql.includes(':resource') ? { resource: idOf(resource) } : {}).changes;
  };
  const byHost = () => `temp.host h CROSS JOIN ${organization.pairsBy('host_id')} p ON p.host_id = h.host_id
    CROSS JOIN temp.service s ON s.service_id = p.service_id`;
  const byService =
    () => `temp.service s CROSS JOIN ${organization.pairsBy('service_id')} p ON p.service_id = s.service_id
    CROSS JOIN temp.host h ON h.host_id = p.host_id`;
  return add(byHost, reachedHosts, 'p.service_id') + add(byService, reachedServices, 'p.host_id');
}

function given(kinds: readonly (string | null)[], of: Readonly<Record<string, string>>): string[] {
  return Object.entries(of).flatMap(([kind, sql]) => (kinds.includes(kind) ? sql : []));
}
