import type { NodeAnnouncement, Subnode } from '@centreond/plugin-sdk/nodes';
import { newToken, reasonOf } from '@centreond/protocol';
import type { Log } from '../log.ts';
import type { Chronicle } from '../router/chronicle.ts';
import type { Events } from '../router/events.ts';
import type { Peer } from '../router/peer.ts';
import type { PeerRequests } from './peer-requests.ts';
import type { Carried, Carrier, Routes } from './routes.ts';
import { SharedKeys } from './shared-keys.ts';

const SWEEP_MS = 1000;
const PING_EVERY_MS = 5000;
/** Without a word for so long, a node is unreachable. */
const SILENCE_MS = 15_000;
/** How often the clock of a node is compared with this one. */
const CLOCK_EVERY_MS = 60_000;
const CONGESTED_BYTES = 8 * 1024 * 1024;

/** What a node says of itself. */
export interface Registration {
  readonly name?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly version: string;
  readonly actions: readonly string[];
  readonly nodes?: readonly (string | Subnode)[];
}

export interface NodeSessionsOptions {
  /** This router's id. */
  readonly id: string;
  readonly routes: Routes;
  readonly requests: PeerRequests;
  readonly events: Events;
  readonly chronicle: Pick<Chronicle, 'tell'>;
  readonly clock: { now(): number; monotonic(): number };
  readonly log: Log;
}

/** The session of a node that came by itself, as the way to it and to what is behind it. */
class NodeSession implements Carrier {
  announcement: NodeAnnouncement;
  /** When it began, in monotonic milliseconds. */
  readonly since: number;
  pingedAt = Number.NEGATIVE_INFINITY;
  comparedAt = Number.NEGATIVE_INFINITY;
  over = false;

  constructor(
    readonly peer: Peer,
    private readonly requests: PeerRequests,
    announcement: NodeAnnouncement,
    now: number,
  ) {
    this.announcement = announcement;
    this.since = now;
  }

  get name(): string {
    return `the session of ${this.peer.identity}`;
  }

  get congested(): boolean {
    return this.peer.backlog > CONGESTED_BYTES;
  }

  carry({ action, token, target, data, envelope }: Carried, limitMs: number): Promise<string> {
    const $ = `"$":${JSON.stringify(envelope)}`;
    const text = data === '{}' ? `{${$}}` : `${data.slice(0, -1)},${$}}`;
    return this.requests.ask(this.peer, { action, token, target, data: text }, limitMs);
  }

  ask(action: string, limitMs: number): Promise<string> {
    return this.requests.ask(this.peer, { action, token: newToken(), target: '', data: '{}' }, limitMs);
  }
}

/** The nodes that registered by the external door. They are held to answering: one that is silent is unreachable. */
export class NodeSessions {
  readonly #options: NodeSessionsOptions;
  readonly #sessions = new Map<Peer, NodeSession>();
  /** Peers whose end is listened for: one that leaves and comes again is the same session. */
  readonly #heard = new WeakSet<Peer>();
  /** The address of each node's session that was replaced, until the node registers again. */
  readonly #replaced = new Map<string, string>();
  readonly #sharedKeys: SharedKeys;
  #sweep: NodeJS.Timeout | undefined;

  constructor(options: NodeSessionsOptions) {
    this.#options = options;
    this.#sharedKeys = new SharedKeys(() => options.clock.monotonic());
  }

  /** Takes what a node says of itself, the first time or anew. Returns the ids behind it that its grant does not list. */
  register(peer: Peer, { name, labels, version, actions, nodes = [] }: Registration): string[] {
    const { id, requests, clock, events, log } = this.#options;
    const entries = nodes.map((entry): Subnode => (typeof entry === 'string' ? { id: entry } : entry));
    const others = entries.filter((entry) => entry.id !== id && entry.id !== peer.identity);
    const allowed = (entry: Subnode) => peer.grant.subnodes?.includes(entry.id) ?? false;
    const subnodes = others.filter(allowed);
    const refused = others.filter((entry) => !allowed(entry)).map((entry) => entry.id);
    const told: NodeAnnouncement = {
      id: peer.identity,
      ...(name !== undefined && { name }),
      ...(labels !== undefined && { labels }),
      version,
      actions,
      subnodes,
      kind: 'pull',
      state: 'up',
      ...(peer.address !== undefined && { address: peer.address }),
    };
    let session = this.#sessions.get(peer);
    if (!session) {
      session = new NodeSession(peer, requests, told, clock.monotonic());
      this.#sessions.set(peer, session);
      this.#compareAddresses(peer);
      if (!this.#heard.has(peer)) peer.onLeft(() => this.unregister(peer));
      this.#heard.add(peer);
      this.#sweep ??= setInterval(() => this.#onSweep(), SWEEP_MS).unref();
      void this.#ping(session);
    }
    if (refused.length > 0) {
      const list = refused.join(', ');
      log.warn(
        { node: peer.identity },
        `${peer.identity} announces nodes that its entry in clients.authorized does not list under subnodes: ${list}; they are ignored`,
      );
    }
    this.#announce(session, told);
    const event = { id: peer.identity, version, actions: [...actions], nodes: subnodes.map((entry) => entry.id) };
    events.emit('REGISTERNODE', { ...event, ...(name !== undefined && { name }) });
    return refused;
  }

  /**
   * The node leaves, or its session has ended: it is unreachable at once, and what it did not answer goes again. Returns false if
   * it was not registered.
   */
  unregister(peer: Peer): boolean {
    const session = this.#sessions.get(peer);
    if (!session) return false;
    this.#sessions.delete(peer);
    session.over = true;
    if (peer.replaced && peer.address !== undefined) this.#replaced.set(peer.identity, peer.address);
    this.#options.routes.left(session);
    this.#options.requests.drop(peer);
    this.#options.events.emit('UNREGISTERNODE', { id: peer.identity });
    return true;
  }

  /** Forgets a node that may come no more, and ends its registration. */
  forget(node: string): void {
    for (const peer of [...this.#sessions.keys()]) if (peer.identity === node) this.unregister(peer);
    this.#replaced.delete(node);
    this.#options.routes.forget(node);
  }

  /** The two latest addresses of a node whose key two machines use by turns; empty for any other node. */
  addressesOf(node: string): string[] {
    return this.#sharedKeys.addressesOf(node);
  }

  #compareAddresses({ identity, address }: Peer): void {
    const before = this.#replaced.get(identity);
    this.#replaced.delete(identity);
    if (before === undefined || address === undefined) return;
    if (!this.#sharedKeys.replaced(identity, before, address)) return;
    this.#options.chronicle.tell('NODE_KEY_SHARED', { node: identity, addresses: [before, address] });
    this.#options.log.warn(
      { node: identity, addresses: [before, address] },
      `${identity} connects from ${before} and from ${address} by turns: two machines have its key, and each ends the other's session. Give each machine a key of its own with \`centreond join ID\`.`,
    );
  }

  /** Pings no more. */
  stop(): void {
    clearInterval(this.#sweep);
  }

  #announce(session: NodeSession, change: Partial<NodeAnnouncement>): void {
    session.announcement = { ...session.announcement, ...change };
    if (!session.over) this.#options.routes.announce(session, [session.announcement]);
  }

  #onSweep(): void {
    const now = this.#options.clock.monotonic();
    for (const session of this.#sessions.values()) {
      if (now - session.pingedAt >= PING_EVERY_MS) void this.#ping(session);
      const heardAt = Math.max(session.since, session.peer.heardAt ?? 0);
      if (now - heardAt > SILENCE_MS && session.announcement.state === 'up') {
        this.#announce(session, { state: 'unreachable', reason: 'it does not answer' });
      }
    }
  }

  async #ping(session: NodeSession): Promise<void> {
    const { clock } = this.#options;
    const start = clock.monotonic();
    session.pingedAt = start;
    const lastPing = seconds(clock.now());
    session.announcement = { ...session.announcement, lastPing };
    try {
      await session.ask('PING', SILENCE_MS);
      const roundTripMs = Math.round((clock.monotonic() - start) * 1000) / 1000;
      this.#announce(session, { state: 'up', lastPong: seconds(clock.now()), roundTripMs });
      if (start - session.comparedAt >= CLOCK_EVERY_MS) {
        session.comparedAt = start;
        await this.#compareClocks(session);
      }
    } catch (error) {
      // Silence and the session's end are told by the state; a refusal of PING is none.
      this.#options.log.debug({ node: session.peer.identity }, `no PONG: ${reasonOf(error)}`);
    }
  }

  async #compareClocks(session: NodeSession): Promise<void> {
    const { clock } = this.#options;
    const start = clock.now();
    const { time } = JSON.parse(await session.ask('INFORMATION', SILENCE_MS)) as { time?: unknown };
    if (typeof time !== 'number') return;
    const skew = (time - (start + clock.now()) / 2) / 1000;
    this.#announce(session, { clockSkewSeconds: Math.round(skew * 1000) / 1000 });
  }
}

function seconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1000);
}
