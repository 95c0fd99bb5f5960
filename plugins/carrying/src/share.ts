import { createHash } from 'node:crypto';

/** The instance, of `of` in the pool, that carries the node `id`: exactly one, the same over every restart. */
export function instanceOf(id: string, of: number): string {
  return String((createHash('sha256').update(id).digest().readUInt32BE() % of) + 1);
}
