import { CentreondError, decodeText, failure, type JsonObject, parseReply } from '@centreond/plugin-sdk';
import type { Peer } from '../router/peer.ts';

/** Requests that one peer has not answered, at most. */
const PER_PEER = 10_000;
const ACK = '[ACK] ';
const PONG = '[PONG] ';

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

  /** Takes a message of a peer if it is an answer, also one that nobody waits for any more; false for any other. */
  receive(peer: Peer, message: Buffer): boolean {
    const head = message.toString('latin1', 0, PONG.length);
    if (head !== PONG && !head.startsWith(ACK)) return false;
    const ofPeer = this.#waiting.get(peer);
    // From those who are never asked it is no answer: the router says what it thinks of it.
    if (!ofPeer) return false;
    const { token, data } = parseReply(decodeText(message));
    const waiting = ofPeer.get(token);
    if (!waiting) return true;
    const reply = JSON.parse(data) as { code?: unknown; data?: JsonObject };
    clearTimeout(waiting.timer);
    ofPeer.delete(token);
    if (reply.code === 0) waiting.resolve(JSON.stringify(reply.data ?? {}));
    else {
      const { error, message: told } = reply.data ?? {};
      waiting.reject(new CentreondError(String(error ?? 'INTERNAL'), String(told ?? 'The peer gave no reason.')));
    }
    return true;
  }

  /** Forgets a peer whose session is over: what it had to answer rejects. */
  left(peer: Peer): void {
    const ofPeer = this.#waiting.get(peer);
    this.#waiting.delete(peer);
    for (const { timer, reject } of ofPeer?.values() ?? []) {
      clearTimeout(timer);
      reject(failure('NODE_UNREACHABLE', { target: peer.identity }));
    }
  }
}
