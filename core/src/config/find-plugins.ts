import type { Problem } from '../errors.ts';
import { type Discovered, discover } from './discovery.ts';
import type { Config } from './entry.ts';
import { validatePluginConfig } from './plugin-config.ts';

/** The plugins of a config that can be started, and what is wrong with the others. Runs no plugin code. */
export function findPlugins(
  config: Config,
  coreActions: readonly string[],
  loaded: readonly Discovered[] = [],
): { plugins: Discovered[]; problems: Problem[] } {
  const { plugins, problems } = discover(config, { coreActions, loaded });
  const sound: Discovered[] = [];
  for (const plugin of plugins) {
    const faults = validatePluginConfig(plugin.entry, plugin.manifest);
    problems.push(...faults);
    if (!faults.some(({ severity }) => severity === 'error')) sound.push(plugin);
  }
  return { plugins: sound, problems };
}
