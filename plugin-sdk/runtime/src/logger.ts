import type { Logger } from '@centreond/plugin-sdk';

type Level = 'debug' | 'info' | 'warn' | 'error';

/** A logger that hands `{level, msg, …fields, …marks}` to `write`, as one line of JSON each. */
export function lineLogger(write: (line: string) => void, marks: object = {}): Logger {
  const at =
    (level: Level) =>
    (fields: object | string, message?: string): void => {
      const entry = typeof fields === 'string' ? { level, msg: fields } : { level, msg: message, ...plain(fields) };
      write(`${JSON.stringify({ ...entry, ...marks })}\n`);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

function plain(fields: object): object {
  if (fields instanceof Error) return { err: { message: fields.message, stack: fields.stack } };
  const out: Record<string, unknown> = { ...fields };
  for (const [key, value] of Object.entries(out)) {
    if (value instanceof Error) out[key] = { message: value.message, stack: value.stack };
  }
  return out;
}
