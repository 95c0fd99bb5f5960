import { styleText } from 'node:util';
import pino from 'pino';
import { logText } from './log/text.ts';

/** The daemon's log: pino's, handed to every module that has something to say. */
export type Log = pino.Logger;

/** Bytes that wait for a destination that does not take them. Beyond it lines are dropped and counted. */
const BUFFERED = 4 * 1024 * 1024;

/** `json`: an object a line. `text`: for people. */
export type LogForm = 'json' | 'text';

/** Writes to standard error, since standard output is for results. If `form` is omitted, text on a terminal, JSON elsewhere. */
export function openLog(level: string, form: LogForm = process.stderr.isTTY ? 'text' : 'json'): Log {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  const { stderr: stream } = process;
  const paint = (color: Parameters<typeof styleText>[0], text: string) => styleText(color, text, { stream });
  // At these levels the log has the last lines of a plugin already.
  const omitted = ['trace', 'debug', 'info'].includes(level) ? ['tail'] : [];
  const textOf = (line: string) => `${logText(line, paint, omitted)}\n`;
  if (form === 'text' && stream.isTTY) return pino(options, { write: (line: string) => stream.write(textOf(line)) });
  const destination = pino.destination({ fd: 2, sync: false, maxLength: BUFFERED });
  const asText = { write: (line: string) => destination.write(textOf(line)), flush: () => destination.flush() };
  const log = pino(options, form === 'text' ? asText : destination);
  let dropped = 0;
  destination.on('drop', () => {
    dropped++;
  });
  // A destination that fails (a closed pipe, a full disk) must not end the daemon: what it does not take is dropped.
  destination.on('error', () => {});
  destination.on('drain', () => {
    if (dropped === 0) return;
    const lost = dropped;
    dropped = 0;
    log.warn({ dropped: lost }, `${lost} lines of the log were dropped: its destination did not take them in time`);
  });
  return log;
}
