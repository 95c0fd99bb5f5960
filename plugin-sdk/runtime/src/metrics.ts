import type { Clock, Counter, Gauge, Metrics } from '@centreond/plugin-sdk';
import type { MetricKind } from '@centreond/plugin-sdk/internal';
import { type CentreondError, failure, formatMessage } from '@centreond/protocol';
import { Pace } from './pace.ts';

/** What changed is told at most once in so many milliseconds. */
export const METRICS_EVERY_MS = 5000;
/** Metrics of one instance. */
export const METRICS_LIMIT = 64;
/** Bytes of UTF-8 of a title. */
export const TITLE_BYTES = 256;
const NAME = /^[a-z][a-z0-9_]{0,63}$/;

/** A metric as a report carries it. */
export interface ReportedMetric {
  readonly kind: MetricKind;
  readonly title: string;
  readonly value: number;
}

/** One metric of an instance. */
class Metric implements Counter, Gauge, ReportedMetric {
  value = 0;

  constructor(
    readonly kind: MetricKind,
    readonly title: string,
    private readonly fault: (reason: string) => CentreondError,
    private readonly changed: (metric: Metric) => void,
  ) {}

  add(by = 1): void {
    const value = this.value + by;
    if (!(by >= 0) || !Number.isFinite(value))
      throw this.fault(`a counter goes up by a number from 0 up, not by ${by}`);
    if (by === 0) return;
    this.value = value;
    this.changed(this);
  }

  set(value: number): void {
    if (!Number.isFinite(value)) throw this.fault(`a gauge is a finite number, not ${value}`);
    if (value === this.value) return;
    this.value = value;
    this.changed(this);
  }
}

/** A plugin's metrics over the link to its core. */
export class LinkMetrics implements Metrics {
  readonly #metrics = new Map<string, Metric>();
  readonly #changed = new Map<Metric, string>();
  readonly #pace: Pace;

  constructor(
    private readonly type: string,
    private readonly wire: { send(message: string): void },
    clock: Pick<Clock, 'after'>,
  ) {
    this.#pace = new Pace(METRICS_EVERY_MS, clock, () => this.#tell());
  }

  counter(name: string, title: string): Counter {
    return this.#metric('counter', name, title);
  }

  gauge(name: string, title: string): Gauge {
    return this.#metric('gauge', name, title);
  }

  /** The values now, told or still to be told, by name. */
  values(): Record<string, number> {
    return Object.fromEntries([...this.#metrics].map(([name, { value }]) => [name, value]));
  }

  /** Tells now what is still to be told. */
  flush(): void {
    if (this.#changed.size > 0) this.#tell();
  }

  #metric(kind: MetricKind, name: string, title: string): Metric {
    const fault = (reason: string) =>
      failure('INVALID_REPORT', { type: this.type, reason: `${kind} ${name}: ${reason}` });
    const known = this.#metrics.get(name);
    if (known) {
      if (known.kind !== kind) throw fault(`${name} is a ${known.kind} already`);
      return known;
    }
    if (!NAME.test(name)) throw fault('its name is not a lower-case letter and up to 63 of a-z 0-9 _');
    if (typeof title !== 'string' || title === '' || Buffer.byteLength(title) > TITLE_BYTES) {
      throw fault(`its title is empty or longer than ${TITLE_BYTES} bytes`);
    }
    if (this.#metrics.size >= METRICS_LIMIT) {
      throw fault(`the instance has ${METRICS_LIMIT} metrics already; a name must not hold a value, such as a host`);
    }
    const metric = new Metric(kind, title.toWellFormed(), fault, (one) => this.#mark(one, name));
    this.#metrics.set(name, metric);
    this.#mark(metric, name);
    return metric;
  }

  #mark(metric: Metric, name: string): void {
    // Those that change in the same turn go together.
    if (this.#changed.size === 0) queueMicrotask(() => this.#pace.ask());
    this.#changed.set(metric, name);
  }

  #tell(): void {
    const report: Record<string, ReportedMetric> = {};
    for (const [{ kind, title, value }, name] of this.#changed) report[name] = { kind, title, value };
    this.#changed.clear();
    if (Object.keys(report).length > 0) this.wire.send(formatMessage('INSTANCEMETRICS', '', '', report));
  }
}
