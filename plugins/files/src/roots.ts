import { resolve } from 'node:path';
import { failure } from '@centreond/plugin-sdk';

/** Where the receiving end keeps what has not arrived as a whole, in each root. */
export const STAGING = '.centreond-staging';

/** A path that is below a root: the names that lead from the root to it, none for the root itself. */
export interface Place {
  readonly root: string;
  readonly names: readonly string[];
}

/** The folders that one key of the config names. All that is read or written lies below one of them. */
export class Roots {
  readonly folders: readonly string[];

  constructor(
    folders: readonly string[],
    private readonly key: 'send' | 'receive',
  ) {
    this.folders = folders.map((folder) => resolve(folder));
  }

  /**
   * Where `path` lies: a relative one below the first root, an absolute one below the root that contains it. Looks at the text
   * alone. Throws FORBIDDEN for one that is below no root, or that is not written as the plain way down from it.
   */
  place(path: string, identity: string): Place {
    const refuse = (remedy: string) => {
      const what = `${this.key === 'send' ? 'send' : 'write'} ${shown(path)}`;
      return failure('FORBIDDEN', { identity, what, remedy });
    };
    const [first] = this.folders;
    if (first === undefined) {
      throw refuse(`The config of the plugin files there names no folder under ${this.key}: list one to allow it.`);
    }
    const absolute = path.startsWith('/');
    const parts = (absolute ? path.slice(1) : path).split('/');
    if (!absolute && path === '.') return { root: first, names: [] };
    if (path.includes('\0') || parts.some((part) => part === '' || part === '.' || part === '..')) {
      throw refuse('Write the path without empty parts, . and .., and without the character U+0000.');
    }
    if (!absolute) return this.#below(first, parts, refuse);
    const around = this.folders
      .filter((root) => path === root || path.startsWith(root === '/' ? '/' : `${root}/`))
      .sort((a, b) => b.length - a.length);
    const [root] = around;
    if (root === undefined) {
      const named = this.folders.join(', ');
      throw refuse(
        `It is below none of the folders that ${this.key} names in the config of the plugin files there: ${named}.`,
      );
    }
    return this.#below(root, parts.slice(root.split('/').filter((part) => part !== '').length), refuse);
  }

  #below(root: string, names: readonly string[], refuse: (remedy: string) => Error): Place {
    // At any depth: a root may lie below another one.
    if (names.includes(STAGING)) throw refuse(`${STAGING} is where the plugin files keeps what has not arrived yet.`);
    return { root, names };
  }
}

/** A path as sentences show it. */
export function shown(path: string): string {
  const text = JSON.stringify(path).slice(1, -1);
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}
