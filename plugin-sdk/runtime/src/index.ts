/** For the core and the plugin kit. */
export { construct, type Lifecycle, type PluginServices, pluginOf, servicesOver } from './construct.ts';
export type { Greeting } from './greeting.ts';
export { lineLogger } from './logger.ts';
export { type RowBound, RowWindow } from './row-window.ts';
export { InstanceRuntime } from './runtime.ts';
export { LinkTransport } from './services.ts';
