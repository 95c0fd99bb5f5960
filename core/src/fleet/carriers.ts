import type { NodeAnnouncement } from '@centreond/plugin-sdk/nodes';
import { decodeText, formatMessage, parseReply } from '@centreond/protocol';
import type { Peer } from '../router/peer.ts';
import type { Verbs } from '../router/verbs.ts';
import { Pending } from './pending.ts';
import type { Carried, Carrier, Routes } from './routes.ts';

/** What may be on its way to an instance before requests wait for it here. */
const CONGESTED_CHARACTERS = 8 * 1024 * 1024;
/** Requests that an instance carries and has not answered: what the windows of thousands of nodes hold. */
const PER_INSTANCE = 1_000_000;

/** An instance that is the way to nodes, over its link. */
class InstanceCarrier implements Carrier {
  readonly pending: Pending;
  #number = 0;

  constructor(private readonly peer: Peer) {
    this.pending = new Pending(peer.identity, PER_INSTANCE);
  }

  get name(): string {
    return this.peer.identity;
  }

  get congested(): boolean {
    return this.peer.backlog > CONGESTED_CHARACTERS;
  }

  // A number of its own: two requests of one token may be under way, as a PING and what it came to ask after.
  carry({ action, token, target, data, envelope }: Carried, limitMs: number): Promise<string> {
    const number = String(++this.#number);
    const text = `{"action":"${action}","token":"${token}","data":${data},"envelope":${JSON.stringify(envelope)}}`;
    return this.pending.ask(number, limitMs, () => this.peer.send(formatMessage('CARRY', number, target, text)));
  }
}

/** The instances that carry, each by its session. */
export class Carriers {
  readonly #routes: Routes;
  readonly #carriers = new Map<Peer, InstanceCarrier>();

  constructor(routes: Routes, verbs: Verbs) {
    this.#routes = routes;
    verbs.on('CARRIED', 'plugin', (peer, message) => this.#carried(peer, message));
  }

  /** Takes what an instance says of its nodes. */
  announce(peer: Peer, nodes: readonly NodeAnnouncement[], gone: readonly string[]): void {
    // One that left while this was on its way carries nothing any more.
    if (!peer.open) return;
    let carrier = this.#carriers.get(peer);
    if (!carrier) {
      carrier = new InstanceCarrier(peer);
      this.#carriers.set(peer, carrier);
      peer.onLeft(() => this.#left(peer));
    }
    this.#routes.announce(carrier, nodes, gone);
  }

  /** What this session carries by; undefined if it carries nothing. */
  of(peer: Peer): Carrier | undefined {
    return this.#carriers.get(peer);
  }

  /** Its nodes are unreachable by this session. */
  #left(peer: Peer): void {
    const carrier = this.#carriers.get(peer);
    if (!carrier) return;
    this.#carriers.delete(peer);
    this.#routes.left(carrier);
    carrier.pending.drop();
  }

  /** An instance says what came of a request that it carries. */
  #carried(peer: Peer, message: Buffer): true {
    const { token: number, data } = parseReply(decodeText(message));
    this.#carriers.get(peer)?.pending.answer(number, data);
    return true;
  }
}
