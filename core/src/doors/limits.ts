import type { Clock } from '../clock.ts';

/** Lets `burst` through at once and `perSecond` after that. Times are monotonic milliseconds. */
export class Bucket {
  #level: number;
  #at = 0;

  constructor(
    readonly perSecond: number,
    readonly burst: number,
  ) {
    this.#level = burst;
  }

  /** Whether one more may pass now. */
  take(now: number): boolean {
    this.#level = this.level(now);
    this.#at = now;
    if (this.#level < 1) return false;
    this.#level--;
    return true;
  }

  /** How many could pass now. */
  level(now: number): number {
    return Math.min(this.burst, this.#level + ((now - this.#at) / 1000) * this.perSecond);
  }
}

/** A bucket per key, for at most `max` keys at a time; no further key passes. */
export class Buckets {
  readonly #buckets = new Map<string, Bucket>();

  constructor(
    readonly perSecond: number,
    readonly burst: number,
    readonly max: number,
  ) {}

  /** Whether one more of `key` may pass now. */
  take(key: string, now: number): boolean {
    let bucket = this.#buckets.get(key);
    if (!bucket) {
      if (this.#buckets.size >= this.max) return false;
      bucket = new Bucket(this.perSecond, this.burst);
      this.#buckets.set(key, bucket);
    }
    return bucket.take(now);
  }

  /** Forgets the keys whose bucket is full again. */
  sweep(now: number): void {
    for (const [key, bucket] of this.#buckets) if (bucket.level(now) >= this.burst) this.#buckets.delete(key);
  }

  get size(): number {
    return this.#buckets.size;
  }
}

/** The nonces of handshakes, per key, each kept until its handshake is too old to be taken anyway. */
export class Nonces {
  readonly #byKey = new Map<string, Map<string, { until: number; since: number }>>();

  /** At most `max` are kept per key; `window` is how far a handshake's time may be off, in milliseconds. */
  constructor(
    readonly window: number,
    readonly max: number,
  ) {}

  /** Remembers (key, nonce). `seen`: it was there already; `full`: this key has too many to be safe, refuse. */
  add(key: string, nonce: string, ts: number, clock: Clock): 'new' | 'seen' | 'full' {
    let nonces = this.#byKey.get(key);
    if (!nonces) {
      nonces = new Map();
      this.#byKey.set(key, nonces);
    }
    if (nonces.has(nonce)) return 'seen';
    if (nonces.size >= this.max) return 'full';
    nonces.set(nonce, { until: ts + this.window, since: clock.monotonic() });
    return 'new';
  }

  /** Forgets what is too old by both clocks: one that jumped ahead and back must not open the door to a replay. */
  sweep(clock: Clock): void {
    const now = clock.now();
    const monotonic = clock.monotonic();
    for (const [key, nonces] of this.#byKey) {
      for (const [nonce, { until, since }] of nonces) {
        if (now > until && monotonic - since > 2 * this.window) nonces.delete(nonce);
      }
      if (nonces.size === 0) this.#byKey.delete(key);
    }
  }

  get size(): number {
    let size = 0;
    for (const nonces of this.#byKey.values()) size += nonces.size;
    return size;
  }
}
