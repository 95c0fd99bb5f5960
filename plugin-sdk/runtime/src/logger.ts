import type { Logger } from '@centreond/plugin-sdk';

type Level = 'debug' | 'info' | 'warn' | 'error';

/** What the runtime tells the core in a line of a process that plugins share. No field of a plugin's own comes in its place. */
export interface Mark {
  /** The number of the plugin that wrote the line. */
  readonly seat: number;
  /** What that plugin did to end the process, as a part of a sentence. */
  readonly ends?: string;
}

/** A logger that hands `{level, $: mark, msg, …fields}` to `write`, as one line of JSON each. */
export function lineLogger(write: (line: string) => void, mark?: Mark): Logger {
  const at =
    (level: Level) =>
    (fields: object | string, message?: string): void => {
      const entry = typeof fields === 'string' ? { msg: fields } : { msg: message, ...plain(fields) };
      write(`${JSON.stringify(mark ? Object.assign({ level, $: mark }, entry, { $: mark }) : { level, ...entry })}\n`);
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
