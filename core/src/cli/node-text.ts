import { plain } from '../words.ts';
import { wrapped } from './cells.ts';
import type { Fleet, FleetNode } from './fleet.ts';
import { type Color, lineOf, type Piece, type View } from './painted.ts';
import { countText, msText, spanText } from './print.ts';
import { momentText } from './time.ts';

/** A clock that is further off than this is told, in seconds. */
const SKEW_LIMIT = 2;
/** So many nodes have their trouble told in words. */
const REMARKS = 8;

/** Everything that is known of one node. */
export function nodeText(node: FleetNode, { width = 120, now, paint }: View): string {
  const { id, name, lastPong, lastPing, roundTripMs, clockSkewSeconds, cursor, actions, subnodes } = node;
  const label = name === '' || name === id ? '' : ` (${plain(name)})`;
  const labels = labelsText(node);
  const when = (seconds: number | null) =>
    seconds === null ? 'never' : `${momentText(seconds)}, ${spanText(sinceSeconds(seconds, now))} ago`;
  const rows: [string, string][] = [
    ...(node.reason === null ? [] : ([['reason', plain(node.reason)]] satisfies [string, string][])),
    ...(labels.length === 0 ? [] : ([['labels', labels.join(' ')]] satisfies [string, string][])),
    ['kind', plain(node.kind)],
    ...(node.address === null ? [] : ([['address', plain(node.address)]] satisfies [string, string][])),
    ['version', plain(node.version ?? 'not told')],
    ['last PONG', when(lastPong)],
    ['last PING', when(lastPing)],
    ['round trip', roundTripMs === null ? 'not measured' : tripText(roundTripMs)],
    ['clock', clockSkewSeconds === null ? 'not compared' : clockText(clockSkewSeconds)],
    ['log cursor', cursor === null ? 'none of its rows is here' : `row ${cursor}`],
    ['actions', actions.length === 0 ? 'not told' : actions.map(plain).join(' ')],
    ['subnodes', subnodes.length === 0 ? 'none' : subnodes.map(plain).join(' ')],
  ];
  const lines = rows.flatMap(([what, text]) =>
    wrapped(text, width - 14).map((line, i) => `  ${(i === 0 ? what : '').padEnd(12)}${line}`),
  );
  const remarks = remarksOf([node], now).map((remark) => lineOf(remark, paint));
  return [lineOf([`${plain(id)}${label} is `, stateOf(node)], paint), ...lines, ...(remarks[0] ? ['', ...remarks] : [])]
    .map((line) => `${line}\n`)
    .join('');
}

/** Its labels, as --label takes them. */
export function labelsText({ labels }: FleetNode): string[] {
  return Object.entries(labels).map(([key, value]) => plain(`${key}=${value}`));
}

/** How many there are, and how they are. */
export function headOf({ router, nodes }: Fleet): Piece[] {
  const rank = (state: string) => ['up', 'connecting', 'unreachable'].indexOf(state);
  const states = [...Map.groupBy(nodes, ({ state }) => state)].sort(([a], [b]) => rank(a) - rank(b));
  const direct = new Set(nodes.map(({ id }) => id));
  const behind = new Set(nodes.flatMap(({ subnodes }) => subnodes.filter((id) => !direct.has(id)))).size;
  return [
    `router ${router}, ${countText(nodes.length, 'node')}: `,
    ...states.flatMap(([state, { length }], i): Piece[] => {
      const text = `${length} ${plain(state)}`;
      return [i === 0 ? '' : ', ', state === 'up' ? text : { text, color: colorOf(state) }];
    }),
    behind > 0 ? `; ${behind} behind them` : '',
  ];
}

/** What somebody has to look after, in a sentence each. */
export function remarksOf(nodes: readonly FleetNode[], now: number): Piece[][] {
  const warning = (color: Color, sentence: string): Piece[] => [{ text: 'warning', color }, `  ${sentence}`];
  const told = [
    ...nodes
      .filter(({ state }) => state !== 'up')
      .map((node) =>
        warning(colorOf(node.state), `${plain(node.id)} is ${plain(node.state)}: ${sinceText(node, now)}.`),
      ),
    ...nodes
      .filter(({ sharedBy }) => sharedBy.length > 0)
      .map(({ id, sharedBy }) =>
        warning(
          'red',
          `Two machines connect with the key of ${plain(id)} by turns, from ${sharedBy.map(plain).join(' and ')}. Give each a key of its own: \`centreond join ID\`.`,
        ),
      ),
    ...nodes
      .filter(isSkewed)
      .map(({ id, clockSkewSeconds }) =>
        warning('yellow', `The clock of ${plain(id)} is ${clockText(clockSkewSeconds ?? 0)}.`),
      ),
  ];
  if (told.length <= REMARKS) return told;
  return [...told.slice(0, REMARKS - 1), warning('yellow', `There are ${told.length - REMARKS + 1} more like these.`)];
}

/** The node's state, in its colour. */
export function stateOf({ state }: FleetNode): Piece {
  return { text: plain(state), color: colorOf(state) };
}

/** Whether somebody has to look after its clock. */
export function isSkewed({ clockSkewSeconds }: FleetNode): boolean {
  return clockSkewSeconds !== null && Math.abs(clockSkewSeconds) > SKEW_LIMIT;
}

/** The clock's distance, short; `!` says that it is too much where no colour does. */
export function skewOf(node: FleetNode): Piece {
  const { clockSkewSeconds: skew } = node;
  if (skew === null) return '-';
  const text = `${skew < 0 ? '-' : '+'}${spanText(Math.abs(skew))}`;
  return isSkewed(node) ? { text: `${text} !`, color: 'yellow' } : text;
}

/** How long ago it answered last, short. */
export function pongText({ lastPong }: FleetNode, now: number): string {
  return lastPong === null ? 'never' : spanText(sinceSeconds(lastPong, now));
}

/** A round trip to three figures or so. */
export function tripText(milliseconds: number): string {
  return msText(milliseconds < 10 ? Math.round(milliseconds * 10) / 10 : Math.round(milliseconds));
}

function colorOf(state: string): Color {
  return state === 'up' ? 'green' : state === 'unreachable' ? 'red' : 'yellow';
}

function sinceText({ lastPong, reason }: FleetNode, now: number): string {
  const why = reason === null ? undefined : plain(reason).replace(/\.$/, '');
  if (lastPong === null) return why ?? 'it never answered';
  const since = `no answer for ${spanText(sinceSeconds(lastPong, now))}, since ${momentText(lastPong)}`;
  return why === undefined ? since : `${since}; ${why}`;
}

function clockText(skew: number): string {
  return `${spanText(Math.abs(skew))} ${skew < 0 ? 'behind' : 'ahead of'} this router's`;
}

function sinceSeconds(seconds: number, now: number): number {
  return Math.max(0, Math.floor(now / 1000) - seconds);
}
