import type { ActionManifest } from '@centreond/plugin-sdk/internal';
import { CentreondError, failure, isCentreondError, type JsonObject, reasonOf } from '@centreond/protocol';
import type { Log } from '../log.ts';
import type { Elsewhere } from '../router/elsewhere.ts';
import { type Envelope, forwarded, ownerOf } from '../router/envelope.ts';
import type { Peer } from '../router/peer.ts';
import { unknownHere } from '../router/registry.ts';
import { Answer, type Asked, type OpenRequest, type RegisteredAction, type Runner } from '../router/request.ts';
import type { Requests } from '../router/requests.ts';
import { type Bounds, Shares } from '../shares.ts';
import { type Inquiries, mayHaveArrived } from './inquiries.ts';
import { Unanswered } from './pending.ts';
import { type Path, type Routes, unreachable } from './routes.ts';

/** Requests that one node's carriers have and have not answered. */
const WINDOW = 256;
const WAITING_PER_NODE = 10_000;
const LONGEST_HOLD_MS = 7 * 24 * 3600 * 1000;
/** A carrier has this long to answer; then the request goes again. */
const ANSWER_LIMIT_MS = 60_000;
/** How long an accepted request that is not held waits for a way that was there when it was accepted. */
const PATIENCE_MS = 30_000;
/** The node ends a request at its deadline; its row needs time to get here. */
const ROW_DELAY_MS = 30_000;
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5000;
const SWEEP_MS = 250;
/** The node ends an aborted request, and its row needs time to get here. */
const ABORT_GRACE_MS = 60_000;
/** Refusals that mean "not now". */
const NOT_NOW: ReadonlySet<string> = new Set(['NODE_UNREACHABLE', 'BUSY', 'STOPPING']);

export interface ForwardingOptions {
  /** This router's id. */
  readonly id: string;
  readonly routes: Routes;
  readonly inquiries: Inquiries;
  readonly clock: { now(): number };
  readonly log: Log;
  readonly requests: Pick<Requests, 'fail'>;
  /** Requests that are kept for nodes that are away, in all and of one identity. */
  readonly held: Bounds;
  /** The identity by which another router knows `owner`. */
  fromOf(owner: string): string;
  /** Why `owner` may no longer call `action` on `target`, or undefined; `later` while that is not known. */
  mayStill(owner: string, action: string, target: string): CentreondError | 'later' | undefined;
}

/** An accepted request that its node does not have yet, as far as is known here. */
interface Parcel {
  readonly open: OpenRequest;
  /** Had to wait for its node: its sender may have lost the right meanwhile. */
  waited: boolean;
  /** A carrier had it and did not answer: the node may run it already. */
  perhaps: boolean;
  tries: number;
  retryAt: number;
  /** Since when there has been no way. */
  since: number;
}

interface Queue {
  readonly waiting: Set<Parcel>;
  readonly handed: Set<Parcel>;
}

/**
 * Takes accepted requests to other nodes: hands each to the best carrier, again where a carrier died or did not answer (the
 * token makes it run once), holds it where its sender asked for that. What the node has is over for it: its rows end it.
 */
export class Forwarding implements Elsewhere, Runner {
  readonly elsewhere = true;
  readonly abortGraceMs = ABORT_GRACE_MS;
  readonly #options: ForwardingOptions;
  readonly #queues = new Map<string, Queue>();
  readonly #parcels = new Map<OpenRequest, Parcel>();
  /** Requests that count as held, from before they are recorded until they go for the first time. */
  readonly #held = new Set<OpenRequest>();
  readonly #heldShares: Shares;
  #sweep: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: ForwardingOptions) {
    this.#options = options;
    this.#heldShares = new Shares('held requests', options.held);
    options.routes.onChange((targets) => {
      for (const target of targets) this.#pump(target);
    });
  }

  /** Requests that wait for their node, of them held ones, and those whose carrier has not answered. */
  get counters(): { waiting: number; held: number; handed: number } {
    const counters = { waiting: 0, held: 0, handed: 0 };
    for (const { waiting, handed } of this.#queues.values()) {
      counters.waiting += waiting.size;
      counters.handed += handed.size;
    }
    counters.held = this.#heldShares.used().count;
    return counters;
  }

  /** How many requests are held for each node that has any. */
  heldByNode(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { target } of this.#held) counts.set(target, (counts.get(target) ?? 0) + 1);
    return counts;
  }

  knows(target: string): boolean {
    return this.#options.routes.knows(target);
  }

  mayKnow(action: string, target: string): boolean {
    const { routes } = this.#options;
    return routes.knows(target) || routes.nodesWith(action).length > 0;
  }

  action(name: string, local: RegisteredAction | undefined): RegisteredAction {
    return { manifest: (local ?? unknownHere(name)).manifest, type: '', executor: this, fault: () => undefined };
  }

  resume(open: OpenRequest): void {
    if (open.envelope.hold) this.#hold(open);
    this.#submit(open, true);
  }

  admit(open: OpenRequest): CentreondError | undefined {
    const { action, target, envelope, owner } = open;
    const refusal = this.#refusal(action.manifest.name, target, envelope);
    if (refusal) return refusal;
    if (!this.#waits(target, envelope)) return undefined;
    const full = this.#heldShares.refusal(owner, open.size);
    if (!full) this.#hold(open);
    return full;
  }

  async ask(action: ActionManifest, data: JsonObject, peer: Peer, { token, target, envelope }: Asked): Promise<Answer> {
    const refusal = this.#refusal(action.name, target, { ...envelope, hold: false });
    if (refusal) throw refusal;
    // A read gets a token of its own there: the caller's may name a request that is on its way.
    const own = action.effects === 'read' ? '' : token;
    const request = { action: action.name, token: own, target, data: JSON.stringify(data) };
    return new Answer(await this.#options.inquiries.ask(request, ownerOf(peer, envelope), envelope));
  }

  submit(open: OpenRequest): void {
    this.#submit(open, false);
  }

  abort(open: OpenRequest): void {
    const { token, target, owner, envelope } = open;
    const { inquiries, log } = this.#options;
    const request = { action: 'CANCEL', token: '', target, data: `{"token":"${token}"}` };
    inquiries.ask(request, owner, envelope).catch((error: unknown) => {
      log.warn({ err: error, token }, `${target} was not told to stop ${token}`);
    });
  }

  withdraw(open: OpenRequest): void {
    this.#letGo(open);
    this.#forget(open);
  }

  targetFault(action: string, target: string): CentreondError | undefined {
    const { routes, id } = this.#options;
    if (!routes.knows(target)) return failure('UNKNOWN_TARGET', { target, router: id });
    const actions = routes.actionsOf(target);
    if (!actions || actions.has(action)) return undefined;
    return failure('NODE_LACKS_ACTION', { target, action, have: routes.nodesWith(action) });
  }

  /** Why a request for another node cannot be accepted now. */
  #refusal(action: string, target: string, envelope: Envelope): CentreondError | undefined {
    const { routes, id, clock } = this.#options;
    const { hops = [], hold, deadline } = envelope;
    const fault = this.targetFault(action, target);
    if (fault) return fault;
    const why = `is not reached from ${id} without a loop or within 8 hops (it came through ${hops.join(', ')})`;
    if (hops.includes(id) || routes.loops(target, hops)) return failure('NODE_UNREACHABLE', { target, why });
    if (hold && deadline !== undefined && deadline * 1000 > clock.now() + LONGEST_HOLD_MS) {
      return failure('INVALID_DATA', { action, reason: 'its "$" is to be held for more than 7 days' });
    }
    if (!routes.pick(target, hops)) return hold ? undefined : unreachable(routes, target);
    if ((this.#queues.get(target)?.waiting.size ?? 0) < WAITING_PER_NODE) return undefined;
    return failure('BUSY', { what: `the queue for the node ${target}`, limit: WAITING_PER_NODE });
  }

  /** Whether a request would have to wait for its node. */
  #waits(target: string, envelope: Envelope): boolean {
    return this.#options.routes.pick(target, envelope.hops) === undefined;
  }

  #hold(open: OpenRequest): void {
    this.#held.add(open);
    this.#heldShares.take(open.owner, open.size);
  }

  #letGo(open: OpenRequest): void {
    if (this.#held.delete(open)) this.#heldShares.give(open.owner, open.size);
  }

  /** `perhaps`: an earlier run of this daemon may have handed it over. */
  #submit(open: OpenRequest, perhaps: boolean): void {
    const parcel: Parcel = {
      open,
      waited: perhaps || this.#held.has(open),
      perhaps,
      tries: 0,
      retryAt: 0,
      since: this.#options.clock.now(),
    };
    this.#parcels.set(open, parcel);
    this.#queueOf(open.target).waiting.add(parcel);
    this.#sweep ??= setInterval(() => this.#onSweep(), SWEEP_MS);
    this.#sweep.unref();
    this.#pump(open.target);
  }

  #queueOf(target: string): Queue {
    let queue = this.#queues.get(target);
    if (!queue) {
      queue = { waiting: new Set(), handed: new Set() };
      this.#queues.set(target, queue);
    }
    return queue;
  }

  #pump(target: string): void {
    const queue = this.#queues.get(target);
    if (!queue || this.#stopped) return;
    const now = this.#options.clock.now();
    for (const parcel of queue.waiting) {
      if (queue.handed.size >= WINDOW) return;
      if (parcel.retryAt > now) continue;
      const path = this.#options.routes.pick(target, parcel.open.envelope.hops);
      if (path?.carrier.congested) return;
      if (path) this.#hand(queue, parcel, path, now);
      // A request with hops of its own may have no route where the others have one.
      else if (!parcel.open.envelope.hops) return;
    }
  }

  #hand(queue: Queue, parcel: Parcel, { carrier }: Path, now: number): void {
    const { open } = parcel;
    const { envelope } = open;
    const refusal = parcel.waited
      ? this.#options.mayStill(open.owner, open.action.manifest.name, open.target)
      : undefined;
    if (refusal === 'later') {
      parcel.retryAt = now + LONGEST_RETRY_MS;
      return;
    }
    if (refusal) {
      this.withdraw(open);
      // What the node may run already, and was not held, is left to its rows.
      if (envelope.hold || !parcel.perhaps) this.#options.requests.fail(open, refusal);
      return;
    }
    this.#letGo(open);
    queue.waiting.delete(parcel);
    queue.handed.add(parcel);
    parcel.tries++;
    const until = open.wantedUntil + ROW_DELAY_MS;
    if (open.state === 'waiting') open.started(now, until);
    else open.extend(until);
    const bounded = envelope.hold || envelope.deadline !== undefined;
    const request = {
      action: open.action.manifest.name,
      token: open.token,
      target: open.target,
      data: open.data,
      owner: open.owner,
      envelope: forwarded(
        this.#options.id,
        this.#options.fromOf(open.owner),
        envelope,
        bounded ? open.wantedUntil : undefined,
      ),
    };
    carrier.carry(request, ANSWER_LIMIT_MS).then(
      () => this.#settled(queue, parcel, undefined),
      (error: unknown) => this.#settled(queue, parcel, error),
    );
  }

  /** Its node has it, or `error` says why it may not. */
  #settled(queue: Queue, parcel: Parcel, error: unknown): void {
    const { open } = parcel;
    if (!queue.handed.has(parcel)) return;
    const unsure = mayHaveArrived(error);
    const code = isCentreondError(error) ? error.code : 'INTERNAL';
    if (error === undefined || open.state === 'ended') this.#forget(open);
    else if (error instanceof Unanswered) this.#again(queue, parcel, true, 0);
    else if (unsure || NOT_NOW.has(code)) this.#again(queue, parcel, parcel.perhaps || unsure, FIRST_RETRY_MS);
    else {
      this.#forget(open);
      this.#options.requests.fail(open, new CentreondError(code, reasonOf(error)));
    }
    this.#pump(open.target);
  }

  /** Back to those that wait. */
  #again(queue: Queue, parcel: Parcel, perhaps: boolean, delayMs: number): void {
    const { open } = parcel;
    const now = this.#options.clock.now();
    queue.handed.delete(parcel);
    queue.waiting.add(parcel);
    parcel.perhaps = perhaps;
    parcel.waited = true;
    parcel.since = now;
    const delay = Math.min(LONGEST_RETRY_MS, delayMs * 2 ** Math.min(parcel.tries - 1, 10));
    parcel.retryAt = delay === 0 ? 0 : now + delay * (0.5 + Math.random() / 2);
    if (!perhaps && open.state === 'running') open.requeued();
  }

  #onSweep(): void {
    const now = this.#options.clock.now();
    for (const [target, queue] of this.#queues) {
      for (const { open } of [...queue.handed]) if (open.state === 'ended') this.#forget(open);
      for (const parcel of [...queue.waiting]) this.#sweepWaiting(parcel, now);
      this.#pump(target);
      if (queue.waiting.size + queue.handed.size === 0) this.#queues.delete(target);
    }
    if (this.#queues.size > 0) return;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }

  #sweepWaiting(parcel: Parcel, now: number): void {
    const { open, perhaps } = parcel;
    // An aborted request that its node may run ends by a row from there, or when its grace is over.
    if (open.state === 'ended' || open.abortedFor) this.withdraw(open);
    else if (!this.#waits(open.target, open.envelope)) parcel.since = now;
    else if (!open.envelope.hold && !perhaps && now - parcel.since > PATIENCE_MS) {
      this.#forget(open);
      this.#options.requests.fail(open, unreachable(this.#options.routes, open.target));
    }
  }

  /** Whether a request still waits for its node, or for its node's word that it has it. */
  has(open: OpenRequest): boolean {
    return this.#parcels.has(open);
  }

  /** Whether its node may run a request. Of a held one that was never answered nobody says so. */
  mayRun(open: OpenRequest): boolean {
    const parcel = this.#parcels.get(open);
    if (!parcel) return true;
    return this.#queues.get(open.target)?.handed.has(parcel) || (parcel.perhaps && !open.envelope.hold);
  }

  /** Drops a request that is over for this router, or delivered. */
  #forget(open: OpenRequest): void {
    const parcel = this.#parcels.get(open);
    if (!parcel) return;
    this.#parcels.delete(open);
    this.#letGo(open);
    const queue = this.#queues.get(open.target);
    queue?.waiting.delete(parcel);
    queue?.handed.delete(parcel);
  }

  /** Hands over nothing more. What is open stays so on disk. */
  stop(): void {
    this.#stopped = true;
    clearInterval(this.#sweep);
  }
}
