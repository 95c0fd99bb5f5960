import type { Database, Statement } from 'better-sqlite3';
import type { RequestFilter } from '../token-store.ts';

/** Entries of an index up to which one statement reads all of them. */
const FEW = 1000;

/** What GETREQUESTS lists: tokens known from PUTLOG only, and PUTLOG itself, are no requests. */
const PROPER = "r.log = 0 AND r.action <> 'PUTLOG'";

const BY_OWNER = ' INDEXED BY centreond_request_by_owner';
const BY_ACTION = ' INDEXED BY centreond_request_by_action';
const BY_TARGET = ' INDEXED BY centreond_request_by_target';

/** How the requests of a filter are found. */
export interface Plan {
  /** Ids above `low` and up to `high`, the highest first, so many at most. */
  ids(low: number, high: number, limit: number): number[];
  /** There is so little to look at that one question covers all ids. */
  readonly few: boolean;
}

type Value = string | number;

/** A condition, and what finds the requests that meet it in the order of their ids. */
interface Condition {
  readonly sql: string;
  readonly values: readonly Value[];
  /** The table or index to search, and the column of its ids. */
  readonly from?: string;
  readonly id?: string;
  /** As it is said where `from` is searched: nothing where that has no others. */
  readonly within?: string;
}

/** Decides which index to search for a filter. The indexes hold all that filters compare, so that rows that do not match are not read. */
export class RequestPlans {
  readonly #db: Database;
  readonly #node: string;
  readonly #statements = new Map<string, Statement<Value[], number>>();

  /** `node` is this router's id. */
  constructor(db: Database, node: string) {
    this.#db = db;
    this.#node = node;
  }

  /** The plan for requests with ids above `low` and up to `high`. */
  of(filter: RequestFilter, low: number, high: number): Plan {
    const conditions = this.#conditions(filter);
    const counted = conditions
      .filter(({ from }) => from !== undefined)
      .map((condition) => ({ condition, count: this.#count(condition, low, high) }));
    // Where all of them have many entries, the order of the conditions decides.
    const best = counted.reduce<(typeof counted)[number] | undefined>(
      (a, b) => (a && a.count <= b.count ? a : b),
      undefined,
    );
    return this.#plan(conditions, best?.condition, best !== undefined && best.count <= FEW);
  }

  /** The plan for requests whose ids are older than they are. */
  late(filter: RequestFilter): Plan {
    return this.#plan(this.#conditions(filter), listed('centreond_late'), false);
  }

  #plan(conditions: readonly Condition[], driver: Condition | undefined, few: boolean): Plan {
    const { from = 'centreond_request r', id = 'r.id' } = driver ?? {};
    const parts = conditions.map((one) => (one === driver ? { ...one, sql: one.within ?? one.sql } : one));
    const where = [`${id} > ?`, `${id} <= ?`, PROPER, ...parts.map(({ sql }) => sql).filter((sql) => sql !== '')];
    const values = parts.flatMap((one) => (one.sql === '' ? [] : one.values));
    const statement = this.#statement(
      `SELECT ${id} FROM ${from} WHERE ${where.join(' AND ')} ORDER BY ${id} DESC LIMIT ?`,
    );
    return { few, ids: (low, high, limit) => statement.all(low, high, ...values, limit) };
  }

  #count({ from = '', id = '', sql, within = sql, values }: Condition, low: number, high: number): number {
    const bound = within === '' ? '' : `AND ${within}`;
    const given = within === '' ? [] : values;
    const text = `SELECT count(*) FROM (SELECT 1 FROM ${from} WHERE ${id} > ? AND ${id} <= ? ${bound} LIMIT ${FEW + 1})`;
    return this.#statement(text).get(low, high, ...given) ?? 0;
  }

  /** Those with an index come in the order in which it is chosen where none is small. */
  #conditions({ token, owner, action, node, state, since, until, mine }: RequestFilter): Condition[] {
    const conditions: Condition[] = [];
    const and = (sql: string, ...values: Value[]) => conditions.push({ sql, values });
    const indexed = (index: string, sql: string, ...values: Value[]) => {
      conditions.push({ sql, values, from: `centreond_request r${index}`, id: 'r.id' });
    };
    if (token !== undefined) indexed('', 'r.token = ?', token);
    for (const one of [mine, owner]) if (one !== undefined) indexed(BY_OWNER, 'r.owner = ?', one);
    if (action !== undefined) indexed(BY_ACTION, 'r.action = ?', action);
    if (node === '' || node === this.#node) indexed(BY_TARGET, "r.target IN ('', ?)", this.#node);
    else if (node !== undefined) indexed(BY_TARGET, 'r.target = ?', node);
    if (state === 'open' || state === 'failed') conditions.push(listed(`centreond_${state}`));
    if (state === 'finished') {
      and(`NOT ${isIn('centreond_open')}`);
      and(`NOT ${isIn('centreond_failed')}`);
    }
    if (since !== undefined) and('r.ctime >= ?', since);
    if (until !== undefined) and('r.ctime <= ?', until);
    return conditions;
  }

  #statement(sql: string): Statement<Value[], number> {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#db.prepare<Value[], number>(sql).pluck();
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

/** That a request is in a table of ids. */
function listed(table: string): Condition {
  return {
    sql: isIn(table),
    values: [],
    from: `${table} s CROSS JOIN centreond_request r ON r.id = s.id`,
    id: 's.id',
    within: '',
  };
}

function isIn(table: string): string {
  return `EXISTS (SELECT 1 FROM ${table} x WHERE x.id = r.id)`;
}
