import type { Worker } from 'node:worker_threads';
import { type CentreondError, failure, reasonOf } from '@centreond/protocol';
import type { Batch, FromWriter, Outcome, Purged, ToWriter } from './batch.ts';
import { Lane, type Load, type Waiting } from './lane.ts';
import type { Thread } from './thread.ts';
import type { StoreSettings, WriteCounters } from './token-store.ts';

const QUEUE = { calls: 200_000, bytes: 256 * 1024 * 1024 };
/** As many calls are sent to a writer that is busy; fewer wait for it, so that they share a transaction. */
const WORTH_SENDING = 64;
const BATCHES_UNDER_WAY = 4;
/** How long a transaction waits for the end of a request that is expected at once. */
const END_MS = 4;
/** What a batch holds at most, so that no transaction takes long; one row or page alone goes whatever its size. */
const OWN_ROWS = 1000;
const OWN_CHARACTERS = 4 * 1024 * 1024;
/** Somebody's call may stand behind as many rows of another node's log, or as much DATA: some milliseconds. */
const BULK_ROWS = 250;
const BULK_CHARACTERS = 1024 * 1024;
/** After so many batches of calls the bulk has its turn, however many calls wait. */
const OWN_IN_A_ROW = 4;
/** Above this part of the size limit a purge is due at once, and again after so long. */
const NEARLY_FULL = 0.95;
const PURGE_AGAIN_MS = 5_000;
const CLOSE_MS = 10_000;
const SAME_FAULT_MS = 60_000;

/**
 * The main thread's side of the writer: gathers calls into batches and hands their outcomes back. Pages of other nodes' logs
 * and requests with much DATA go where no calls wait: who has much to tell does not make everybody slow.
 */
export class WriteQueue {
  readonly #worker: Worker;
  readonly #options: StoreSettings;
  /** Where the database is, for the log. */
  readonly #place: object;
  readonly #own = new Lane(OWN_ROWS, OWN_CHARACTERS);
  readonly #bulk = new Lane(BULK_ROWS, BULK_CHARACTERS);
  #ownInARow = 0;
  /** What the calls of each batch under way wait for, oldest first. */
  readonly #underWay: Waiting[][] = [];
  #scheduled = false;
  /** Runs while a transaction waits for ends. */
  #waiting: NodeJS.Timeout | undefined;
  #closed = false;
  /** Why nothing can be written any more. */
  #broken: string | undefined;
  /** Why nothing can be written for now. */
  #away: string | undefined;
  #onIdle: (() => void) | undefined;
  #onPurged: ((purged: Purged) => void) | undefined;
  #onExit: (() => void) | undefined;
  #fault = { reason: '', at: 0 };
  #lastHurry = Number.NEGATIVE_INFINITY;
  readonly counters: WriteCounters;
  /** The number of the latest accept whose outcome is known. */
  #settledAccept = 0;
  /** Names the database. */
  readonly epoch: string;
  /** Called after each transaction that wrote rows. */
  onWritten: () => void = () => {};
  /** Called where a purge should not wait for its time; at most every 5 s. */
  onNearlyFull: () => void = () => {};

  private constructor(
    options: StoreSettings,
    place: object,
    worker: Worker,
    { bytes, epoch }: { bytes: number; epoch: string },
  ) {
    this.#options = options;
    this.#place = place;
    this.#worker = worker;
    this.epoch = epoch;
    this.counters = {
      rows: 0,
      commits: 0,
      failures: 0,
      largestCommit: 0,
      lastCommitMs: 0,
      queued: 0,
      queuedBytes: 0,
      bytes,
      maxBytes: options.maxBytes,
      purgedRows: 0,
      purgedRequests: 0,
    };
    worker.on('message', (message: FromWriter) => this.#hear(message));
    worker.on('error', (error) => this.#break(reasonOf(error)));
    worker.on('exit', () => {
      this.#break('its writer ended');
      this.#onExit?.();
    });
  }

  /**
   * Takes over the writer that `thread` starts; `place` says in the log where the database is. Rejects with a plain Error that
   * says why the database cannot be used.
   */
  static async open(options: StoreSettings, place: object, thread: Thread<FromWriter>): Promise<WriteQueue> {
    return new WriteQueue(options, place, thread.worker, await thread.ready());
  }

  /** Why nothing can be written now; undefined where that can be. */
  get away(): string | undefined {
    return this.#broken ?? this.#away;
  }

  /** Why a call of `size` characters cannot be taken now; `patience` widens the bounds. */
  refusal(size: number, patience: number): CentreondError | undefined {
    if (this.#closed) return failure('STOPPING', { router: this.#options.node });
    if (this.#broken !== undefined) return failure('STORE_FAILED', { reason: this.#broken });
    if (this.#away !== undefined) return failure('STORE_FAILED', { reason: this.#away });
    const { queued, queuedBytes } = this.counters;
    const { calls, bytes } = this.#options.queue ?? QUEUE;
    if (queued >= calls * patience)
      return failure('BUSY', { what: 'The queue of the token store, in calls,', limit: calls * patience });
    // One call alone is taken whatever its size.
    if (queued > 0 && queuedBytes + size > bytes * patience)
      return failure('BUSY', { what: 'The queue of the token store, in bytes,', limit: bytes * patience });
    return undefined;
  }

  /** The batch to push one call to, which then waits for `waiting`. Only after `refusal` said nothing. */
  add(waiting: Waiting, lane: 'own' | 'bulk'): Batch {
    this.counters.queued++;
    this.counters.queuedBytes += waiting.size;
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(this.#flushOnce);
    }
    if (lane === 'bulk') return this.#bulk.add(waiting);
    const batch = this.#own.add(waiting);
    if (batch.kinds.length === 0) batch.settled = this.#settledAccept;
    return batch;
  }

  /** The request of the accept `number`, which was just added, is expected to end at once: both rows then share a transaction. */
  endsSoon(number: number): void {
    this.#own.endsSoon(number, performance.now() + END_MS);
  }

  /** The end of the accept `number` was added. */
  ended(number: number): void {
    this.#own.ended(number);
  }

  /** The outcome of the accept `number` is known: no row that comes from now on names it by that. */
  acceptSettled(number: number): void {
    this.#settledAccept = Math.max(this.#settledAccept, number);
  }

  readonly #flushOnce = () => {
    this.#scheduled = false;
    this.#flush();
  };

  #flush(): void {
    const waitMs = this.#own.waitUntil - performance.now();
    if (waitMs > 0) {
      this.#waiting ??= setTimeout(() => {
        this.#waiting = undefined;
        this.#flush();
      }, waitMs);
      return;
    }
    while (this.#underWay.length < BATCHES_UNDER_WAY) {
      const load = this.#next();
      if (!load) return;
      load.batch.now = Math.floor(this.#options.clock.now() / 1000);
      this.#send({ kind: 'batch', batch: load.batch });
      this.#underWay.push(load.waiting);
    }
  }

  #next(): Load | undefined {
    const isIdle = this.#underWay.length === 0;
    const isOverdue = this.#ownInARow >= OWN_IN_A_ROW && !this.#bulk.isEmpty;
    const own = isOverdue ? undefined : this.#own.take(isIdle ? 1 : WORTH_SENDING);
    if (own) {
      this.#ownInARow++;
      return own;
    }
    if (!isIdle && !isOverdue) return undefined;
    this.#ownInARow = 0;
    return this.#bulk.take(1);
  }

  #send(message: ToWriter): void {
    this.#worker.postMessage(message);
  }

  #hear(message: FromWriter): void {
    if (message.kind === 'outcome') this.#settle(message);
    else if (message.kind === 'purged') {
      this.counters.purgedRows += message.rows;
      this.counters.purgedRequests += message.requests;
      this.counters.bytes = message.bytes;
      this.#onPurged?.(message);
      this.#onPurged = undefined;
    } else if (message.kind === 'fault') this.#report(message.reason);
    else if (message.kind === 'away') this.#leave(message.reason);
    else if (message.kind === 'back') this.#return();
    else if (message.kind === 'fenced') {
      this.#break(message.reason, message.reason);
      void this.#worker.terminate();
    }
  }

  /** The database is gone for now: what was not sent yet is refused, and so is what comes. */
  #leave(reason: string): void {
    this.#away = reason;
    this.#report(reason);
    const error = failure('STORE_FAILED', { reason });
    for (const waiting of [...this.#own.clear(), ...this.#bulk.clear()]) this.#refuse(waiting, error);
    if (this.counters.queued === 0) this.#onIdle?.();
  }

  #return(): void {
    if (this.#away === undefined) return;
    this.#away = undefined;
    this.#fault = { reason: '', at: 0 };
    this.#options.log.info(this.#place, 'the token store is back');
  }

  #settle(outcome: Outcome): void {
    const settled = this.#underWay.splice(0, outcome.batches);
    const overtaking = outcome.failed !== undefined && !outcome.behind ? this.#halt() : [];
    // The writer is free: what has gathered goes first, then its answers are handed on.
    this.#flush();
    const { counters } = this;
    counters.bytes = outcome.bytes;
    counters.lastCommitMs = outcome.ms;
    if (outcome.bytes > counters.maxBytes * NEARLY_FULL) this.#hurryPurge();
    counters.largestCommit = Math.max(counters.largestCommit, outcome.ids.length);
    if (outcome.failed === undefined) counters.commits++;
    else if (!outcome.behind) {
      counters.failures++;
      this.#report(`a transaction failed: ${outcome.failed}`);
    }
    const error = outcome.failed === undefined ? undefined : failure('STORE_FAILED', { reason: outcome.failed });
    const rowsBefore = counters.rows;
    let at = 0;
    let nextOdd = 0;
    for (const batch of settled) {
      counters.queued -= batch.length;
      for (const waiting of batch) {
        counters.queuedBytes -= waiting.size;
        if (error) {
          waiting.reject(error);
          continue;
        }
        const odd = outcome.odds[nextOdd]?.at === at ? outcome.odds[nextOdd++] : undefined;
        const id = outcome.ids[at++] ?? 0;
        if (id !== 0) counters.rows++;
        for (const one of odd?.page?.ids ?? []) if (one > 0) counters.rows++;
        waiting.done(id, outcome.ctime, odd);
      }
    }
    if (error) for (const waiting of overtaking) this.#refuse(waiting, error);
    if (counters.rows > rowsBefore) this.onWritten();
    if (counters.queued === 0) this.#onIdle?.();
  }

  /** A transaction failed: what was asked for since must not overtake it. Returns who waits for what was not sent yet. */
  #halt(): Waiting[] {
    this.#send({ kind: 'again' });
    return [...this.#own.clear(), ...this.#bulk.clear()];
  }

  #refuse(waiting: Waiting, error: CentreondError): void {
    this.counters.queued--;
    this.counters.queuedBytes -= waiting.size;
    waiting.reject(error);
  }

  #hurryPurge(): void {
    const now = performance.now();
    if (now - this.#lastHurry < PURGE_AGAIN_MS) return;
    this.#lastHurry = now;
    this.onNearlyFull();
  }

  /** Reports a fault to the log, one that lasts once a minute. */
  #report(reason: string): void {
    const now = performance.now();
    if (reason === this.#fault.reason && now - this.#fault.at < SAME_FAULT_MS) return;
    this.#fault = { reason, at: now };
    this.#options.log.error({ ...this.#place, reason }, 'the token store failed');
  }

  #break(reason: string, cause = `the writing thread of the token store ended: ${reason}`): void {
    if (this.#broken !== undefined) return;
    this.#broken = reason;
    if (!this.#closed) {
      this.#report(reason);
      this.#options.died?.(new Error(cause));
    }
    const error = failure('STORE_FAILED', { reason });
    const lost = [...this.#underWay.splice(0).flat(), ...this.#own.clear(), ...this.#bulk.clear()];
    this.counters.queued = 0;
    this.counters.queuedBytes = 0;
    for (const waiting of lost) waiting.reject(error);
    this.#onPurged?.({
      kind: 'purged',
      rows: 0,
      requests: 0,
      bytes: this.counters.bytes,
      failed: reason,
    });
    this.#onIdle?.();
  }

  /** Has the writer purge; one at a time. */
  purge(): Promise<Purged> {
    const { clock } = this.#options;
    const wall = Math.floor(clock.now() / 1000);
    const monotonic = clock.monotonic() / 1000;
    const refusal = this.refusal(0, Number.POSITIVE_INFINITY);
    if (refusal) return Promise.reject(refusal);
    return new Promise((resolve) => {
      this.#onPurged = resolve;
      this.#send({ kind: 'purge', wall, monotonic });
    });
  }

  /** Takes no further call; resolved once those that were taken are settled, which 10 s later they are in any case. */
  async drain(): Promise<void> {
    this.#closed = true;
    if (this.counters.queued === 0) return;
    await new Promise<void>((resolve) => {
      const limit = setTimeout(() => this.#worker.terminate(), CLOSE_MS);
      this.#onIdle = () => {
        clearTimeout(limit);
        resolve();
      };
    });
  }

  /** Ends the writer, after 10 s with force. */
  async close(): Promise<void> {
    await this.drain();
    if (this.#broken !== undefined) return;
    await new Promise<void>((resolve) => {
      const limit = setTimeout(() => this.#worker.terminate(), CLOSE_MS);
      this.#onExit = () => {
        clearTimeout(limit);
        resolve();
      };
      this.#send({ kind: 'close' });
    });
  }
}
