import { decodeText, failure, parseReply } from '@centreond/protocol';
import type { Peer } from '../router/peer.ts';
import type { Verbs } from '../router/verbs.ts';
import { Pending } from './pending.ts';

/** Requests that one peer has not answered, at most. */
const PER_PEER = 10_000;

/** A message to a peer; `data` is the JSON text of DATA, its `$` included. */
export interface PeerRequest {
  readonly action: string;
  readonly token: string;
  readonly target: string;
  readonly data: string;
}

/** What this router asks of its peers by their own sessions: of nodes that came by themselves, and of parents. */
export class PeerRequests {
  readonly #pending = new Map<Peer, Pending>();

  constructor(verbs: Verbs) {
    for (const verb of ['ACK', 'PONG']) verbs.on(verb, undefined, (peer, message) => this.#answered(peer, message));
  }

  /**
   * Sends a request, which must bear a token, and resolves with the data of the ACK as JSON text. Rejects as {@link Pending.ask}
   * does, and with NODE_UNREACHABLE if the peer's session has ended.
   */
  async ask(peer: Peer, { action, token, target, data }: PeerRequest, limitMs: number): Promise<string> {
    if (!peer.open) throw failure('NODE_UNREACHABLE', { target: peer.identity });
    const pending = this.#pending.get(peer) ?? this.#begin(peer);
    return pending.ask(token, limitMs, () => peer.send(`[${action}] [${token}] [${target}] ${data}`));
  }

  #begin(peer: Peer): Pending {
    const pending = new Pending(peer.identity, PER_PEER);
    this.#pending.set(peer, pending);
    peer.onLeft(() => {
      this.drop(peer);
      this.#pending.delete(peer);
    });
    return pending;
  }

  /** Takes an answer, also one that comes too late. From a peer that was never asked it is no answer: the ladder refuses it. */
  #answered(peer: Peer, message: Buffer): boolean {
    const pending = this.#pending.get(peer);
    if (!pending) return false;
    const { token, data } = parseReply(decodeText(message));
    pending.answer(token, data);
    return true;
  }

  /** Waits for no answer of the peer any more: what it had to answer rejects with Unanswered. */
  drop(peer: Peer): void {
    this.#pending.get(peer)?.drop();
  }
}
