import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { failure, reasonOf } from '../errors.ts';

/** The absolute path of a plugin package's entry: `exports["."]`, else `main`, of its package.json. Throws INVALID_PLUGIN. */
export async function mainOf(folder: string): Promise<string> {
  const refuse = (reason: string) => failure('INVALID_PLUGIN', { plugin: folder, reason });
  let description: unknown;
  try {
    description = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'));
  } catch (error) {
    throw refuse(`its package.json cannot be read: ${reasonOf(error)}`);
  }
  const main = entryOf(description);
  if (main === undefined) throw refuse('its package.json has neither exports["."] nor main');
  return path.resolve(folder, main);
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
