import { type CentreondError, FAILED, failure, isTerminal } from '@centreond/plugin-sdk';
import type { Forwarding } from '../fleet/forwarding.ts';
import type { Log } from '../log.ts';
import type { Adopted, ForeignRow, LogPage, RequestRecord, Row, TokenStore } from '../store/token-store.ts';
import { Appender } from './appender.ts';
import { keptEnvelope } from './envelope.ts';
import type { Followers } from './followers.ts';
import { Acceptance, sameTarget, WAIT_LIMIT_MS } from './ladder.ts';
import type { Peer } from './peer.ts';
import type { Registry } from './registry.ts';
import { OpenRequest } from './request.ts';
import type { Telemetry } from './telemetry.ts';

/** How long an aborted request may take to end by itself. */
const ABORT_GRACE_MS = 6000;
const SWEEP_MS = 100;

/** What the router needs: all of it is handed in, so that a test opens no socket. */
export interface RouterOptions {
  id: string;
  maxMessage: number;
  store: TokenStore;
  registry: Registry;
  followers: Followers;
  forwarding: Forwarding;
  telemetry: Telemetry;
  clock: { now(): number };
  log: Log;
}

/**
 * The ladder of a request: parse → known → authorise → target → validate → record → acknowledge → dispatch; and the way of its
 * rows: store → followers. Every accepted request ends here in exactly one terminal row.
 */
export class Router {
  readonly #open = new Map<string, OpenRequest>();
  readonly #idle: (() => void)[] = [];
  #sweep: NodeJS.Timeout | undefined;
  readonly #acceptance: Acceptance;
  readonly #appender: Appender;

  constructor(readonly options: RouterOptions) {
    this.#acceptance = new Acceptance({ ...options, open: this.#open, close: (open) => this.#close(open) });
    const { store, log, followers, telemetry } = options;
    this.#appender = new Appender({
      store,
      log,
      stored: (open, row) => {
        open.keep(row);
        followers.publish(row, open.owner);
      },
      dropped: () => {
        telemetry.droppedRows++;
      },
    });
  }

  /** The open request of `token`, if there is one. */
  openRequest(token: string): OpenRequest | undefined {
    return this.#open.get(token);
  }
  /** The open requests that run on another node, `node`. */
  openAt(node: string): OpenRequest[] {
    return [...this.#open.values()].filter(({ action, target }) => action.executor.elsewhere && target === node);
  }
  get openCount(): number {
    return this.#open.size;
  }

  /** Settles what the last run left open: idempotent actions run again, others end OUTCOME_UNKNOWN. Call once, first. */
  async start(): Promise<void> {
    const { store, registry, clock } = this.options;
    this.#sweep = setInterval(() => this.#sweepDeadlines(), SWEEP_MS);
    for (const record of await store.unsettled()) {
      const action = registry.get(record.action);
      if (!sameTarget(record.target, '', this.options.id) && action?.manifest.runs !== 'here') {
        this.#resume(record);
        continue;
      }
      if (!action?.manifest.idempotent) {
        const unknown = failure('OUTCOME_UNKNOWN', { token: record.token, action: record.action });
        await store.append({
          token: record.token,
          code: FAILED,
          etime: this.#seconds(),
          data: JSON.stringify(unknown.toData()),
        });
        continue;
      }
      const wantedUntil = (keptEnvelope(record.envelope).deadline ?? 0) * 1000 || clock.now() + WAIT_LIMIT_MS;
      const open = new OpenRequest(
        record.token,
        record.owner,
        action,
        record.target,
        record.data,
        wantedUntil,
        clock.now(),
      );
      open.forgetRows();
      this.#open.set(record.token, open);
      open.state = 'waiting';
      action.executor.submit(open);
    }
  }

  /** Takes up a request to another node: it goes again unless its rows are here, and what was held stays held. */
  #resume(record: RequestRecord): void {
    const { registry, forwarding, clock } = this.options;
    const { token, owner, target, data, etime } = record;
    const envelope = keptEnvelope(record.envelope);
    const action = forwarding.action(record.action, target, envelope, registry.get(record.action));
    const until = envelope.deadline === undefined ? etime * 1000 + WAIT_LIMIT_MS : envelope.deadline * 1000;
    const open = new OpenRequest(token, owner, action, target, data, until, clock.now());
    open.forgetRows();
    this.#open.set(token, open);
    open.state = 'waiting';
    forwarding.resume(open, envelope);
  }

  /** Takes one message of a peer. Never throws: what is wrong with it is the peer's answer. */
  receive(peer: Peer, bytes: Buffer): void {
    this.#acceptance.receive(peer, bytes);
  }

  /** Throws FORBIDDEN or TOKEN_REUSED unless `asked` repeats what `known` recorded under the same token. */
  checkRepeat(peer: Peer, asked: RequestRecord, known: RequestRecord): void {
    this.#acceptance.checkRepeat(peer, asked, known);
  }

  /** Forgets a peer that is gone. Its requests go on. */
  left(peer: Peer): void {
    this.options.followers.left(peer);
  }

  // ---- rows and ends ----------------------------------------------------------------------------------------------

  /**
   * A row of an instance: resolves when it is on disk. Rows of a request that it does not run, or that has ended, are dropped
   * and counted.
   */
  row(open: OpenRequest, code: number, data: string): Promise<void> | undefined {
    if (open.state !== 'running') {
      this.options.telemetry.droppedRows++;
      return undefined;
    }
    return isTerminal(code) ? this.end(open, code, data) : this.#append(open, code, data);
  }

  /** Ends a request with its one terminal row, and resolves when it is on disk. Later ends of the same request do nothing. */
  end(open: OpenRequest, code: number, data: string): Promise<void> | undefined {
    if (open.state === 'ended') return undefined;
    open.state = 'ended';
    if (!open.action.executor.elsewhere) this.options.telemetry.ended(open.action.manifest.name, code);
    return this.#append(open, code, data).then(() => this.#close(open));
  }

  #close(open: OpenRequest): void {
    this.#open.delete(open.token);
    if (this.#open.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  /**
   * Stores a page of another node's log. Rows count for a request that was routed to their node; `reaches` says whether the
   * page's bringer is a way to a target, so that its word that a request failed on the way there counts too. A row that counts
   * and is terminal ends its request. Resolves with what became of each row, and the node's cursor; rejects with what the
   * store says, then nothing was stored.
   */
  async adopt(
    page: LogPage,
    reaches: (target: string) => boolean,
  ): Promise<{ rows: readonly Adopted[]; cursor: number }> {
    /** Requests that this page is to end, and the state that they had: from here on nothing else ends them. */
    const ending = new Map<OpenRequest, OpenRequest['state']>();
    const rows = page.rows.map((row): ForeignRow => {
      const open = this.#open.get(row.token);
      if (!open) return row;
      const failedOnTheWay = row.code === FAILED && reaches(open.target);
      const counts = open.action.executor.elsewhere === true && (row.node === open.target || failedOnTheWay);
      if (counts && isTerminal(row.code) && open.state !== 'ended') {
        ending.set(open, open.state);
        open.state = 'ended';
      }
      return { ...row, counts };
    });
    let adopted: Awaited<ReturnType<TokenStore['adopt']>>;
    try {
      adopted = await this.options.store.adopt({ ...page, rows });
    } catch (error) {
      for (const [open, state] of ending) open.state = state;
      throw error;
    }
    for (const one of adopted.rows) {
      if (typeof one === 'string') continue;
      const { row, counts, owner } = one;
      const open = this.#open.get(row.token);
      if (counts) open?.keep(row);
      if (counts || !open) this.options.followers.publish(row, owner);
      if (!open || !counts || !isTerminal(row.code)) continue;
      ending.delete(open);
      open.action.executor.withdraw(open);
      this.#close(open);
    }
    // Whose end was here already, or was another's.
    for (const [open, state] of ending) if (this.#open.get(open.token) === open) open.state = state;
    return adopted;
  }

  /** Ends a request with code 1. */
  fail(open: OpenRequest, error: CentreondError): void {
    this.end(open, FAILED, JSON.stringify(error.toData()));
  }

  /** Asks whoever runs the request to stop, for `reason`. It ends by itself, or by the sweep after a grace. */
  abort(open: OpenRequest, reason: CentreondError): void {
    if (open.state === 'ended' || open.aborted) return;
    open.aborted = reason;
    open.abortedAt = this.options.clock.now();
    if (open.state === 'running') open.action.executor.abort(open, reason);
    else {
      open.action.executor.withdraw(open);
      this.fail(open, reason);
    }
  }

  #append(open: OpenRequest, code: number, data: string): Promise<void> {
    return this.#appender.append(open, { token: open.token, code, etime: this.#seconds(), data });
  }

  /** Publishes a row that somebody else wrote, by PUTLOG. */
  published(row: Row, owner: string): void {
    this.#open.get(row.token)?.keep(row);
    this.options.followers.publish(row, owner);
  }

  #sweepDeadlines(): void {
    const now = this.options.clock.now();
    for (const open of this.#open.values()) {
      if (open.state === 'recording' || open.state === 'ended') continue;
      if (open.aborted) {
        if (now - open.abortedAt > (open.action.executor.abortGraceMs ?? ABORT_GRACE_MS)) this.fail(open, open.aborted);
      } else if (now >= open.deadline) {
        const from = open.state === 'running' ? open.startedAt : open.acceptedAt;
        const seconds = Math.max(0, Math.round((now - from) / 1000));
        this.abort(open, failure('TIMEOUT', { action: open.action.manifest.name, seconds }));
      }
    }
  }

  /**
   * Accepts nothing more, waits `limitMs` at most for what is open, then aborts the rest, which ends INTERRUPTED. Resolves at
   * once when idle, and when every terminal row is on disk.
   */
  async drain(limitMs: number, interruptMs: number): Promise<void> {
    this.#acceptance.stop();
    this.options.forwarding.stop();
    // What runs on other nodes stays open on disk, and what is held stays held.
    for (const open of [...this.#open.values()]) {
      if (open.action.executor.elsewhere && open.state !== 'recording') this.#close(open);
    }
    await this.#whenIdle(limitMs);
    for (const open of [...this.#open.values()]) this.abort(open, failure('INTERRUPTED', { token: open.token }));
    await this.#whenIdle(interruptMs);
    for (const open of [...this.#open.values()]) {
      if (open.state !== 'recording') this.fail(open, failure('INTERRUPTED', { token: open.token }));
    }
    await this.#whenIdle(500);
    clearInterval(this.#sweep);
  }

  #whenIdle(limitMs: number): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, limitMs);
      this.#idle.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #seconds(): number {
    return Math.floor(this.options.clock.now() / 1000);
  }
}
