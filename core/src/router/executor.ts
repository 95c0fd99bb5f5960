import type { HealthStatus, MetricStatus } from '@centreond/plugin-sdk/internal';
import type { Runner } from './request.ts';

/** A process that hears events. */
export interface Hearer {
  /** The plugin's type. */
  readonly type: string;
  /** Runs in the core's own process: it takes each event at once and sends no HEARD. */
  readonly inCore?: true;
  send(message: string): void;
}

/** Runs the actions of one plugin: processes, or the core itself. */
export interface Executor extends Runner {
  /** Another router runs the plugin: events of this one are not kept for it. */
  readonly standsBy?: true;
  /** Whether the operator lets its plugin call for callers of its own; false if omitted. */
  readonly allowsCallers?: boolean;
  /** Its processes that can hear an event now. */
  hearers(): readonly Hearer[];
  /** The ids of its instances. */
  ids(): string[];
  /** Ends an instance, or all for the empty id, as KILL does. Resolves when they are gone. */
  kill(id: string, progress: (step: string) => void): Promise<void>;
  status(): PluginStatus;
}

/** A plugin as `status` and INFORMATION show it. */
export interface PluginStatus {
  readonly type: string;
  readonly package: string;
  readonly version: string;
  readonly state: string;
  readonly reason?: string;
  /** The types of the plugins that share its process; absent if the process is its own. */
  readonly sharedWith?: readonly string[];
  /** That of the instance that has been degraded for the longest, else of one that is ok; null if none has reported any. */
  readonly health: (HealthStatus & { readonly instance: string }) | null;
  readonly metrics: readonly MetricStatus[];
  readonly waiting: number;
  readonly instances: readonly {
    readonly id: string;
    readonly pid: number | null;
    readonly state: string;
    readonly restarts: number;
    readonly inFlight: number;
    readonly p50Ms: number | null;
    readonly p99Ms: number | null;
    readonly rss: number | null;
    /** Null before it has reported any, and while it does not run. */
    readonly health: HealthStatus | null;
    readonly metrics: Readonly<Record<string, number>>;
  }[];
}
