import { performance } from 'node:perf_hooks';

/** What time it is. Handed to every module that has to know. */
export interface Clock {
  /** Milliseconds since the epoch, by the wall clock: it may jump. */
  now(): number;
  /** Milliseconds since some moment: it only goes forward. */
  monotonic(): number;
}

/** The clock of this machine. */
export const CLOCK: Clock = { now: () => Date.now(), monotonic: () => performance.now() };
