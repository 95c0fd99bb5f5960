import { TimerClock } from '@centreond/plugin-runtime';

/** How many turns of the event loop what a timer set off is given. */
const TURNS = 12;

/**
 * A clock that stands still until the test moves it. It is the plugin's `CLOCK`, and it governs what the router measures: deadlines,
 * time limits of actions and the times of rows. What a plugin reads from `Date` or `setTimeout` itself is not its; fake those
 * with your test runner.
 */
export class FakeClock extends TimerClock {
  #now: number;
  readonly #timers = new Set<{ at: number; run: () => void }>();

  /** Starts at `start`, milliseconds since the epoch. */
  constructor(start: number = Date.UTC(2026, 0, 1)) {
    super();
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  /** How many timers have neither run nor been cancelled. */
  get timers(): number {
    return this.#timers.size;
  }

  protected start(ms: number, run: () => void): Disposable {
    const timer = { at: this.#now + ms, run };
    this.#timers.add(timer);
    return { [Symbol.dispose]: () => this.#timers.delete(timer) };
  }

  /** Moves on by `ms` and runs what is due meanwhile, in order. Resolves when what it set off has had its turn. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await turns();
    for (;;) {
      let next: { at: number; run: () => void } | undefined;
      for (const timer of this.#timers) if (timer.at <= until && !(next && next.at <= timer.at)) next = timer;
      if (!next) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.run();
      await turns();
    }
    this.#now = Math.max(this.#now, until);
    await turns();
  }

  /** Sets the time, as an operator or a machine that slept does: `now` jumps, and timers run after as long as before. */
  set(now: number): void {
    const by = now - this.#now;
    this.#now = now;
    for (const timer of this.#timers) timer.at += by;
  }
}

async function turns(): Promise<void> {
  for (let i = 0; i < TURNS; i++) await new Promise((resolve) => setImmediate(resolve));
}
