import { cellsOf, cut, padded, plain } from './cells.ts';
import type { Fleet, FleetNode } from './fleet.ts';
import { headOf, isSkewed, pongText, remarksOf, skewOf, stateOf, tripText, type View } from './node-text.ts';
import { lineOf, type Piece } from './painted.ts';
import { countText } from './print.ts';

const GAP = '  ';

interface Column {
  readonly heading: string;
  /** It can be cut down to so many cells. */
  readonly least?: number;
  readonly cutAt?: 'middle';
  /** Where a line is too short, the highest goes first. Those without one stay. */
  readonly goes?: number;
  piece(node: FleetNode, now: number): Piece;
}

const NODE: Column = { heading: 'NODE', least: 16, cutAt: 'middle', piece: ({ id }) => plain(id) };
const NAME: Column = { heading: 'NAME', least: 8, goes: 4, piece: ({ name }) => plain(name) };
const STATE: Column = { heading: 'STATE', piece: stateOf };
const COLUMNS: readonly Column[] = [
  NODE,
  NAME,
  { heading: 'KIND', goes: 5, piece: ({ kind }) => plain(kind) },
  STATE,
  { heading: 'RTT', goes: 2, piece: ({ roundTripMs }) => (roundTripMs === null ? '-' : tripText(roundTripMs)) },
  { heading: 'SKEW', goes: 3, piece: skewOf },
  { heading: 'PONG', goes: 1, piece: pongText },
  { heading: 'CURSOR', goes: 6, piece: ({ cursor }) => String(cursor ?? '-') },
  { heading: 'VERSION', goes: 8, piece: ({ version }) => plain(version ?? '-') },
  { heading: 'ACTIONS', goes: 7, piece: ({ actions }) => (actions.length === 0 ? '-' : String(actions.length)) },
];

/** A line of the table: a node, or one behind it. */
interface Line {
  readonly node: FleetNode;
  /** The id of one behind `node`. */
  readonly behind?: string;
  /** The last one behind it. */
  readonly last?: boolean;
}

/** The fleet for a terminal: how many and how they are, a line each, then what somebody has to look after. */
export function fleetText(fleet: Fleet, view: View): string {
  const { router, nodes } = fleet;
  if (nodes.length === 0) return emptyText(router);
  const { width, height = Number.POSITIVE_INFINITY, now, paint } = view;
  const lines = nodes.flatMap(linesOf);
  let remarks = remarksOf(nodes, now);
  // Head, blank, heading; a blank before what stands below. The table gets half of a small screen at least.
  const roomFor = (below: number) => height - 3 - (below > 0 ? below + 1 : 0);
  if (lines.length > roomFor(remarks.length)) remarks = remarks.slice(0, Math.max(0, Math.floor(height / 2) - 4));
  const room = roomFor(remarks.length);
  const shown = lines.length <= room ? lines : troubleFirst(lines).slice(0, Math.max(1, room - 1));
  const left = lines.length - shown.length;
  const bound = height === Number.POSITIVE_INFINITY ? undefined : width;
  const parts = [
    lineOf(headOf(fleet), paint, bound),
    '',
    ...tableOf(shown, view),
    ...(left > 0
      ? [lineOf([`… and ${countText(left, 'line')} more: without --watch all are shown`], paint, bound)]
      : []),
    ...(remarks.length > 0 ? ['', ...remarks.map((remark) => lineOf(remark, paint, bound))] : []),
  ];
  return parts.map((line) => `${line}\n`).join('');
}

function linesOf(node: FleetNode): Line[] {
  const { subnodes } = node;
  return [{ node }, ...subnodes.map((behind, i) => ({ node, behind, last: i === subnodes.length - 1 }))];
}

/** Where not all fit, those that somebody has to look after are among those shown. */
function troubleFirst(lines: readonly Line[]): Line[] {
  const rank = ({ node }: Line) => (node.state !== 'up' ? 0 : isSkewed(node) ? 1 : 2);
  return lines.toSorted((a, b) => rank(a) - rank(b));
}

function tableOf(lines: readonly Line[], { width, now, paint }: View): string[] {
  const all = lines.some(({ node }) => node.name !== '') ? COLUMNS : COLUMNS.filter((column) => column !== NAME);
  const cells = new Map(all.map((column) => [column, lines.map((line) => pieceOf(column, line, now))]));
  const natural = new Map(
    all.map((column) => [column, Math.max(column.heading.length, longest(cells.get(column) ?? []))] as const),
  );
  const widths = fitted(natural, width);
  const columns = [...widths.keys()];
  const line = (pieceIn: (column: Column) => Piece) => {
    const pieces = columns.flatMap((column, i): Piece[] => {
      const piece = pieceIn(column);
      const room = widths.get(column) ?? 0;
      const text = cut(textOf(piece), room, column.cutAt);
      const space = i === columns.length - 1 ? '' : padded(text, room).slice(text.length) + GAP;
      return [typeof piece === 'string' ? text : { text, color: piece.color }, space];
    });
    return lineOf(pieces, paint, width).trimEnd();
  };
  return [line(({ heading }) => heading), ...lines.map((_, i) => line((column) => cells.get(column)?.[i] ?? ''))];
}

function pieceOf(column: Column, { node, behind, last }: Line, now: number): Piece {
  if (behind === undefined || column === STATE) return column.piece(node, now);
  return column === NODE ? `${last ? '└' : '├'} ${plain(behind)}` : '';
}

/** The columns that fit, with their widths: the longest are cut first, then columns go. */
function fitted(natural: ReadonlyMap<Column, number>, width: number | undefined): Map<Column, number> {
  const widths = new Map(natural);
  if (width === undefined) return widths;
  for (;;) {
    let over = GAP.length * (widths.size - 1) - width;
    for (const cells of widths.values()) over += cells;
    const spareOf = ([{ least }, cells]: [Column, number]) => (least === undefined ? 0 : Math.max(0, cells - least));
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

function textOf(piece: Piece): string {
  return typeof piece === 'string' ? piece : piece.text;
}

function emptyText(router: string): string {
  return [
    `No nodes are linked to the router ${router} yet. Two ways to have one:`,
    '  it connects to this router   centreond join ID   prints what to type there',
    '  this router connects to it   list it under nodes of @centreond/plugin-proxy',
    '',
  ].join('\n');
}
