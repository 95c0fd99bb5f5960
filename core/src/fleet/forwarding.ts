import { CentreondError, failure } from '@centreond/plugin-sdk';
import type { Log } from '../log.ts';
import { type Envelope, forwarded } from '../router/envelope.ts';
import type { RegisteredAction } from '../router/registry.ts';
import type { OpenRequest } from '../router/request.ts';
import { Departure, unknownHere } from './departure.ts';
import { Inquiries, UNSURE } from './inquiries.ts';
import type { Carried, Carrier, Delivered, Path, Routes } from './routes.ts';

/** Requests that one node's carriers have and have not answered. */
const WINDOW = 256;
const WAITING_PER_NODE = 10_000;
const HELD_PER_IDENTITY = 10_000;
const HELD_BYTES = 256 * 1024 * 1024;
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
/** Refusals that mean "not now". */
const NOT_NOW: ReadonlySet<string> = new Set(['NODE_UNREACHABLE', 'BUSY', 'STOPPING']);

export interface ForwardingOptions {
  /** This router's id. */
  readonly id: string;
  readonly routes: Routes;
  readonly clock: { now(): number };
  readonly log: Log;
  /** What held requests may take up in memory; 256 MiB when left out. */
  readonly heldBytes?: number;
  /** Ends a request with code 1. */
  fail(open: OpenRequest, error: CentreondError): void;
  /** Why `owner` may no longer call `action` on `target`, or undefined. */
  mayStill(owner: string, action: string, target: string): CentreondError | undefined;
}

/** An accepted request that its node does not have yet, as far as is known here. */
interface Parcel {
  readonly open: OpenRequest;
  readonly envelope: Envelope;
  /** Counts as held for its owner until it goes for the first time. */
  held: boolean;
  /** Had to wait for its node: whoever sent it may have lost the right meanwhile. */
  waited: boolean;
  /** A carrier had it and did not answer: the node may run it already. */
  perhaps: boolean;
  tries: number;
  carrier: Carrier | undefined;
  handedAt: number;
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
export class Forwarding {
  readonly #options: ForwardingOptions;
  readonly #queues = new Map<string, Queue>();
  readonly #parcels = new Map<OpenRequest, Parcel>();
  readonly #heldOf = new Map<string, number>();
  readonly #inquiries: Inquiries;
  #heldBytes = 0;
  #sweep: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: ForwardingOptions) {
    this.#options = options;
    this.#inquiries = new Inquiries(options);
    options.routes.onChange((targets) => {
      for (const target of targets) this.#pump(target);
    });
    options.routes.onLeft((carrier) => this.#carrierLeft(carrier));
  }

  /** Requests that wait for their node, of them held ones, and those whose carrier has not answered. */
  get counters(): { waiting: number; held: number; handed: number } {
    const counters = { waiting: 0, held: 0, handed: 0 };
    for (const { waiting, handed } of this.#queues.values()) {
      counters.waiting += waiting.size;
      counters.handed += handed.size;
    }
    for (const held of this.#heldOf.values()) counters.held += held;
    return counters;
  }

  /** Whether `target` is a node that is reached from here, or may be. */
  knows(target: string): boolean {
    return this.#options.routes.knows(target);
  }

  /** Whether `action`, which is unknown here, may be known elsewhere. */
  mayKnow(action: string, target: string): boolean {
    const { routes } = this.#options;
    return routes.knows(target) || routes.nodesWith(action).length > 0;
  }

  /** `action` on the node `target`, for one request. `local` is the action of that name here, if there is one. */
  action(name: string, target: string, envelope: Envelope, local: RegisteredAction | undefined): RegisteredAction {
    const executor = new Departure(this, target, envelope);
    return { manifest: (local ?? unknownHere(name)).manifest, type: '', executor, fault: () => undefined };
  }

  /** Takes up a request of an earlier run, which may have handed it over. */
  resume(open: OpenRequest, envelope: Envelope): void {
    const held = envelope.hold === true;
    if (held) this.countHeld(open.owner, open.data.length, 1);
    this.submit(open, envelope, held, true);
  }

  /** Why no such request can go to `target` at all. */
  targetFault(action: string, target: string): CentreondError | undefined {
    const { routes, id } = this.#options;
    if (!routes.knows(target)) return failure('UNKNOWN_TARGET', { target, router: id });
    const actions = routes.actionsOf(target);
    if (!actions || actions.has(action)) return undefined;
    return failure('NODE_LACKS_ACTION', { target, action, have: routes.nodesWith(action) });
  }

  /** What speaks against taking a request for another node. */
  refusal(action: string, target: string, envelope: Envelope, owner: string): CentreondError | undefined {
    const { routes, id, clock } = this.#options;
    const { hops = [], hold, deadline } = envelope;
    const fault = this.targetFault(action, target);
    if (fault) return fault;
    const why = `is not reached from ${id} without a loop or within 8 hops (it came through ${hops.join(', ')})`;
    if (hops.includes(id) || routes.loops(target, hops)) return failure('NODE_UNREACHABLE', { target, why });
    if (hold && deadline !== undefined && deadline * 1000 > clock.now() + LONGEST_HOLD_MS) {
      return failure('INVALID_DATA', { action, reason: 'its "$" is to be held for more than 7 days' });
    }
    if (!routes.pick(target, hops)) {
      if (!hold) return failure('NODE_UNREACHABLE', { target });
      if ((this.#heldOf.get(owner) ?? 0) >= HELD_PER_IDENTITY) {
        return failure('BUSY', { what: `the list of requests held for ${owner}`, limit: HELD_PER_IDENTITY });
      }
      const { heldBytes = HELD_BYTES } = this.#options;
      if (this.#heldBytes >= heldBytes) {
        return failure('BUSY', { what: 'the list of held requests (in bytes)', limit: heldBytes });
      }
    } else if ((this.#queues.get(target)?.waiting.size ?? 0) >= WAITING_PER_NODE) {
      return failure('BUSY', { what: `the queue for the node ${target}`, limit: WAITING_PER_NODE });
    }
    return undefined;
  }

  /** Whether a request would have to wait for its node. */
  waits(target: string, envelope: Envelope): boolean {
    return this.#options.routes.pick(target, envelope.hops) === undefined;
  }

  /** Counts a request as held for `owner`; `by` is 1, or -1 to let it go. */
  countHeld(owner: string, bytes: number, by: 1 | -1): void {
    const count = (this.#heldOf.get(owner) ?? 0) + by;
    if (count === 0) this.#heldOf.delete(owner);
    else this.#heldOf.set(owner, count);
    this.#heldBytes += by * bytes;
  }

  /** Takes an accepted request. `perhaps`: an earlier run of this daemon may have handed it over. */
  submit(open: OpenRequest, envelope: Envelope, held: boolean, perhaps = false): void {
    const now = this.#options.clock.now();
    const parcel: Parcel = {
      open,
      envelope,
      held,
      waited: held || perhaps,
      perhaps,
      tries: 0,
      carrier: undefined,
      handedAt: 0,
      retryAt: 0,
      since: now,
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
      const path = this.#options.routes.pick(target, parcel.envelope.hops);
      if (path?.carrier.congested) return;
      if (path) this.#hand(queue, parcel, path, now);
      // With hops of its own a request may lack a way that the others have.
      else if (!parcel.envelope.hops) return;
    }
  }

  #hand(queue: Queue, parcel: Parcel, { carrier }: Path, now: number): void {
    const { open, envelope } = parcel;
    const refusal = parcel.waited
      ? this.#options.mayStill(open.owner, open.action.manifest.name, open.target)
      : undefined;
    if (refusal) {
      this.forget(open);
      // What the node may run already, and nobody held, is left to its rows.
      if (envelope.hold || !parcel.perhaps) this.#options.fail(open, refusal);
      return;
    }
    this.#letGo(parcel);
    queue.waiting.delete(parcel);
    queue.handed.add(parcel);
    const attempt = ++parcel.tries;
    parcel.carrier = carrier;
    parcel.handedAt = now;
    if (open.state === 'waiting') {
      open.state = 'running';
      open.startedAt = now;
    }
    open.deadline = open.wantedUntil + ROW_DELAY_MS;
    const bounded = envelope.hold || envelope.deadline !== undefined;
    const request = {
      action: open.action.manifest.name,
      token: open.token,
      target: open.target,
      data: open.data,
      envelope: forwarded(this.#options.id, open.owner, envelope, bounded ? open.wantedUntil : undefined),
    };
    carrier.carry(request, (delivered) => {
      if (parcel.tries === attempt && queue.handed.has(parcel)) this.#answered(queue, parcel, delivered);
    });
  }

  #answered(queue: Queue, parcel: Parcel, delivered: Delivered): void {
    const { open } = parcel;
    if ('ack' in delivered || open.state === 'ended') this.forget(open);
    else {
      const { code, message } = delivered.error;
      const unsure = UNSURE.has(code);
      if (unsure || NOT_NOW.has(code)) this.#again(queue, parcel, parcel.perhaps || unsure, FIRST_RETRY_MS);
      else {
        this.forget(open);
        this.#options.fail(open, new CentreondError(code, message));
      }
    }
    this.#pump(open.target);
  }

  /** Back to those that wait. */
  #again(queue: Queue, parcel: Parcel, perhaps: boolean, delayMs: number): void {
    const { open } = parcel;
    const now = this.#options.clock.now();
    queue.handed.delete(parcel);
    queue.waiting.add(parcel);
    parcel.carrier = undefined;
    parcel.perhaps = perhaps;
    parcel.waited = true;
    parcel.since = now;
    const delay = Math.min(LONGEST_RETRY_MS, delayMs * 2 ** Math.min(parcel.tries - 1, 10));
    parcel.retryAt = delay === 0 ? 0 : now + delay * (0.5 + Math.random() / 2);
    if (!perhaps && open.state === 'running') {
      open.state = 'waiting';
      open.deadline = open.wantedUntil;
    }
  }

  #carrierLeft(carrier: Carrier): void {
    for (const [target, queue] of this.#queues) {
      for (const parcel of [...queue.handed]) if (parcel.carrier === carrier) this.#again(queue, parcel, true, 0);
      this.#pump(target);
    }
  }

  #onSweep(): void {
    const now = this.#options.clock.now();
    for (const [target, queue] of this.#queues) {
      for (const parcel of [...queue.handed]) {
        if (parcel.open.state === 'ended') this.forget(parcel.open);
        else if (now - parcel.handedAt > ANSWER_LIMIT_MS) this.#again(queue, parcel, true, 0);
      }
      for (const parcel of [...queue.waiting]) this.#sweepWaiting(parcel, now);
      this.#pump(target);
      if (queue.waiting.size + queue.handed.size === 0) this.#queues.delete(target);
    }
    if (this.#queues.size > 0) return;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }

  #sweepWaiting(parcel: Parcel, now: number): void {
    const { open, envelope, perhaps } = parcel;
    // What is aborted and may run at its node ends by a row from there, or when its grace is over.
    if (open.state === 'ended' || open.aborted) this.forget(open);
    else if (!this.waits(open.target, envelope)) parcel.since = now;
    else if (!envelope.hold && !perhaps && now - parcel.since > PATIENCE_MS) {
      this.forget(open);
      this.#options.fail(open, failure('NODE_UNREACHABLE', { target: open.target }));
    }
  }

  #letGo(parcel: Parcel): void {
    if (!parcel.held) return;
    parcel.held = false;
    this.countHeld(parcel.open.owner, parcel.open.data.length, -1);
  }

  /** Whether a request still waits for its node, or for its node's word that it has it. */
  has(open: OpenRequest): boolean {
    return this.#parcels.has(open);
  }

  /** Drops a request that is over for this router, or delivered. */
  forget(open: OpenRequest): void {
    const parcel = this.#parcels.get(open);
    if (!parcel) return;
    this.#parcels.delete(open);
    this.#letGo(parcel);
    const queue = this.#queues.get(open.target);
    queue?.waiting.delete(parcel);
    queue?.handed.delete(parcel);
  }

  /** Tells the node to stop a request that it may run. */
  cancel(open: OpenRequest, envelope: Envelope): void {
    const { token, target, owner } = open;
    this.ask({ action: 'CANCEL', token: '', target, data: `{"token":"${token}"}` }, owner, envelope).catch(
      (error: unknown) => this.#options.log.warn({ err: error, token }, `${target} was not told to stop ${token}`),
    );
  }

  /** Asks a node what is not recorded here, as {@link Inquiries.ask} does. */
  ask(request: Omit<Carried, 'envelope'>, owner: string, envelope: Envelope): Promise<string> {
    return this.#inquiries.ask(request, owner, envelope);
  }

  /** Hands over nothing more. What is open stays so on disk. */
  stop(): void {
    this.#stopped = true;
    clearInterval(this.#sweep);
  }
}
