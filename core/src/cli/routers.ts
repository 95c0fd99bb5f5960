import type { Client } from '@centreond/client';
import { z } from 'zod';
import { plain } from '../words.ts';
import { type Column, tableLines } from './columns.ts';
import { cliFault, openClient, outputOf } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import { type Piece, type View, viewOf } from './painted.ts';
import { countText, hanging, printJson, spanText } from './print.ts';

const Router = z.looseObject({
  id: z.string(),
  state: z.string(),
  endpoint: z.string(),
  version: z.string(),
  startedAt: z.number(),
  silentSeconds: z.number(),
  self: z.boolean(),
  open: z.number(),
  nodes: z.number(),
  nats: z.boolean(),
});
const Routers = z.object({
  cluster: z.string().nullable(),
  natsAway: z.string().nullable(),
  clockSkewSeconds: z.number(),
  routers: z.array(Router),
});
const Forgotten = z.object({ cluster: z.string() });

/** The routers of a cluster, as one of them knows them. */
export type RoutersAnswer = z.output<typeof Routers>;
type Router = z.output<typeof Router>;

/** Clocks that differ by more are told of. */
export const SKEW_SECONDS = 5;

/** Asks a router for those of its cluster. Throws UNKNOWN_ANSWER. */
export async function routersOf(client: Client): Promise<RoutersAnswer> {
  return readAs(Routers, (await client.send('GETROUTERS', {})).data, client, 'GETROUTERS');
}

/** Prints the routers of the cluster, a line each. `--json` prints an object for each. */
export async function routers(options: Globals): Promise<number> {
  await using client = await openClient(options);
  const answer = await routersOf(client);
  if (options.json) for (const one of answer.routers) printJson(one);
  else process.stdout.write(routersText(answer, client.id, viewOf(process.stdout, Date.now())));
  return EXIT.done;
}

/** `routers forget ID`: takes a router that is gone for good off the list. */
export async function forgetRouter(options: Globals, id: string): Promise<number> {
  await using client = await openClient(options);
  const answer = await outputOf(client, 'FORGETROUTER', { id });
  const { cluster } = readAs(Forgotten, answer, client, 'FORGETROUTER');
  if (options.json) printJson(answer);
  else {
    process.stdout.write(
      [
        `${id} is no router of the cluster ${cluster} any more.`,
        `Its rows stay in the history. A router that starts with the core.id ${id} enters as a new one.`,
        'Nodes and clients still trust its key: take it out of their configs.',
        '',
      ].join('\n'),
    );
  }
  return EXIT.done;
}

function readAs<T>(schema: z.ZodType<T>, answer: unknown, client: Client, action: string): T {
  const { success, data, error } = schema.safeParse(answer);
  if (success) return data;
  throw cliFault('UNKNOWN_ANSWER', { router: client.id, action, reason: z.prettifyError(error) });
}

/** The routers for a terminal: how many are up, a line each, then what somebody has to look after. */
export function routersText(
  { cluster, natsAway, clockSkewSeconds, routers: all }: RoutersAnswer,
  id: string,
  view: View,
): string {
  const { width, now, paint } = view;
  if (cluster === null) {
    return hanging('', `The router ${id} is by itself: its config names no cluster (core.cluster).`, width);
  }
  const up = all.filter(({ state }) => state === 'up').length;
  const columns: readonly Column<Router>[] = [
    { heading: 'ROUTER', least: 12, cutAt: 'middle', piece: (one) => `${plain(one.id)}${one.self ? ' *' : ''}` },
    { heading: 'STATE', piece: stateOf },
    { heading: 'OPEN', goes: 2, piece: ({ open }) => String(open) },
    { heading: 'NODES', goes: 1, piece: ({ nodes }) => String(nodes) },
    { heading: 'NATS', goes: 3, piece: ({ nats, state }) => natsOf(nats, state) },
    {
      heading: 'UP',
      goes: 5,
      piece: ({ startedAt, state }) =>
        state === 'up' ? spanText(Math.max(0, Math.floor((now - startedAt) / 1000))) : '-',
    },
    { heading: 'VERSION', goes: 6, piece: ({ version }) => plain(version) },
    { heading: 'ENDPOINT', least: 12, goes: 4, cutAt: 'middle', piece: ({ endpoint }) => plain(endpoint || '-') },
  ];
  const remarks = [
    ...(natsAway === null
      ? []
      : [`${natsAway}: requests for what other routers carry wait, or are refused, until it is back.`]),
    ...(Math.abs(clockSkewSeconds) > SKEW_SECONDS
      ? [`The clock of ${id} differs from that of the database by ${Math.abs(clockSkewSeconds)} s: synchronise it.`]
      : []),
  ];
  return [
    `cluster ${cluster}: ${up} of ${countText(all.length, 'router')} up; * is the one that was asked\n\n`,
    ...tableLines(columns, all, width, paint).map((line) => `${line}\n`),
    ...(remarks.length > 0 ? ['\n', ...remarks.map((remark) => hanging('', remark, width))] : []),
  ].join('');
}

function stateOf({ state, silentSeconds }: Router): Piece {
  if (state === 'up') return { text: 'up', color: 'green' };
  if (state === 'stopped') return { text: 'stopped', color: 'yellow' };
  return { text: `${plain(state)}, heard ${spanText(silentSeconds)} ago`, color: 'red' };
}

function natsOf(nats: boolean, state: string): Piece {
  if (state !== 'up') return '-';
  return nats ? 'up' : { text: 'away', color: 'red' };
}
