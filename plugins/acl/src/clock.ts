/** What the plugin knows of time. A test gives one that it moves itself. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `run` once, `ms` from now, unless disposed before. */
  after(ms: number, run: () => void): Disposable;
}

/** Injection token of the clock; the machine's where nobody registers one. */
export const CLOCK = Symbol.for('centreond.acl.CLOCK');

export const machineClock: Clock = {
  now: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};
