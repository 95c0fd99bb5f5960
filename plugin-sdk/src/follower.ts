import type { HistoryRow } from './contract.ts';
import { FrameError } from './frame.ts';
import { isTerminal } from './status.ts';

export type { HistoryRow } from './contract.ts';

/** The row in a parsed JSON value, or undefined when it is none. */
export function rowOf(value: unknown): HistoryRow | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const row = value as Partial<Record<keyof HistoryRow, unknown>>;
  return Number.isSafeInteger(row.id) &&
    Number.isSafeInteger(row.code) &&
    typeof row.token === 'string' &&
    typeof row.type === 'string' &&
    typeof row.node === 'string' &&
    typeof row.etime === 'number' &&
    typeof row.ctime === 'number' &&
    row.data !== undefined
    ? (value as HistoryRow)
    : undefined;
}

/** What takes the rows of one token, each once and in the order of their ids. */
export interface Follower {
  /** The last row that was taken; rows up to it are never offered again. */
  lastId: number;
  /** False while rows lack between `lastId` and what comes live. */
  live: boolean;
  /** The last row that came while this was not live. */
  missedId: number;
  /** False for one that wants no rows for now; it has itself resumed later. */
  readonly wants: boolean;
  row(row: HistoryRow, bytes: number): void;
  /** More rows lack than were fetched: has itself resumed when it has room. */
  lag(): void;
  fail(error: Error): void;
}

const PAGE_ROWS = 1000;
const QUEUE = { rows: 1000, bytes: 8 * 2 ** 20 };

/**
 * The rows of a token for one `for await`. Holds at most 1,000 rows or 8 MiB; when its reader is slower, it lets the
 * rest go and asks the router for it again once it has been read empty.
 */
export class RowQueue implements Follower, AsyncIterableIterator<HistoryRow> {
  lastId: number;
  live = true;
  missedId = 0;
  readonly #resume: () => void;
  readonly #leave: () => void;
  #rows: { row: HistoryRow; bytes: number }[] = [];
  #bytes = 0;
  #overrun = false;
  #ended = false;
  #error: Error | undefined;
  #readers: { resolve(result: IteratorResult<HistoryRow>): void; reject(error: Error): void }[] = [];

  /** `resume` has the router asked again from `lastId`; `leave` tells that no more rows are wanted. */
  constructor(
    afterId: number,
    handlers: { resume(): void; leave(): void },
    private readonly limit = QUEUE,
  ) {
    this.lastId = afterId;
    this.#resume = handlers.resume;
    this.#leave = handlers.leave;
  }

  get wants(): boolean {
    return !this.#ended && !this.#overrun;
  }

  /** Whether `next()` has an answer already. */
  get isReady(): boolean {
    return this.#rows.length > 0 || this.#ended;
  }

  row(row: HistoryRow, bytes: number): void {
    if (this.#ended) return;
    if (this.#rows.length >= this.limit.rows || (this.#bytes + bytes > this.limit.bytes && this.#rows.length > 0)) {
      this.#overrun = true;
      this.live = false;
      this.missedId = row.id;
      return;
    }
    this.lastId = row.id;
    if (isTerminal(row.code)) this.#end();
    const reader = this.#readers.shift();
    if (reader) reader.resolve({ value: row, done: false });
    else {
      this.#rows.push({ row, bytes });
      this.#bytes += bytes;
    }
    if (this.#ended) this.#release();
  }

  lag(): void {
    if (this.#rows.length === 0) this.#resume();
    else this.#overrun = true;
  }

  fail(error: Error): void {
    if (this.#ended) return;
    this.#error = error;
    this.#end();
    this.#release();
  }

  next(): Promise<IteratorResult<HistoryRow>> {
    const queued = this.#rows.shift();
    if (queued) {
      this.#bytes -= queued.bytes;
      if (this.#overrun && this.#rows.length === 0 && !this.#ended) {
        this.#overrun = false;
        this.#resume();
      }
      return Promise.resolve({ value: queued.row, done: false });
    }
    if (this.#ended) {
      const error = this.#error;
      this.#error = undefined;
      return error ? Promise.reject(error) : Promise.resolve({ value: undefined, done: true });
    }
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<HistoryRow>> {
    this.#rows = [];
    this.#error = undefined;
    if (!this.#ended) {
      this.#end();
      this.#release();
    }
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #end(): void {
    this.#ended = true;
    this.#leave();
  }

  /** Lets those go who wait for a row that does not come any more. */
  #release(): void {
    for (const reader of this.#readers.splice(0)) {
      const error = this.#error;
      this.#error = undefined;
      if (error) reader.reject(error);
      else reader.resolve({ value: undefined, done: true });
    }
  }
}

/** The error of a wait that `signal` ended. */
export function aborted(signal: AbortSignal): Error {
  const { reason } = signal;
  return reason instanceof Error ? reason : new Error(String(reason));
}

/** How {@link Follows} asks the router; both return false, and do nothing, where there is no session. */
export interface FollowRequests {
  /** FOLLOW `token` from the row after `afterId`. */
  follow(token: string, afterId: number, refused: (error: Error) => void): boolean;
  /** A page of the rows of `token` after `afterId`. */
  fetch(
    token: string,
    afterId: number,
    limit: number,
    answer: { accepted(page: HistoryPage): void; refused(error: Error): void },
  ): boolean;
}

/** A page of rows, ascending; `bytes` is about what it took on the wire. */
export interface HistoryPage {
  readonly rows: readonly HistoryRow[];
  readonly more: boolean;
  readonly bytes: number;
}

/** A token: who follows it, and whether the present session sends its rows. */
interface Followed {
  readonly followers: Follower[];
  isAsked: boolean;
  /** Its terminal row came: the session sends no more, and who lags reads what there is. */
  isEnded: boolean;
  /** For whom the session was asked. */
  askedFor: Follower | undefined;
}

/**
 * Who follows what. A session is asked once for each token: a second FOLLOW would mix its older rows with the live ones of
 * the first, so whoever comes later, or lags, fetches what lacks by GETLOG until it meets what comes live.
 */
export class Follows {
  readonly #followed = new Map<string, Followed>();

  constructor(private readonly requests: FollowRequests) {}

  add(token: string, follower: Follower): void {
    const known = this.#followed.get(token);
    const followed = known ?? { followers: [], isAsked: false, isEnded: false, askedFor: undefined };
    if (!known) this.#followed.set(token, followed);
    followed.followers.push(follower);
    this.#resume(token, followed, follower);
  }

  remove(token: string, follower: Follower): void {
    const followed = this.#followed.get(token);
    const at = followed?.followers.indexOf(follower) ?? -1;
    if (followed === undefined || at < 0) return;
    followed.followers.splice(at, 1);
    this.#tidy(token, followed);
  }

  /** Forgets a token that nobody follows and of which no rows come. */
  #tidy(token: string, { followers, isAsked, isEnded }: Followed): void {
    if (followers.length === 0 && (!isAsked || isEnded)) this.#followed.delete(token);
  }

  /** The router refused the request of `follower` and follows nothing for it: who else follows the token asks for its rows. */
  forget(token: string, follower: Follower): void {
    const followed = this.#followed.get(token);
    if (followed?.askedFor !== follower) return;
    followed.isAsked = false;
    followed.askedFor = undefined;
    const other = followed.followers.find((one) => one !== follower && one.wants);
    if (other) this.#follow(token, followed, other);
  }

  /** Gets `follower` the rows after its last one. */
  resume(token: string, follower: Follower): void {
    const followed = this.#followed.get(token);
    if (followed) this.#resume(token, followed, follower);
  }

  #resume(token: string, followed: Followed, follower: Follower): void {
    if (followed.isAsked) this.#catchUp(token, follower);
    else this.#follow(token, followed, follower);
  }

  /** Takes a LOG of `token`. Throws {@link FrameError} when it holds no row. */
  log(token: string, data: string): void {
    const row = readRow(data);
    const followed = this.#followed.get(token);
    if (followed === undefined) return;
    const { followers } = followed;
    if (isTerminal(row.code)) followed.isEnded = true;
    if (followers.length === 0) this.#tidy(token, followed);
    // A follower that ends leaves the list, so it is walked from its end.
    for (let i = followers.length - 1; i >= 0; i--) {
      const follower = followers[i];
      if (follower === undefined) continue;
      if (!follower.live) follower.missedId = row.id;
      else if (row.id > follower.lastId) follower.row(row, data.length);
    }
  }

  /** A new session: asks it for everything, each token from the last row that was seen. */
  restart(): void {
    for (const [token, followed] of this.#followed) {
      const { followers } = followed;
      followed.isAsked = followed.isEnded = false;
      if (followers.length === 0) this.#followed.delete(token);
      let earliest: Follower | undefined;
      for (const follower of followers) {
        if (!follower.wants) continue;
        follower.live = true;
        if (earliest === undefined || follower.lastId < earliest.lastId) earliest = follower;
      }
      if (earliest) this.#follow(token, followed, earliest);
    }
  }

  /** Ends every follow. */
  fail(error: Error): void {
    for (const token of [...this.#followed.keys()]) this.#failToken(token, error);
  }

  #failToken(token: string, error: Error): void {
    const followed = this.#followed.get(token);
    if (!followed) return;
    followed.isAsked = false;
    for (const follower of [...followed.followers]) follower.fail(error);
    this.#tidy(token, followed);
  }

  #follow(token: string, followed: Followed, follower: Follower): void {
    if (!this.requests.follow(token, follower.lastId, (error) => this.#failToken(token, error))) return;
    followed.isAsked = true;
    followed.askedFor = follower;
    follower.live = true;
  }

  #catchUp(token: string, follower: Follower): void {
    follower.live = false;
    this.requests.fetch(token, follower.lastId, PAGE_ROWS, {
      accepted: ({ rows, more, bytes }) => {
        for (const row of rows) {
          if (!follower.wants) return;
          if (row.id > follower.lastId) follower.row(row, bytes / rows.length);
        }
        if (!follower.wants) return;
        // A row that was younger than this page came before it, so there is another page.
        if (more || follower.missedId > follower.lastId) follower.lag();
        else follower.live = true;
      },
      refused: (error) => follower.fail(error),
    });
  }
}

function readRow(text: string): HistoryRow {
  let row: HistoryRow | undefined;
  try {
    row = rowOf(JSON.parse(text));
  } catch {
    row = undefined;
  }
  if (row === undefined) throw new FrameError('a LOG holds what is no row', '');
  return row;
}
