import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { failure, reasonOf } from '@centreond/protocol';

/** A plugin's package, as its package.json describes it. */
export interface PluginPackage {
  /** Its name, or the absolute path of its folder if package.json names none. */
  readonly name: string;
  /** The absolute path of its entry: `exports["."]`, else `main`. */
  readonly main: string;
}

/** Reads the package.json in `folder`. Throws INVALID_PLUGIN, naming the package if its name can be read, else its folder. */
export async function packageOf(folder: string): Promise<PluginPackage> {
  const refuse = (plugin: string, reason: string) => failure('INVALID_PLUGIN', { plugin, reason });
  const absolute = path.resolve(folder);
  let description: unknown;
  try {
    description = JSON.parse(await readFile(path.join(absolute, 'package.json'), 'utf8'));
  } catch (error) {
    throw refuse(absolute, `its package.json cannot be read: ${reasonOf(error)}`);
  }
  const name = nameOf(description) ?? absolute;
  const main = entryOf(description);
  if (main === undefined) throw refuse(name, 'its package.json has neither exports["."] nor main');
  return { name, main: path.resolve(absolute, main) };
}

function nameOf(description: unknown): string | undefined {
  if (typeof description !== 'object' || description === null || !('name' in description)) return undefined;
  return typeof description.name === 'string' && description.name !== '' ? description.name : undefined;
}

/** The entry that a parsed package.json names for `import`, or undefined. */
export function entryOf(description: unknown): string | undefined {
  if (typeof description !== 'object' || description === null) return undefined;
  const { exports, main } = description as {
    exports?: unknown;
    main?: unknown;
  };
  const root =
    typeof exports === 'object' && exports !== null && '.' in exports
      ? (exports as Record<string, unknown>)['.']
      : exports;
  return conditional(root) ?? (typeof main === 'string' ? main : undefined);
}

function conditional(target: unknown): string | undefined {
  if (typeof target === 'string') return target;
  if (typeof target !== 'object' || target === null) return undefined;
  for (const [condition, nested] of Object.entries(target)) {
    if (['node', 'import', 'default'].includes(condition)) {
      const found = conditional(nested);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}
