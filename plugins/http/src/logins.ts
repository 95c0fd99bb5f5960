/** Failed logins of one address within {@link WINDOW_MS}, before it has to wait. */
const LIMIT = 10;
const WINDOW_MS = 60_000;
/** Addresses that are remembered. */
const ADDRESSES = 10_000;

/** Counts failed logins by address, in bounded memory, so that secrets cannot be guessed quickly. */
export class FailedLogins {
  readonly #failed = new Map<string, { count: number; until: number }>();

  constructor(private readonly clock: { now(): number }) {}

  /** Milliseconds that `address` has to wait before its next try; 0 if it may try now. */
  waitMs(address: string): number {
    const known = this.#failed.get(address);
    if (!known) return 0;
    const left = known.until - this.clock.now();
    if (left <= 0) this.#failed.delete(address);
    return known.count >= LIMIT ? Math.max(0, left) : 0;
  }

  failed(address: string): void {
    const now = this.clock.now();
    const known = this.#failed.get(address);
    const count = known && known.until > now ? known.count + 1 : 1;
    // The oldest is forgotten first: who guesses from so many addresses has as many tries.
    this.#failed.delete(address);
    this.#failed.set(address, { count, until: now + WINDOW_MS });
    const [oldest] = this.#failed.keys();
    if (this.#failed.size > ADDRESSES && oldest !== undefined) this.#failed.delete(oldest);
  }
}
