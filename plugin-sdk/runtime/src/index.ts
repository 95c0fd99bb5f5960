/** For the core and the plugin kit. */
export { MACHINE_CLOCK, TimerClock } from './clock.ts';
export {
  construct,
  type Lifecycle,
  type LinkServices,
  type PluginServices,
  pluginOf,
  servicesOver,
} from './construct.ts';
export type { Greeting } from './greeting.ts';
export type { ReportedHealth } from './health.ts';
export { lineLogger, type Mark } from './logger.ts';
export type { ReportedMetric } from './metrics.ts';
export { loadOneCopy } from './one-copy.ts';
export { type RowBound, RowWindow } from './row-window.ts';
export { InstanceRuntime } from './runtime.ts';
export { LinkTransport } from './services.ts';
