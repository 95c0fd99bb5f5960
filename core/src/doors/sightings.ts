/** Unknown keys that are remembered. */
const MAX_PENDING = 1000;

/** When, how often and from where an unknown key came; times in milliseconds. */
export interface Sighting {
  readonly firstSeen: number;
  readonly lastSeen: number;
  readonly firstAddress: string;
  readonly lastAddress: string;
  readonly count: number;
}

/** The unknown keys that came, for the operator to accept one. */
export class Sightings {
  readonly #keys = new Map<string, Sighting>();

  /** A key came. At most 1,000 are kept; the oldest drops. */
  seen(fingerprint: string, address: string, now: number): void {
    const known = this.#keys.get(fingerprint);
    if (!known && this.#keys.size >= MAX_PENDING) {
      for (const oldest of this.#keys.keys()) {
        this.#keys.delete(oldest);
        break;
      }
    }
    const first = known ?? { firstSeen: now, firstAddress: address, count: 0 };
    this.#keys.set(fingerprint, { ...first, lastSeen: now, lastAddress: address, count: first.count + 1 });
  }

  forget(fingerprint: string): void {
    this.#keys.delete(fingerprint);
  }

  list(): IterableIterator<[string, Sighting]> {
    return this.#keys.entries();
  }
}
