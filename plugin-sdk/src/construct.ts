import 'reflect-metadata';
import { container } from 'tsyringe';
import type { Instance, Logger, State, TokenStore, Transport } from './contract.ts';
import { declarationOf, type PluginClass } from './decorators.ts';
import { failure } from './errors.ts';
import type { JsonObject } from './frame.ts';
import { CONFIG, INSTANCE, LOGGER, STATE, symbolOf, TOKEN_STORE, TRANSPORT } from './injection.ts';
import { LinkState } from './link-state.ts';
import { validate } from './schema.ts';
import { LinkTokenStore, type LinkTransport } from './services.ts';

/** What a plugin's constructor may ask for, besides its config. */
export interface PluginServices {
  readonly log: Logger;
  readonly transport: Transport;
  readonly tokens: TokenStore<number>;
  readonly state?: State;
  readonly instance?: Instance;
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
  return own.resolve<Lifecycle>(plugin);
}

/** The class that a module exports by default. Throws INVALID_PLUGIN where that is no class. */
export function pluginOf(module: { default?: unknown }, main: string): PluginClass {
  if (typeof module.default === 'function') return module.default as PluginClass;
  throw failure('INVALID_PLUGIN', { plugin: main, reason: 'its default export is not a class' });
}

/** The services of a plugin, all over one transport. */
export function servicesOver(transport: LinkTransport, log: Logger, instance?: Instance): PluginServices {
  const tokens = new LinkTokenStore(transport);
  return { log, transport, tokens, state: new LinkState(transport), ...(instance && { instance }) };
}
