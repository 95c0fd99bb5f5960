import { plain } from '../words.ts';

/** Colours `text`, or returns it unchanged where there are no colours. */
export type Painter = (color: 'red' | 'yellow' | 'dim', text: string) => string;

const LEVELS: Readonly<Record<string, string>> = {
  10: 'TRACE',
  20: 'DEBUG',
  40: 'WARN',
  50: 'ERROR',
  60: 'FATAL',
  debug: 'DEBUG',
  warn: 'WARN',
  error: 'ERROR',
};
const INDENT = '    ';

/**
 * A line of the log as a person reads it: local time, the level unless it is info, the plugin, the message, then the other
 * fields. The stack of an error and text of several lines stand below it, indented. What is no entry of the log is returned as
 * text. Nothing in the result can steer a terminal except for what `paint` adds. `omitted` names fields that are not shown.
 */
export function logText(line: string, paint: Painter, omitted: readonly string[] = []): string {
  const entry = parsed(line);
  if (!entry) return plainText(line.trimEnd());
  const { level, time, msg, plugin, instance, err, tail, ...others } = entry;
  const [message = '', ...more] = plainText(typeof msg === 'string' ? msg : '').split('\n');
  const label = LEVELS[String(level)] ?? '';
  const color = label === 'WARN' ? 'yellow' : label === 'ERROR' || label === 'FATAL' ? 'red' : 'dim';
  const head = [
    ...(typeof time === 'string' ? [paint('dim', clockTime(time))] : []),
    ...(label === '' ? [] : [paint(color, label)]),
    ...writerOf(plugin, instance, message),
    message,
  ].join(' ');
  const fields = Object.entries(others)
    .filter(([key, value]) => value !== undefined && !omitted.includes(key) && !saidBy(message, value))
    .map(([key, value]) => `${plainText(key)}=${plain(typeof value === 'string' ? value : JSON.stringify(value))}`);
  const below = [
    ...more,
    ...(omitted.includes('err') ? [] : errorLines(err)),
    ...(omitted.includes('tail') ? [] : tailLines(tail, paint)),
  ];
  const shown = fields.length === 0 ? head : `${head}  ${paint('dim', fields.join(' '))}`;
  return [shown, ...below.map((each) => `${INDENT}${each}`)].join('\n');
}

/** Whether a message has a value, so that it need not be shown again. */
function saidBy(message: string, value: unknown): boolean {
  return typeof value === 'string' && value.length > 2 && message.includes(value);
}

/** The plugin before its message, unless that names it. */
function writerOf(plugin: unknown, instance: unknown, message: string): string[] {
  if (typeof plugin !== 'string') return [];
  if (message.split(/[\s,;:.()]+/).includes(plugin)) return [];
  const which = typeof instance === 'string' && instance !== '1' ? `/${instance}` : '';
  return [plain(`${plugin}${which}:`)];
}

function parsed(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{"level":')) return undefined;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined; // Cut off, or text of a plugin that only looks like an entry.
  }
}

/** HH:MM:SS where this process runs. */
function clockTime(iso: string): string {
  const at = new Date(iso);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
}

/** Its stack, which begins with its message; of several lines as it was thrown. */
function errorLines(err: unknown): string[] {
  if (typeof err !== 'object' || err === null) return err === undefined ? [] : [plain(String(err))];
  const { stack, message } = err as { stack?: unknown; message?: unknown };
  const text = typeof stack === 'string' ? stack : typeof message === 'string' ? message : JSON.stringify(err);
  return plainText(text).split('\n');
}

function tailLines(tail: unknown, paint: Painter): string[] {
  if (!Array.isArray(tail)) return [];
  return tail.flatMap((each) =>
    logText(String(each), paint)
      .split('\n')
      .map((text) => `| ${text}`),
  );
}

/** {@link plain} for text of several lines, whose tabs stay. */
function plainText(text: string): string {
  return text
    .split('\n')
    .map((line) => line.split('\t').map(plain).join('\t'))
    .join('\n');
}
