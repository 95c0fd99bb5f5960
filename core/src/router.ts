import {
  CentreondError,
  decodeText,
  FAILED,
  FrameError,
  failure,
  formatAck,
  isCentreondError,
  isTerminal,
  type JsonObject,
  newToken,
  parseData,
  parseMessage,
  reasonOf,
} from '@centreond/plugin-sdk';
import { actsForAll, refusalFor } from './authorize.ts';
import { unknownHere } from './departure.ts';
import { type Envelope, keptEnvelope, ownerOf, readEnvelope } from './envelope.ts';
import type { Followers } from './followers.ts';
import type { Forwarding } from './forwarding.ts';
import type { Answer, Asked } from './host.ts';
import type { Log } from './log.ts';
import type { RegisteredAction, Registry } from './registry.ts';
import { OpenRequest } from './request.ts';
import type { Accepted, Adopted, ForeignRow, LogPage, RequestRecord, Row, TokenStore } from './store/token-store.ts';
import type { Telemetry } from './telemetry.ts';
import type { Peer } from './transport/peer.ts';

/** Requests accepted and not ended, in all. */
const OPEN_LIMIT = 200_000;
/** How long a request may wait for its plugin where its caller set no deadline. */
const WAIT_LIMIT_MS = 24 * 3600 * 1000;
/** How long an aborted request may take to end by itself. */
const ABORT_GRACE_MS = 6000;
const STORE_RETRY_MS = 1000;
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
  #stopping = false;

  constructor(readonly options: RouterOptions) {}

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
    let token = '';
    try {
      if (bytes.length > this.options.maxMessage) {
        token = tokenOf(bytes);
        throw failure('TOO_LARGE', { bytes: bytes.length, limit: this.options.maxMessage });
      }
      const message = parseMessage(decodeText(bytes));
      token = message.token;
      const { $, ...data } = parseData(message.data, token);
      this.options.telemetry.received++;
      this.#take(peer, message.action, token, message.target, data, $);
    } catch (error) {
      this.#refuse(peer, error instanceof FrameError ? error.token : token, error);
    }
  }

  /** Forgets a peer that is gone. Its requests go on. */
  left(peer: Peer): void {
    this.options.followers.left(peer);
  }

  #take(peer: Peer, name: string, token: string, target: string, data: JsonObject, $: unknown): void {
    const { registry, forwarding, id } = this.options;
    const local = registry.get(name);
    const here = local?.manifest.runs === 'here';
    const elsewhere = !sameTarget(target, '', id) && !here;
    if (!local && !(elsewhere && forwarding.mayKnow(name, target))) {
      throw failure('UNKNOWN_ACTION', { action: name, near: registry.near(name) });
    }
    const refusal = refusalFor(peer, local ?? unknownHere(name), target === '' ? id : target, elsewhere);
    if (refusal) throw refusal;
    if (!elsewhere && !sameTarget(target, '', id) && !forwarding.knows(target)) {
      throw failure('UNKNOWN_TARGET', { target, router: id });
    }
    const envelope = this.#envelopeOf($, peer, name, elsewhere ? target : '');
    // The node checks DATA by the schema of its own version.
    const action = elsewhere || !local ? forwarding.action(name, target, envelope, local) : local;
    const fault = action.fault(data);
    if (fault) throw failure('INVALID_DATA', { action: name, reason: fault });
    // What runs here works on another node, or on none.
    const on = here && sameTarget(target, '', id) ? '' : target;
    if (action.manifest.reply === 'ack') this.#ask(peer, action, data, { token, target: on, envelope });
    else this.#request(peer, action, token, on, data, envelope);
  }

  /** Reads `$`, which is DATA: a TARGET that will not do is told first. */
  #envelopeOf($: unknown, peer: Peer, action: string, target: string): Envelope {
    try {
      return readEnvelope($, peer.roles.has('router'), action);
    } catch (error) {
      throw (target === '' ? undefined : this.options.forwarding.targetFault(action, target)) ?? error;
    }
  }

  // ---- reads: answered in the ACK, no row -------------------------------------------------------------------------

  #ask(peer: Peer, action: RegisteredAction, data: JsonObject, asked: Asked): void {
    const { token } = asked;
    const answer = action.executor.ask(action.manifest, data, peer, asked);
    if (answer instanceof Promise) {
      answer.then(
        (settled) => this.#answer(peer, action, token, settled),
        (error: unknown) => this.#refuse(peer, token, error),
      );
    } else this.#answer(peer, action, token, answer);
  }

  #answer(peer: Peer, action: RegisteredAction, token: string, answer: Answer): void {
    const text = formatAck(token, 0, answer.data);
    peer.send(action.manifest.name === 'PING' ? `[PONG] [${token}] [] ${text.slice(text.indexOf('{'))}` : text);
    answer.after?.();
  }

  // ---- requests: recorded, then acknowledged, then run ------------------------------------------------------------

  #request(
    peer: Peer,
    action: RegisteredAction,
    givenToken: string,
    target: string,
    data: JsonObject,
    envelope: Envelope,
  ): void {
    const { clock, id } = this.options;
    const owner = ownerOf(peer, envelope);
    const text = JSON.stringify(data);
    const token = givenToken === '' ? newToken(clock.now()) : givenToken;
    const known = this.#open.get(token);
    if (known) {
      this.#repeat(peer, owner, action.manifest.name, target, text, known);
      if (known.state === 'recording') known.repeats.push(peer);
      else peer.send(duplicateAck(token));
      return;
    }
    if (this.#stopping) throw failure('STOPPING', { router: id });
    if (this.#open.size >= OPEN_LIMIT) throw failure('BUSY', { what: 'the list of open requests', limit: OPEN_LIMIT });
    const decide = (refusal: CentreondError | undefined): void => {
      const now = clock.now();
      const until = envelope.deadline === undefined ? now + WAIT_LIMIT_MS : envelope.deadline * 1000;
      const open = new OpenRequest(token, owner, action, target, text, until, now);
      if (refusal) {
        void this.#refuseNew(peer, givenToken, open, refusal);
        return;
      }
      this.#open.set(token, open);
      void this.#record(peer, open, envelope.text).then(() => open.recorded());
    };
    const refusal = action.executor.admit(action.manifest, data, peer, owner);
    if (!(refusal instanceof Promise)) {
      decide(refusal);
      return;
    }
    refusal
      .then((late) => {
        // Somebody may have used the token meanwhile.
        if (!late && this.#open.has(token)) this.#request(peer, action, token, target, data, envelope);
        else decide(late);
      })
      .catch((error: unknown) => this.#refuse(peer, givenToken, error));
  }

  /** Refuses what cannot be taken now, unless it repeats what was accepted before. One who is BUSY is not asked for that. */
  async #refuseNew(peer: Peer, token: string, asked: OpenRequest, refusal: CentreondError): Promise<void> {
    try {
      const known = token === '' || refusal.code === 'BUSY' ? undefined : await this.options.store.find(token);
      if (known && known.state !== 'log') this.#answerRepeat(peer, asked.owner, asked, known);
      else this.#refuse(peer, token, refusal);
    } catch (error) {
      this.#refuse(peer, token, error);
    }
  }

  async #record(peer: Peer, open: OpenRequest, envelope: string): Promise<void> {
    const { token, owner, action, target, data } = open;
    const { store, followers } = this.options;
    const record: RequestRecord = {
      token,
      owner,
      action: action.manifest.name,
      target,
      data,
      envelope,
      etime: this.#seconds(),
    };
    let accepted: Accepted;
    try {
      accepted = await store.accept(record, `{"owner":"${owner}","target":"${target}"}`);
    } catch (error) {
      this.#open.delete(token);
      action.executor.withdraw(open);
      for (const other of [peer, ...open.repeats]) this.#refuse(other, token, error);
      return;
    }
    if (accepted.known) {
      this.#open.delete(token);
      action.executor.withdraw(open);
      followers.reassess(token, accepted.request.owner);
      for (const other of [peer, ...open.repeats]) this.#answerRepeat(other, owner, open, accepted.request);
      return;
    }
    open.state = 'waiting';
    peer.send(formatAck(token, 0, '{}'));
    for (const other of open.repeats) other.send(duplicateAck(token));
    if (accepted.earlier) {
      open.forgetRows();
      followers.reassess(token, owner);
    } else {
      open.keep(accepted.row);
      followers.publish(accepted.row, owner);
    }
    this.options.telemetry.accepted++;
    if (this.#stopping && action.executor.elsewhere) this.#close(open);
    else action.executor.submit(open);
  }

  #answerRepeat(peer: Peer, owner: string, asked: OpenRequest, known: RequestRecord): void {
    try {
      this.#repeat(peer, owner, asked.action.manifest.name, asked.target, asked.data, known);
      peer.send(duplicateAck(asked.token));
    } catch (error) {
      this.#refuse(peer, asked.token, error);
    }
  }

  /** Throws FORBIDDEN or TOKEN_REUSED unless `asked` repeats what `known` recorded under the same token. */
  checkRepeat(peer: Peer, asked: RequestRecord, known: RequestRecord): void {
    this.#repeat(peer, asked.owner, asked.action, asked.target, asked.data, known);
  }

  #repeat(
    peer: Peer,
    owner: string,
    action: string,
    target: string,
    data: string,
    known: OpenRequest | RequestRecord,
  ): void {
    const knownAction = typeof known.action === 'string' ? known.action : known.action.manifest.name;
    if (known.owner !== owner && !actsForAll(peer)) {
      const remedy = 'It belongs to another identity. Choose a new token.';
      throw failure('FORBIDDEN', { identity: peer.identity, what: `use the token ${known.token}`, remedy });
    }
    if (knownAction !== action || !sameTarget(known.target, target, this.options.id) || !sameJson(known.data, data)) {
      throw failure('TOKEN_REUSED', { token: known.token, action: knownAction });
    }
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

  // A row must not be lost to a full disk: it is tried again until the store takes it.
  async #append(open: OpenRequest, code: number, data: string): Promise<void> {
    const etime = this.#seconds();
    for (;;) {
      try {
        const row = await this.options.store.append({ token: open.token, code, etime, data });
        open.keep(row);
        this.options.followers.publish(row, open.owner);
        return;
      } catch (error) {
        if (isCentreondError(error) && error.code === 'TOKEN_ENDED') {
          this.options.telemetry.droppedRows++;
          return;
        }
        this.options.log.error(
          { err: error, token: open.token },
          `a row of ${open.token} is not on disk yet: ${reasonOf(error)}`,
        );
        await new Promise((resolve) => setTimeout(resolve, STORE_RETRY_MS));
      }
    }
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
    this.#stopping = true;
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

  // ---- answers ----------------------------------------------------------------------------------------------------

  #refuse(peer: Peer, token: string, error: unknown): void {
    this.options.telemetry.refused++;
    let told = error;
    if (!isCentreondError(error)) {
      const reference = newToken();
      this.options.log.error({ err: error, reference, token }, `internal error ${reference}: ${reasonOf(error)}`);
      told = failure('INTERNAL', { reference });
    }
    peer.send(formatAck(token, 1, JSON.stringify((told as CentreondError).toData())));
  }

  #seconds(): number {
    return Math.floor(this.options.clock.now() / 1000);
  }
}

function duplicateAck(token: string): string {
  return formatAck(token, 0, '{"duplicate":true}');
}

function sameTarget(a: string, b: string, id: string): boolean {
  return (a === '' ? id : a) === (b === '' ? id : b);
}

/** Whether two JSON texts say the same: the order of keys does not matter. */
function sameJson(a: string, b: string): boolean {
  return a === b || sameValue(JSON.parse(a), JSON.parse(b));
}

function sameValue(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && sameValue((a as JsonObject)[key], (b as JsonObject)[key]))
  );
}

/** The token of a message that is too large to be parsed, where it can be read from its head. */
function tokenOf(bytes: Buffer): string {
  const head = bytes.toString('latin1', 0, 400);
  return /^\[[^\]]{0,64}\] \[([A-Za-z0-9._:-]{0,255})\]/.exec(head)?.[1] ?? '';
}
