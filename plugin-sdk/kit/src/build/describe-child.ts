// Imports a built plugin and tells its manifest, or what is wrong with it: the build runs this in a process of its own.
import { pathToFileURL } from 'node:url';
import type { PluginClass } from '@centreond/plugin-sdk';
import {
  declarationOf,
  faultOfInjection,
  type Manifest,
  manifestOf,
  RESERVED_TYPES,
} from '@centreond/plugin-sdk/internal';
import { isCentreondError } from '@centreond/protocol';

/** What this process answers. */
export type Described = { readonly manifest: Manifest } | { readonly reason: string };

async function described(main: string): Promise<Described> {
  let module: { default?: unknown };
  try {
    module = (await import(pathToFileURL(main).href)) as { default?: unknown };
  } catch (error) {
    return { reason: `importing ${main} failed: ${told(error)}` };
  }
  if (typeof module.default !== 'function') {
    return { reason: `the default export of ${main} is not a class; write \`export default class\` above its @Plugin` };
  }
  try {
    const plugin = module.default as PluginClass;
    const manifest = manifestOf(plugin);
    const fault = faultOfInjection(plugin, declarationOf(plugin).options.config);
    if (fault) return { reason: `${plugin.name || manifest.type}: ${fault} (${main})` };
    if (RESERVED_TYPES.has(manifest.type))
      return { reason: `the type ${manifest.type} is the core's own; choose another` };
    return { manifest };
  } catch (error) {
    return { reason: `${told(error)} (${main})` };
  }
}

// The table's sentences say everything; of any other error the place in the plugin's code matters.
function told(error: unknown): string {
  if (isCentreondError(error)) return error.message.replace(/^The plugin (.*) cannot be used: (.*)\.$/s, '$1: $2');
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

process.send?.(await described(process.argv[2] ?? ''), () => process.exit(0));
