import { actionAs } from '@centreond/plugin-sdk/internal';
import { z } from 'zod';
import { plain } from '../words.ts';
import { type Column, tableLines } from './columns.ts';
import { CliError, cliFault, openClient } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import { type Piece, type View, viewOf } from './painted.ts';
import { countText, printJson, spanText } from './print.ts';
import { clockText, dayOf, zoneOf } from './time.ts';

const ACTION = 'GETCRON';
/** The type of the plugin, where the config gives it no other. */
const TYPE = 'cron';

const Run = z.object({
  at: z.iso.datetime(),
  token: z.string(),
  outcome: z.string(),
  endedAt: z.iso.datetime().nullable(),
  error: z.string().nullable(),
});
const Definition = z.object({
  id: z.string(),
  schedule: z.string(),
  timeZone: z.string(),
  action: z.string(),
  target: z.string().optional(),
  enabled: z.boolean(),
  nextRun: z.iso.datetime().nullable(),
  lastRun: Run.nullable(),
  running: z.array(z.string()),
});
const Answer = z.object({ definitions: z.array(z.json()) });

/** A definition as GETCRON tells of it. */
export type Listed = z.output<typeof Definition>;

export interface CronOptions extends Globals {
  /** The plugin's type, where the config says `as: TYPE`. */
  readonly type?: string;
  /** The node whose definitions are asked for. */
  readonly target?: string;
}

/** Prints what the plugin cron fires: each definition with its zone, its next run and the outcome of the last. */
export async function listCron(options: CronOptions): Promise<number> {
  const { type = TYPE, target, json } = options;
  const action = type === TYPE ? ACTION : actionAs(type, ACTION);
  await using client = await openClient(options);
  const outcome = await client.call(action, {}, target === undefined ? {} : { target });
  if (!outcome.ok) {
    const { error, message } = outcome.data as { error?: unknown; message?: unknown };
    throw new CliError(String(error), String(message), EXIT.failed);
  }
  const unknown = (error: z.ZodError) =>
    cliFault('UNKNOWN_ANSWER', { router: client.id, action, reason: z.prettifyError(error) });
  const answer = Answer.safeParse(outcome.data);
  if (!answer.success) throw unknown(answer.error);
  const { definitions } = answer.data;
  if (json) for (const one of definitions) printJson(one);
  else {
    const listed = z.array(Definition).safeParse(definitions);
    if (!listed.success) throw unknown(listed.error);
    process.stdout.write(cronText(listed.data, viewOf(process.stdout, Date.now())));
  }
  return EXIT.done;
}

/** Definitions as a table, what is due next first; then what went wrong, in words. */
export function cronText(definitions: readonly Listed[], { width, now, paint }: View): string {
  if (definitions.length === 0)
    return 'The plugin cron has no definitions. List them in its config, or add one with `centreond call ADDCRON`.\n';
  const due = ({ nextRun }: Listed) => (nextRun === null ? Number.POSITIVE_INFINITY : Date.parse(nextRun));
  // Two that are never due compare as equal.
  const sorted = definitions.toSorted((a, b) => (due(a) === due(b) ? 0 : due(a) - due(b)) || (a.id < b.id ? -1 : 1));
  const columns: readonly Column<Listed>[] = [
    { heading: 'ID', least: 12, cutAt: 'middle', piece: ({ id }) => plain(id) },
    { heading: 'SCHEDULE', least: 14, piece: ({ schedule }) => plain(schedule) },
    { heading: 'ZONE', least: 12, cutAt: 'middle', piece: ({ timeZone }) => plain(timeZone) },
    { heading: 'ACTION', least: 7, goes: 2, piece: ({ action }) => plain(action) },
    { heading: 'TARGET', least: 6, goes: 3, cutAt: 'middle', piece: ({ target }) => plain(target ?? '-') },
    { heading: `NEXT ${zoneOf(now / 1000)}`, piece: (one) => nextText(one) },
    { heading: 'LAST', piece: (one) => outcomeOf(one) },
    { heading: 'DUE', goes: 1, piece: ({ lastRun }) => (lastRun ? agoText(lastRun.at, now) : '-') },
  ];
  const wrong = sorted.flatMap(({ id, lastRun }) => {
    if (lastRun === null || lastRun.error === null) return [];
    return [`${plain(id)}: ${plain(lastRun.error)}; centreond log ${plain(lastRun.token)}\n`];
  });
  const table = tableLines(columns, sorted, width, paint).map((line) => `${line}\n`);
  return [
    ...table,
    ...(wrong.length > 0 ? [`\n${countText(wrong.length, 'definition')} failed last:\n`] : []),
    ...wrong,
  ].join('');
}

/** When it is next due, to the minute unless its seconds say more. */
function nextText({ enabled, nextRun }: Listed): Piece {
  if (!enabled) return { text: 'not enabled', color: 'yellow' };
  if (nextRun === null) return { text: 'never', color: 'yellow' };
  const seconds = Date.parse(nextRun) / 1000;
  return `${dayOf(seconds)} ${clockText(seconds)}`.replace(/:00$/, '');
}

function outcomeOf({ lastRun, running }: Listed): Piece {
  if (running.length > 1) return { text: `${running.length} running`, color: 'yellow' };
  if (!lastRun) return '-';
  const { outcome } = lastRun;
  if (outcome === 'finished') return { text: outcome, color: 'green' };
  return { text: plain(outcome), color: outcome === 'failed' || outcome === 'refused' ? 'red' : 'yellow' };
}

function agoText(moment: string, now: number): string {
  return `${spanText(Math.max(0, Math.floor((now - Date.parse(moment)) / 1000)))} ago`;
}
