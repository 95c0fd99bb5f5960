import { styleText } from 'node:util';
import pino from 'pino';
import { logText } from './log/text.ts';

/** The daemon's log: pino's, handed to every module that has something to say. */
export type Log = pino.Logger;

/** Bytes that wait for a destination that does not take them. Beyond it lines are dropped and counted. */
const BUFFERED = 4 * 1024 * 1024;

/** Writes to standard error, since standard output is for results: JSON lines, or on a terminal lines for people. */
export function openLog(level: string): Log {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (process.stderr.isTTY) {
    const { stderr: stream } = process;
    const paint = (color: Parameters<typeof styleText>[0], text: string) => styleText(color, text, { stream });
    // At these levels the log has the last lines of a plugin already.
    const omitted = ['trace', 'debug', 'info'].includes(level) ? ['tail'] : [];
    return pino(options, { write: (line: string) => stream.write(`${logText(line, paint, omitted)}\n`) });
  }
  const destination = pino.destination({ fd: 2, sync: false, maxLength: BUFFERED });
  const log = pino(options, destination);
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
