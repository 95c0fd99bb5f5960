import { after } from '@centreond/protocol';

/** What the testing kit asks of time: the real one, or one that a test moves. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `run` once, `ms` from now. The result takes it back. */
  in(ms: number, run: () => void): () => void;
}

/** The machine's clock. */
export const REAL_CLOCK: Clock = {
  now: () => Date.now(),
  in: (ms, run) => {
    const timer = after(ms, run, { unref: true });
    return () => timer[Symbol.dispose]();
  },
};

/**
 * A clock that stands still until the test moves it. It governs what the router measures: deadlines, time limits of actions
 * and the times of rows. What a plugin itself reads from `Date` or `setTimeout` is not its; fake those with your test runner.
 */
export class FakeClock implements Clock {
  #now: number;
  readonly #timers = new Set<{ at: number; run: () => void }>();

  /** Starts at `start`, milliseconds since the epoch. */
  constructor(start: number = Date.UTC(2026, 0, 1)) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  in(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + ms, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Moves on by `ms` and runs what is due meanwhile, in order. Resolves when what it set off has had its turn. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      const [next] = [...this.#timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at);
      if (!next) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.run();
      await turn();
    }
    this.#now = until;
    await turn();
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
