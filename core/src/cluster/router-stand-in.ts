import type { ActionManifest } from '@centreond/plugin-sdk/internal';
import { CentreondError, failure, isCentreondError, isRetryable, type JsonObject, reasonOf } from '@centreond/protocol';
import { Unanswered } from '../fleet/pending.ts';
import type { Log } from '../log.ts';
import { forwarded, ownerOf } from '../router/envelope.ts';
import type { Peer } from '../router/peer.ts';
import type { StandIn } from '../router/placement.ts';
import { Answer, type Asked, type OpenRequest } from '../router/request.ts';
import type { Requests } from '../router/requests.ts';
import type { Bus } from './bus.ts';
import type { RouterCarrier } from './router-carrier.ts';

const HAND_OVER_MS = 10_000;
const ASK_MS = 60_000;
const AGAIN_MS = 1000;
/** Another router has the turn within 15 s. */
const PATIENCE_MS = 30_000;
const ABORT_GRACE_MS = 60_000;

export interface StandInOptions {
  /** This router's id. */
  readonly id: string;
  readonly type: string;
  readonly bus: Pick<Bus, 'ask'>;
  readonly requests: Pick<Requests, 'fail'>;
  readonly clock: { now(): number };
  readonly log: Log;
  /** The router that runs the plugin, if one is known to. */
  runsOn(): string | undefined;
  carrierOf(router: string): RouterCarrier;
}

/** Runs the actions of a plugin while it is the turn of another router: hands each request over to that one. */
export class RouterStandIn implements StandIn {
  readonly elsewhere = true;
  readonly abortGraceMs = ABORT_GRACE_MS;
  readonly #options: StandInOptions;
  /** Requests that were not handed over yet. */
  readonly #waiting = new Set<OpenRequest>();
  /** Those that another router has. */
  readonly #handed = new WeakMap<OpenRequest, string>();
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(options: StandInOptions) {
    this.#options = options;
  }

  runsOn(): string | undefined {
    return this.#options.runsOn();
  }

  takeBack(): OpenRequest[] {
    this.stop();
    return [...this.#waiting];
  }

  /** Hands over nothing more. */
  stop(): void {
    this.#isOver = true;
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
    const router = this.#handed.get(open);
    if (router === undefined) return;
    const { bus, log } = this.#options;
    const { token, owner } = open;
    bus.ask(router, 'cancel', JSON.stringify({ token, by: owner }), HAND_OVER_MS).catch((error: unknown) => {
      log.warn({ err: error, token }, `${router} was not told to stop ${token}: ${reasonOf(error)}`);
    });
  }

  withdraw(open: OpenRequest): void {
    this.#waiting.delete(open);
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

  #pump(): void {
    if (this.#isOver) return;
    const router = this.runsOn();
    for (const open of this.#waiting) {
      if (open.state !== 'waiting') this.#waiting.delete(open);
      else if (router !== undefined) void this.#handOver(open, router);
      else if (this.#options.clock.now() - open.acceptedAt > PATIENCE_MS) {
        this.#waiting.delete(open);
        this.#options.requests.fail(open, this.#unreachable());
      }
    }
    if (this.#waiting.size > 0) this.#again();
  }

  #again(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#pump(), AGAIN_MS).unref();
  }

  async #handOver(open: OpenRequest, router: string): Promise<void> {
    const { id, clock, requests } = this.#options;
    const { token, owner, data, envelope, action } = open;
    this.#waiting.delete(open);
    open.started(clock.now(), open.wantedUntil);
    this.#handed.set(open, router);
    const bounded = envelope.deadline !== undefined ? open.wantedUntil : undefined;
    const request = {
      ...{ action: action.manifest.name, token, target: router, owner, data },
      envelope: forwarded(id, owner, envelope, bounded),
    };
    try {
      await this.#options.carrierOf(router).carry(request, HAND_OVER_MS);
    } catch (error) {
      if (open.state !== 'running') return;
      const code = isCentreondError(error) ? error.code : 'INTERNAL';
      if (error instanceof Unanswered || isRetryable(code)) {
        open.requeued();
        if (this.#isOver) return;
        this.#waiting.add(open);
        this.#again();
      } else requests.fail(open, isCentreondError(error) ? error : new CentreondError(code, reasonOf(error)));
    }
  }

  #unreachable(): CentreondError {
    const { type, id } = this.#options;
    return failure('NODE_UNREACHABLE', {
      target: id,
      why: `does not run the plugin ${type} now, and no other router of its cluster does`,
    });
  }
}
