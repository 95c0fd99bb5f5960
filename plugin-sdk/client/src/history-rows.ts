import { FrameError, type HistoryRow, parseJson } from '@centreond/protocol';

/** The row in a parsed JSON value, or undefined when it is none. */
export function rowOf(value: unknown): HistoryRow | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const row = value as Partial<Record<keyof HistoryRow, unknown>>;
  return Number.isSafeInteger(row.id) &&
    Number.isSafeInteger(row.code) &&
    typeof row.token === 'string' &&
    typeof row.type === 'string' &&
    typeof row.node === 'string' &&
    typeof row.etime === 'number' &&
    typeof row.ctime === 'number' &&
    row.data !== undefined
    ? (value as HistoryRow)
    : undefined;
}

/** A page of rows, ascending; `bytes` is about what it took on the wire. */
export interface HistoryPage {
  readonly rows: readonly HistoryRow[];
  readonly more: boolean;
  readonly bytes: number;
}

/** A page from a GETLOG's answer, of which `bytes` came. Throws {@link FrameError} when it is malformed. */
export function pageOf(data: unknown, bytes = 0): HistoryPage {
  const page: { result?: unknown; more?: unknown } = typeof data === 'object' && data !== null ? data : {};
  if (!Array.isArray(page.result)) throw new FrameError('a GETLOG answer has no result', '');
  const rows = page.result.map((value) => {
    const row = rowOf(value);
    if (row === undefined) throw new FrameError('a GETLOG answer holds a malformed row', '');
    return row;
  });
  return { rows, more: page.more === true, bytes };
}

/** The row of a LOG. Throws {@link FrameError} when it is malformed. */
export function readRow(text: string): HistoryRow {
  let row: HistoryRow | undefined;
  try {
    row = rowOf(parseJson(text));
  } catch {
    row = undefined;
  }
  if (row === undefined) throw new FrameError('a LOG holds a malformed row', '');
  return row;
}
