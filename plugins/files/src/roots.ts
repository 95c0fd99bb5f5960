import { resolve } from 'node:path';
import { Roots } from '@centreond/receiving';

/** The folders that one key of the config names. */
export function rootsOf(folders: readonly string[], key: 'send' | 'receive'): Roots {
  const resolved = folders.map((folder) => resolve(folder));
  return new Roots(resolved, {
    what: (path) => `${key === 'send' ? 'send' : 'write'} ${path}`,
    none: `The config of the plugin files there names no folder under ${key}: list one to allow it.`,
    outside: (named) =>
      `It is below none of the folders that ${key} names in the config of the plugin files there: ${named}.`,
  });
}
