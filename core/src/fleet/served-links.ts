import { parseReply } from '@centreond/protocol';
import type { Log } from '../log.ts';
import type { Peer } from '../router/peer.ts';
import type { Receive, Verbs } from '../router/verbs.ts';
import { InstancePeers } from './instance-peers.ts';

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
  readonly #routers = new InstancePeers('LINKED', PER_INSTANCE);

  constructor(private readonly options: ServedLinksOptions) {
    const { verbs } = options;
    verbs.on('LINKUP', 'plugin', (instance, message) => this.#up(instance, message));
    verbs.on('LINKDOWN', 'plugin', (instance, message) => this.#down(instance, parseReply(message.toString()).token));
    verbs.on('LINKED', 'plugin', (instance, message, receive) => this.#linked(instance, message, receive));
    verbs.on('LINKLOGS', 'plugin', (instance, message) => this.#logs(instance, message));
  }

  #up(instance: Peer, message: Buffer): true {
    const { token: number, target: identity } = parseReply(message.toString());
    if (this.#routers.add(instance, number, { identity, fingerprint: '', roles: ['router'] })) return true;
    const text = `the plugin ${instance.identity.slice(1)} serves ${PER_INSTANCE} links already; the one to ${identity} is not served`;
    this.options.log.warn({ router: identity }, text);
    return true;
  }

  #down(instance: Peer, number: string): true {
    this.#routers.remove(instance, number);
    return true;
  }

  #linked(instance: Peer, message: Buffer, receive: Receive): true {
    const { token: number, data } = parseReply(message.toString());
    const peer = this.#routers.get(instance, number);
    if (peer) receive(peer, Buffer.from(data));
    return true;
  }

  #logs(instance: Peer, message: Buffer): true {
    const peer = this.#routers.get(instance, parseReply(message.toString()).token);
    if (peer) this.options.streamLogs(peer);
    return true;
  }
}
