import type { NodeAnnouncement } from '@centreond/plugin-sdk/nodes';
import { parseJson, reasonOf } from '@centreond/protocol';
import { z } from 'zod';
import { ToldNode } from '../fleet/fleet-actions.ts';
import type { Routes } from '../fleet/routes.ts';
import type { Log } from '../log.ts';
import type { CarriedNode, Membership, RouterRecord } from '../store/membership.ts';
import type { Bus } from './bus.ts';
import type { RouterCarrier } from './router-carrier.ts';

/** Changes within so long go in one message. */
const TICK_MS = 100;
/** A way by another router is longer than one of this router's own. */
const FARTHER = 1;
/** Nodes in one statement and one message. */
const AT_ONCE = 500;

const Change = z.strictObject({
  version: z.int(),
  nodes: z.array(z.strictObject({ node: z.string(), told: z.string() })),
  gone: z.array(z.string()),
});

export interface CarriedNodesOptions {
  /** This router's id. */
  readonly id: string;
  readonly membership: Membership;
  readonly bus: Bus;
  readonly routes: Routes;
  readonly log: Log;
  carrierOf(router: string): RouterCarrier;
}

/** Of another router, the version that is here, since when it counts, and the nodes of that version. */
interface Known {
  readonly startedAt: number;
  readonly version: number;
  readonly nodes: ReadonlyMap<string, NodeAnnouncement>;
}

/**
 * Which router of the cluster carries which node: what this one carries is in the database and told to the others, what those carry
 * is in the routes here. A message may be lost: the version in each heartbeat tells.
 */
export class CarriedNodes {
  readonly #options: CarriedNodesOptions;
  /** What was told of the nodes of this router, as JSON text. */
  #told = new Map<string, string>();
  #version = 0;
  #isFirst = true;
  #isBusy = false;
  #tick: NodeJS.Timeout | undefined;
  readonly #others = new Map<string, Known>();
  /** Routers whose nodes cannot be reached now, each with why. */
  readonly #away = new Map<string, string>();

  constructor(options: CarriedNodesOptions) {
    this.#options = options;
    options.routes.onChange(() => this.#soon());
  }

  /** Counts what was told: it is in the heartbeats of this router. */
  get version(): number {
    return this.#version;
  }

  /** How many nodes this router carries. */
  get count(): number {
    return this.#told.size;
  }

  /** Tells what has changed since it was told last. */
  async tell(): Promise<void> {
    if (this.#isBusy) return this.#soon();
    const { membership, routes, bus, log } = this.#options;
    const now = new Map(routes.own().map((node) => [node.id, textOf(node)]));
    const nodes = [...now].filter(([id, told]) => this.#told.get(id) !== told).map(([node, told]) => ({ node, told }));
    const gone = [...this.#told.keys()].filter((id) => !now.has(id));
    if (nodes.length + gone.length === 0 && !this.#isFirst) return;
    this.#isBusy = true;
    try {
      for (let at = 0; at === 0 || at < nodes.length; at += AT_ONCE) {
        const some = nodes.slice(at, at + AT_ONCE);
        const left = at === 0 ? gone : [];
        await membership.carry(some, left, false);
        bus.tell('*', 'nodes', JSON.stringify({ version: ++this.#version, nodes: some, gone: left }));
      }
      this.#told = now;
      this.#isFirst = false;
    } catch (error) {
      // The next heartbeat that gets through has it told again.
      log.debug({ err: error }, `what this router carries was not told: ${reasonOf(error)}`);
    } finally {
      this.#isBusy = false;
    }
  }

  #soon(): void {
    this.#tick ??= setTimeout(() => {
      this.#tick = undefined;
      void this.tell();
    }, TICK_MS);
  }

  /** Takes what the router `from` tells of its nodes. What does not follow on what is here is read in the database. */
  told(from: string, text: string): void {
    const read = Change.safeParse(parseJson(text));
    const known = this.#others.get(from);
    if (!read.success || !known || read.data.version !== known.version + 1) return;
    const { version, nodes, gone } = read.data;
    const all = new Map(known.nodes);
    for (const id of gone) all.delete(id);
    for (const { node, told } of nodes) this.#add(all, node, told);
    this.#others.set(from, { ...known, version, nodes: all });
    this.#announce(from, all, gone);
  }

  /** Takes the heartbeats of the other routers: reads again what of their nodes is newer than it is here. */
  async look(routers: readonly RouterRecord[], versionOf: (router: RouterRecord) => number): Promise<void> {
    const isStale = (one: RouterRecord) => {
      const known = this.#others.get(one.id);
      // A heartbeat may be older than what was told last.
      return known?.startedAt !== one.startedAt || known.version < versionOf(one);
    };
    const stale = routers.filter(isStale);
    if (stale.length === 0) return;
    const byRouter = Map.groupBy(await this.#options.membership.carried(), ({ router }) => router);
    // What was told meanwhile may be newer than what was read.
    for (const router of stale.filter(isStale)) {
      this.#renew(router, versionOf(router), byRouter.get(router.id) ?? []);
    }
  }

  #renew({ id, startedAt }: RouterRecord, version: number, carried: readonly CarriedNode[]): void {
    const before = this.#others.get(id)?.nodes ?? new Map<string, NodeAnnouncement>();
    const all = new Map<string, NodeAnnouncement>();
    for (const { node, told } of carried) this.#add(all, node, told);
    this.#others.set(id, { startedAt, version, nodes: all });
    this.#announce(
      id,
      all,
      [...before.keys()].filter((node) => !all.has(node)),
    );
  }

  #add(all: Map<string, NodeAnnouncement>, node: string, told: string): void {
    const read = ToldNode.safeParse(parseJson(told));
    // A later version may say what this one does not know.
    if (read.success) all.set(node, read.data);
    else this.#options.log.debug({ node }, 'what another router says of this node is not understood');
  }

  /** What the router itself runs, and that it is reached, or `away` for this reason: its nodes then are not. */
  router(self: NodeAnnouncement, away: string | undefined): void {
    const { routes, carrierOf } = this.#options;
    const wasAway = this.#away.get(self.id);
    if (away === undefined) this.#away.delete(self.id);
    else this.#away.set(self.id, away);
    const state = away === undefined ? self : { ...self, state: 'unreachable' as const, reason: away };
    routes.announce(carrierOf(self.id), [state]);
    if (wasAway !== away) this.#announce(self.id, this.#others.get(self.id)?.nodes ?? new Map(), []);
  }

  /** The router is gone: its nodes are unreachable until another carries them. */
  left(id: string): void {
    this.#others.delete(id);
    this.#away.delete(id);
    this.#options.routes.left(this.#options.carrierOf(id));
  }

  /** The router, which has left, was forgotten: nobody waits for it. */
  forget(id: string): void {
    this.#options.routes.forget(id);
  }

  stop(): void {
    clearTimeout(this.#tick);
  }

  #announce(router: string, nodes: ReadonlyMap<string, NodeAnnouncement>, gone: readonly string[]): void {
    const { routes, carrierOf, id } = this.#options;
    const away = this.#away.get(router);
    const seen = [...nodes.values()]
      .filter((node) => node.id !== id)
      .map((node): NodeAnnouncement => {
        const farther = { ...node, score: (node.score ?? 1) + FARTHER };
        return away === undefined ? farther : { ...farther, state: 'unreachable', reason: away };
      });
    routes.announce(carrierOf(router), seen, gone);
  }
}

/** What lasts of what is known of a node: when it answered last does not. */
function textOf(node: NodeAnnouncement): string {
  const { lastPing: _, lastPong: __, roundTripMs: ___, clockSkewSeconds: ____, ...lasting } = node;
  return JSON.stringify(lasting);
}
