import type { Database, Statement } from 'better-sqlite3';
import type { RawRow } from '../row-text.ts';
import type { Filter } from '../token-store.ts';
import { readMeta } from './schema.ts';

/** Where one way to find rows gives way to another. */
export interface ScanSizes {
  /** An owner's tokens are looked up one by one up to this many; above it, the history is scanned for them. */
  fewTokens: number;
  /** The same for rows with an etime above the given one. */
  fewRows: number;
  /** Ids that are scanned at a time, at first and at most. */
  firstWindow: number;
  largestWindow: number;
}

const SIZES: ScanSizes = { fewTokens: 2000, fewRows: 20_000, firstWindow: 5000, largestWindow: 20_000 };

/** How long a piece reads on from its first row: this long, or as long as that took to find, so that half of the time is read. */
const PIECE_MS = 8;

const SELECT_ROWS = `SELECT h.id, h.token, coalesce(o.type, r.action, ''), n.id, h.code, h.etime, h.ctime, h.data
  FROM centreond_history h
  LEFT JOIN centreond_origin o ON o.id = h.id
  LEFT JOIN centreond_node n ON n.number = o.node
  LEFT JOIN centreond_request r ON r.token = h.token`;

// The target '' is the router's own and has no index.
const OWN_TOKENS = `SELECT token FROM centreond_request WHERE owner = ?
  UNION SELECT token FROM centreond_request WHERE target = ? AND target <> ''`;

function prepare(db: Database, { fewTokens, fewRows }: ScanSizes) {
  const number = (sql: string) => db.prepare<(string | number)[], number | null>(sql).pluck();
  return {
    lowest: number('SELECT min(id) FROM centreond_history'),
    highest: number('SELECT max(id) FROM centreond_history'),
    // ctime ascends with the id but for the steps that the clock made back: clock_back is the longest of them.
    isLater: number('SELECT 1 FROM centreond_history WHERE ctime > ? LIMIT 1'),
    next: db
      .prepare<[number, number], [number, number]>(
        'SELECT id, ctime FROM centreond_history WHERE id > ? AND id <= ? ORDER BY id LIMIT 1',
      )
      .raw(),
    laterRows: number(`SELECT count(*) FROM (SELECT 1 FROM centreond_history WHERE etime > ? LIMIT ${fewRows + 1})`),
    ownTokens: number(`SELECT count(*) FROM (SELECT 1 FROM centreond_request WHERE owner = ?
      UNION ALL SELECT 1 FROM centreond_request WHERE target = ? AND target <> '' LIMIT ${fewTokens + 1})`),
    // A request's id is never above that of its token's first row.
    firstOwned: number('SELECT min(id) FROM centreond_request WHERE owner = ?'),
    firstRouted: number("SELECT min(id) FROM centreond_request WHERE target = ? AND target <> ''"),
  };
}

/** What a filter comes to: conditions beside the range of ids, and whether one statement over all ids is cheap. */
interface Plan {
  where: string[];
  values: (string | number)[];
  low: number;
  atOnce: boolean;
}

/** Finds the rows of a filter by ascending id, in pieces short enough that nobody waits long for the next question. */
export class Scan {
  readonly #db: Database;
  readonly #sizes: ScanSizes;
  readonly #sql: ReturnType<typeof prepare>;
  readonly #statements = new Map<string, Statement<(string | number)[], RawRow>>();

  constructor(db: Database, sizes = SIZES) {
    this.#db = db;
    this.#sizes = sizes;
    this.#sql = prepare(db, sizes);
  }

  /** Calls `take` with each row, and awaits `pause` between pieces, until one of them says false. */
  async each(filter: Filter, take: (row: RawRow) => boolean, pause: () => Promise<boolean>): Promise<void> {
    const { where, values, low, atOnce } = this.#plan(filter);
    const highest = this.#sql.highest.get() ?? 0;
    const statement = this.#statement(`${SELECT_ROWS} WHERE h.id > ? AND h.id <= ? ${where.join(' ')} ORDER BY h.id`);
    let window = atOnce ? Number.POSITIVE_INFINITY : Math.max(this.#sizes.firstWindow, 2 * filter.limit);
    for (let from = low; from < highest; ) {
      const to = Math.min(from + window, highest);
      const started = performance.now();
      let endsAt: number | undefined;
      let reached = to;
      for (const row of statement.iterate(from, to, ...values)) {
        if (!take(row)) return;
        const now = performance.now();
        endsAt ??= now + Math.max(PIECE_MS, now - started);
        if (now < endsAt) continue;
        reached = row[0];
        break;
      }
      from = reached;
      if (!atOnce) window = Math.min(window * 2, this.#sizes.largestWindow);
      if (from < highest && !(await pause())) return;
    }
  }

  #statement(sql: string): Statement<(string | number)[], RawRow> {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#db.prepare<(string | number)[], RawRow>(sql).raw();
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  // A unary plus, or an expression, keeps the planner from an index that does not give the rows by id.
  #plan({ token, code, ctime, etime, id, owner, target, counting }: Filter): Plan {
    const plan: Plan = { where: [], values: [], low: id ?? 0, atOnce: false };
    const and = (sql: string, ...values: (string | number)[]) => {
      plan.where.push(`AND ${sql}`);
      plan.values.push(...values);
    };
    const from = (low: number) => {
      plan.low = Math.max(plan.low, low);
    };
    if (token !== undefined) {
      and('h.token = ?', token);
      plan.atOnce = true;
    }
    if (code !== undefined) and(plan.atOnce ? '+h.code = ?' : 'h.code = ?', code);
    if (ctime !== undefined) {
      and('+h.ctime > ?', ctime);
      from(this.#idBefore(ctime));
    }
    const owned = owner !== undefined || target !== undefined;
    if (owned) this.#ownedBy(plan, and, from, owner ?? '', target ?? '');
    if (owned || counting) and('coalesce(o.apart, 0) = 0');
    if (etime !== undefined) {
      and('+h.etime > ?', etime);
      if (!plan.atOnce && (this.#sql.laterRows.get(etime) ?? 0) <= this.#sizes.fewRows) {
        and('h.id IN (SELECT id FROM centreond_history WHERE etime > ?)', etime);
        plan.atOnce = true;
      }
    }
    from((this.#sql.lowest.get() ?? 0) - 1);
    return plan;
  }

  #ownedBy(
    plan: Plan,
    and: (sql: string, ...values: string[]) => void,
    from: (low: number) => void,
    owner: string,
    target: string,
  ): void {
    if (!plan.atOnce && (this.#sql.ownTokens.get(owner, target) ?? 0) <= this.#sizes.fewTokens) {
      and(`h.token IN (${OWN_TOKENS})`, owner, target);
      plan.atOnce = true;
      return;
    }
    and("(coalesce(r.owner, '') = ? OR (coalesce(r.target, '') = ? AND r.target <> ''))", owner, target);
    const firsts = [this.#sql.firstOwned.get(owner), this.#sql.firstRouted.get(target)];
    from(Math.min(...firsts.map((first) => first ?? Number.MAX_SAFE_INTEGER)) - 1);
  }

  /** An id below that of every row with a ctime above `ctime`. */
  #idBefore(ctime: number): number {
    const { isLater, next, highest } = this.#sql;
    if (isLater.get(ctime) === undefined) return Number.MAX_SAFE_INTEGER;
    // In this order: a step back that is made meanwhile is that of later rows.
    let end = highest.get() ?? 0;
    const back = Number(readMeta(this.#db, 'clock_back'));
    let below = 0;
    while (below < end) {
      const middle = Math.floor((below + end) / 2);
      const [id = 0, time = 0] = next.get(middle, end) ?? [];
      if (id !== 0 && time <= ctime - back) below = id;
      else end = middle;
    }
    return below;
  }
}
