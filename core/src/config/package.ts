import { readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { reasonOf } from '@centreond/protocol';
import { z } from 'zod';

const PackageJson = z.looseObject({
  name: z.string().min(1),
  version: z.string().default('0.0.0'),
  main: z.string().optional(),
  exports: z.json().optional(),
  dependencies: z.record(z.string(), z.string()).default({}),
  peerDependencies: z.record(z.string(), z.string()).default({}),
  optionalDependencies: z.record(z.string(), z.string()).default({}),
});

/** An installed package: its folder, links followed, and its package.json. */
export interface Package {
  folder: string;
  name: string;
  version: string;
  /** The file that `import` of its name loads, absolute. */
  main: string;
  /** The packages it asks for. */
  needs: string[];
}

/** The folders where `name` is looked for from `folder` up, nearest first. */
export function modulePlaces(folder: string, name: string): string[] {
  const parent = dirname(folder);
  const here = folder.endsWith('/node_modules') ? [] : [join(folder, 'node_modules', name)];
  return parent === folder ? here : [...here, ...modulePlaces(parent, name)];
}

/** The first of `folders` that holds a package, links followed; undefined if none does. */
export function firstPackageFolder(folders: readonly string[]): string | undefined {
  for (const folder of folders) {
    try {
      return dirname(realpathSync(join(folder, 'package.json')));
    } catch {
      // Not here: the next place is looked at, and the caller reports when none is left.
    }
  }
  return undefined;
}

/** Reads the package in `folder`; a string says why there is none. */
export function readPackage(folder: string): Package | string {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  } catch (error) {
    return reasonOf(error);
  }
  const { data, error } = PackageJson.safeParse(json);
  if (!data) return `its package.json is broken (${error.issues[0]?.path.join('.')}: ${error.issues[0]?.message})`;
  const entry = exported(data.exports) ?? data.main ?? 'index.js';
  return {
    folder,
    name: data.name,
    version: data.version,
    main: join(folder, entry),
    needs: Object.keys({
      ...data.dependencies,
      ...data.optionalDependencies,
      ...data.peerDependencies,
    }),
  };
}

const CONDITIONS = ['node', 'import', 'module-sync', 'default'];

/** What `exports` names for an import of the package itself. */
function exported(target: unknown): string | undefined {
  if (typeof target === 'string') return target;
  if (typeof target !== 'object' || target === null) return undefined;
  if (Array.isArray(target)) return target.map(exported).find((t) => t);
  for (const [key, value] of Object.entries(target)) {
    if (key !== '.' && !CONDITIONS.includes(key)) continue;
    const found = exported(value);
    if (found !== undefined) return found;
  }
  return undefined;
}
