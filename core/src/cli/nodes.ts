import { setTimeout as wait } from 'node:timers/promises';
import type { Client } from '@centreond/client';
import { isCentreondError } from '@centreond/protocol';
import { near, plain } from '../words.ts';
import { CliError, misuse, openClient } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import { type Fleet, fleetOf } from './fleet.ts';
import { LiveScreen } from './live-screen.ts';
import { nodeText } from './node-text.ts';
import { fleetText } from './nodes-table.ts';
import { lineOf, type View, viewOf } from './painted.ts';
import { printJson } from './print.ts';
import { momentText } from './time.ts';

const REDRAW_MS = 1000;
/** How long a redraw waits for the router before it says that it does not answer. */
const ANSWER_LIMIT_MS = 3000;

/** The fleet, or one node with all that is known of it; with --watch again each second, until it is interrupted. */
export async function nodes(options: Globals & { readonly watch?: boolean }, id: string | undefined): Promise<number> {
  if (options.watch && (options.json || !process.stdout.isTTY)) {
    throw misuse('--watch draws on a terminal. For a program, call `centreond nodes --json` again and again.');
  }
  await using client = await openClient(options);
  // Times are the router's: from elsewhere its clock is asked for, once.
  const offsetMs = options.connect ? await clockOffset(client) : 0;
  if (options.watch) await watch(client, offsetMs, id);
  else print(await fleetOf(client), id, offsetMs, options);
  return EXIT.done;
}

function print(fleet: Fleet, id: string | undefined, offsetMs: number, { json }: Globals): void {
  if (json) {
    const place = id === undefined ? undefined : placeOf(fleet, id);
    for (const [i, node] of fleet.raw.entries()) if (place === undefined || place === i) printJson(node);
  } else process.stdout.write(textOf(fleet, id, viewOf(process.stdout, Date.now() + offsetMs)));
}

async function watch(client: Client, offsetMs: number, id: string | undefined): Promise<void> {
  let fleet = await fleetOf(client);
  // What cannot be shown is told before the screen is taken.
  if (id !== undefined) placeOf(fleet, id);
  using screen = new LiveScreen(process.stdout, () => draw());
  const { ended } = screen;
  let at = Date.now();
  let fault: string | undefined;
  const draw = () => {
    const { width, height } = screen;
    const foot = fault ?? `as of ${momentText(Math.floor((at + offsetMs) / 1000))}, each second; Ctrl-C leaves`;
    const view = viewOf(process.stdout, Date.now() + offsetMs);
    const text = textOf(fleet, id, { ...view, height: height - 2 });
    const lines = text.split('\n').slice(0, height - 2);
    const last = lineOf(
      fault === undefined ? [foot] : [{ text: 'warning', color: 'red' }, `  ${foot}`],
      view.paint,
      width,
    );
    screen.draw([...lines, ...(lines.at(-1) === '' ? [] : ['']), last].join('\n'));
  };
  while (!ended.aborted) {
    draw();
    await wait(REDRAW_MS, undefined, { signal: ended }).catch(() => undefined);
    if (ended.aborted) return;
    try {
      fleet = await fleetOf(client, ANSWER_LIMIT_MS);
      at = Date.now();
      fault = undefined;
    } catch (error) {
      // A router that is away for a while comes back; what it refuses is refused for good.
      if (!isCentreondError(error) || !error.retryable) throw error;
      fault = `${fleet.router} does not answer; this is what it told at ${momentText(Math.floor(at / 1000))}.`;
    }
  }
}

function textOf(fleet: Fleet, id: string | undefined, view: View): string {
  if (id === undefined) return fleetText(fleet, view);
  const node = fleet.nodes[placeOf(fleet, id)];
  return node ? nodeText(node, view) : '';
}

/** Where a node is in the fleet. Throws UNKNOWN_TARGET, which says where else it may be. */
function placeOf(fleet: Fleet, id: string): number {
  const place = fleet.nodes.findIndex((node) => node.id === id);
  if (place >= 0) return place;
  throw new CliError('UNKNOWN_TARGET', whyNot(fleet, id), EXIT.failed);
}

function whyNot(fleet: Fleet, id: string): string {
  const { router, nodes: all } = fleet;
  if (id === router) return `${id} is the router itself. \`centreond status\` shows what runs there.`;
  const over = all.filter(({ subnodes }) => subnodes.includes(id)).map((node) => plain(node.id));
  if (over.length > 0) {
    return `${id} is behind ${over.join(' and ')}, which alone knows more of it. Requests go there with --target ${id}.`;
  }
  const meant = near(
    id,
    all.flatMap((node) => [node.id, ...node.subnodes]),
  );
  const hint = meant === undefined ? '' : `; did you mean ${plain(meant)}?`;
  return `The router ${router} is not linked to a node ${id}${hint === '' ? '.' : hint} \`centreond nodes\` lists those that it knows.`;
}

/** How far the router's clock is ahead of this machine's, in milliseconds; 0 where it does not tell this caller. */
async function clockOffset(client: Client): Promise<number> {
  const start = Date.now();
  try {
    const { time } = (await client.send('INFORMATION')).data;
    return typeof time === 'number' ? time - (start + Date.now()) / 2 : 0;
  } catch (error) {
    if (isCentreondError(error) && error.code === 'FORBIDDEN') return 0;
    throw error;
  }
}
