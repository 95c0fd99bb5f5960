import type { Status } from '../api/shapes.ts';

/** How often the figures are asked for. */
export const SAMPLE_MS = 3000;
/** Half an hour. */
const SAMPLES = 600;
/** Between samples further apart than this there is a gap. */
const GAP_MS = SAMPLE_MS * 4;

/** What a plugin did at one moment; `ended` counts from its start. */
export interface PluginFigures {
  readonly ended: number;
  readonly inFlight: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly rss: number | null;
}
export interface Sample {
  readonly at: number;
  readonly uptimeSeconds: number;
  readonly received: number;
  readonly accepted: number;
  readonly open: number;
  readonly plugins: Readonly<Record<string, PluginFigures>>;
}

/** The figures of one answer of /api/status that came at `at`. */
export function sampleOf({ uptimeSeconds, counters, plugins }: Status, at: number): Sample {
  const { received, accepted, open } = counters;
  return {
    at,
    uptimeSeconds,
    received,
    accepted,
    open,
    plugins: Object.fromEntries(plugins.map((plugin) => [plugin.type, pluginFigures(plugin)])),
  };
}

function pluginFigures({ actions, instances }: Status['plugins'][number]): PluginFigures {
  return {
    ended: actions.reduce((sum, { finished, failed }) => sum + finished + failed, 0),
    inFlight: instances.reduce((sum, { inFlight }) => sum + inFlight, 0),
    p50Ms: highest(instances.map(({ p50Ms }) => p50Ms)),
    p99Ms: highest(instances.map(({ p99Ms }) => p99Ms)),
    rss: total(instances.map(({ rss }) => rss)),
  };
}

/** `samples` with one more; the oldest leave. */
export function withSample(samples: readonly Sample[], sample: Sample): readonly Sample[] {
  return [...samples, sample].slice(-SAMPLES);
}

export type Series = readonly (number | null)[];

/** The value of each sample. */
export function valuesOf(samples: readonly Sample[], value: (sample: Sample) => number | null): Series {
  return samples.map(value);
}

/** How fast `count` rose up to each sample, a second; null where it began again, and over a gap. */
export function ratesOf(samples: readonly Sample[], count: (sample: Sample) => number | null): Series {
  return samples.map((sample, index) => {
    const before = samples[index - 1];
    if (!before || isGap(before, sample)) return null;
    const [from, to] = [count(before), count(sample)];
    if (from === null || to === null || to < from) return null;
    return ((to - from) * 1000) / (sample.at - before.at);
  });
}

/** Whether the line between two samples is not drawn: the page was hidden, or the daemon was started between them. */
export function isGap(before: Sample, sample: Sample): boolean {
  return sample.at - before.at > GAP_MS || sample.uptimeSeconds < before.uptimeSeconds || sample.at <= before.at;
}

/** The highest of figures, null if there is none. */
export function highest(figures: Series): number | null {
  return figures.reduce((most, each) => (each === null || (most !== null && most >= each) ? most : each), null);
}

/** The sum of figures, null if there is none. */
export function total(figures: Series): number | null {
  return figures.reduce((sum, each) => (each === null ? sum : (sum ?? 0) + each), null);
}
