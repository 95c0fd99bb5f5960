import { CentreondError, type ErrorData, FAILED, failure, isTerminal, type JsonObject } from '@centreond/protocol';
import type { Log } from '../log.ts';
import { type Bounds, Shares } from '../shares.ts';
import type { Adopted, ForeignRow, LogPage, Row, TokenStore } from '../store/token-store.ts';
import { Appender } from './appender.ts';
import type { Followers, Watch } from './followers.ts';
import type { Peer } from './peer.ts';
import { Answer, OpenRequest, type RequestParts } from './request.ts';
import type { Telemetry } from './telemetry.ts';

/** How long an aborted request may take to end by itself. */
const ABORT_GRACE_MS = 6000;
const SWEEP_MS = 100;
/** Rows that the store takes in a millisecond, at the least: a drain leaves time for the end of every open request. */
const ENDS_PER_MS = 15;

export interface RequestsOptions {
  readonly store: Pick<TokenStore, 'append' | 'adopt'>;
  readonly followers: Followers;
  readonly telemetry: Telemetry;
  readonly clock: { now(): number };
  readonly log: Log;
  /** Open requests, in all and of one identity. */
  readonly open: Bounds;
  /** Undefined for a router by itself. */
  readonly watch?: Pick<Watch, 'targetOf'> | undefined;
}

/**
 * The open requests and the way of their rows: store → followers. Each accepted request ends here in exactly one terminal row; one
 * that is answered in the ACK ends here in one answer.
 */
export class Requests {
  readonly #options: RequestsOptions;
  readonly #open = new Map<string, OpenRequest>();
  /** Those that are answered in the ACK: their tokens may be empty, or name another request. */
  readonly #asked = new Set<OpenRequest>();
  readonly #shares: Shares;
  /** Requests that are over here and that an instance still has. */
  readonly #lingering = new Map<string, OpenRequest>();
  readonly #idle: (() => void)[] = [];
  readonly #appender: Appender;
  #sweep: NodeJS.Timeout | undefined;

  constructor(options: RequestsOptions) {
    this.#options = options;
    const { store, log, telemetry } = options;
    this.#shares = new Shares('open requests', options.open);
    this.#appender = new Appender({
      store,
      log,
      // The row of an early request is not told before its first one.
      stored: (open, row) => {
        if (open.isRecording) open.whenRecorded(() => this.#stored(open, row));
        else this.#stored(open, row);
      },
      dropped: () => {
        telemetry.droppedRows++;
      },
    });
  }

  /** The open request of `token`, if there is one. */
  get(token: string): OpenRequest | undefined {
    return this.#open.get(token);
  }
  /** The request of `token` that is over here, if an instance still has it. */
  lingering(token: string): OpenRequest | undefined {
    return this.#lingering.get(token);
  }
  /** The open requests that run on another node, `node`. */
  at(node: string): OpenRequest[] {
    return [...this.#open.values()].filter(({ action, target }) => action.executor.elsewhere && target === node);
  }
  /** Open requests and the characters that they hold, in all or of one identity. */
  used(owner?: string): { readonly count: number; readonly bytes: number } {
    return this.#shares.used(owner);
  }

  /** Why `owner` may not open one more request that holds `size` characters: BUSY, or undefined. */
  refusal(owner: string, size: number): CentreondError | undefined {
    return this.#shares.refusal(owner, size);
  }

  /** Enters a request that is being recorded, or was recorded by an earlier run. Its token must be free. */
  enter(open: OpenRequest): void {
    this.#open.set(open.token, open);
    this.#shares.take(open.owner, open.size);
    this.#sweep ??= setInterval(() => this.#sweepDeadlines(), SWEEP_MS).unref();
  }

  /** Lets go of a request without an end: it was not recorded, or goes on elsewhere without this process. */
  leave(open: OpenRequest): void {
    this.#leave(open, () => this.#shares.give(open.owner, open.size));
  }

  #leave(open: OpenRequest, giveShare: () => void): void {
    if (open.answered ? !this.#asked.delete(open) : this.#open.get(open.token) !== open) return;
    if (!open.answered) {
      this.#open.delete(open.token);
      this.#linger(open);
    }
    giveShare();
    if (this.#open.size + this.#asked.size > 0) return;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #linger(open: OpenRequest): void {
    if (!open.isHeld || !open.action.executor.early) return;
    this.#lingering.set(open.token, open);
    open.whenReleased(() => this.#lingering.delete(open.token));
  }

  /**
   * Takes back a request that was not recorded: its executor stops it for `reason`. Nothing of it is stored. The caller tells it
   * that it is dropped.
   */
  withdraw(open: OpenRequest, reason: CentreondError): void {
    const give = () => this.#shares.give(open.owner, open.size);
    // While an instance has it, it takes its owner's share: else repeats would run beyond every bound.
    this.#leave(open, open.isHeld ? () => open.whenReleased(give) : give);
    const { executor } = open.action;
    open.aborted(reason, this.#options.clock.now());
    if (open.isHeld) executor.abort(open, reason);
    else executor.withdraw(open);
  }

  /**
   * Runs a request that is answered in the ACK. Rejects with the refusal of its executor or its plugin, with BUSY beyond its
   * owner's share, with TIMEOUT at its deadline, and with what ends its instance.
   */
  async ask(parts: Omit<RequestParts, 'answered'>, data: JsonObject, peer: Peer): Promise<Answer> {
    const { executor } = parts.action;
    return new Promise((resolve, reject) => {
      const answered = (code: number, text: string): void => {
        if (code === FAILED) reject(refusalOf(text));
        else resolve(new Answer(text));
      };
      const open = new OpenRequest({ ...parts, answered });
      const admitted = (refusal: CentreondError | undefined): void => {
        if (refusal) throw refusal;
        this.#asked.add(open);
        this.#shares.take(open.owner, open.size);
        this.#sweep ??= setInterval(() => this.#sweepDeadlines(), SWEEP_MS).unref();
        executor.submit(open);
      };
      const busy = this.#shares.refusal(open.owner, open.size);
      if (busy) throw busy;
      const refusal = executor.admit(open, data, peer);
      if (refusal instanceof Promise) refusal.then(admitted).catch(reject);
      else admitted(refusal);
    });
  }

  // ---- rows and ends ----------------------------------------------------------------------------------------------

  /**
   * A row of what runs the request: resolves when it is on disk. Undefined if it was dropped and counted, since the request
   * does not run, or has ended.
   */
  row(open: OpenRequest, code: number, data: string): Promise<void> | undefined {
    if (open.state !== 'running') {
      if (!open.isDropped) this.#options.telemetry.droppedRows++;
      return undefined;
    }
    return isTerminal(code) ? this.end(open, code, data) : this.#append(open, code, data);
  }

  /** Ends a request with its one terminal row, or its answer. Resolves when that is on disk. Later ends do nothing. */
  end(open: OpenRequest, code: number, data: string): Promise<void> | undefined {
    if (!open.ended()) return undefined;
    const { name } = open.action.manifest;
    if (open.isEarly) this.#options.telemetry.took(name, performance.now() - open.earlySince);
    if (!open.answered) {
      return this.#append(open, code, data).then(() => {
        if (open.isRecording) open.whenRecorded(() => this.#over(open, code));
        else this.#over(open, code);
      });
    }
    this.#over(open, code);
    open.answered(code, data);
    return Promise.resolve();
  }

  #over(open: OpenRequest, code: number): void {
    const { executor, manifest } = open.action;
    if (!executor.elsewhere && !open.isDropped) this.#options.telemetry.ended(manifest.name, code);
    this.leave(open);
  }

  /** Ends a request with code 1. */
  fail(open: OpenRequest, error: CentreondError): void {
    void this.end(open, FAILED, JSON.stringify(error.toData()));
  }

  /** Tells its executor to stop a request. It ends by itself, or by the sweep after a grace; a queued one ends at once. */
  abort(open: OpenRequest, reason: CentreondError): void {
    if (!open.aborted(reason, this.#options.clock.now())) return;
    const { executor } = open.action;
    switch (open.state) {
      case 'running':
        executor.abort(open, reason);
        // Its caller waits for the ACK: it is not left waiting for a plugin that ignores the signal.
        if (open.answered) this.fail(open, reason);
        break;
      case 'waiting':
        executor.withdraw(open);
        this.fail(open, reason);
        break;
      case 'recording':
        // The ladder ends it once its record is there.
        break;
    }
  }

  #stored(open: OpenRequest, row: Row): void {
    open.keep(row);
    this.#options.followers.publish(row, open.owner, open.isWrittenHere);
  }

  #append(open: OpenRequest, code: number, data: string): Promise<void> {
    const etime = Math.floor(this.#options.clock.now() / 1000);
    return this.#appender.append(open, { token: open.token, code, etime, data });
  }

  /** Publishes a row that PUTLOG wrote. */
  published(row: Row, owner: string): void {
    const open = this.#open.get(row.token);
    open?.keep(row);
    this.#options.followers.publish(row, owner, open?.isWrittenHere ?? false);
  }

  /**
   * Stores a page of another node's log. Rows count for a request that was routed to their node; `reaches` says whether the
   * page's bringer is a route to a target, so that its word that a request failed on the way there counts too. A row that counts
   * and is terminal ends its request. Resolves with what became of each row, and the node's cursor; rejects with what the
   * store says, then nothing was stored.
   */
  async adopt(
    page: LogPage,
    reaches: (target: string) => boolean,
  ): Promise<{ rows: readonly Adopted[]; cursor: number }> {
    /** The requests that this page is to end. Until it is stored, nothing else ends them. */
    const claims = new Map<OpenRequest, () => void>();
    const rows = page.rows.map((row): ForeignRow => {
      const open = this.#open.get(row.token);
      // Of one that is being recorded the store knows more: which of the two came first.
      if (!open) return this.#ofAnother(row, reaches);
      if (open.isRecording) return row;
      const failedOnTheWay = row.code === FAILED && reaches(open.target);
      const counts = open.action.executor.elsewhere === true && (row.node === open.target || failedOnTheWay);
      const claim = counts && isTerminal(row.code) ? open.endsWith() : undefined;
      if (claim) claims.set(open, claim);
      return { ...row, counts };
    });
    let adopted: Awaited<ReturnType<TokenStore['adopt']>>;
    try {
      adopted = await this.#options.store.adopt({ ...page, rows });
    } catch (error) {
      for (const giveBack of claims.values()) giveBack();
      throw error;
    }
    for (const one of adopted.rows) {
      if (typeof one === 'string') continue;
      const { row, counts, owner } = one;
      const open = this.#open.get(row.token);
      if (counts) open?.keep(row);
      if (counts || !open) this.#options.followers.publish(row, owner, false);
      if (!open || !counts || !isTerminal(row.code)) continue;
      claims.delete(open);
      this.endedElsewhere(open);
    }
    // Their end was stored before, or belongs to another request.
    for (const [open, giveBack] of claims) if (this.#open.get(open.token) === open) giveBack();
    return adopted;
  }

  /** A node that this router carries may fail a request of another router on the way to its target. */
  #ofAnother(row: ForeignRow, reaches: (target: string) => boolean): ForeignRow {
    if (row.code !== FAILED) return row;
    const target = this.#options.watch?.targetOf(row.token);
    return target !== undefined && reaches(target) ? { ...row, counts: true } : row;
  }

  /** The end of a request that runs on another router, or on a node of it, was stored there. */
  endedElsewhere(open: OpenRequest): void {
    if (this.#open.get(open.token) !== open) return;
    open.whenRecorded(() => void open.ended());
    open.action.executor.withdraw(open);
    this.leave(open);
  }

  #sweepDeadlines(): void {
    const now = this.#options.clock.now();
    for (const open of this.#open.values()) this.#sweepOne(open, now);
    for (const open of this.#asked) this.#sweepOne(open, now);
  }

  #sweepOne(open: OpenRequest, now: number): void {
    if (open.state === 'recording' || open.state === 'ended') return;
    if (open.abortedFor) {
      const { abortGraceMs = ABORT_GRACE_MS } = open.action.executor;
      if (now - open.abortedAt <= abortGraceMs) return;
      const { type, manifest } = open.action;
      this.#options.log.warn(
        { plugin: type, action: manifest.name, token: open.token },
        `${manifest.name} ${open.token} did not stop within ${abortGraceMs / 1000} s of being told to; it is ended for its caller, and its plugin still runs it`,
      );
      this.fail(open, open.abortedFor);
    } else if (now >= open.deadline) {
      const from = open.state === 'running' ? open.startedAt : open.acceptedAt;
      const seconds = Math.max(0, Math.round((now - from) / 1000));
      this.abort(open, failure('TIMEOUT', { action: open.action.manifest.name, seconds, ran: open.everStarted }));
    }
  }

  /**
   * Waits `limitMs` at most for what is open, less if so much is open that its ends take that long; then aborts the rest, which
   * ends INTERRUPTED within `interruptMs`. What runs on other nodes stays open on disk. Resolves at once when idle, and when
   * every terminal row is on disk. Call it when nothing new is accepted.
   */
  async drain(limitMs: number, interruptMs: number): Promise<void> {
    for (const open of [...this.#open.values()]) {
      if (open.action.executor.elsewhere && open.state !== 'recording') this.leave(open);
    }
    const endsMs = this.#open.size / ENDS_PER_MS;
    await this.#whenIdle(Math.max(0, limitMs - endsMs));
    const interrupted = (open: OpenRequest) => failure('INTERRUPTED', { token: open.name });
    for (const open of this.#all()) this.abort(open, interrupted(open));
    await this.#whenIdle(interruptMs);
    for (const open of this.#all()) if (open.state !== 'recording') this.fail(open, interrupted(open));
    await this.#whenIdle(500 + endsMs);
    clearInterval(this.#sweep);
  }

  #all(): OpenRequest[] {
    return [...this.#open.values(), ...this.#asked];
  }

  #whenIdle(limitMs: number): Promise<void> {
    if (this.#open.size + this.#asked.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, limitMs);
      this.#idle.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

/** The refusal that a plugin answered: `{error, message}` as JSON text, checked where it entered. */
function refusalOf(text: string): CentreondError {
  const { error, message } = JSON.parse(text) as ErrorData;
  return new CentreondError(error, message);
}
