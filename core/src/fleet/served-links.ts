import { formatMessage, parseReply } from '@centreond/protocol';
import type { Log } from '../log.ts';
import { type Grant, Leaving, type Peer, type PeerRole } from '../router/peer.ts';
import type { Receive, Verbs } from '../router/verbs.ts';

/** Links of one instance. */
const PER_INSTANCE = 1000;

export interface ServedLinksOptions {
  readonly verbs: Verbs;
  readonly log: Log;
  /** The router at the other end is to get this one's log. */
  streamLogs(peer: Peer): void;
}

/**
 * The routers at the other end of links that plugins opened with `serve`: each is a peer with the role `router`, as if it had
 * come to the external door. That it is the one whose key is pinned is the plugin's word, which is trusted like the daemon's.
 */
export class ServedLinks {
  readonly #links = new Map<Peer, Map<string, ServedPeer>>();

  constructor(private readonly options: ServedLinksOptions) {
    const { verbs } = options;
    verbs.on('LINKUP', 'plugin', (instance, message) => this.#up(instance, message));
    verbs.on('LINKDOWN', 'plugin', (instance, message) => this.#down(instance, parseReply(message.toString()).token));
    verbs.on('LINKED', 'plugin', (instance, message, receive) => this.#linked(instance, message, receive));
    verbs.on('LINKLOGS', 'plugin', (instance, message) => this.#logs(instance, message));
  }

  #up(instance: Peer, message: Buffer): true {
    const { token: number, target } = parseReply(message.toString());
    this.#down(instance, number);
    let links = this.#links.get(instance);
    if (!links) {
      links = new Map();
      this.#links.set(instance, links);
      instance.onLeft(() => this.#left(instance));
    }
    if (links.size < PER_INSTANCE) links.set(number, new ServedPeer(target, instance, number));
    else {
      const text = `the plugin ${instance.identity.slice(1)} serves ${PER_INSTANCE} links already; the one to ${target} is not served`;
      this.options.log.warn({ router: target }, text);
    }
    return true;
  }

  #down(instance: Peer, number: string): true {
    const links = this.#links.get(instance);
    const peer = links?.get(number);
    links?.delete(number);
    peer?.end();
    return true;
  }

  #linked(instance: Peer, message: Buffer, receive: Receive): true {
    const { token: number, data } = parseReply(message.toString());
    const peer = this.#links.get(instance)?.get(number);
    if (peer) receive(peer, Buffer.from(data));
    return true;
  }

  #logs(instance: Peer, message: Buffer): true {
    const peer = this.#links.get(instance)?.get(parseReply(message.toString()).token);
    if (peer) this.options.streamLogs(peer);
    return true;
  }

  #left(instance: Peer): void {
    const links = this.#links.get(instance);
    this.#links.delete(instance);
    for (const peer of links?.values() ?? []) peer.end();
  }
}

/** A router at the other end of a link. */
class ServedPeer implements Peer {
  open = true;
  readonly grant: Grant;
  readonly #leaving = new Leaving();
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

  onLeft(listener: () => void): void {
    this.#leaving.add(listener);
  }

  end(): void {
    this.open = false;
    this.#leaving.over();
  }

  send(message: string): void {
    if (this.open) this.instance.send(formatMessage('LINKED', this.number, '', message));
  }
}
