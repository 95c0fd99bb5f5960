import { styleText } from 'node:util';
import { cellsOf, cut } from './cells.ts';

export type Color = 'green' | 'yellow' | 'red';

/** Part of a line, with its colour where it has one. */
export type Piece = string | { readonly text: string; readonly color: Color };

/** How a piece is coloured where it is seen: not at all where that is no terminal, or NO_COLOR says so. */
export type Paint = (color: Color, text: string) => string;

/** Where text is to be seen. */
export interface View {
  /** Cells in a line; undefined where nothing bounds it. */
  readonly width: number | undefined;
  /** Lines, which nothing may exceed; undefined where it scrolls. */
  readonly height?: number;
  /** The router's time, in milliseconds. */
  readonly now: number;
  readonly paint: Paint;
}

/** A stream, which has colours and bounded lines if it is a terminal. */
export function viewOf(stream: NodeJS.WriteStream, now: number): View {
  const paint: Paint = (color, text) => styleText(color, text, { stream });
  return { width: stream.isTTY ? stream.columns : undefined, now, paint };
}

/** A piece without its colour. */
export function textOf(piece: Piece): string {
  return typeof piece === 'string' ? piece : piece.text;
}

/** A line in at most so many cells; a colour takes none. */
export function lineOf(pieces: readonly Piece[], paint: Paint, width?: number): string {
  let left = width ?? Number.POSITIVE_INFINITY;
  let line = '';
  const tooLong = width !== undefined && cellsOf(pieces.map(textOf).join('')) > width;
  for (const piece of pieces) {
    const text = textOf(piece);
    // What ends exactly at the edge, and has more behind it, needs its last cell for the mark.
    const shown = tooLong && cellsOf(text) >= left ? cut(`${text}.`, left) : text;
    left -= cellsOf(shown);
    line += typeof piece === 'string' || shown === '' ? shown : paint(piece.color, shown);
    if (left <= 0) break;
  }
  return line;
}
