import type { GrantDatabase } from './database.ts';

/** For a WHERE: leaves the statement in its middle where it is no longer wanted. Asked for about each hundredth row. */
export function whileWanted(column: string): string {
  return `((random() & 127) <> 0 OR wanted(${column}))`;
}

/** An id as SQL gets it: a JavaScript number would be a REAL there, which is not the text '7' nor kept as 7. */
export function idOf(id: number | undefined): bigint | null {
  return id === undefined ? null : BigInt(id);
}

// Temporary tables: each of the operator's is read once and with the organisation's own rows only, whatever indexes it has.
// OR IGNORE drops what is twice, or is no id.
const TABLES = `
CREATE TEMP TABLE resource (acl_resource_id INTEGER NOT NULL PRIMARY KEY, all_hosts INTEGER);
CREATE TEMP TABLE include (acl_resource_id INTEGER NOT NULL, kind TEXT NOT NULL, ref_id INTEGER NOT NULL,
  PRIMARY KEY (acl_resource_id, kind, ref_id)) WITHOUT ROWID;
CREATE TEMP TABLE filter (acl_resource_id INTEGER NOT NULL, kind TEXT, ref_id INTEGER);
CREATE INDEX temp.filter_by_resource ON filter (acl_resource_id, kind, ref_id);
CREATE TEMP TABLE host (host_id INTEGER NOT NULL, poller_id INTEGER, environment_id INTEGER);
CREATE INDEX temp.host_by_id ON host (host_id);
CREATE TEMP TABLE service (service_id INTEGER NOT NULL, domain_id INTEGER);
CREATE INDEX temp.service_by_id ON service (service_id);
CREATE TEMP TABLE host_tag (tag_id INTEGER NOT NULL, host_id INTEGER NOT NULL, PRIMARY KEY (tag_id, host_id)) WITHOUT ROWID;
CREATE TEMP TABLE service_tag (tag_id INTEGER NOT NULL, service_id INTEGER NOT NULL,
  PRIMARY KEY (tag_id, service_id)) WITHOUT ROWID;
`;

const FILL = [
  `INSERT OR IGNORE INTO temp.resource SELECT acl_resource_id, max(CAST(all_hosts AS INTEGER) <> 0) FROM main.acl_resources
    WHERE organization_id = :organization AND (:resource IS NULL OR acl_resource_id = :resource) GROUP BY acl_resource_id`,
  `INSERT OR IGNORE INTO temp.include SELECT acl_resource_id, kind, ref_id FROM main.acl_resource_includes a
    WHERE acl_resource_id IN (SELECT acl_resource_id FROM temp.resource) AND ${whileWanted('a.ref_id')}`,
  `INSERT OR IGNORE INTO temp.filter SELECT acl_resource_id, kind, ref_id FROM main.acl_resource_filters a
    WHERE acl_resource_id IN (SELECT acl_resource_id FROM temp.resource) AND ${whileWanted('a.ref_id')}`,
  `INSERT OR IGNORE INTO temp.host SELECT host_id, poller_id, environment_id FROM main.hosts a
    WHERE organization_id = :organization AND ${whileWanted('a.host_id')}`,
  `INSERT OR IGNORE INTO temp.service SELECT service_id, domain_id FROM main.services a
    WHERE organization_id = :organization AND ${whileWanted('a.service_id')}`,
  `INSERT OR IGNORE INTO temp.host_tag SELECT tag_id, host_id FROM main.host_tags a
    WHERE host_id IN (SELECT host_id FROM temp.host) AND ${whileWanted('a.host_id')}`,
  `INSERT OR IGNORE INTO temp.service_tag SELECT tag_id, service_id FROM main.service_tags a
    WHERE service_id IN (SELECT service_id FROM temp.service) AND ${whileWanted('a.service_id')}`,
];

/** An organisation as the database has it now: read into temporary tables, of which the grants are then computed. */
export class Organization {
  readonly #pairs = new Map<string, string>();

  constructor(
    private readonly grants: GrantDatabase,
    readonly id: number,
  ) {}

  /** Whether it is active; undefined where there is no such organisation. */
  get active(): boolean | undefined {
    const active = this.grants.db
      .prepare<[bigint | null], number | null>(
        'SELECT max(CAST(active AS INTEGER) <> 0) FROM main.organizations WHERE organization_id = ? HAVING count(*) > 0',
      )
      .pluck()
      .get(idOf(this.id));
    return active === undefined ? undefined : active === 1;
  }

  /** Reads what the grants depend on; of the resources only `aclResourceId` where that is given. */
  read(aclResourceId: number | undefined): void {
    this.grants.db.exec(TABLES);
    for (const sql of FILL) {
      // Not every statement has both.
      const named = { organization: idOf(this.id), resource: idOf(aclResourceId) };
      this.grants.db.prepare(sql).run(sql.includes(':organization') ? named : {});
    }
  }

  /** Its resources, and whether each reaches all hosts. */
  resources(): { id: number; allHosts: boolean }[] {
    return this.grants.db
      .prepare<[], [number, number | null]>('SELECT acl_resource_id, all_hosts FROM temp.resource ORDER BY 1')
      .raw()
      .all()
      .map(([id, allHosts]) => ({ id, allHosts: allHosts === 1 }));
  }

  /** The kinds of include, or of filter, that the resource has. */
  kinds(table: 'include' | 'filter', aclResourceId: number): (string | null)[] {
    return this.grants.db
      .prepare<[bigint | null], string | null>(`SELECT DISTINCT kind FROM temp.${table} WHERE acl_resource_id = ?`)
      .pluck()
      .all(idOf(aclResourceId));
  }

  /** The table where the services of a host, or the hosts of a service, are found by an index. */
  pairsBy(column: 'host_id' | 'service_id'): string {
    const found = this.#pairs.get(column) ?? this.#findPairs(column);
    this.#pairs.set(column, found);
    return found;
  }

  // The operator's own where it has the index, else a copy of the organisation's pairs that has.
  #findPairs(column: 'host_id' | 'service_id'): string {
    if (this.grants.leads('host_services', column)) return 'main.host_services';
    const table = `temp.pair_by_${column}`;
    const other = column === 'host_id' ? 'service_id' : 'host_id';
    this.grants.db.exec(`
      CREATE TABLE ${table} (${column} INTEGER NOT NULL, ${other} INTEGER NOT NULL, PRIMARY KEY (${column}, ${other})) WITHOUT ROWID;
      INSERT OR IGNORE INTO ${table} (host_id, service_id) SELECT p.host_id, p.service_id FROM main.host_services p
        WHERE p.host_id IN (SELECT host_id FROM temp.host) AND p.service_id IN (SELECT service_id FROM temp.service)
          AND ${whileWanted('p.service_id')}`);
    return table;
  }
}
