import { formatMessage, parseReply } from '@centreond/plugin-sdk';
import type { Grant } from '../doors/trust.ts';
import type { Peer, PeerRole } from '../router/peer.ts';
import type { PeerRequests } from './peer-requests.ts';

const HEAD = '[LINK';
const VERBS: ReadonlySet<string> = new Set(['LINKUP', 'LINKDOWN', 'LINKED', 'LINKLOGS']);
/** Links of one instance. */
const PER_INSTANCE = 1000;

export interface ServedLinksOptions {
  readonly requests: PeerRequests;
  /** A message of the router at the other end, in the order in which it sent it. */
  receive(peer: Peer, message: Buffer): void;
  /** The router at the other end is to get this one's log. */
  streamLogs(peer: Peer): void;
  left(peer: Peer): void;
}

/**
 * The routers at the other end of links that plugins opened with `serve`: each is a peer with the role `router`, as if it had
 * come to the external door. That it is the one whose key is pinned is the plugin's word, which is trusted like the daemon's.
 */
export class ServedLinks {
  readonly #links = new Map<Peer, Map<string, ServedPeer>>();

  constructor(private readonly options: ServedLinksOptions) {}

  /** Takes a message of an instance if it is about a link that is served; false for any other. */
  receive(instance: Peer, message: Buffer): boolean {
    if (message.toString('latin1', 0, HEAD.length) !== HEAD) return false;
    const { action, token: number, target, data } = parseReply(message.toString());
    if (!VERBS.has(action)) return false;
    const links = this.#links.get(instance) ?? new Map<string, ServedPeer>();
    const peer = links.get(number);
    if (action === 'LINKED') {
      const bytes = Buffer.from(data);
      if (peer && !this.options.requests.receive(peer, bytes)) this.options.receive(peer, bytes);
      return true;
    }
    if (action === 'LINKLOGS') {
      if (peer) this.options.streamLogs(peer);
      return true;
    }
    if (peer) this.#end(links, number, peer);
    if (action === 'LINKUP' && links.size < PER_INSTANCE) {
      links.set(number, new ServedPeer(target, instance, number));
      this.#links.set(instance, links);
    }
    return true;
  }

  #end(links: Map<string, ServedPeer>, number: string, peer: ServedPeer): void {
    links.delete(number);
    peer.open = false;
    this.options.left(peer);
  }

  /** Forgets an instance that is gone, and the links that it had. */
  left(instance: Peer): void {
    const links = this.#links.get(instance);
    this.#links.delete(instance);
    for (const [number, peer] of links ?? []) this.#end(links as Map<string, ServedPeer>, number, peer);
  }
}

/** A router at the other end of a link. */
class ServedPeer implements Peer {
  open = true;
  readonly grant: Grant;
  readonly roles: ReadonlySet<PeerRole> = new Set<PeerRole>(['router']);

  constructor(
    readonly identity: string,
    private readonly instance: Peer,
    private readonly number: string,
  ) {
    this.grant = { identity, fingerprint: '', roles: ['router'] };
  }

  get backlog(): number {
    return this.instance.backlog;
  }

  send(message: string): void {
    if (this.open) this.instance.send(formatMessage('LINKED', this.number, '', message));
  }
}
