import pino from 'pino';

/** The daemon's log: pino's, handed to every module that has something to say. */
export type Log = pino.Logger;

/** Bytes that wait for a destination that does not take them. Beyond it lines are dropped and counted. */
const BUFFERED = 4 * 1024 * 1024;

/** Writes to standard error, so that standard output stays for results: JSON lines, or for a person at a terminal, text. */
export function openLog(level: string): Log {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (process.stderr.isTTY) return pino(options, { write: (line: string) => process.stderr.write(readable(line)) });
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

const LEVELS: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'ERROR',
  60: 'FATAL',
};

function readable(line: string): string {
  const { level, time, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const rest = Object.keys(fields).length > 0 ? `  ${JSON.stringify(fields)}` : '';
  return `${String(time).slice(11, 19)} ${(LEVELS[Number(level)] ?? '').padEnd(5)} ${String(msg)}${rest}\n`;
}
