/** How often an instance may end before it is left alone. */
export interface RestartLimits {
  readonly max: number;
  readonly withinMs: number;
}

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 30_000;

/**
 * Decides what follows the end of an instance, whatever its cause: a restart after a jittered, doubling delay, or quarantine
 * once it ended more than `max` times within the period. Healthy for that period, it starts afresh.
 */
export class Supervisor {
  #exits: number[] = [];
  #streak = 0;
  #readyAt: number | undefined;

  constructor(
    readonly limits: RestartLimits,
    private readonly clock: { now(): number },
    private readonly random: () => number = Math.random,
  ) {}

  /** Exits within the period. */
  get recentExits(): number {
    const now = this.clock.now();
    return this.#exits.filter((at) => now - at < this.limits.withinMs).length;
  }

  /** Call when the instance became ready. */
  ready(): void {
    this.#readyAt = this.clock.now();
  }

  /** Call at each exit. The delay in ms before the next start, or `quarantine`. */
  exited(): number | 'quarantine' {
    const now = this.clock.now();
    if (this.#readyAt !== undefined && now - this.#readyAt >= this.limits.withinMs) {
      this.#exits = [];
      this.#streak = 0;
    }
    this.#readyAt = undefined;
    this.#exits = this.#exits.filter((at) => now - at < this.limits.withinMs);
    this.#exits.push(now);
    if (this.#exits.length > this.limits.max) return 'quarantine';
    const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#streak++);
    return ceiling / 2 + (ceiling / 2) * this.random();
  }

  /** The delay in ms before the next start of an instance that ended through no fault of its own: it does not count. */
  bystander(): number {
    this.#readyAt = undefined;
    return FIRST_DELAY_MS / 2 + (FIRST_DELAY_MS / 2) * this.random();
  }

  /** Forgets every exit: the operator takes the instance back into service. */
  reset(): void {
    this.#exits = [];
    this.#streak = 0;
    this.#readyAt = undefined;
  }
}
