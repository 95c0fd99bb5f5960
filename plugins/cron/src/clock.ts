/** What the plugin knows of time. A test gives one that it moves itself. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `run` once, `ms` from now, unless disposed before. */
  after(ms: number, run: () => void): Disposable;
}

/** Injection token of the clock; the machine's where nobody registers one. */
export const CLOCK = Symbol.for('centreond.cron.CLOCK');

export const machineClock: Clock = {
  now: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

/** Resolves after `ms`, or as soon as `signal` aborts. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const over = () => {
      timer[Symbol.dispose]();
      signal.removeEventListener('abort', over);
      resolve();
    };
    const timer = clock.after(ms, over);
    signal.addEventListener('abort', over);
  });
}
