import type { MetricKind, MetricStatus } from '@centreond/plugin-sdk/internal';
import { parseData } from '@centreond/protocol';
import { z } from 'zod';
import type { Log } from '../log.ts';

/** Metrics of one process. */
const PROCESS_LIMIT = 64;
/** Names of metrics of all processes of a plugin, also of those that have ended. */
const PLUGIN_LIMIT = 256;
const TITLE_BYTES = 256;

const Name = z.string().regex(/^[a-z][a-z0-9_]{0,63}$/);
const Metric = z.strictObject({
  kind: z.enum(['counter', 'gauge']),
  title: z
    .string()
    .min(1)
    .refine((title) => Buffer.byteLength(title) <= TITLE_BYTES),
  value: z.number(),
});
const Report = z.record(Name, Metric);
type Metric = z.output<typeof Metric>;

interface Known {
  readonly kind: MetricKind;
  readonly title: string;
  /** The sum of a counter over the processes that have ended. */
  ended: number;
}

/** The metrics of one plugin, over all its processes and versions. */
export class PluginMetrics {
  readonly #known = new Map<string, Known>();
  readonly #live = new Set<ProcessMetrics>();
  #isFull = false;

  constructor(
    private readonly type: string,
    private readonly log: Log,
  ) {}

  /** Those of a further process. */
  open(): ProcessMetrics {
    const metrics = new ProcessMetrics(this);
    this.#live.add(metrics);
    return metrics;
  }

  /** Whether a metric is kept; one of another kind than before takes the place of that. */
  keeps(name: string, { kind, title }: Metric): boolean {
    const known = this.#known.get(name);
    if (known?.kind === kind) return true;
    if (!known && this.#known.size >= PLUGIN_LIMIT) {
      if (!this.#isFull) {
        const what = `plugin ${this.type} has ${PLUGIN_LIMIT} metrics over its instances; ${name} and further names are dropped`;
        this.log.warn({ plugin: this.type, metric: name }, what);
      }
      this.#isFull = true;
      return false;
    }
    this.#known.set(name, { kind, title, ended: 0 });
    return true;
  }

  /** A process has ended: its counters stay in the sums. */
  ended(metrics: ProcessMetrics): void {
    if (!this.#live.delete(metrics)) return;
    for (const [name, { kind, value }] of metrics.all) {
      const known = this.#known.get(name);
      if (known?.kind === 'counter' && kind === 'counter') known.ended += value;
    }
  }

  /** By name. A gauge that no process has is omitted. */
  status(): MetricStatus[] {
    return [...this.#known]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([name, { kind, title, ended }]) => {
        const live = [...this.#live].flatMap(({ all }) => {
          const metric = all.get(name);
          return metric?.kind === kind ? [metric.value] : [];
        });
        if (kind === 'gauge' && live.length === 0) return [];
        return [{ name, kind, title, value: live.reduce((sum, value) => sum + value, ended) }];
      });
  }
}

/** The metrics of one process, from its start to its end. */
export class ProcessMetrics {
  readonly all = new Map<string, Metric>();

  constructor(private readonly plugin: PluginMetrics) {}

  /** Takes a report of what changed. Returns what is wrong with it, as the end of the sentence "it sent …". */
  take(data: string): string | undefined {
    const report = Report.safeParse(parseData(data)).data;
    if (!report) return 'metrics with a malformed name, kind, title or value';
    for (const [name, metric] of Object.entries(report)) {
      const before = this.all.get(name);
      if (before && before.kind !== metric.kind)
        return `the metric ${name} as a ${metric.kind}, which was a ${before.kind}`;
      if (metric.kind === 'counter' && metric.value < (before?.value ?? 0))
        return `a lower value of the counter ${name}`;
      if (!before && this.all.size >= PROCESS_LIMIT) return `more than ${PROCESS_LIMIT} metrics`;
      if (this.plugin.keeps(name, metric)) this.all.set(name, metric);
    }
    return undefined;
  }

  /** Their values by name. */
  values(): Record<string, number> {
    return Object.fromEntries([...this.all].map(([name, { value }]) => [name, value]));
  }

  end(): void {
    this.plugin.ended(this);
  }
}
