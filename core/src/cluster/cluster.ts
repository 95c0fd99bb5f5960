import type { CentreondError } from '@centreond/protocol';
import type { Clock } from '../clock.ts';
import type { Closing } from '../closing.ts';
import type { SharedTrust } from '../doors/shared-trust.ts';
import type { Forwarding } from '../fleet/forwarding.ts';
import type { Routes } from '../fleet/routes.ts';
import type { Chronicle } from '../log/chronicle.ts';
import type { Log } from '../log.ts';
import type { Envelope } from '../router/envelope.ts';
import type { Followers } from '../router/followers.ts';
import type { Grant, Peer } from '../router/peer.ts';
import type { Registry } from '../router/registry.ts';
import type { OpenRequest } from '../router/request.ts';
import type { Requests } from '../router/requests.ts';
import type { Heartbeat as Beat, Membership, RouterRecord } from '../store/membership.ts';
import type { TokenStore } from '../store/token-store.ts';
import type { Bus } from './bus.ts';
import { CarriedNodes } from './carried-nodes.ts';
import { ForwardedRequests } from './forwarded-requests.ts';
import type { Heartbeat } from './heartbeat.ts';
import { type Load, readLoad } from './load.ts';
import { Placements } from './placements.ts';
import { RouterCarrier } from './router-carrier.ts';
import { ServedRequests } from './served-requests.ts';
import { Takeover } from './takeover.ts';
import type { Watches } from './watches.ts';

/** What is watched is looked for in the database so often: what NATS lost is found then. */
const LOOK_MS = 1000;
/** Tokens that have been watched for longer are looked for each so many times. */
const LOOK_AT_ALL = 5;
/** Tokens that are looked for in one statement. */
const LOOK_TOKENS = 5000;
const CANCEL_MS = 10_000;
const CLOSE_MS = 500;

export interface ClusterOptions {
  /** This router's id. */
  readonly id: string;
  readonly version: string;
  /** Where this router is reached; '' without an external door. */
  readonly endpoint: string;
  readonly membership: Membership;
  readonly bus: Bus;
  readonly watches: Watches;
  readonly heartbeat: Heartbeat;
  readonly sharedTrust: Pick<SharedTrust, 'changed'>;
  readonly store: TokenStore;
  readonly registry: Registry;
  readonly requests: Requests;
  readonly followers: Followers;
  readonly routes: Routes;
  readonly forwarding: Forwarding;
  readonly chronicle: Pick<Chronicle, 'tell'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly closing: Closing;
  receive(peer: Peer, message: Buffer): void;
  mayStill(owner: string, action: string, target: string): CentreondError | 'later' | undefined;
  grantOf(identity: string): Grant | undefined;
  synchronise(node: string, envelope: Envelope): Promise<void>;
}

/** Another router that is up. */
interface Up {
  /** When the process had started that was seen up. */
  readonly startedAt: number;
  /** What it says of itself, and whether NATS reaches it. */
  readonly load: Load;
}

/** This router among the others of its cluster. */
export class Cluster {
  readonly #options: ClusterOptions;
  readonly #nodes: CarriedNodes;
  readonly #forwarded: ForwardedRequests;
  readonly #takeover: Takeover;
  readonly #served: ServedRequests;
  /** Which plugins run here of those that run on one router at a time. */
  readonly placements: Placements;
  readonly #carriers = new Map<string, RouterCarrier>();
  /** The other routers that are up. */
  readonly #up = new Map<string, Up>();
  #looks = 0;
  #isLooking = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ClusterOptions) {
    this.#options = options;
    const { id, membership, bus, routes, forwarding, log } = options;
    this.#forwarded = new ForwardedRequests(options);
    const carrierOf = (router: string) => this.#carrierOf(router);
    this.#nodes = new CarriedNodes({ id, membership, bus, routes, log, carrierOf });
    this.placements = new Placements({
      ...{ ...options, carrierOf, others: (type) => this.#othersOf(type) },
      beatAge: () => this.#options.heartbeat.age,
      beat: () => this.#options.heartbeat.beat(),
      routers: () => this.#options.heartbeat.last.routers,
      keep: (token) => this.#forwarded.keep(token),
    });
    this.#served = new ServedRequests({
      ...options,
      synchronise: (node) => options.synchronise(node, { text: '' }),
      unsure: () => this.#takeover.unsure(),
    });
    this.#takeover = new Takeover({
      ...options,
      recovery: { ...options, elsewhere: forwarding },
      isClaiming: (token) => this.#served.isClaiming(token),
      isDelivered: (open) => this.#isDelivered(open),
    });
  }

  /**
   * Enters the cluster: from here on this router takes what others hand to it, and what is open at those that are gone. Call it once what
   * the last run left open is settled. Rejects with a plain Error where NATS refuses it.
   */
  async enter(): Promise<void> {
    const { bus, watches, heartbeat, endpoint, closing } = this.#options;
    closing.push('the cluster', CLOSE_MS, () => this.#close());
    await bus.open({
      answer: (from, what, text) => this.#served.answer(from, what, text),
      told: (from, what, text) => this.#told(from, what, text),
      changed: (away) => this.#natsChanged(away),
    });
    await heartbeat.speak({
      ...{ endpoint, load: () => this.#load() },
      heard: (beat, isSteady) => this.#heard(beat, isSteady),
    });
    watches.repeat();
    this.placements.start();
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  /** Ends a request that is open at another router. Resolves with whether it was; rejects where that is not reached. */
  async cancel(token: string, by: string): Promise<boolean> {
    const { membership, bus, id } = this.#options;
    const holder = await membership.holderOf(token);
    if (holder === undefined || holder === id) return false;
    const answer = await bus.ask(holder, 'cancel', JSON.stringify({ token, by }), CANCEL_MS);
    return (JSON.parse(answer) as { cancelled?: unknown }).cancelled === true;
  }

  /** Forgets a router that is gone for good. Resolves when its absence is heard here; the others hear of it by their own heartbeats. */
  async forget(router: string): ReturnType<Membership['forget']> {
    const { membership, heartbeat } = this.#options;
    const done = await membership.forget(router);
    if (done === 'forgotten') await heartbeat.hurry();
    return done;
  }

  /** Another router took the request: this one handed it over, to the router that it is for, or to the one that runs its plugin. */
  #isDelivered(open: OpenRequest): boolean {
    const { forwarding, heartbeat } = this.#options;
    const isForRouter = heartbeat.last.routers.some(({ id }) => id === open.target && id !== this.#options.id);
    return this.placements.isTheirs(open) || (isForRouter && !forwarding.has(open));
  }

  #othersOf(type: string): { competing: string[]; running: string | undefined } {
    const up = [...this.#up].filter(([, { load }]) => load.isReached);
    return {
      competing: up.flatMap(([id, { load }]) => (load.competes.includes(type) ? [id] : [])),
      running: up.find(([, { load }]) => load.runs.includes(type))?.[0],
    };
  }

  #carrierOf(router: string): RouterCarrier {
    const { bus, registry } = this.#options;
    let carrier = this.#carriers.get(router);
    if (!carrier) {
      carrier = new RouterCarrier(router, bus, this.#forwarded, registry);
      this.#carriers.set(router, carrier);
    }
    return carrier;
  }

  async #heard({ routers, trust }: Beat, isSteady: boolean): Promise<void> {
    const { id, sharedTrust } = this.#options;
    sharedTrust.changed(trust);
    const others = routers.filter((one) => one.id !== id);
    const up = others.filter(({ state }) => state === 'up');
    for (const [one, { startedAt }] of [...this.#up]) {
      const now = others.find((other) => other.id === one);
      // What was asked of a process that another one has replaced since, nobody answers.
      const isSame = now?.state === 'up' && now.startedAt === startedAt;
      if (!isSame) this.#left(one, now === undefined || now.state === 'up' ? 'stopped' : now.state);
    }
    for (const one of this.#carriers.keys()) {
      if (others.some(({ id: other }) => other === one)) continue;
      this.#nodes.forget(one);
      this.#carriers.delete(one);
    }
    for (const one of up) {
      this.#present(one, { startedAt: one.startedAt, load: readLoad(one.load) });
    }
    await this.#nodes.tell();
    await this.#nodes.look(up, (one) => readLoad(one.load).carried);
    // Who just came back does not know who else was silent only because the database was.
    this.#takeover.look(others, isSteady);
  }

  #load(): Load {
    const { registry, requests, bus } = this.#options;
    const { count: nodes, version: carried } = this.#nodes;
    const isReached = bus.away === undefined;
    return {
      ...{ open: requests.used().count, nodes, carried, isReached, actions: registry.actions },
      ...this.placements.types,
    };
  }

  /** A router is up: it, and what it carries, is reached if NATS reaches both. */
  #present(router: RouterRecord, known: Up): void {
    const { chronicle, watches, bus } = this.#options;
    const isNew = !this.#up.has(router.id);
    this.#up.set(router.id, known);
    if (isNew) {
      chronicle.tell('ROUTER_UP', { router: router.id });
      // What was said before it came, it has not heard.
      watches.repeat();
    }
    const { load } = known;
    const away = bus.away ?? (load.isReached ? undefined : `NATS is away at the router ${router.id}`);
    const { id, version } = router;
    this.#nodes.router({ id, version, state: 'up', actions: load.actions }, away);
  }

  #left(router: string, state: string): void {
    const { bus, watches, chronicle } = this.#options;
    this.#up.delete(router);
    chronicle.tell('ROUTER_DOWN', { router, state });
    this.#nodes.left(router);
    bus.drop(router);
    watches.dropRouter(router);
  }

  #told(from: string, what: string, text: string): void {
    const { watches, sharedTrust } = this.#options;
    this.#isHeard(from);
    if (what === 'nodes') this.#nodes.told(from, text);
    else if (what === 'trust') sharedTrust.changed(Number(text));
    else watches.told(from, what, text);
  }

  /** Who is heard is reached, whatever its last heartbeat said. */
  #isHeard(from: string): void {
    const known = this.#up.get(from);
    const router = this.#options.heartbeat.last.routers.find(({ id }) => id === from);
    if (!known || !router || known.load.isReached) return;
    this.#present(router, { ...known, load: { ...known.load, isReached: true } });
  }

  #natsChanged(away: string | undefined): void {
    const { chronicle, watches, bus } = this.#options;
    if (away === undefined) chronicle.tell('NATS_UP', { servers: bus.servers });
    else chronicle.tell('NATS_AWAY', { reason: away });
    for (const router of this.#options.heartbeat.last.routers) {
      const known = this.#up.get(router.id);
      if (known) this.#present(router, known);
    }
    void this.#options.heartbeat.hurry();
    if (away === undefined) watches.repeat();
  }

  /** Looks for rows that nobody told of. */
  #look(): void {
    const { membership, watches, log } = this.#options;
    if (this.#isLooking) return;
    this.#forwarded.sweep();
    const seen = [...watches.seen()];
    const due = ++this.#looks % LOOK_AT_ALL === 0 ? seen : seen.filter(([, last]) => last === 0);
    if (due.length === 0) return;
    this.#isLooking = true;
    const look = async () => {
      for (let at = 0; at < due.length; at += LOOK_TOKENS) {
        watches.found(await membership.newsOf(new Map(due.slice(at, at + LOOK_TOKENS))));
      }
    };
    look()
      .catch((error: unknown) => log.debug({ err: error }, 'the rows of followed tokens were not looked for'))
      .finally(() => {
        this.#isLooking = false;
      });
  }

  /** Takes no request of another router any more: this one stops. */
  drain(): void {
    this.#served.stop();
  }

  async #close(): Promise<void> {
    const { bus, watches } = this.#options;
    clearInterval(this.#timer);
    this.placements.stop();
    this.#nodes.stop();
    watches.stop();
    await bus.close();
  }
}
