import { plain } from '../words.ts';
import { type Column, tableLines } from './columns.ts';
import type { Fleet, FleetNode } from './fleet.ts';
import {
  headOf,
  isSkewed,
  labelsText,
  pongText,
  remarkLines,
  remarksOf,
  skewOf,
  stateOf,
  tripText,
} from './node-text.ts';
import { lineOf, type Piece, type View } from './painted.ts';
import { countText } from './print.ts';

/** A line of the table: a node, or one behind it. */
interface Line {
  readonly node: FleetNode;
  /** The id of one behind `node`. */
  readonly behind?: string;
  /** The last one behind it. */
  readonly last?: boolean;
}

/**
 * The columns of the fleet's table at the time `now`, NAME if any node has one, ROUTER if another router than `router` carries any. A line of a node behind another has its name and
 * state only.
 */
function columnsFor(lines: readonly Line[], router: string, now: number): Column<Line>[] {
  const of = (column: Omit<Column<Line>, 'piece'>, piece: (node: FleetNode) => Piece): Column<Line> => ({
    ...column,
    piece: ({ node, behind }) => (behind === undefined ? piece(node) : ''),
  });
  const node: Column<Line> = {
    heading: 'NODE',
    least: 16,
    cutAt: 'middle',
    piece: ({ node, behind, last }) => plain(behind === undefined ? node.id : `${last ? '└' : '├'} ${behind}`),
  };
  const name = of({ heading: 'NAME', least: 8, goes: 4 }, ({ name }) => plain(name));
  const labels = of({ heading: 'LABELS', least: 12, goes: 5.5 }, (one) => labelsText(one).join(' '));
  return [
    node,
    ...(lines.some(({ node }) => node.name !== '') ? [name] : []),
    of({ heading: 'KIND', goes: 5 }, ({ kind }) => plain(kind)),
    { heading: 'STATE', piece: ({ node }: Line) => stateOf(node) },
    ...(lines.some(({ node }) => node.router !== undefined)
      ? [of({ heading: 'ROUTER', goes: 4.2 }, (node) => plain(node.router ?? router))]
      : []),
    of({ heading: 'RTT', goes: 2 }, ({ roundTripMs }) => (roundTripMs === null ? '-' : tripText(roundTripMs))),
    of({ heading: 'SKEW', goes: 3 }, skewOf),
    of({ heading: 'PONG', goes: 1 }, (one) => (one.router === undefined ? pongText(one, now) : '-')),
    // How much is missing matters more than where it stands.
    of({ heading: 'LOG', goes: 6 }, ({ cursor, logLag }) =>
      logLag > 0 ? { text: `-${logLag}`, color: 'yellow' } : String(cursor ?? '-'),
    ),
    ...(lines.some(({ node }) => node.held > 0)
      ? [of({ heading: 'HELD', goes: 4.5 }, ({ held }) => (held === 0 ? '-' : String(held)))]
      : []),
    of({ heading: 'VERSION', goes: 8 }, ({ version }) => plain(version ?? '-')),
    ...(lines.some(({ node }) => labelsText(node).length > 0) ? [labels] : []),
    of({ heading: 'ACTIONS', goes: 7 }, ({ actions }) => (actions.length === 0 ? '-' : String(actions.length))),
  ];
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
  // On a screen that does not scroll each has a line; else it goes on below itself.
  const remarkText = (remark: Piece[]) =>
    bound === undefined ? remarkLines(remark, paint, width) : [lineOf(remark, paint, bound)];
  const parts = [
    lineOf(headOf(fleet), paint, bound),
    '',
    ...tableLines(columnsFor(shown, router, now), shown, width, paint),
    ...(left > 0
      ? [lineOf([`… and ${countText(left, 'line')} more: without --watch all are shown`], paint, bound)]
      : []),
    ...(remarks.length > 0 ? ['', ...remarks.flatMap(remarkText)] : []),
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

function emptyText(router: string): string {
  return [
    `No nodes are linked to the router ${router} yet. Three ways to have one:`,
    '  it connects to this router   centreond join ID   prints what to type there',
    '  this router connects to it   list it under nodes of @centreond/plugin-proxy',
    '  it has SSH and no daemon     list it under nodes of @centreond/plugin-ssh',
    '',
  ].join('\n');
}
