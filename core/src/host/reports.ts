import type { HealthStatus } from '@centreond/plugin-sdk/internal';
import { type Message, parseData } from '@centreond/protocol';
import { z } from 'zod';
import type { Log } from '../log.ts';
import type { Chronicle } from '../router/chronicle.ts';
import type { ProcessMetrics } from './metrics.ts';

/** More than 64 metrics take. */
const REPORT_CHARACTERS = 64 * 1024;
/** Reports that may come at once: more than a process makes while the daemon is held up for twenty minutes. */
const ALLOWED = 600;
/** Reports that may come in a second, over time. The SDK makes one of each kind in 5 s. */
const ALLOWED_A_SECOND = 1;
const WHY_BYTES = 1024;

const REPORTS = ['[INSTANCEHEALTH] ', '[INSTANCEMETRICS] '];
/** As many characters of a message as {@link isReport} looks at. */
export const REPORT_HEAD = 18;

/** Whether a message that starts with `head` is a report of a process on itself. */
export function isReport(head: string): boolean {
  return REPORTS.some((verb) => head.startsWith(verb));
}

const Health = z.strictObject({ why: z.string().min(1).exactOptional() });

/** A plugin may change its health often: of one kind, this much of it is told as one event. */
const QUIET_MS = 10_000;

export interface ReportsOptions {
  /** How the log calls the instance: `weather`, `weather/paris`. */
  readonly label: string;
  readonly clock: { now(): number };
  readonly log: Log;
  readonly chronicle: Pick<Chronicle, 'tell'>;
  readonly metrics: ProcessMetrics;
}

/** What one process of a plugin reports on itself, from its start to its end. */
export class InstanceReports {
  #health: HealthStatus | undefined;
  #allowed = ALLOWED;
  #countedAt: number;

  constructor(private readonly options: ReportsOptions) {
    this.#countedAt = options.clock.now();
  }

  /** How it fares; null before its first report. */
  get health(): HealthStatus | null {
    return this.#health ?? null;
  }

  /** Takes a report, `redacted` what people read of it. Returns what is wrong with it, as the end of the sentence "it sent …". */
  take({ action, token, data }: Message, redacted: (text: string) => string): string | undefined {
    if (!this.#isAllowed()) return `more than ${ALLOWED} reports on itself in too short a time`;
    if (data.length > REPORT_CHARACTERS) return `a report on itself of ${data.length} characters`;
    if (action === 'INSTANCEHEALTH') return this.#takeHealth(token, data, redacted);
    if (action === 'INSTANCEMETRICS') return this.options.metrics.take(data);
    return `the unknown report ${action}`;
  }

  /** The values of its metrics, by name. */
  get metrics(): Record<string, number> {
    return this.options.metrics.values();
  }

  /** The process is gone. */
  end(): void {
    this.options.metrics.end();
  }

  #isAllowed(): boolean {
    const now = this.options.clock.now();
    const passed = Math.max(0, now - this.#countedAt) / 1000;
    this.#allowed = Math.min(ALLOWED, this.#allowed + passed * ALLOWED_A_SECOND);
    this.#countedAt = now;
    if (this.#allowed < 1) return false;
    this.#allowed--;
    return true;
  }

  #takeHealth(state: string, data: string, redacted: (text: string) => string): string | undefined {
    const { why: said } = Health.safeParse(parseData(data)).data ?? { why: '' };
    const isSound = state === 'degraded' ? said : state === 'ok' && said === undefined;
    if (!isSound) return 'a health that is neither ok nor degraded with why';
    if (said !== undefined && Buffer.byteLength(said) > WHY_BYTES)
      return `a health whose why exceeds ${WHY_BYTES} bytes`;
    const why = said === undefined ? undefined : redacted(said);
    const before = this.#health;
    if (before?.state === state && before.why === why) return undefined;
    const now = this.options.clock.now();
    const since = before?.state === state ? before.since : now;
    this.#health = state === 'degraded' && why !== undefined ? { state, why, since } : { state: 'ok', since };
    this.#log(before, this.#health);
    return undefined;
  }

  #log(before: HealthStatus | undefined, health: HealthStatus): void {
    const { label, log, chronicle } = this.options;
    if (health.state === 'degraded' && health.why !== undefined) {
      const is = before?.state === 'degraded' ? 'is still degraded, now' : 'is degraded';
      log.warn({ plugin: label }, `plugin ${label} ${is}: ${health.why}`);
      chronicle.tell('PLUGIN_DEGRADED', { plugin: label, why: health.why }, { key: label, withinMs: QUIET_MS });
    } else if (before?.state === 'degraded') {
      const seconds = Math.round((health.since - before.since) / 1000);
      log.info({ plugin: label }, `plugin ${label} is ok again, after ${seconds} s`);
      chronicle.tell('PLUGIN_OK', { plugin: label }, { key: label, withinMs: QUIET_MS });
    }
  }
}
