import { lineLogger } from '@centreond/plugin-runtime';
import type { Logger } from '@centreond/plugin-sdk';

/** A row that the plugin wrote when it no longer could. */
export interface LateRow {
  readonly token: string;
  readonly action: string;
  readonly code: number;
}

/** A line of the plugin's log: `{level, msg, …fields}`; what it printed otherwise has the level `print`. */
export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error' | 'print';
  readonly msg: string;
  /** The runtime's own note: a row that it dropped. */
  readonly rowAfterEnd?: LateRow;
  readonly [field: string]: unknown;
}

/** A logger whose lines go to `keep`. */
export function logInto(keep: (line: LogLine) => void): Logger {
  return lineLogger((line) => keep(readLine(line.trimEnd())));
}

/** Reads what an instance wrote to its standard error. */
export function readLine(line: string): LogLine {
  if (line.startsWith('{"level":"')) {
    try {
      return { msg: '', ...(JSON.parse(line) as object) } as LogLine;
    } catch {
      // A line of the plugin's own that only looks like the logger's.
    }
  }
  return { level: 'print', msg: line };
}
