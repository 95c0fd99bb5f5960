import { createHash } from 'node:crypto';
import { z } from 'zod';
import { mayBeNote } from './log-note.ts';

/** The digest covers this many characters of a row's data. */
export const MARK_CHARACTERS = 4096;

/** Names one row of a log by its id and content. A router tells its newest row of a node's log by it. */
export const LogMark = z.object({ id: z.int().min(1), digest: z.string() });
export type LogMark = z.output<typeof LogMark>;

/** What a mark covers. `data` is JSON text as JSON.stringify writes it, or its first {@link MARK_CHARACTERS}. */
export interface MarkedRow {
  readonly id: number;
  readonly token: string;
  readonly code: number;
  readonly etime: number;
  readonly data: string;
}

/** The mark of a row as a router stored it. A note stands for a row with other data, so its mark omits them. */
export function markOf(row: MarkedRow): LogMark {
  return { id: row.id, digest: mayBeNote(row.data) ? digestOfHead(row) : digestOf(row) };
}

/** Whether `mark` was made from `row`, or from a note in its place. */
export function isMarkOf({ id, digest }: LogMark, row: MarkedRow): boolean {
  return id === row.id && (digest === digestOf(row) || digest === digestOfHead(row));
}

// The type is not part of it: it changes when a request takes over a token that only PUTLOG used.
function digestOf({ token, etime, code, data }: MarkedRow): string {
  return sha256([token, etime, code, data.slice(0, MARK_CHARACTERS)]);
}

function digestOfHead({ token, etime }: MarkedRow): string {
  return sha256([token, etime]);
}

function sha256(parts: readonly (string | number)[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}
