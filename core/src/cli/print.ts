import { relative } from 'node:path';
import { type HistoryRow, isCentreondError, type Json, reasonOf } from '@centreond/protocol';
import { plain } from '../words.ts';
import { tableLines } from './columns.ts';
import { CliError } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import type { Listed } from './requests.ts';
import type { RowTitles } from './row-titles.ts';
import { momentText } from './time.ts';

/** One JSON value, on a line of its own. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** A row as a person reads it: when, what, with `token` whose, and its data below. */
export function rowLines(row: HistoryRow, titles?: RowTitles, token?: string): string {
  const said = row.code === 0 && !isAcceptance(row) ? 'progress' : meaning(row.code, titles?.of(row));
  const head = [
    momentText(row.etime),
    shown(row.node),
    shown(row.type),
    ...(token === undefined ? [] : [shown(token)]),
  ];
  return `${[...head, said].join('  ')}\n${dataLines(row.data)}`;
}

/** Who asked for what, with its DATA below. */
export function requestLines(request: Listed, token?: string): string {
  const { action, owner, target, acceptedAt, data } = request;
  const on = target === '' ? '' : ` on ${shown(target)}`;
  const under = token === undefined ? '' : `, ${shown(token)}`;
  return `${momentText(acceptedAt)}  ${shown(owner)} asked for ${shown(action)}${on}${under}\n${dataLines(data)}`;
}

/** Whether a row is the first one of a request, and not progress. */
export function isAcceptance({ code, data }: Pick<HistoryRow, 'code' | 'data'>): boolean {
  return code === 0 && typeof data === 'object' && data !== null && 'owner' in data && 'target' in data;
}

/** What a status code says; `title` is that of a plugin's own code. */
export function meaning(code: number, title = 'progress'): string {
  if (code === 0) return 'accepted';
  if (code === 1) return 'failed (1)';
  if (code === 2) return 'finished (2)';
  return `${shown(title)} (${code})`;
}

/**
 * Text from elsewhere, as it is to be printed: on a terminal as text that cannot steer it (tabs stay), and unchanged in a pipe or a
 * file.
 */
function shown(text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return stream.isTTY ? text.split('\t').map(plain).join('\t') : text;
}

/** Data as `key  value` lines; text of several lines stands below its key as it is. */
export function dataLines(data: Json): string {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return `  ${shown(JSON.stringify(data))}\n`;
  const keys = Object.keys(data);
  const width = Math.max(0, ...keys.map((key) => key.length));
  return keys
    .map((key) => {
      const value = data[key];
      const name = shown(key);
      if (typeof value !== 'string') return `  ${name.padEnd(width)}  ${shown(JSON.stringify(value))}\n`;
      const lines = value
        .replace(/\n$/, '')
        .split('\n')
        .map((line) => shown(line));
      if (lines.length === 1) return `  ${name.padEnd(width)}  ${lines[0]}\n`;
      return `  ${name}\n${lines.map((line) => `    ${line}\n`).join('')}`;
    })
    .join('');
}

/** Columns that line up; the first row is the heading. */
export function table([headings = [], ...rows]: readonly (readonly string[])[]): string {
  const columns = headings.map((heading, i) => ({ heading, piece: (row: readonly string[]) => row[i] ?? '' }));
  return `${tableLines(columns, rows).join('\n')}\n`;
}

/** A path as one would type it from `cwd`. */
export function shortPath(file: string, cwd: string = process.cwd()): string {
  const path = relative(cwd, file);
  return path === '' ? '.' : path.startsWith('..') ? file : path;
}

/** Says on standard error (or as JSON) what failed, and gives the exit code that it means. */
export function explain(error: unknown, { json }: Globals): number {
  const code = isCentreondError(error) ? error.code : 'FAILED';
  if (json) printJson({ error: code, message: reasonOf(error) });
  else
    process.stderr.write(
      `${code}: ${reasonOf(error)
        .split('\n')
        .map((line) => shown(line, process.stderr))
        .join('\n')}\n`,
    );
  if (error instanceof CliError) return error.exit;
  return code === 'WAIT_OVER' || code === 'NOT_ACKNOWLEDGED'
    ? EXIT.timedOut
    : code === 'NOT_CONNECTED'
      ? EXIT.noDaemon
      : EXIT.failed;
}

/** So many of something: `1 node`, `2 nodes`. */
export function countText(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** Milliseconds as figures show them. */
export function msText(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`;
}

const SPANS = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min'],
] as const;

/** A span of seconds, by its largest unit. */
export function spanText(seconds: number): string {
  for (const [unit, name] of SPANS) if (seconds >= unit) return `${Math.floor(seconds / unit)} ${name}`;
  if (Number.isInteger(seconds)) return `${seconds} s`;
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
}

/** A list for a sentence, cut where it is long. */
export function list(words: readonly string[], limit = 10): string {
  if (words.length <= limit) return words.join(', ');
  return `${words.slice(0, limit).join(', ')} and ${words.length - limit} more`;
}
