import { randomBytes } from 'node:crypto';

/** So many former names of a database are kept. */
export const FORMER_EPOCHS = 8;

/** A name for a database. */
export function newEpoch(): string {
  return randomBytes(16).toString('hex');
}
