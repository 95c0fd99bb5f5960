import type { Row } from '../api/shapes.ts';

/** A piece of output, of one stream. */
export interface Piece {
  readonly stream: string;
  readonly text: string;
}

/** What a timeline shows as one step: a row, or rows of output that follow each other. */
export interface Entry {
  /** The id of its first row. */
  readonly id: number;
  readonly code: number;
  readonly type: string;
  readonly node: string;
  /** When it happened, in seconds: its first row, and its last one. */
  readonly from: number;
  readonly until: number;
  readonly rows: number;
  /** The text, if it is output. */
  readonly output: readonly Piece[] | undefined;
  readonly data: unknown;
}

/** The steps that rows make up. */
export function entriesOf(rows: readonly Row[]): Entry[] {
  const entries: Entry[] = [];
  for (const row of rows) {
    const last = entries.at(-1);
    const piece = pieceOf(row);
    if (piece && last?.output && last.code === row.code && last.node === row.node) {
      entries[entries.length - 1] = {
        ...last,
        until: row.etime,
        rows: last.rows + 1,
        output: withPiece(last.output, piece),
      };
    } else entries.push(entryOf(row, piece));
  }
  return entries;
}

function entryOf({ id, code, type, node, etime, data }: Row, piece: Piece | undefined): Entry {
  return { id, code, type, node, from: etime, until: etime, rows: 1, output: piece && [piece], data };
}

/** Output is `{chunk}` or `{stream, chunk}`, of a plugin's own code. */
function pieceOf({ code, data }: Row): Piece | undefined {
  if (code < 10 || typeof data !== 'object' || data === null || !('chunk' in data)) return undefined;
  const { chunk, stream = '' } = data as { chunk: unknown; stream?: unknown };
  if (typeof chunk !== 'string' || typeof stream !== 'string') return undefined;
  return { stream, text: chunk };
}

function withPiece(output: readonly Piece[], piece: Piece): readonly Piece[] {
  const last = output.at(-1);
  if (last?.stream !== piece.stream) return [...output, piece];
  return [...output.slice(0, -1), { stream: piece.stream, text: last.text + piece.text }];
}

/** The step that ends a request, if it has ended. */
export function endOf(rows: readonly Row[]): Row | undefined {
  return rows.findLast(({ code }) => code === 1 || code === 2);
}

/** Rows of a token that the page keeps; older ones leave. */
export const ROWS = 5000;

/** `rows` with those that came, each once, in order. */
export function withRows(rows: readonly Row[], came: readonly Row[]): readonly Row[] {
  const last = rows.at(-1)?.id ?? 0;
  const next = came.filter(({ id }) => id > last);
  return next.length === 0 ? rows : [...rows, ...next].slice(-ROWS);
}
