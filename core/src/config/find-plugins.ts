import { inOrder, type Problem } from '../errors.ts';
import { type Loaded, type LoadOptions, loadConfig } from './config.ts';
import { type Discovered, discover } from './discovery.ts';
import type { Scope } from './entry.ts';
import { validatePluginConfig } from './plugin-config.ts';

/** What {@link findPlugins} found. */
export interface FoundPlugins {
  /** All whose package and manifest can be used. */
  found: Discovered[];
  /** Those of them that can be started: their settings have no mistake. */
  plugins: Discovered[];
  problems: Problem[];
}

/** The plugins of a config that can be started, and what is wrong with the others. Runs no plugin code. */
export function findPlugins(
  scope: Scope,
  coreActions: readonly string[],
  loaded: readonly Discovered[] = [],
): FoundPlugins {
  const { plugins: found, problems } = discover(scope, { coreActions, loaded });
  const plugins = found.filter(({ entry, manifest }) => {
    const faults = validatePluginConfig(entry, manifest);
    problems.push(...faults);
    return faults.length === 0;
  });
  return { found, plugins, problems };
}

/** Loads the config and finds its plugins, with every mistake of both in order. Runs no plugin code and never throws. */
export async function examine(options: LoadOptions, coreActions: readonly string[]): Promise<Loaded & FoundPlugins> {
  const loaded = await loadConfig(options);
  if (!loaded.scope) return { ...loaded, found: [], plugins: [] };
  const { found, plugins, problems } = findPlugins(loaded.scope, coreActions);
  return { ...loaded, found, plugins, problems: inOrder([...loaded.problems, ...problems], loaded.file) };
}
