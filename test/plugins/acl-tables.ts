import Database from 'better-sqlite3';

/** The operator's tables, each a list of rows in the order of the columns. */
export interface Tables {
  organizations: [number, number][];
  hosts: [number, number, number | null, number | null][];
  services: [number, number, number | null][];
  host_services: [number | null, number | null][];
  host_tags: [number, number][];
  service_tags: [number, number][];
  acl_resources: [number, number, number | null][];
  acl_resource_includes: [number, string, number | null][];
  acl_resource_filters: [number, string, number | null][];
}

const COLUMNS: Readonly<Record<keyof Tables, string>> = {
  organizations: 'organization_id, active',
  hosts: 'host_id, organization_id, poller_id, environment_id',
  services: 'service_id, organization_id, domain_id',
  host_services: 'host_id, service_id',
  host_tags: 'tag_id, host_id',
  service_tags: 'tag_id, service_id',
  acl_resources: 'acl_resource_id, organization_id, all_hosts',
  acl_resource_includes: 'acl_resource_id, kind, ref_id',
  acl_resource_filters: 'acl_resource_id, kind, ref_id',
};
const KEYS: Readonly<Record<keyof Tables, string>> = {
  organizations: 'organization_id',
  hosts: 'host_id',
  services: 'service_id',
  host_services: 'host_id, service_id',
  host_tags: 'tag_id, host_id',
  service_tags: 'tag_id, service_id',
  acl_resources: 'acl_resource_id',
  acl_resource_includes: 'acl_resource_id, kind, ref_id',
  acl_resource_filters: 'acl_resource_id, kind, ref_id',
};
const NAMES = Object.keys(COLUMNS) as (keyof Tables)[];

/**
 * How an operator may have made the tables: with primary keys, also with the index from service to host, without any, with
 * ids as text, or without types at all.
 */
export const SHAPES = ['keyed', 'indexed', 'bare', 'text', 'untyped'] as const;
export type Shape = (typeof SHAPES)[number];

export function makeTables(file: string, shape: Shape): void {
  const db = new Database(file);
  const type = { keyed: 'INTEGER', indexed: 'BIGINT', bare: 'INTEGER', text: 'TEXT', untyped: '' }[shape];
  const keyed = shape === 'keyed' || shape === 'indexed' || shape === 'text';
  for (const name of NAMES) {
    const columns = COLUMNS[name].split(', ').map((column) => (column === 'kind' ? 'kind TEXT' : `${column} ${type}`));
    db.exec(`CREATE TABLE ${name} (${columns.join(', ')}${keyed ? `, PRIMARY KEY (${KEYS[name]})` : ''})`);
  }
  if (shape === 'indexed') db.exec('CREATE INDEX by_service ON host_services (service_id)');
  if (shape === 'bare' || shape === 'untyped') {
    const columns = ['organization_id', 'acl_resource_id', 'host_id', 'service_id'].map((name) => `${name} ${type}`);
    db.exec(`CREATE TABLE acl_grants (${columns.join(', ')})`);
  }
  db.close();
}

// A JavaScript number would be a REAL.
function cell(value: number | string | null): bigint | string | null {
  return typeof value === 'number' ? BigInt(value) : value;
}

export function fillGrants(db: Database.Database, grants: readonly (readonly number[])[]): void {
  db.exec('DELETE FROM acl_grants');
  const insert = db.prepare('INSERT INTO acl_grants VALUES (?, ?, ?, ?)');
  for (const grant of grants) insert.run(...grant.map(cell));
}

export function fillTables(db: Database.Database, tables: Partial<Tables>): void {
  db.transaction(() => {
    for (const name of NAMES) {
      db.exec(`DELETE FROM ${name}`);
      const marks = COLUMNS[name].replace(/\w+/g, '?');
      const insert = db.prepare(`INSERT OR IGNORE INTO ${name} VALUES (${marks})`);
      for (const row of tables[name] ?? []) insert.run(...row.map(cell));
    }
  })();
}

/** The tables as the database has them, ids as numbers. */
export function readTables(db: Database.Database): Tables {
  const read = (name: keyof Tables) =>
    db
      .prepare(`SELECT ${COLUMNS[name]} FROM ${name}`)
      .raw()
      .all()
      .map((row) =>
        (row as unknown[]).map((cell, i) =>
          i === 1 && /^acl_resource_/.test(name) ? cell : cell === null ? null : Number(cell),
        ),
      );
  return Object.fromEntries(NAMES.map((name) => [name, read(name)])) as unknown as Tables;
}

/** Every grant as `organisation/resource/host/service`, sorted. */
export function grantsOf(db: Database.Database): string[] {
  return db
    .prepare("SELECT organization_id || '/' || acl_resource_id || '/' || host_id || '/' || service_id FROM acl_grants")
    .pluck()
    .all()
    .map(String)
    .sort();
}

/** The same as the issue says it: for each pair of the organisation, is it reached, and does it pass? */
export function naiveGrants(tables: Tables, organization: number, resource?: number): string[] {
  if (!tables.organizations.some(([id, active]) => id === organization && active === 1)) return [];
  const granted = new Set<string>();
  for (const [id, owner, allHosts] of tables.acl_resources) {
    if (owner !== organization || (resource !== undefined && id !== resource)) continue;
    const includes = tables.acl_resource_includes.filter(([of]) => of === id);
    const filters = tables.acl_resource_filters.filter(([of]) => of === id);
    const kinds = [...new Set(filters.map(([, kind]) => kind))];
    for (const [host, service] of tables.host_services) {
      for (const [hostId, hostOwner, poller, environment] of tables.hosts) {
        if (hostId !== host || hostOwner !== organization) continue;
        for (const [serviceId, serviceOwner, domain] of tables.services) {
          if (serviceId !== service || serviceOwner !== organization) continue;
          const is = (kind: string, value: number | null): boolean => {
            if (value === null) return false;
            if (kind === 'host') return value === host;
            if (kind === 'service') return value === service;
            if (kind === 'host_tag') return tables.host_tags.some(([tag, of]) => tag === value && of === host);
            if (kind === 'service_tag') return tables.service_tags.some(([tag, of]) => tag === value && of === service);
            if (kind === 'environment') return value === environment;
            if (kind === 'poller') return value === poller;
            if (kind === 'domain') return value === domain;
            return false;
          };
          const INCLUDES = ['host', 'host_tag', 'service', 'service_tag'];
          const FILTERS = ['host_tag', 'environment', 'poller', 'domain', 'service_tag'];
          const reached = allHosts === 1 || includes.some(([, kind, ref]) => INCLUDES.includes(kind) && is(kind, ref));
          const passes = kinds.every(
            (kind) => FILTERS.includes(kind) && filters.some(([, of, ref]) => of === kind && is(kind, ref)),
          );
          if (reached && passes) granted.add(`${organization}/${id}/${host}/${service}`);
        }
      }
    }
  }
  return [...granted].sort();
}
