import { cellsOf, cut, padded } from './cells.ts';
import { lineOf, type Paint, type Piece, textOf } from './painted.ts';

const GAP = '  ';

/** A column of a table whose rows are `T`. */
export interface Column<T> {
  readonly heading: string;
  /** It can be cut down to so many cells. */
  readonly least?: number;
  readonly cutAt?: 'middle';
  /** If a line is too short, the highest goes first. Columns without one stay. */
  readonly goes?: number;
  piece(row: T): Piece;
}

/** The heading and a line each, in at most `width` cells: the longest columns are cut first, then columns go. */
export function tableLines<T>(
  all: readonly Column<T>[],
  rows: readonly T[],
  width?: number,
  paint: Paint = (_, text) => text,
): string[] {
  const cells = new Map(all.map((column) => [column, rows.map((row) => column.piece(row))]));
  const natural = new Map(
    all.map((column) => [column, Math.max(column.heading.length, longest(cells.get(column) ?? []))] as const),
  );
  const widths = fitted(natural, width);
  const columns = [...widths.keys()];
  const line = (pieceIn: (column: Column<T>) => Piece) => {
    const pieces = columns.flatMap((column, i): Piece[] => {
      const piece = pieceIn(column);
      const room = widths.get(column) ?? 0;
      const text = cut(textOf(piece), room, column.cutAt);
      const space = i === columns.length - 1 ? '' : padded(text, room).slice(text.length) + GAP;
      return [typeof piece === 'string' ? text : { text, color: piece.color }, space];
    });
    return lineOf(pieces, paint, width).trimEnd();
  };
  return [line(({ heading }) => heading), ...rows.map((_, i) => line((column) => cells.get(column)?.[i] ?? ''))];
}

/** The columns that fit, with their widths: the longest are cut first, then columns go. */
function fitted<T>(natural: ReadonlyMap<Column<T>, number>, width: number | undefined): Map<Column<T>, number> {
  const widths = new Map(natural);
  if (width === undefined) return widths;
  for (;;) {
    let over = GAP.length * (widths.size - 1) - width;
    for (const cells of widths.values()) over += cells;
    const spareOf = ([{ least }, cells]: [Column<T>, number]) => (least === undefined ? 0 : Math.max(0, cells - least));
    const spares = [...widths].map((entry) => [entry[0], spareOf(entry)] as const);
    const spare = spares.reduce((sum, [, one]) => sum + one, 0);
    const next = [...widths.keys()].reduce((a, b) => ((b.goes ?? 0) > (a.goes ?? 0) ? b : a));
    // With nothing left to go, lines are cut.
    if (over > spare && next.goes !== undefined) {
      widths.delete(next);
      continue;
    }
    for (let i = Math.min(over, spare); i > 0; i--) {
      const [column] = [...widths].reduce((a, b) => (spareOf(b) > spareOf(a) ? b : a));
      widths.set(column, (widths.get(column) ?? 0) - 1);
    }
    return widths;
  }
}

function longest(pieces: readonly Piece[]): number {
  return pieces.reduce((most, piece) => Math.max(most, cellsOf(textOf(piece))), 0);
}
