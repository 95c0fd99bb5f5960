import type { Clock } from '../clock.ts';

export interface HandshakeQueueLimits {
  /** Handshakes whose signatures are computed at the same time. */
  readonly concurrency: number;
  /** Handshakes that may wait for that. */
  readonly queued: number;
  /** A handshake that waited longer is dropped: its client is about to give it up. Milliseconds. */
  readonly queueMs: number;
}

/** How the wait for a turn ended. Only after `turn` does {@link HandshakeQueue.done} have to be called. */
export type Turn = 'turn' | 'full' | 'late';

interface Waiting {
  readonly since: number;
  readonly end: (turn: Turn) => void;
}

/**
 * Handshakes that wait for a turn. The newest is next: in the order of arrival, a door with more of them than it has time for would
 * serve each one just before its client gives up, and do all of the work for nothing. For the same reason the oldest leaves where
 * the queue is full.
 */
export class HandshakeQueue {
  readonly #limits: HandshakeQueueLimits;
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** The oldest is first. */
  readonly #waiting: Waiting[] = [];
  #working = 0;

  constructor(limits: HandshakeQueueLimits, clock: Pick<Clock, 'monotonic'>) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** How many have their turn, and how many wait. */
  get load(): { working: number; waiting: number } {
    return { working: this.#working, waiting: this.#waiting.length };
  }

  /** Waits for a turn: `isKnown` is false for the key of a stranger, which gets a small part of the queue and takes nobody's place. */
  async turn(isKnown: boolean): Promise<Turn> {
    const { concurrency, queued } = this.#limits;
    if (this.#working < concurrency) {
      this.#working++;
      return 'turn';
    }
    this.sweep();
    if (!isKnown && this.#waiting.length >= Math.ceil(queued / 16)) return 'full';
    if (this.#waiting.length >= queued) this.#waiting.shift()?.end('full');
    return new Promise((end) => this.#waiting.push({ since: this.#clock.monotonic(), end }));
  }

  /** A turn is over: hands it on. */
  done(): void {
    this.sweep();
    const next = this.#waiting.pop();
    if (next) next.end('turn');
    else this.#working--;
  }

  /** Drops those that waited too long. */
  sweep(): void {
    const since = this.#clock.monotonic() - this.#limits.queueMs;
    const kept = this.#waiting.findIndex((one) => one.since >= since);
    const late = this.#waiting.splice(0, kept < 0 ? this.#waiting.length : kept);
    for (const { end } of late) end('late');
  }
}
