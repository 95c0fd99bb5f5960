import { CentreondError, decodeText, failure, parseReply } from '@centreond/plugin-sdk';
import { z } from 'zod';
import type { Peer } from '../router/peer.ts';
import type { Verbs } from '../router/verbs.ts';

/** Requests that one peer has not answered, at most. */
const PER_PEER = 10_000;

const Reply = z.object({ code: z.number(), data: z.record(z.string(), z.json()).exactOptional() });

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A message to a peer; `data` is the JSON text of DATA, its `$` included. */
export interface PeerRequest {
  readonly action: string;
  readonly token: string;
  readonly target: string;
  readonly data: string;
}

interface Waiting {
  readonly timer: NodeJS.Timeout;
  resolve(data: string): void;
  reject(error: CentreondError): void;
}

/** What this router asks of its peers by their own sessions: of nodes that came by themselves, and of parents. */
export class PeerRequests {
  readonly #waiting = new Map<Peer, Map<string, Waiting>>();

  constructor(verbs: Verbs) {
    for (const verb of ['ACK', 'PONG']) verbs.on(verb, undefined, (peer, message) => this.#answered(peer, message));
  }

  /**
   * Sends a request, which must bear a token, and resolves with the data of the ACK as JSON text. Rejects with the peer's
   * refusal; with NODE_UNREACHABLE when its session ends before; with WAIT_OVER after `limitMs`; with BUSY where the peer has
   * too much to answer, or that token.
   */
  ask(peer: Peer, { action, token, target, data }: PeerRequest, limitMs: number): Promise<string> {
    return new Promise((resolve, reject) => {
      if (!peer.open) throw failure('NODE_UNREACHABLE', { target: peer.identity });
      let ofPeer = this.#waiting.get(peer);
      if (!ofPeer) {
        ofPeer = new Map();
        this.#waiting.set(peer, ofPeer);
        peer.onLeft(() => this.#left(peer));
      }
      if (ofPeer.size >= PER_PEER || ofPeer.has(token)) {
        throw failure('BUSY', { what: `the list of requests that ${peer.identity} has to answer`, limit: PER_PEER });
      }
      const timer = setTimeout(() => {
        this.#waiting.get(peer)?.delete(token);
        reject(failure('WAIT_OVER', { token, seconds: limitMs / 1000 }));
      }, limitMs);
      timer.unref();
      ofPeer.set(token, { timer, resolve, reject });
      peer.send(`[${action}] [${token}] [${target}] ${data}`);
    });
  }

  /** Takes an answer, also one that comes too late. From a peer that was never asked it is no answer: the ladder refuses it. */
  #answered(peer: Peer, message: Buffer): boolean {
    const ofPeer = this.#waiting.get(peer);
    if (!ofPeer) return false;
    const { token, data } = parseReply(decodeText(message));
    const waiting = ofPeer.get(token);
    if (!waiting) return true;
    clearTimeout(waiting.timer);
    ofPeer.delete(token);
    const { data: reply } = Reply.safeParse(jsonOf(data));
    if (!reply) {
      waiting.reject(failure('NODE_UNREACHABLE', { target: peer.identity, why: 'sent a malformed answer' }));
      return true;
    }
    if (reply.code === 0) waiting.resolve(JSON.stringify(reply.data ?? {}));
    else {
      const { error, message: told } = reply.data ?? {};
      waiting.reject(new CentreondError(String(error ?? 'INTERNAL'), String(told ?? 'The peer gave no reason.')));
    }
    return true;
  }

  /** What a peer had to answer rejects. */
  #left(peer: Peer): void {
    const ofPeer = this.#waiting.get(peer);
    this.#waiting.delete(peer);
    for (const { timer, reject } of ofPeer?.values() ?? []) {
      clearTimeout(timer);
      reject(failure('NODE_UNREACHABLE', { target: peer.identity }));
    }
  }
}
