import { FAILED, isTerminal, type JsonObject } from '@centreond/protocol';

/** Refusals of what was sent. A single row that meets one is replaced by a note. */
export const UNFIT: ReadonlySet<string> = new Set(['TOO_LARGE', 'INVALID_DATA', 'MALFORMED_FRAME']);
const NOTE = new RegExp(`^\\{"error":"(${[...UNFIT].join('|')})"`);

/** The note sent for a row that a router cannot take: the same row with the error as its data. An end stays an end. */
export function noteOf(row: JsonObject, error: JsonObject): string {
  const code = isTerminal(Number(row.code)) ? FAILED : row.code;
  return JSON.stringify({ ...row, code, data: error });
}

/** Whether `data`, the JSON text of a row or its beginning, may be a note. */
export function mayBeNote(data: string): boolean {
  return NOTE.test(data);
}
