import { PerformanceObserver } from 'node:perf_hooks';
import v8 from 'node:v8';

/** What new objects of the main thread may take before garbage is collected, in bytes. */
const BOUND = 24 * 1024 * 1024;

/**
 * Keeps V8 from giving new objects ever more memory the more messages pass: by default that grows to 128 MiB, nearly all of it
 * garbage. It is collected more often instead, which costs little, since hardly anything survives. For a process whose command
 * line we do not choose; call it once.
 */
export function boundYoungGeneration(): void {
  const weigh = () => {
    const space = v8.getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
    v8.setFlagsFromString(`--semi-space-growth-factor=${(space?.space_size ?? 0) < BOUND ? 2 : 1}`);
  };
  // It shrinks when there is little to do, and has to be able to grow again.
  new PerformanceObserver(weigh).observe({ entryTypes: ['gc'] });
  weigh();
}
