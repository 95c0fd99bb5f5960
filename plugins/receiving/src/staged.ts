import { createHash } from 'node:crypto';
import { type CentreondError, failure } from '@centreond/plugin-sdk';

/** Transfers that may have something staged below one root. */
export const STAGED_LIMIT = 256;

/** The refusal of one more. */
export function tooManyStaged(root: string): CentreondError {
  return failure('BUSY', { what: `the list of transfers that are staged below ${root}`, limit: STAGED_LIMIT });
}

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
