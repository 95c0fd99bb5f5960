import type { Mark as RuntimeMark } from '@centreond/plugin-runtime';
import { z } from 'zod';
import type { Log } from '../log.ts';

const Mark: z.ZodType<RuntimeMark> = z.object({ seat: z.int(), ends: z.string().exactOptional() });

/** Which plugin wrote a line, and which instance of it if it does not run in the core; or a process of several plugins did. */
export type Writer = { readonly plugin: string; readonly instance?: string } | { readonly process: string };

/** A line of a process that plugins share, with the mark that was taken out of it, if it had one. */
export interface SharedLine extends Partial<RuntimeMark> {
  readonly line: string;
}

/** Takes out of a line what the child runtime added for the core. */
export function sharedLine(line: string): SharedLine {
  const entry = loggedEntry(line);
  if (!entry) return { line };
  const { $: marked, ...rest } = entry;
  const mark = Mark.safeParse(marked);
  return mark.success ? { ...mark.data, line: JSON.stringify(rest) } : { line };
}

/** Logs one line of a plugin: one of its logger's at the level that it names, any other text at info. */
export function logPluginLine(log: Log, writer: Writer, line: string): void {
  const entry = loggedEntry(line);
  if (!entry) {
    log.info({ ...writer, msg: line });
    return;
  }
  const { level, ...fields } = entry;
  log[level]({ ...fields, ...writer });
}

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

interface Entry extends Record<string, unknown> {
  readonly level: (typeof LEVELS)[number];
}

/** What the SDK's logger wrote as this line, or undefined if the line is not one of the logger's. */
function loggedEntry(line: string): Entry | undefined {
  if (!line.startsWith('{"level":"')) return undefined;
  try {
    const { level, ...fields } = JSON.parse(line) as Record<string, unknown>;
    return { level: LEVELS.find((one) => one === level) ?? 'info', ...fields };
  } catch {
    return undefined; // A line of the plugin's own that only looks like the logger's.
  }
}
