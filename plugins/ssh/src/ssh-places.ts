import { failure } from '@centreond/plugin-sdk';

/** Where what has not arrived as a whole is kept, in each root. */
export const STAGING = '.centreond-staging';
const SHOWN_CHARS = 200;

/** A path below a root: the names that lead from the root to it, none for the root itself. */
export interface Place {
  readonly root: string;
  readonly names: readonly string[];
}

/**
 * Where `path` lies on the node: a relative one below the first root, an absolute one below the root that contains it. Looks
 * at the text alone. Throws FORBIDDEN for one that is below no root, or that is not written as the plain way down from it.
 */
export function placeOf(path: string, roots: readonly string[], node: string, identity: string): Place {
  const refuse = (remedy: string) =>
    failure('FORBIDDEN', { identity, what: `write ${shown(path)} on ${node}`, remedy });
  const [first] = roots;
  if (first === undefined) throw refuse(`The node ${node} has no roots in the config: list a folder to allow it.`);
  const absolute = path.startsWith('/');
  if (path === '.') return { root: first, names: [] };
  const parts = (absolute ? path.slice(1) : path).split('/');
  if (path.includes('\0') || parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw refuse('Write the path without empty parts, . and .., and without the character U+0000.');
  }
  let place: Place = { root: first, names: parts };
  if (absolute) {
    const [root] = roots
      .filter((each) => path === each || path.startsWith(each.endsWith('/') ? each : `${each}/`))
      .sort((a, b) => b.length - a.length);
    if (root === undefined) throw refuse(`It is below none of the roots of the node: ${roots.join(', ')}.`);
    place = { root, names: parts.slice(root.split('/').filter((part) => part !== '').length) };
  }
  // At any depth: a root may lie below another one.
  if (place.names.includes(STAGING)) throw refuse(`${STAGING} is where what has not arrived yet is kept.`);
  return place;
}

export function shown(path: string): string {
  const text = path.replace(/\p{Cc}/gu, '\uFFFD');
  return text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text;
}
