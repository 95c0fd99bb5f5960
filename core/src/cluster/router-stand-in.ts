import type { ActionManifest } from '@centreond/plugin-sdk/internal';
import { CentreondError, failure, isCentreondError, isRetryable, type JsonObject, reasonOf } from '@centreond/protocol';
import { Unanswered } from '../fleet/pending.ts';
import type { Log } from '../log.ts';
import { forwarded, ownerOf } from '../router/envelope.ts';
import type { Peer } from '../router/peer.ts';
import type { StandIn } from '../router/placement.ts';
import { Answer, type Asked, type OpenRequest } from '../router/request.ts';
import type { Requests } from '../router/requests.ts';
import type { Membership } from '../store/membership.ts';
import type { Bus } from './bus.ts';
import type { RouterCarrier } from './router-carrier.ts';

const HAND_OVER_MS = 10_000;
const ASK_MS = 60_000;
const AGAIN_MS = 1000;
/** Another router has the turn within 15 s. */
const PATIENCE_MS = 30_000;
const ABORT_GRACE_MS = 60_000;

/** What is known of a request that was handed over: it is on its way; nobody knows where it is; another router has it, or had it. */
type Fate = 'asked' | 'unsure' | 'theirs';

export interface StandInOptions {
  /** This router's id. */
  readonly id: string;
  readonly type: string;
  readonly bus: Pick<Bus, 'ask'>;
  readonly membership: Pick<Membership, 'holderOf'>;
  readonly requests: Pick<Requests, 'fail'>;
  readonly clock: { now(): number };
  readonly log: Log;
  /** The router that runs the plugin, if one is known to. */
  runsOn(): string | undefined;
  carrierOf(router: string): RouterCarrier;
  /** Keeps a request: nobody who was told before that it may be taken can take it any more. Resolves with whether it is this router's. */
  keep(token: string): Promise<boolean>;
}

/** Runs the actions of a plugin while it is the turn of another router: hands each request over to that one. */
export class RouterStandIn implements StandIn {
  readonly abortGraceMs = ABORT_GRACE_MS;
  readonly #options: StandInOptions;
  /** Requests that were never handed over. */
  readonly #waiting = new Set<OpenRequest>();
  /** Those that were, and run here again only once the database says that no other router has them. */
  readonly #handed = new Map<OpenRequest, Fate>();
  /** Why some of those end, unless another router has them. */
  readonly #refusals = new WeakMap<OpenRequest, CentreondError>();
  #timer: NodeJS.Timeout | undefined;
  #isBusy = false;
  #isTakenBack = false;
  #isStopped = false;

  constructor(options: StandInOptions) {
    this.#options = options;
  }

  /** Once it is taken back: only while another router has some of its requests, or may have. */
  get elsewhere(): true | undefined {
    return !this.#isTakenBack || this.#hasHanded ? true : undefined;
  }

  /** Whether nothing comes of it any more. */
  get isOver(): boolean {
    return this.#isStopped || (this.#isTakenBack && !this.#hasHanded);
  }

  runsOn(): string | undefined {
    return this.#options.runsOn();
  }

  takeBack(): OpenRequest[] {
    this.#isTakenBack = true;
    const all = [...this.#waiting];
    this.#waiting.clear();
    void this.#round();
    return all;
  }

  /** Hands over nothing more, and asks for nothing. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  admit(): undefined {
    return undefined;
  }

  async ask(action: ActionManifest, data: JsonObject, peer: Peer, { token, envelope }: Asked): Promise<Answer> {
    const { id, carrierOf } = this.#options;
    const router = this.runsOn();
    if (router === undefined) throw this.#unreachable();
    const owner = ownerOf(peer, envelope);
    const request = {
      ...{ action: action.name, token: action.effects === 'read' ? '' : token, target: router, owner },
      ...{ data: JSON.stringify(data), envelope: forwarded(id, owner, envelope, undefined) },
    };
    return new Answer(await carrierOf(router).carry(request, ASK_MS));
  }

  submit(open: OpenRequest): void {
    this.#waiting.add(open);
    this.#pump();
  }

  abort(open: OpenRequest): void {
    if (this.#handed.has(open)) void this.#find(open);
  }

  /** Whether another router took it, as far as is known here. */
  isTheirs(open: OpenRequest): boolean {
    return this.#handed.get(open) === 'theirs';
  }

  withdraw(open: OpenRequest): void {
    this.#waiting.delete(open);
    this.#handed.delete(open);
  }

  hearers(): [] {
    return [];
  }

  ids(): string[] {
    return [];
  }

  async kill(): Promise<void> {
    const router = this.runsOn();
    const where =
      router === undefined ? 'it runs on no router now' : `it runs on the router ${router}: send KILL there`;
    throw failure('INVALID_DATA', {
      action: 'KILL',
      reason: `the plugin ${this.#options.type} does not run here; ${where}`,
    });
  }

  get #hasHanded(): boolean {
    for (const open of this.#handed.keys()) {
      if (open.state !== 'ended') return true;
      this.#handed.delete(open);
    }
    return false;
  }

  #pump(): void {
    if (this.#isStopped || this.#isTakenBack) return;
    const router = this.runsOn();
    for (const open of this.#waiting) {
      if (open.state !== 'waiting') this.#waiting.delete(open);
      else if (router !== undefined) void this.#handOver(open, router);
      else if (this.#isTooLate(open)) {
        this.#waiting.delete(open);
        this.#options.requests.fail(open, this.#unreachable());
      }
    }
    if (this.#waiting.size > 0) this.#again();
  }

  #isTooLate(open: OpenRequest): boolean {
    return this.#options.clock.now() - open.acceptedAt > PATIENCE_MS;
  }

  #again(): void {
    if (this.#isStopped) return;
    const later = () => {
      this.#timer = undefined;
      void this.#round();
    };
    this.#timer ??= setTimeout(later, AGAIN_MS).unref();
  }

  /** Hands over what waits, and asks who has what nobody answered for: one after the other, since there may be thousands. */
  async #round(): Promise<void> {
    if (this.#isStopped) return;
    this.#pump();
    if (this.#isBusy) return this.#again();
    this.#isBusy = true;
    for (const [open, fate] of this.#handed) {
      if (open.state === 'ended') this.#handed.delete(open);
      else if (fate === 'unsure') await this.#find(open);
    }
    this.#isBusy = false;
    if ([...this.#handed.values()].includes('unsure')) this.#again();
  }

  async #handOver(open: OpenRequest, router: string): Promise<void> {
    const { id, clock } = this.#options;
    const { token, owner, data, envelope, action } = open;
    this.#waiting.delete(open);
    const isFirst = !this.#handed.has(open);
    this.#handed.set(open, 'asked');
    if (isFirst) open.started(clock.now(), open.wantedUntil);
    const bounded = envelope.deadline !== undefined ? open.wantedUntil : undefined;
    const request = {
      ...{ action: action.manifest.name, token, target: router, owner, data },
      envelope: forwarded(id, owner, envelope, bounded),
    };
    try {
      await this.#options.carrierOf(router).carry(request, HAND_OVER_MS);
      if (this.#handed.get(open) !== 'asked') return;
      this.#handed.set(open, 'theirs');
      if (open.abortedFor) await this.#find(open);
    } catch (error) {
      if (this.#handed.get(open) === 'asked') this.#refused(open, error, isFirst);
    }
  }

  /** Another router may have it although it answers that it does not: by an earlier hand-over, or by one that arrives late. */
  #refused(open: OpenRequest, error: unknown, isFirst: boolean): void {
    const refusal = isCentreondError(error) ? error : new CentreondError('INTERNAL', reasonOf(error));
    const isForGood = !(error instanceof Unanswered) && !isRetryable(refusal.code);
    if (open.state === 'ended') this.#handed.delete(open);
    else if (isForGood && isFirst) {
      this.#handed.delete(open);
      this.#options.requests.fail(open, refusal);
    } else {
      if (isForGood) this.#refusals.set(open, refusal);
      this.#handed.set(open, 'unsure');
      if (this.#isTakenBack) void this.#round();
      else this.#again();
    }
  }

  /** Asks the database which router has a request that was handed over, and does what follows from that. */
  async #find(open: OpenRequest): Promise<void> {
    const { id, membership, log } = this.#options;
    const { token } = open;
    let holder: string | undefined;
    try {
      holder = await membership.holderOf(token);
      // Kept, it is taken by nobody who was told of it before.
      if (holder === id && this.#handed.get(open) === 'unsure' && !(await this.#options.keep(token))) return;
    } catch (error) {
      const what = `which router has ${token} is not known now`;
      if (!open.abortedFor) log.debug({ err: error, token }, `${what}: ${reasonOf(error)}`);
      else log.warn({ err: error, token }, `${what}, so it is not told to stop: ${reasonOf(error)}`);
      return;
    }
    const fate = this.#handed.get(open);
    if (fate === undefined || this.#isStopped) return;
    if (open.state === 'ended') this.#handed.delete(open);
    else if (holder === id) this.#free(open, fate);
    else {
      // Its rows end it; where it is not open any more, they are there.
      if (fate === 'unsure') this.#handed.set(open, 'theirs');
      if (holder !== undefined && open.abortedFor) this.#tellToStop(open, holder);
    }
  }

  /** No other router has it. One that was theirs has been taken over, which settles it; one that is on its way may arrive. */
  #free(open: OpenRequest, fate: Fate): void {
    if (fate !== 'unsure') return;
    const { requests } = this.#options;
    const router = this.runsOn();
    const end = open.abortedFor ?? this.#refusals.get(open);
    if (end) {
      this.#handed.delete(open);
      requests.fail(open, end);
    } else if (this.#isTakenBack) {
      this.#handed.delete(open);
      open.requeued();
      open.action.executor.submit(open);
    } else if (router !== undefined) void this.#handOver(open, router);
    else if (this.#isTooLate(open)) {
      this.#handed.delete(open);
      requests.fail(open, this.#unreachable());
    }
  }

  #tellToStop({ token, owner }: OpenRequest, router: string): void {
    const { bus, log } = this.#options;
    bus.ask(router, 'cancel', JSON.stringify({ token, by: owner }), HAND_OVER_MS).catch((error: unknown) => {
      log.warn({ err: error, token }, `${router} was not told to stop ${token}: ${reasonOf(error)}`);
    });
  }

  #unreachable(): CentreondError {
    const { type, id } = this.#options;
    return failure('NODE_UNREACHABLE', {
      target: id,
      why: `does not run the plugin ${type} now, and no other router of its cluster does`,
    });
  }
}
