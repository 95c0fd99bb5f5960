import { readFile, realpath } from 'node:fs/promises';
import path from 'node:path';
import { SHARED_MODULES } from '@centreond/plugin-sdk/internal';

/** A shared module that a plugin's modules reach more than once. */
export interface Copies {
  readonly module: string;
  /** The folders of its copies, links followed. */
  readonly folders: readonly string[];
}

/** Walks the installed packages that the package in `folder` can load, and names shared modules of several copies. */
export async function copiesOf(folder: string): Promise<Copies[]> {
  const start = await realpath(folder);
  const copies = new Map<string, Set<string>>();
  const seen = new Set([start]);
  const queue = [start];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    for (const name of await needsOf(next)) {
      const found = await installedAt(next, name);
      if (found === undefined) continue;
      if (SHARED_MODULES.includes(name)) copies.set(name, (copies.get(name) ?? new Set<string>()).add(found));
      if (seen.has(found)) continue;
      seen.add(found);
      queue.push(found);
    }
  }
  return [...copies]
    .filter(([, folders]) => folders.size > 1)
    .map(([module, folders]) => ({ module, folders: [...folders] }));
}

async function needsOf(folder: string): Promise<string[]> {
  const text = await readFile(path.join(folder, 'package.json'), 'utf8');
  const { dependencies, optionalDependencies, peerDependencies } = JSON.parse(text) as Record<
    string,
    object | undefined
  >;
  return Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies });
}

async function installedAt(folder: string, name: string): Promise<string | undefined> {
  for (let at = folder; ; at = path.dirname(at)) {
    try {
      return path.dirname(await realpath(path.join(at, 'node_modules', name, 'package.json')));
    } catch {
      if (at === path.dirname(at)) return undefined; // not installed: its import says so
    }
  }
}
