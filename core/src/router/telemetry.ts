/** A histogram of durations whose buckets grow by a quarter: exact enough for p50 and p99, and of fixed size. */
export class Durations {
  readonly #counts = new Uint32Array(96);
  #total = 0;

  add(ms: number): void {
    const bucket = ms <= 0.1 ? 0 : Math.min(95, Math.ceil(Math.log(ms / 0.1) / Math.log(1.25)));
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#total++;
  }

  /** The upper edge of the bucket that holds quantile `q`, in ms; null before the first. */
  quantile(q: number): number | null {
    if (this.#total === 0) return null;
    let seen = 0;
    for (let i = 0; i < this.#counts.length; i++) {
      seen += this.#counts[i] as number;
      if (seen >= q * this.#total) return Number((0.1 * 1.25 ** i).toPrecision(3));
    }
    return null;
  }
}

const QUICK_MS = 4;
/** What the newest duration counts in a mean. */
const NEWEST = 1 / 16;

/** The daemon's counters since it started. Everything that counts a loss counts it here. */
export class Telemetry {
  received = 0;
  accepted = 0;
  refused = 0;
  /** What the router's key signed for links of plugins. */
  signatures = 0;
  /** Rows of instances that no running request expected. */
  droppedRows = 0;
  /** How long requests that were dispatched early ran lately, in milliseconds. */
  readonly #means = new Map<string, number>();
  readonly #ended = new Map<string, { finished: number; failed: number }>();

  /** Notes how long a request ran, from its dispatch on. */
  took(action: string, ms: number): void {
    const mean = this.#means.get(action);
    this.#means.set(action, mean === undefined ? ms : mean + (ms - mean) * NEWEST);
  }

  /** Whether requests of an action end within 4 ms as a rule. */
  isQuick(action: string): boolean {
    return (this.#means.get(action) ?? Number.POSITIVE_INFINITY) < QUICK_MS;
  }

  /** Notes the end of a request. */
  ended(action: string, code: number): void {
    let figures = this.#ended.get(action);
    if (!figures) {
      figures = { finished: 0, failed: 0 };
      this.#ended.set(action, figures);
    }
    if (code === 2) figures.finished++;
    else figures.failed++;
  }

  /** How many requests of an action finished and failed. */
  of(action: string): { readonly finished: number; readonly failed: number } {
    return this.#ended.get(action) ?? { finished: 0, failed: 0 };
  }
}
