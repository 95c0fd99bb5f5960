import { failure } from '@centreond/plugin-sdk';

/** Where the receiving end keeps what has not arrived as a whole, in each root. */
export const STAGING = '.centreond-staging';
const SHOWN_CHARACTERS = 300;

/** A path that is below a root: the names that lead from the root to it, none for the root itself. */
export interface Place {
  readonly root: string;
  readonly names: readonly string[];
}

/** What refusals of a path say. */
export interface RootWords {
  /** What the identity may not do with the path, such as `write PATH`. */
  what(path: string): string;
  /** What to do if there are no roots, as a sentence. */
  readonly none: string;
  /** Why a path is below none of `folders`, as a sentence. */
  outside(folders: string): string;
}

/** Folders, absolute and without `.` and `..`, below one of which everything lies that is read or written. */
export class Roots {
  constructor(
    readonly folders: readonly string[],
    private readonly words: RootWords,
  ) {}

  /**
   * Where `path` lies: a relative one below the first root, an absolute one below the root that contains it. Looks at the text
   * alone. Throws FORBIDDEN for one that is below no root, or that is not written as the plain way down from it.
   */
  place(path: string, identity: string): Place {
    const refuse = (remedy: string) => failure('FORBIDDEN', { identity, what: this.words.what(shown(path)), remedy });
    const [first] = this.folders;
    if (first === undefined) throw refuse(this.words.none);
    const absolute = path.startsWith('/');
    if (path === '.') return { root: first, names: [] };
    const parts = (absolute ? path.slice(1) : path).split('/');
    if (path.includes('\0') || parts.some((part) => part === '' || part === '.' || part === '..')) {
      throw refuse('Write the path without empty parts, . and .., and without the character U+0000.');
    }
    let place: Place = { root: first, names: parts };
    if (absolute) {
      const [root] = this.folders
        .filter((each) => path === each || path.startsWith(each.endsWith('/') ? each : `${each}/`))
        .sort((a, b) => b.length - a.length);
      if (root === undefined) throw refuse(this.words.outside(this.folders.join(', ')));
      place = { root, names: parts.slice(root.split('/').filter((part) => part !== '').length) };
    }
    // At any depth: a root may lie below another one.
    if (place.names.includes(STAGING)) throw refuse(`${STAGING} is where what has not arrived yet is kept.`);
    return place;
  }
}

/** A path as sentences show it. */
export function shown(path: string): string {
  const text = JSON.stringify(path).slice(1, -1);
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}
