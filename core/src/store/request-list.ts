import { FAILED } from '@centreond/plugin-sdk';
import type { Database, Statement } from 'better-sqlite3';
import { LATEST_END } from './records.ts';
import { readMeta } from './schema.ts';
import type { ListedRequest, RequestFilter } from './token-store.ts';

/** DATA is shown up to so many characters. */
const DATA_CHARACTERS = 4096;
/** Ids that are looked at between two pauses. */
const WINDOW = 20_000;
const LARGEST_WINDOW = 200_000;

type Raw = [number, string, string, string, string, number, string, number];

/** A plan: the table that drives the search, and the conditions. */
interface Plan {
  readonly from: string;
  readonly where: readonly string[];
  readonly values: readonly (string | number)[];
  /** The column that bounds and orders the ids: the driving table's. */
  readonly id: string;
  /** One statement over all ids is cheap: an index gives few rows. */
  readonly atOnce: boolean;
}

/** Finds requests by their filters, the newest first, by an index whatever the size of the history. */
export class RequestList {
  readonly #db: Database;
  readonly #statements = new Map<string, Statement<(string | number)[], Raw>>();
  readonly #end: Statement<[string], [number, number, string]>;
  readonly #highest: Statement<[], number | null>;
  readonly #secondAfter: Statement<[number], number | null>;
  readonly #firstOfSecond: Statement<[number], number | null>;
  readonly #isOpen: Statement<[number], number>;

  constructor(db: Database) {
    this.#db = db;
    this.#end = db.prepare<[string], [number, number, string]>(LATEST_END).raw();
    this.#highest = db.prepare<[], number | null>('SELECT max(id) FROM centreond_request').pluck();
    this.#secondAfter = db
      .prepare<[number], number | null>('SELECT min(ctime) FROM centreond_history WHERE ctime > ?')
      .pluck();
    this.#firstOfSecond = db
      .prepare<[number], number | null>('SELECT min(id) FROM centreond_history WHERE ctime = ?')
      .pluck();
    this.#isOpen = db.prepare<[number], number>('SELECT 1 FROM centreond_open WHERE id = ?').pluck();
  }

  /** Calls `take` with each request, and awaits `pause` between pieces, until one of them returns false. */
  async each(
    filter: RequestFilter,
    take: (request: ListedRequest) => boolean,
    pause: () => Promise<boolean>,
  ): Promise<void> {
    const { from, id, where, values, atOnce } = planOf(filter);
    const conditions = where.map((condition) => `AND ${condition}`).join(' ');
    const statement = this.#statement(
      `SELECT r.id, r.token, r.owner, r.action, r.target, r.ctime,
        substr(r.data, 1, ${DATA_CHARACTERS + 1}), length(r.data)
        FROM ${from} WHERE ${id} > ? AND ${id} <= ? AND r.log = 0 AND +r.action <> 'PUTLOG' ${conditions} ORDER BY ${id} DESC`,
    );
    const lowest = filter.since === undefined ? 0 : this.#idBefore(filter.since);
    let to = Math.min((filter.before ?? Number.MAX_SAFE_INTEGER) - 1, this.#highest.get() ?? 0);
    if (filter.until !== undefined) to = Math.min(to, this.#idAfter(filter.until));
    let window = atOnce ? Number.POSITIVE_INFINITY : WINDOW;
    while (to > lowest) {
      const low = Math.max(lowest, to - window);
      for (const raw of statement.iterate(low, to, ...values)) if (!take(this.#listed(raw))) return;
      to = low;
      window = Math.min(window * 2, LARGEST_WINDOW);
      if (to > lowest && !(await pause())) return;
    }
  }

  #statement(sql: string): Statement<(string | number)[], Raw> {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#db.prepare<(string | number)[], Raw>(sql).raw();
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #listed([id, token, owner, action, target, acceptedAt, text, length]: Raw): ListedRequest {
    const [code, endedAt, endData] = (this.#isOpen.get(id) === undefined && this.#end.get(token)) || [];
    const data = length > DATA_CHARACTERS ? JSON.stringify(text.slice(0, DATA_CHARACTERS)) : text || '{}';
    return {
      id,
      token,
      owner,
      action,
      target,
      acceptedAt,
      endedAt: endedAt ?? null,
      code: code ?? null,
      error: code === FAILED ? errorOf(endData ?? '') : null,
      data,
    };
  }

  // ctime ascends with the id but for the steps that the clock made back: clock_back is the longest of them.
  #idBefore(since: number): number {
    const second = this.#secondAfter.get(since - 1 - Number(readMeta(this.#db, 'clock_back')));
    if (second === null || second === undefined) return Number.MAX_SAFE_INTEGER;
    return (this.#firstOfSecond.get(second) ?? 0) - 1;
  }

  #idAfter(until: number): number {
    const second = this.#secondAfter.get(until + Number(readMeta(this.#db, 'clock_back')));
    if (second === null || second === undefined) return Number.MAX_SAFE_INTEGER;
    return this.#firstOfSecond.get(second) ?? Number.MAX_SAFE_INTEGER;
  }
}

function planOf({ token, owner, action, node, state, since, until, mine }: RequestFilter): Plan {
  const where: string[] = [];
  const values: (string | number)[] = [];
  const and = (condition: string, ...more: (string | number)[]) => {
    where.push(condition);
    values.push(...more);
  };
  // A unary plus keeps the planner from a second index: the ids of the first are in order already.
  let driven = false;
  const column = (name: string) => {
    const text = driven ? `+r.${name}` : `r.${name}`;
    driven = true;
    return text;
  };
  let from = 'centreond_request r';
  let id = 'r.id';
  if (token !== undefined) and(`${column('token')} = ?`, token);
  if (state === 'open' || state === 'failed') {
    if (driven) and(`r.id IN (SELECT id FROM centreond_${state})`);
    else {
      from = `centreond_${state} s CROSS JOIN centreond_request r ON r.id = s.id`;
      id = 's.id';
    }
    driven = true;
  }
  const atOnce = driven;
  if (mine !== undefined) and(`${column('owner')} = ?`, mine);
  if (owner !== undefined) and(`${column('owner')} = ?`, owner);
  if (node !== undefined && node !== '') and(`${column('target')} = ? AND r.target <> ''`, node);
  if (action !== undefined) and(`${column('action')} = ?`, action);
  if (node === '') and("+r.target = ''");
  if (state === 'finished') {
    and('r.id NOT IN (SELECT id FROM centreond_open)');
    and('r.id NOT IN (SELECT id FROM centreond_failed)');
  }
  if (since !== undefined) and('+r.ctime >= ?', since);
  if (until !== undefined) and('+r.ctime <= ?', until);
  return { from, id, where, values, atOnce };
}

function errorOf(data: string): string | null {
  try {
    const { error } = JSON.parse(data) as { error?: unknown };
    return typeof error === 'string' ? error : null;
  } catch {
    return null;
  }
}
