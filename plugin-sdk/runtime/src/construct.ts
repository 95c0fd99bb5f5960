import 'reflect-metadata';
import {
  CLOCK,
  type Clock,
  CONFIG,
  HEALTH,
  type Health,
  INSTANCE,
  type Instance,
  LOGGER,
  type Logger,
  METRICS,
  type Metrics,
  type PluginClass,
  STATE,
  type State,
  TOKEN_STORE,
  type TokenStore,
  TRANSPORT,
  type Transport,
} from '@centreond/plugin-sdk';
import { declarationOf, symbolOf, validate } from '@centreond/plugin-sdk/internal';
import { failure, type JsonObject } from '@centreond/protocol';
import { container } from 'tsyringe';
import { MACHINE_CLOCK } from './clock.ts';
import { LinkHealth } from './health.ts';
import { LinkState } from './link-state.ts';
import { LinkMetrics } from './metrics.ts';
import { LinkTokenStore, type LinkTransport } from './services.ts';

/** What a plugin's constructor may ask for, besides its config. */
export interface PluginServices {
  readonly log: Logger;
  readonly transport: Transport;
  readonly tokens: TokenStore<number>;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly state?: State;
  readonly instance?: Instance;
  /** The machine's if omitted. */
  readonly clock?: Clock;
}

/** What a plugin may have besides its actions: called once each, around its work. */
export interface Lifecycle {
  start?: () => unknown;
  stop?: () => unknown;
}

/** Checks the config by the plugin's own schema and makes the plugin, injected. Throws INVALID_PLUGIN. */
export async function construct(plugin: PluginClass, config: JsonObject, services: PluginServices): Promise<Lifecycle> {
  const { options } = declarationOf(plugin);
  const checked = options.config ? await validate(options.config, config) : { ok: true as const, value: config };
  if (!checked.ok) throw failure('INVALID_PLUGIN', { plugin: options.type, reason: `its config: ${checked.reason}` });
  // A container of its own: plugins that share a process must not see each other's.
  const own = container.createChildContainer();
  own.register(symbolOf(CONFIG), { useValue: checked.value });
  own.register(symbolOf(LOGGER), { useValue: services.log });
  own.register(symbolOf(TRANSPORT), { useValue: services.transport });
  own.register(symbolOf(TOKEN_STORE), { useValue: services.tokens });
  if (services.state) own.register(symbolOf(STATE), { useValue: services.state });
  own.register(symbolOf(INSTANCE), { useValue: services.instance ?? { id: '1', of: 1, type: options.type } });
  own.register(symbolOf(HEALTH), { useValue: services.health });
  own.register(symbolOf(METRICS), { useValue: services.metrics });
  own.register(symbolOf(CLOCK), { useValue: services.clock ?? MACHINE_CLOCK });
  return own.resolve<Lifecycle>(plugin);
}

/** The class that a module exports by default. Throws INVALID_PLUGIN where that is no class. */
export function pluginOf(module: { default?: unknown }, main: string): PluginClass {
  if (typeof module.default === 'function') return module.default as PluginClass;
  throw failure('INVALID_PLUGIN', { plugin: main, reason: 'its default export is not a class' });
}

/** The services of a plugin over one link. */
export interface LinkServices extends PluginServices {
  readonly health: LinkHealth;
  readonly metrics: LinkMetrics;
}

/** The services of a plugin, all over one transport. */
export function servicesOver(
  transport: LinkTransport,
  log: Logger,
  { instance, clock = MACHINE_CLOCK }: { readonly instance?: Instance; readonly clock?: Clock } = {},
): LinkServices {
  const { wire, plugin } = transport.options;
  return {
    log,
    transport,
    clock,
    tokens: new LinkTokenStore(transport),
    state: new LinkState(transport),
    health: new LinkHealth(plugin.type, wire, clock),
    metrics: new LinkMetrics(plugin.type, wire, clock),
    ...(instance && { instance }),
  };
}
