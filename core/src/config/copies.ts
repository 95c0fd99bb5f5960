import { SHARED_MODULES } from '@centreond/plugin-sdk/internal';
import { firstPackageFolder, modulePlaces, type Package, readPackage } from './package.ts';

/** What a plugin's modules reach of the shared ones. */
export interface Reach {
  /** Folders of each shared module; more than one is one too many. */
  copies: Map<string, string[]>;
  /** Shared modules that the plugin itself asks for and that are not installed. */
  lacking: string[];
}

/** Walks the installed packages that `plugin` can load and collects the copies of the shared modules. Runs no code. */
export function reachOf(plugin: Package): Reach {
  const copies = new Map<string, string[]>();
  const lacking: string[] = [];
  const seen = new Set<string>([plugin.folder]);
  const queue: Package[] = [plugin];
  for (let next = queue.pop(); next; next = queue.pop()) {
    for (const name of next.needs) {
      const folder = resolveModule(next.folder, name);
      const shared = SHARED_MODULES.includes(name);
      if (folder === undefined) {
        if (shared && next === plugin) lacking.push(name);
        continue;
      }
      if (shared) {
        const known = copies.get(name) ?? [];
        if (!known.includes(folder)) copies.set(name, [...known, folder]);
      }
      if (seen.has(folder)) continue;
      seen.add(folder);
      const found = readPackage(folder);
      if (typeof found !== 'string') queue.push(found);
    }
  }
  return { copies, lacking };
}

/** The folder of the package `name` as a module in `folder` finds it. */
export function resolveModule(folder: string, name: string) {
  return firstPackageFolder(modulePlaces(folder, name));
}
