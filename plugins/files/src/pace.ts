import { setTimeout as wait } from 'node:timers/promises';

/** How far ahead of its rate a transfer may be, in seconds. */
const BURST_SECONDS = 0.25;

/** Keeps a transfer to so many bytes a second. */
export class Pace {
  #ready = performance.now();

  /** Without a rate nothing waits. */
  constructor(private readonly bytesPerSecond: number | undefined) {}

  /** Resolves when so many bytes may go; rejects with the reason of `signal`. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.bytesPerSecond === undefined) return;
    const now = performance.now();
    this.#ready = Math.max(this.#ready, now - BURST_SECONDS * 1000) + (bytes / this.bytesPerSecond) * 1000;
    const ms = this.#ready - now;
    if (ms <= 0) return;
    await wait(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

const UNITS: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

/** What a rate looks like as text. */
export const RATE = /^[1-9][0-9]{0,11}(B|KiB|MiB|GiB)$/;

/** Bytes a second of a rate: a number of them, or text such as 10MiB. */
export function rateOf(rate: number | string): number {
  if (typeof rate === 'number') return rate;
  const unit = rate.replace(/^[0-9]+/, '');
  return Number(rate.slice(0, -unit.length)) * (UNITS[unit] ?? 1);
}
