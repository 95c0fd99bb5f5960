import { createInterface } from 'node:readline/promises';
import type { Client } from '@centreond/client';
import { isCentreondError, type JsonObject, reasonOf } from '@centreond/protocol';
import { z } from 'zod';
import { TurnGate } from '../turns.ts';
import { plain } from '../words.ts';
import { type Column, tableLines } from './columns.ts';
import { cliFault, misuse, openClient } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import { type Piece, type View, viewOf } from './painted.ts';
import { countText, dataLines, printJson, shown, spanText } from './print.ts';
import { momentOf, momentText, whenText, zoneOf } from './time.ts';

const SHOWN = 50;
const PAGE = 1000;
/** Requests that `cancel` ends at most by one set of filters. */
const MOST = 100_000;
const AT_ONCE = 100;

const Listed = z.object({
  id: z.number(),
  token: z.string(),
  owner: z.string(),
  action: z.string(),
  target: z.string(),
  acceptedAt: z.number(),
  endedAt: z.number().nullable(),
  code: z.number().nullable(),
  error: z.string().nullable(),
  data: z.json(),
  /** The router of the cluster at which it is open. */
  router: z.string().exactOptional(),
});
const Page = z.object({ requests: z.array(Listed), more: z.boolean() });

/** A request as GETREQUESTS tells of it. */
export type Listed = z.output<typeof Listed>;

/** The filters of `requests` and `cancel`, as they are written. */
export interface RequestOptions extends Globals {
  readonly failed?: boolean;
  readonly open?: boolean;
  readonly finished?: boolean;
  readonly since?: string;
  readonly until?: string;
  readonly node?: string;
  readonly owner?: string;
  readonly action?: string;
  readonly limit?: string;
  readonly yes?: boolean;
}

/** Prints the requests that the filters find, the newest first. */
export async function requests(options: RequestOptions): Promise<number> {
  const limit = limitOf(options.limit);
  await using client = await openClient(options);
  const found = await requestsOf(client, filterOf(options), limit);
  if (options.json) for (const one of found.requests) printJson(one);
  else if (found.requests.length === 0)
    process.stdout.write('No request matches. Widen the filters, or ask further back with --since.\n');
  else process.stdout.write(requestsText(found.requests, viewOf(process.stdout, Date.now())));
  if (found.more) process.stderr.write(`There are more than these ${limit}: --limit N shows more of them.\n`);
  return EXIT.done;
}

/** Ends the requests of these tokens or, without any, those that the filters find, after asking. */
export async function cancel(options: RequestOptions, tokens: readonly string[]): Promise<number> {
  const filter = filterOf(options);
  if (tokens.length > 0 && Object.keys(filter).length > 0) {
    throw misuse('cancel takes tokens or filters, not both.');
  }
  if (tokens.length === 0 && Object.keys(filter).length === 0 && !options.open) {
    throw misuse(
      'cancel needs a token, or a filter such as --owner, --action, --node or --since; --open alone means all open requests.',
    );
  }
  await using client = await openClient(options);
  if (tokens.length > 0) return await cancelAll(client, tokens, options);
  const { requests: found } = await requestsOf(client, { ...filter, state: 'open' }, MOST);
  if (found.length === 0) {
    if (!options.json) process.stdout.write('No open request matches: there is nothing to cancel.\n');
    return EXIT.done;
  }
  if (!options.yes && !(await isConfirmed(found))) return EXIT.failed;
  return await cancelAll(
    client,
    found.map(({ token }) => token),
    options,
  );
}

/** The requests that `filter` finds, page by page, so many at most. */
export async function requestsOf(
  client: Client,
  filter: JsonObject,
  limit: number,
): Promise<{ requests: Listed[]; more: boolean }> {
  const found: Listed[] = [];
  for (;;) {
    const before = found.at(-1)?.id;
    const asked = { ...filter, limit: Math.min(PAGE, limit - found.length), ...(before !== undefined && { before }) };
    const { data } = await client.send('GETREQUESTS', asked);
    const { success, data: page, error } = Page.safeParse(data);
    if (!success)
      throw cliFault('UNKNOWN_ANSWER', { router: client.id, action: 'GETREQUESTS', reason: z.prettifyError(error) });
    found.push(...page.requests);
    if (!page.more || found.length >= limit) return { requests: found, more: page.more };
  }
}

/** The request of a token, if the caller may see it. */
export async function requestOf(client: Client, token: string): Promise<Listed | undefined> {
  return (await requestsOf(client, { token }, 1)).requests[0];
}

/** Who asked for what, with its DATA below. */
export function requestLines(request: Listed, token?: string): string {
  const { action, owner, target, acceptedAt, data } = request;
  const on = target === '' ? '' : ` on ${shown(target)}`;
  const under = token === undefined ? '' : `, ${shown(token)}`;
  return `${momentText(acceptedAt)}  ${shown(owner)} asked for ${shown(action)}${on}${under}\n${dataLines(data)}`;
}

function filterOf({ failed, open, finished, since, until, node, owner, action }: RequestOptions): JsonObject {
  const states = [failed && 'failed', open && 'open', finished && 'finished'].filter((state) => state !== undefined);
  if (states.length > 1) throw misuse('--failed, --open and --finished exclude each other.');
  const [state] = states;
  return {
    ...(state && { state }),
    ...(since !== undefined && { since: momentOf('--since', since) }),
    ...(until !== undefined && { until: momentOf('--until', until) }),
    ...(node !== undefined && { node }),
    ...(owner !== undefined && { owner }),
    ...(action !== undefined && { action }),
  };
}

function limitOf(text: string | undefined): number {
  const limit = text === undefined ? SHOWN : Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= MOST) return limit;
  throw misuse(`--limit ${text}: write a whole number from 1 to ${MOST}.`);
}

async function cancelAll(client: Client, tokens: readonly string[], { json }: Globals): Promise<number> {
  const gate = new TurnGate(AT_ONCE);
  const counts = { told: 0, ended: 0, refused: 0 };
  await Promise.all(
    tokens.map(async (token) => {
      const done = await gate.turn();
      try {
        const { data } = await client.call('CANCEL', { token });
        const cancelled = (data as { cancelled?: unknown }).cancelled === true;
        counts[cancelled ? 'told' : 'ended']++;
        if (json) printJson({ token, cancelled });
        else if (tokens.length <= 20) {
          process.stdout.write(cancelled ? `${token} is told to stop.\n` : `${token} had ended already.\n`);
        }
      } catch (error) {
        counts.refused++;
        if (tokens.length === 1) throw error;
        const code = isCentreondError(error) ? error.code : 'FAILED';
        if (json) printJson({ token, error: code, message: reasonOf(error) });
        else process.stderr.write(`${token}  ${code}: ${reasonOf(error)}\n`);
      } finally {
        done();
      }
    }),
  );
  if (!json && tokens.length > 20) {
    const { told, ended, refused } = counts;
    process.stdout.write(`${countText(told, 'request')} told to stop, ${ended} had ended, ${refused} refused.\n`);
  }
  return counts.refused === 0 ? EXIT.done : EXIT.failed;
}

/** Shows what would be cancelled and asks. Throws wrong usage if nobody can be asked. */
async function isConfirmed(found: readonly Listed[]): Promise<boolean> {
  const shown = found.slice(0, 20);
  process.stderr.write(requestsText(shown, viewOf(process.stdout, Date.now())));
  if (found.length > shown.length) process.stderr.write(`… and ${found.length - shown.length} more\n`);
  if (!process.stdin.isTTY) {
    throw misuse(`cancel would end ${countText(found.length, 'request')}. Add --yes to do it without being asked.`);
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`Cancel ${countText(found.length, 'request')}? [y/N] `);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}

/** Requests as a table, a line each. */
export function requestsText(found: readonly Listed[], { width, now: nowMs, paint }: View): string {
  const now = nowMs / 1000;
  const columns: readonly Column<Listed>[] = [
    { heading: `WHEN ${zoneOf(now)}`, piece: ({ acceptedAt }) => whenText(acceptedAt, now) },
    { heading: 'WHO', least: 8, cutAt: 'middle', piece: ({ owner }) => plain(owner) },
    { heading: 'ACTION', least: 8, piece: ({ action }) => plain(action) },
    { heading: 'TARGET', least: 6, goes: 2, cutAt: 'middle', piece: ({ target }) => plain(target || '-') },
    { heading: 'STATE', least: 8, piece: stateOf },
    ...(new Set(found.flatMap(({ router }) => router ?? [])).size > 1
      ? [{ heading: 'ROUTER', least: 8, goes: 3, piece: ({ router }: Listed) => plain(router ?? '-') }]
      : []),
    {
      heading: 'TOOK',
      goes: 1,
      piece: ({ acceptedAt, endedAt }) => spanText(Math.max(0, Math.floor((endedAt ?? now) - acceptedAt))),
    },
    // Wide enough for a token that the router made: it is copied from here.
    { heading: 'TOKEN', least: 36, cutAt: 'middle', piece: ({ token }) => plain(token) },
  ];
  return tableLines(columns, found, width, paint)
    .map((line) => `${line}\n`)
    .join('');
}

function stateOf({ code, error }: Listed): Piece {
  if (code === null) return { text: 'open', color: 'yellow' };
  if (code === 2) return { text: 'finished', color: 'green' };
  return { text: plain(error ?? 'failed'), color: 'red' };
}
