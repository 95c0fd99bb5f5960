import { FAILED } from '@centreond/protocol';
import type { Database } from 'better-sqlite3';
import { DATA_BYTES, errorOf, listedData } from '../listed-request.ts';
import type { ListedRequest, RequestFilter } from '../token-store.ts';
import { LATEST_END } from './records.ts';
import { type Plan, RequestPlans } from './request-plan.ts';
import { readMeta } from './schema.ts';

/** How long a piece is to keep other questions waiting. */
const PIECE_MS = 8;
/** Ids that a piece looks at: at first, at least and at most. */
const FIRST_WINDOW = 20_000;
const SMALLEST_WINDOW = 1000;
const LARGEST_WINDOW = 100_000;
/** Requests that a piece reads at most. */
const AT_ONCE = 200;

/** Token, owner, action, target, ctime, bytes of DATA, and its beginning. */
type Details = [string, string, string, string, number, number, string];

function prepare(db: Database) {
  return {
    details: db
      .prepare<[number], Details>(
        `SELECT token, owner, action, target, ctime, octet_length(data),
          CASE WHEN octet_length(data) > ${DATA_BYTES} THEN substr(data, 1, ${DATA_BYTES}) ELSE data END
          FROM centreond_request WHERE id = ?`,
      )
      .raw(),
    end: db.prepare<[string], [number, number, string | null]>(LATEST_END).raw(),
    isOpen: db.prepare<[number], number>('SELECT 1 FROM centreond_open WHERE id = ?').pluck(),
    highest: db.prepare<[], number | null>('SELECT max(id) FROM centreond_request').pluck(),
    /** The next one above an id: its id and ctime, and whether that is younger than its id. */
    next: db
      .prepare<[number, number], [number, number, number]>(
        `SELECT r.id, r.ctime, EXISTS (SELECT 1 FROM centreond_late l WHERE l.id = r.id)
          FROM centreond_request r WHERE r.id > ? AND r.id <= ? ORDER BY r.id LIMIT 1`,
      )
      .raw(),
    anyLate: db.prepare<[], number>('SELECT 1 FROM centreond_late LIMIT 1').pluck(),
  };
}

/** Finds requests by their filters, the newest first, by an index whatever the size of the history. */
export class RequestList {
  readonly #db: Database;
  readonly #plans: RequestPlans;
  readonly #sql: ReturnType<typeof prepare>;

  /** `node` is this router's id. */
  constructor(db: Database, node: string) {
    this.#db = db;
    this.#plans = new RequestPlans(db, node);
    this.#sql = prepare(db);
  }

  /** Calls `take` with each request, and awaits `pause` between pieces, until one of them returns false. */
  async each(
    filter: RequestFilter,
    take: (request: ListedRequest) => boolean,
    pause: () => Promise<boolean>,
  ): Promise<void> {
    const { since, until, before = Number.MAX_SAFE_INTEGER } = filter;
    const back = Number(readMeta(this.#db, 'clock_back'));
    let high = Math.min(before - 1, this.#sql.highest.get() ?? 0);
    // Past the longest step back, no later request has an earlier time.
    if (until !== undefined) high = this.#search(until + back + 1, high).above;
    const low = since === undefined ? 0 : this.#search(since - back, high).below;
    if (!(await this.#range(this.#plans.of(filter, low, high), low, high, take, pause))) return;
    // What took over a token of PUTLOG is younger than its id.
    if (low > 0 && this.#sql.anyLate.get() !== undefined) {
      const last = Math.min(low, high);
      if (await pause()) await this.#range(this.#plans.late(filter), 0, last, take, pause);
    }
  }

  /** Goes down from `high` to above `low`. Resolves with false where `take` or `pause` said so. */
  async #range(
    { ids, few }: Plan,
    low: number,
    high: number,
    take: (request: ListedRequest) => boolean,
    pause: () => Promise<boolean>,
  ): Promise<boolean> {
    let window = FIRST_WINDOW;
    for (let to = high; to > low; ) {
      const started = performance.now();
      const from = few ? low : Math.max(low, to - window);
      const next = this.#piece(() => ids(from, to, AT_ONCE), from, started, take);
      if (next === undefined) return false;
      const ms = performance.now() - started;
      if (ms > PIECE_MS) window = Math.max(SMALLEST_WINDOW, Math.floor(window / 2));
      else if (ms < PIECE_MS / 2) window = Math.min(LARGEST_WINDOW, window * 2);
      to = next;
      if (to > low && !(await pause())) return false;
    }
    return true;
  }

  /** Reads what it has time for, as of one moment. Returns up to where it is still to be read, undefined where it is over. */
  #piece(
    find: () => number[],
    from: number,
    started: number,
    take: (request: ListedRequest) => boolean,
  ): number | undefined {
    return this.#db.transaction(() => {
      const ids = find();
      for (const id of ids) {
        const request = this.#listed(id);
        if (request && !take(request)) return undefined;
        if (performance.now() - started > PIECE_MS) return id - 1;
      }
      return ids.length < AT_ONCE ? from : (ids.at(-1) ?? from) - 1;
    })();
  }

  #listed(id: number): ListedRequest | undefined {
    const { details, isOpen, end } = this.#sql;
    const row = details.get(id);
    if (!row) return undefined;
    const [token, owner, action, target, acceptedAt, bytes, text] = row;
    const [code, endedAt, endData] = (isOpen.get(id) === undefined && end.get(token)) || [];
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
      data: listedData(text, bytes),
    };
  }

  /**
   * Searches for the first request with a ctime of `seconds` or more: returns the last id that was seen below, 0 for none, and one
   * before the first that was seen not to be, `high` for none. ctime ascends with the id but for the steps that the clock made
   * back, which the callers allow for, and for late requests: only that such a one is below says something of those before it.
   */
  #search(seconds: number, high: number): { below: number; above: number } {
    let below = 0;
    let above = high;
    for (let end = high; below < end; ) {
      const middle = Math.floor((below + end) / 2);
      const [id = 0, ctime = 0, late = 0] = this.#sql.next.get(middle, end) ?? [];
      if (id !== 0 && ctime < seconds) {
        below = id;
        continue;
      }
      if (id !== 0 && late === 0) above = id - 1;
      end = middle;
    }
    return { below, above };
  }
}
