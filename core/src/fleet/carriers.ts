import { decodeText, formatMessage, type JsonObject, type NodeAnnouncement, parseReply } from '@centreond/plugin-sdk';
import type { Peer } from '../router/peer.ts';
import type { Verbs } from '../router/verbs.ts';
import type { Carried, Carrier, Delivered, Routes } from './routes.ts';

/** What may be on its way to an instance before requests wait for it here. */
const CONGESTED_CHARACTERS = 8 * 1024 * 1024;

/** An instance that is the way to nodes, over its link. */
class InstanceCarrier implements Carrier {
  readonly #waiting = new Map<string, (delivered: Delivered) => void>();
  #number = 0;

  constructor(private readonly peer: Peer) {}

  get name(): string {
    return this.peer.identity;
  }

  get congested(): boolean {
    return this.peer.backlog > CONGESTED_CHARACTERS;
  }

  // A number of its own: two requests of one token may be under way, as a PING and what it came to ask after.
  carry({ action, token, target, data, envelope }: Carried, answered: (delivered: Delivered) => void): void {
    const number = String(++this.#number);
    this.#waiting.set(number, answered);
    const text = `{"action":"${action}","token":"${token}","data":${data},"envelope":${JSON.stringify(envelope)}}`;
    this.peer.send(formatMessage('CARRY', number, target, text));
  }

  answer(number: string, delivered: Delivered): void {
    const answered = this.#waiting.get(number);
    this.#waiting.delete(number);
    answered?.(delivered);
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

  /** Whether this session is a way to `node`. */
  carries(peer: Peer, node: string): boolean {
    const carrier = this.#carriers.get(peer);
    return carrier !== undefined && this.#routes.carries(carrier, node);
  }

  /** Whether a node that this session carries is `target`, or leads to it. */
  leads(peer: Peer, via: string, target: string): boolean {
    const carrier = this.#carriers.get(peer);
    return carrier !== undefined && this.#routes.leads(carrier, via, target);
  }

  /** Its nodes are unreachable by this session. */
  #left(peer: Peer): void {
    const carrier = this.#carriers.get(peer);
    this.#carriers.delete(peer);
    if (carrier) this.#routes.left(carrier);
  }

  /** An instance says what came of a request that it carries. */
  #carried(peer: Peer, message: Buffer): true {
    const { token, data } = parseReply(decodeText(message));
    const reply = JSON.parse(data) as { code: number; data: JsonObject };
    const { error, message: told } = reply.data;
    const delivered: Delivered =
      reply.code === 0
        ? { ack: JSON.stringify(reply.data) }
        : { error: { code: String(error), message: String(told) } };
    this.#carriers.get(peer)?.answer(token, delivered);
    return true;
  }
}
