import { isCentreondError, isRetryable, parseData, reasonOf } from '@centreond/protocol';
import type { Log } from '../log.ts';
import type { Peer } from '../router/peer.ts';
import type { TokenStore } from '../store/token-store.ts';
import { LogComparison } from './log-comparison.ts';
import { noteOf, UNFIT } from './log-note.ts';
import { LogTeller } from './log-teller.ts';
import type { ToldRow } from './logs.ts';
import type { PeerRequests } from './peer-requests.ts';

/** What a message holds at most, so that a router that stores it is not kept from others for long. */
const PAGE_ROWS = 250;
const PAGE_BYTES = 512 * 1024;
/** Messages that the router has not answered. */
const WINDOW = 6;
/** How often a stream that has nothing to say asks where the router stands. */
const COMPARE_EVERY_MS = 60_000;
const FIRST_RETRY_MS = 200;
const LONGEST_RETRY_MS = 15_000;
/** Refusals of the whole: this router does not take the log. */
const NOT_AT_ALL: ReadonlySet<string> = new Set(['FORBIDDEN', 'UNKNOWN_ACTION']);

export interface LogStreamsOptions {
  readonly store: TokenStore;
  readonly requests: PeerRequests;
  readonly log: Log;
  /** Rows of this log, checked, as the routers above read them. */
  rowsOf(result: readonly unknown[]): readonly ToldRow[];
}

/** This router's log on its way to the routers above it, each by a stream of its own. */
export class LogStreams {
  readonly #options: LogStreamsOptions;
  readonly #streams = new Map<Peer, LogStream>();

  constructor(options: LogStreamsOptions) {
    this.#options = options;
    options.store.onWritten(() => {
      for (const stream of this.#streams.values()) stream.wake();
    });
  }

  /** Streams to `peer` from where it stands, as long as its session lasts. Calling it again does nothing. */
  serve(peer: Peer): void {
    if (this.#streams.has(peer) || !peer.open) return;
    const stream = new LogStream(this.#options, peer);
    this.#streams.set(peer, stream);
    peer.onLeft(() => {
      stream.stop();
      this.#streams.delete(peer);
    });
  }

  /** Resolves when every stream has said all that there is, or after `limitMs`. */
  async flush(limitMs: number): Promise<void> {
    const streams = [...this.#streams.values()];
    if (streams.length === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, limitMs);
    });
    await Promise.race([Promise.all(streams.map((stream) => stream.told())), limit]);
    clearTimeout(timer);
  }
}

/** The log on its way to one router: first it is asked where it stands, then it gets all that follows, in order, within a window. */
class LogStream {
  readonly #options: LogStreamsOptions;
  readonly #peer: Peer;
  #over = false;
  #wakened = false;
  #onWake: (() => void) | undefined;
  #onTold: (() => void)[] = [];
  /** Smaller after a refusal for size. */
  #bytes = PAGE_BYTES;
  /** The largest message that was taken. A larger one goes alone: were it refused, what comes behind it would be out of order. */
  #taken = 0;
  #rows = PAGE_ROWS;
  /** Failures since the router last stored rows or had them all. */
  #failures = 0;
  readonly #teller: LogTeller;
  readonly #comparison: LogComparison;

  constructor(options: LogStreamsOptions, peer: Peer) {
    this.#options = options;
    this.#peer = peer;
    this.#teller = new LogTeller(options, peer);
    this.#comparison = new LogComparison({ ...options, teller: this.#teller, isOver: () => this.#over });
    void this.#run();
  }

  /** Something was written. */
  wake(): void {
    this.#wakened = true;
    this.#onWake?.();
  }

  stop(): void {
    this.#over = true;
    this.wake();
    for (const resolve of this.#onTold.splice(0)) resolve();
  }

  /** Resolves once all that is written now was told and answered, or the stream is over. */
  told(): Promise<void> {
    if (this.#over) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onTold.push(resolve);
      this.wake();
    });
  }

  async #run(): Promise<void> {
    while (!this.#over) {
      try {
        await this.#stream(await this.#comparison.run());
      } catch (error) {
        if (this.#over) return;
        await this.#failed(error);
      }
    }
  }

  /** Tells what follows `from`; rejects with the first failure, when nothing is under way any more. */
  async #stream(from: number): Promise<void> {
    const underWay = new Set<Promise<unknown>>();
    let failed: unknown;
    let at = from;
    try {
      while (!this.#over && failed === undefined) {
        this.#wakened = false;
        // A turn of its own: it waits neither for other streams nor for what the same router asks.
        const page = await this.#options.store.log(at, this.#rows, this.#bytes, `log to ${this.#peer.identity}`);
        if (page.rows.length === 0) {
          if (underWay.size === 0) {
            this.#failures = 0;
            for (const resolve of this.#onTold.splice(0)) resolve();
          }
          if (await this.#sleep(underWay)) return;
          continue;
        }
        if (this.#teller.epoch !== this.#options.store.epoch) {
          // Another stream renewed it. This router has the log up to here, under the former epoch.
          await Promise.all(underWay);
          if (failed !== undefined) break;
          await this.#teller.begin(at);
        }
        at = page.last;
        const size = page.rows.reduce((sum, row) => sum + row.length, 0);
        const alone = size > this.#taken;
        if (alone) await Promise.all(underWay);
        if (failed !== undefined) break;
        const told: Promise<unknown> = this.#tellRows(page.rows, at)
          .then(() => {
            this.#taken = Math.max(this.#taken, size);
            this.#failures = 0;
          })
          .catch((error: unknown) => {
            failed ??= error;
          })
          .finally(() => underWay.delete(told));
        underWay.add(told);
        if (alone) await told;
        else if (underWay.size >= WINDOW) await Promise.race(underWay);
      }
    } finally {
      await Promise.all(underWay);
    }
    if (failed !== undefined) throw failed;
  }

  async #tellRows(rows: readonly string[], last: number): Promise<void> {
    try {
      await this.#teller.tell(rows, last);
    } catch (error) {
      const [row] = rows;
      if (rows.length > 1 || row === undefined || !isCentreondError(error) || !UNFIT.has(error.code)) throw error;
      this.#options.log.warn(
        { err: error, router: this.#peer.identity, row: last },
        `${this.#peer.identity} cannot take the row ${last} of this router's log: ${reasonOf(error)} It gets a note in its place.`,
      );
      await this.#teller.tell([noteOf(parseData(row), { ...error.toData() })], last);
    }
  }

  /** Waits for something to tell, or for what is under way. True after a while without either: it is time to compare again. */
  async #sleep(underWay: ReadonlySet<Promise<unknown>>): Promise<boolean> {
    if (this.#wakened || this.#over) return false;
    let timer: NodeJS.Timeout | undefined;
    const wakened = new Promise<boolean>((resolve) => {
      this.#onWake = () => resolve(false);
      timer = setTimeout(() => resolve(underWay.size === 0), COMPARE_EVERY_MS);
      timer.unref();
    });
    const settled = [...underWay].map((told) => told.then(() => false));
    const quiet = await Promise.race([wakened, ...settled]);
    clearTimeout(timer);
    this.#onWake = undefined;
    return quiet;
  }

  async #failed(error: unknown): Promise<void> {
    const code = isCentreondError(error) ? error.code : 'INTERNAL';
    const { identity } = this.#peer;
    // Any other is about what was sent.
    if (!isRetryable(code)) {
      const not = NOT_AT_ALL.has(code) ? 'does not take' : 'did not take a part of';
      this.#options.log.warn({ err: error }, `${identity} ${not} this router's log: ${reasonOf(error)}`);
    }
    const isSmaller = this.#fit(code);
    const longest = NOT_AT_ALL.has(code) ? COMPARE_EVERY_MS : LONGEST_RETRY_MS;
    const delay = Math.min(longest, FIRST_RETRY_MS * 2 ** this.#failures) * (0.5 + Math.random() / 2);
    if (!isSmaller) this.#failures++;
    await new Promise<void>((resolve) => {
      setTimeout(resolve, delay).unref();
      if (this.#over) resolve();
    });
  }

  /** Makes the next messages smaller after a refusal of what was sent. Returns whether it did. */
  #fit(code: string): boolean {
    const [bytes, rows] = [this.#bytes, this.#rows];
    if (code === 'TOO_LARGE') this.#bytes = Math.max(1, Math.floor(bytes / 8));
    else if (UNFIT.has(code)) this.#rows = 1;
    return this.#bytes < bytes || this.#rows < rows;
  }
}
