import type { Peer } from './peer.ts';

/** While a peer has this much to read, those that have more for it wait. */
const SLOW_BACKLOG = 8 * 1024 * 1024;
const CHECK_MS = 20;
/** Each of those that go on together may read a page of the history. */
const AT_ONCE = 4;

/** Peers that read more slowly than they are sent, and what waits for them. */
export class SlowPeers {
  readonly #waiting = new Map<Peer, (() => void)[]>();

  /** Whether the peer has so much to read that no more should be made for it. */
  isSlow(peer: Peer): boolean {
    return peer.open && peer.backlog > SLOW_BACKLOG;
  }

  /** Resolves when the peer is no longer slow or is gone; only a few of those that wait for a peer do so at a time. */
  wait(peer: Peer): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(peer);
      if (waiting) waiting.push(resolve);
      else {
        this.#waiting.set(peer, [resolve]);
        this.#check(peer);
      }
    });
  }

  #check(peer: Peer): void {
    setTimeout(() => {
      const waiting = this.#waiting.get(peer) ?? [];
      if (!this.isSlow(peer)) {
        for (const resolve of waiting.splice(0, peer.open ? AT_ONCE : waiting.length)) resolve();
      }
      if (waiting.length > 0) this.#check(peer);
      else this.#waiting.delete(peer);
    }, CHECK_MS);
  }
}
