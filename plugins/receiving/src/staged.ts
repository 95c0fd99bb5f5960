import { createHash } from 'node:crypto';

/** Characters of the names in a staging folder. */
export const NAME_DIGITS = 40;

function nameFor(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, NAME_DIGITS);
}

/** The name of a transfer's folder in the staging folder of a root. */
export function folderOf(transfer: string): string {
  return nameFor(transfer);
}

/** The name of a file in its transfer's folder: of one destination, and one state of the source. */
export function stagedNameOf(path: string, version: string): string {
  return nameFor(`${path}\0${version}`);
}
