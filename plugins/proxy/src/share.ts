import { createHash } from 'node:crypto';
import type { Instance } from '@centreond/plugin-sdk';

/** Whether this instance of the pool is the one that carries the node `id`: exactly one is, the same over every restart. */
export function isMine(id: string, { id: instance, of }: Instance): boolean {
  return (createHash('sha256').update(id).digest().readUInt32BE() % of) + 1 === Number(instance);
}
