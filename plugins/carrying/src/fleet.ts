import { isDeepStrictEqual } from 'node:util';
import { type Ack, failure, type Logger, reasonOf, type State, type Transport } from '@centreond/plugin-sdk';
import type { CarriedRequest, NodeAnnouncement, Subnode } from '@centreond/plugin-sdk/nodes';
import type { CarriedNode, NodeKind } from './carried-node.ts';
import { InFlight } from './in-flight.ts';
import type { NodeSettings } from './node-fields.ts';

/** What changed is announced at once, but not more often than this. */
const CHANGE_MS = 50;
/** Where only times changed. */
const TIMES_MS = 1000;
const LOOK_MS = 20;

export interface FleetOptions<N extends NodeSettings> {
  readonly kind: NodeKind<N>;
  readonly transport: Transport;
  readonly state: State;
  readonly log: Logger;
}

interface Entry<N> {
  readonly config: N;
  readonly inFlight: InFlight;
  /** None where its settings cannot work: it is shown as unreachable then. */
  node: CarriedNode | undefined;
  announcement: NodeAnnouncement;
  /** The announcement without its times, as text. */
  essence: string;
}

/** The nodes that this instance carries: puts them to work, announces them, and gives each what is for it. */
export class Fleet<N extends NodeSettings> {
  readonly #options: FleetOptions<N>;
  readonly #entries = new Map<string, Entry<N>>();
  #carrying: Disposable | undefined;
  #timer: NodeJS.Timeout | undefined;
  #dueAt = Number.POSITIVE_INFINITY;
  #announcedAt = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: FleetOptions<N>) {
    this.#options = options;
  }

  /** Puts a node to work with these settings, in place of others. Rejects with what is wrong with them; it is unreachable then. */
  async bring(config: N): Promise<void> {
    const { id, name } = config;
    const { kind, ...options } = this.#options;
    const before = this.#entries.get(id);
    if (before?.node && isDeepStrictEqual(before.config, config)) return;
    await before?.node?.close();
    if (this.#closed) return;
    const entry: Entry<N> = {
      config,
      inFlight: new InFlight(),
      node: undefined,
      announcement: { id, kind: kind.name, state: 'unreachable', ...(name !== undefined && { name }) },
      essence: '',
    };
    this.#entries.set(id, entry);
    try {
      entry.node = kind.make(config, { ...options, changed: () => this.#changed(entry) });
    } finally {
      this.#changed(entry);
    }
  }

  /** Puts a node to work whatever its settings are worth; what is wrong with them is logged. Returns that as a sentence. */
  async bringOrTell(config: N): Promise<string | undefined> {
    try {
      await this.bring(config);
      return undefined;
    } catch (error) {
      const reason = reasonOf(error);
      this.#options.log.error({ node: config.id, err: error }, `the node ${config.id} cannot be carried: ${reason}`);
      const entry = this.#entries.get(config.id);
      if (entry && !entry.node) {
        entry.announcement = { ...entry.announcement, reason: `it cannot be carried: ${reason}`.slice(0, 1024) };
        this.#changed(entry);
      }
      return reason;
    }
  }

  /** Stops carrying a node: it is forgotten. */
  async drop(id: string): Promise<void> {
    const entry = this.#entries.get(id);
    if (!entry) return;
    const { node } = entry;
    // Still carried while it is closed: the core takes its last rows from nobody else.
    entry.node = undefined;
    entry.announcement = { ...entry.announcement, state: 'unreachable' };
    this.announce();
    await node?.close();
    if (this.#entries.get(id) === entry) this.#entries.delete(id);
    this.announce();
  }

  /** Resolves when those of `ids` that are carried here are up, after `limitMs` at the latest. */
  async whenUp(ids: readonly string[], limitMs: number): Promise<void> {
    const limit = performance.now() + limitMs;
    const waited = ids.flatMap((id) => this.#entries.get(id) ?? []);
    while (waited.some(({ announcement }) => announcement.state !== 'up') && performance.now() < limit) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** Ends every link. Those of `gone` are forgotten, the others unreachable. */
  async close(gone: ReadonlySet<string>): Promise<void> {
    for (const id of gone) void this.#entries.get(id)?.node?.close();
    for (const id of gone) this.#entries.delete(id);
    this.announce();
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#carrying?.[Symbol.dispose]();
    await Promise.all([...this.#entries.values()].map(({ node }) => node?.close()));
  }

  // ---- what is announced ------------------------------------------------------------------------------------------

  #changed(entry: Entry<N>): void {
    const { config, node } = entry;
    if (this.#entries.get(config.id) !== entry) return;
    if (node) entry.announcement = node.announcement();
    const { lastPing: _, lastPong: __, roundTripMs: ___, clockSkewSeconds: ____, ...lasting } = entry.announcement;
    const essence = JSON.stringify(lasting);
    const another = essence !== entry.essence;
    entry.essence = essence;
    this.#announceBy(this.#announcedAt + (another ? CHANGE_MS : TIMES_MS));
  }

  #announceBy(at: number): void {
    if (at >= this.#dueAt || this.#closed) return;
    this.#dueAt = at;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.announce(), Math.max(0, at - performance.now()));
  }

  /** Tells the core now what there is to tell. */
  announce(): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    this.#dueAt = Number.POSITIVE_INFINITY;
    this.#announcedAt = performance.now();
    const nodes = [...this.#entries.values()].map(({ announcement }) => announcement);
    this.#carrying = this.#options.transport.carry(nodes, (request) => this.#deliver(request));
  }

  // ---- what is delivered ------------------------------------------------------------------------------------------

  async #deliver(request: CarriedRequest): Promise<Ack> {
    const { target, envelope } = request;
    const entry = this.#entries.get(target) ?? this.#wayTo(target, envelope.hops);
    const node = entry?.node;
    if (!node) throw failure('NODE_UNREACHABLE', { target });
    return entry.inFlight.run(request, (one) => node.deliver(one));
  }

  /** The node over which another is reached at the least cost: the core names the target only. */
  #wayTo(target: string, hops: readonly string[]): Entry<N> | undefined {
    let best: { entry: Entry<N>; score: number } | undefined;
    for (const entry of this.#entries.values()) {
      const { id, state, score = 1, subnodes = [] } = entry.announcement;
      if (state !== 'up' || hops.includes(id)) continue;
      const sub = subnodes.map(asSubnode).find((one) => one.id === target && (one.state ?? 'up') === 'up');
      if (!sub) continue;
      const total = score + (sub.score ?? 1);
      if (!best || total < best.score) best = { entry, score: total };
    }
    return best?.entry;
  }
}

function asSubnode(entry: string | Subnode): Subnode {
  return typeof entry === 'string' ? { id: entry } : entry;
}
