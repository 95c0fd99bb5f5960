import { type HistoryRow, isTerminal } from '@centreond/protocol';
import type { Follower } from './follower.ts';

const QUEUE = { rows: 1000, bytes: 8 * 2 ** 20 };

/**
 * The rows of a token for one `for await`. Holds at most 1,000 rows or 8 MiB; when its reader is slower, it lets the
 * rest go and asks the router for it again once it has been read empty.
 */
export class RowQueue implements Follower, AsyncIterableIterator<HistoryRow> {
  lastId: number;
  live = true;
  missedId = 0;
  asked = 0;
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
