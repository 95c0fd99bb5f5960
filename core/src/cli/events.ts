import { setTimeout as wait } from 'node:timers/promises';
import type { Client } from '@centreond/client';
import { isCentreondError, reasonOf } from '@centreond/protocol';
import { z } from 'zod';
import { plain } from '../words.ts';
import { padded, wrapped } from './cells.ts';
import { cliFault, openClient } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import { printJson } from './print.ts';
import { momentOf, momentText } from './time.ts';

/** How long the router waits for an event before it answers that there is none. */
const WAIT_SECONDS = 25;
/** How long an answer may take, the wait included. */
const ANSWER_LIMIT_MS = 60_000;
const RETRY_MS = 1000;
const PAGE = 1000;
/** As wide as the longest kind. */
const KIND_CELLS = 18;

const Event = z.looseObject({ id: z.number(), time: z.number(), kind: z.string(), text: z.string() });
const Page = z.object({ events: z.array(Event), last: z.number(), gap: z.boolean() });

export interface EventsOptions extends Globals {
  readonly since?: string;
  /** `--no-follow`. */
  readonly follow: boolean;
}

/** Prints what happens on the router, a line each, until it is interrupted; with --no-follow what it keeps. */
export async function events(options: EventsOptions): Promise<number> {
  const { follow } = options;
  const since = options.since === undefined ? undefined : momentOf('--since', options.since) * 1000;
  await using client = await openClient(options);
  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupt);
  // All that is kept, or from here on.
  let after = since === undefined && follow ? (await pageOf(client, {})).last : 0;
  while (!interrupted.signal.aborted) {
    const asked = { after, limit: PAGE, ...(follow && { waitSeconds: WAIT_SECONDS }) };
    const page = await pageOf(client, asked, interrupted.signal).catch((error: unknown) =>
      afterFailure(error, options),
    );
    if (!page) {
      await wait(RETRY_MS, undefined, { signal: interrupted.signal }).catch(() => undefined);
      continue;
    }
    if (page.gap) {
      process.stderr.write(
        'Some events are missing here: the router was started again, or more happened than it keeps.\n',
      );
    }
    for (const event of page.events) {
      if (since !== undefined && event.time < since) continue;
      if (options.json) printJson(event);
      else process.stdout.write(eventText(event, process.stdout));
    }
    after = page.last;
    if (!follow && page.events.length < PAGE) break;
  }
  return EXIT.done;
}

/** An event on a line: when, of what kind, and its sentence, which goes on below itself on a narrow terminal. */
export function eventText(
  { time, kind, text }: Pick<z.output<typeof Event>, 'time' | 'kind' | 'text'>,
  { isTTY, columns }: Pick<NodeJS.WriteStream, 'isTTY' | 'columns'>,
): string {
  const head = `${momentText(time / 1000)}  ${padded(plain(kind), KIND_CELLS)}  `;
  if (!isTTY) return `${head}${text}\n`;
  const below = '\n'.padEnd(1 + Math.min(head.length, 4));
  const [first = '', ...rest] = wrapped(plain(text), Math.max(20, columns - head.length));
  if (rest.length === 0) return `${head}${first}\n`;
  // What follows has the whole width: long reasons stay readable.
  return `${[head + first, ...wrapped(rest.join(' '), columns - 4)].join(below)}\n`;
}

async function pageOf(client: Client, asked: object, signal?: AbortSignal): Promise<z.output<typeof Page>> {
  const { data } = await client.send(
    'GETEVENTS',
    { ...asked },
    { timeoutMs: ANSWER_LIMIT_MS, ...(signal && { signal }) },
  );
  const { success, data: page, error } = Page.safeParse(data);
  if (success) return page;
  throw cliFault('UNKNOWN_ANSWER', { router: client.id, action: 'GETEVENTS', reason: z.prettifyError(error) });
}

/** A router that is away comes back, and so does the follower; what it refuses is refused for good. */
function afterFailure(error: unknown, { follow }: EventsOptions): undefined {
  if (error instanceof Error && error.name === 'AbortError') return undefined;
  if (!follow || !isCentreondError(error) || !error.retryable) throw error;
  process.stderr.write(`${reasonOf(error)}\n`);
  return undefined;
}
