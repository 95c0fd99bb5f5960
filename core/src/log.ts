import pino from 'pino';

/** The daemon's log: pino's, handed to every module that has something to say. */
export type Log = pino.Logger;

/** Writes to standard error, so that standard output stays for results: JSON lines, or for a person at a terminal, text. */
export function openLog(level: string): Log {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (!process.stderr.isTTY) return pino(options, pino.destination({ fd: 2, sync: false }));
  return pino(options, { write: (line: string) => process.stderr.write(readable(line)) });
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
