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
    // The clock may go back.
    if (left <= 0 || left > WINDOW_MS) this.#failed.delete(address);
    return known.count >= LIMIT && this.#failed.has(address) ? left : 0;
  }

  failed(address: string): void {
    const now = this.clock.now();
    const known = this.#failed.get(address);
    const isWithin = known && known.until > now && known.until <= now + WINDOW_MS;
    this.#failed.delete(address);
    this.#failed.set(address, isWithin ? { ...known, count: known.count + 1 } : { count: 1, until: now + WINDOW_MS });
    // At the limit the oldest address is removed. An attacker with more addresses than that gets more guesses.
    const [oldest] = this.#failed.keys();
    if (this.#failed.size > ADDRESSES && oldest !== undefined) this.#failed.delete(oldest);
  }
}

/** The address by which failed logins are counted: of IPv6 its network, since one host has all addresses of a /64. */
export function networkOf(address: string): string {
  if (!address.includes(':') || address.includes('.')) return address;
  const [head = '', tail] = address.split('::');
  const groups = head.split(':');
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === '' ? 0 : tail.split(':').length);
  return [...groups, ...Array<string>(Math.max(0, missing)).fill('0')].slice(0, 4).join(':');
}
