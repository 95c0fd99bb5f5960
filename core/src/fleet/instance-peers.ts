import { formatMessage } from '@centreond/protocol';
import { type Grant, Leaving, type Peer, type PeerRole } from '../router/peer.ts';

/**
 * Peers that speak through instances of plugins: what they say and hear travels in messages `[VERB] [NUMBER] [] MESSAGE` of the
 * instance, which chooses the numbers. They leave with it.
 */
export class InstancePeers {
  readonly #peers = new Map<Peer, Map<string, PeerBehind>>();

  /** `limit` is for each instance. */
  constructor(
    private readonly verb: string,
    private readonly limit: number,
  ) {}

  /** Adds a peer, in place of the one with its number. Returns false if the instance has `limit` others. */
  add(instance: Peer, number: string, grant: Grant, address?: string): boolean {
    this.remove(instance, number);
    let peers = this.#peers.get(instance);
    if (!peers) {
      peers = new Map();
      this.#peers.set(instance, peers);
      instance.onLeft(() => this.#left(instance));
    }
    if (peers.size >= this.limit) return false;
    peers.set(number, new PeerBehind(grant, instance, this.verb, number, address));
    return true;
  }

  get(instance: Peer, number: string): Peer | undefined {
    return this.#peers.get(instance)?.get(number);
  }

  /** What is granted to `identity`, by whichever instance it came. */
  grantOf(identity: string): Grant | undefined {
    for (const peers of this.#peers.values()) {
      for (const { grant } of peers.values()) if (grant.identity === identity) return grant;
    }
    return undefined;
  }

  /** The peer leaves. Does nothing if there is none with this number. */
  remove(instance: Peer, number: string): void {
    const peers = this.#peers.get(instance);
    const peer = peers?.get(number);
    peers?.delete(number);
    peer?.end();
  }

  #left(instance: Peer): void {
    const peers = this.#peers.get(instance);
    this.#peers.delete(instance);
    for (const peer of peers?.values() ?? []) peer.end();
  }
}

class PeerBehind implements Peer {
  open = true;
  readonly identity: string;
  readonly roles: ReadonlySet<PeerRole>;
  declare readonly address?: string;
  readonly #leaving = new Leaving();

  constructor(
    readonly grant: Grant,
    private readonly instance: Peer,
    private readonly verb: string,
    private readonly number: string,
    address: string | undefined,
  ) {
    this.identity = grant.identity;
    this.roles = new Set(grant.roles);
    if (address !== undefined) this.address = address;
  }

  get backlog(): number {
    return this.instance.backlog;
  }

  onLeft(listener: () => void): void {
    this.#leaving.add(listener);
  }

  end(): void {
    this.open = false;
    this.#leaving.over();
  }

  send(message: string): void {
    if (this.open) this.instance.send(formatMessage(this.verb, this.number, '', message));
  }
}
