const UNITS = [
  ['d', 86_400],
  ['h', 3600],
  ['min', 60],
  ['s', 1],
] as const;

/** A moment with its zone: `2026-11-29 10:36:32 CET`. `zone` is the reader's own if omitted. */
export function momentText(ms: number, zone?: string): string {
  return `${dayText(ms, zone)} ${timeText(ms, zone)} ${zoneText(ms, zone)}`;
}

export function dayText(ms: number, zone?: string): string {
  const { year, month, day } = partsOf(ms, zone);
  return `${year}-${month}-${day}`;
}

/** `10:36:32`, in the reader's zone. */
export function timeText(ms: number, zone?: string): string {
  const { hour, minute, second } = partsOf(ms, zone);
  return `${hour}:${minute}:${second}`;
}

/** The short name of the reader's zone at a moment. */
export function zoneText(ms: number, zone?: string): string {
  return partsOf(ms, zone).timeZoneName ?? '';
}

const formats = new Map<string | undefined, Intl.DateTimeFormat>();

function partsOf(ms: number, zone: string | undefined): Partial<Record<Intl.DateTimeFormatPartTypes, string>> {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat('en-GB', {
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
      hourCycle: 'h23',
      timeZoneName: 'short',
      ...(zone !== undefined && { timeZone: zone }),
    });
    formats.set(zone, format);
  }
  return Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, value]));
}

/** How long ago, or in how long: `5 s ago`, `in 3 h`. */
export function agoText(ms: number, now: number): string {
  const seconds = Math.round((now - ms) / 1000);
  if (seconds === 0) return 'now';
  const text = spanText(Math.abs(seconds));
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}

/** A length of time in its largest unit: `42 s`, `3 min`, `5 h`, `12 d`. */
export function spanText(seconds: number): string {
  const [unit, size] = UNITS.find(([, each]) => seconds >= each) ?? ['s', 1];
  return `${Math.floor(seconds / size)} ${unit}`;
}

/** A length of time in its two largest units: `3 min 12 s`. */
export function durationText(seconds: number): string {
  const at = UNITS.findIndex(([, each]) => seconds >= each);
  if (at < 0) return '0 s';
  const [unit, size] = UNITS[at] ?? ['s', 1];
  const next = UNITS[at + 1];
  const rest = next ? Math.floor((seconds % size) / next[1]) : 0;
  return `${Math.floor(seconds / size)} ${unit}${next && rest > 0 ? ` ${rest} ${next[0]}` : ''}`;
}

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytesText(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(SIZES.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${shortNumber(bytes / 1024 ** power)} ${SIZES[power]}`;
}

export function msText(ms: number): string {
  return ms >= 1000 ? `${shortNumber(ms / 1000)} s` : `${shortNumber(ms)} ms`;
}

/** Three digits or so: `0.42`, `4.2`, `42`, `4,200`. */
export function shortNumber(value: number): string {
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return countText(Math.round(value));
  return value.toFixed(size >= 10 ? 1 : 2).replace(/\.?0+$/, '');
}

export function countText(count: number): string {
  return count.toLocaleString('en-GB');
}

/** `1 node`, `2 nodes`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${countText(count)} ${count === 1 ? one : many}`;
}
