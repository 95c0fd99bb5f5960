import type { Log } from '../log.ts';

/** Which plugin wrote a line, and which instance of it if it runs in a process of its own. */
export interface Writer {
  readonly plugin: string;
  readonly instance?: string;
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
    return { ...fields, level: LEVELS.find((one) => one === level) ?? 'info' };
  } catch {
    return undefined; // A line of the plugin's own that only looks like the logger's.
  }
}
