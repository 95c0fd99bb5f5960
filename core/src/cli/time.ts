import { parseDuration } from '../config/units.ts';
import { misuse } from './connection.ts';

const two = (number: number) => String(number).padStart(2, '0');

/** A moment as people read it, from seconds since the epoch: `2026-11-28 10:36:32 +01:00`, in the time zone of this process. */
export function momentText(seconds: number): string {
  return `${dayOf(seconds)} ${clockText(seconds)} ${zoneOf(seconds)}`;
}

/** The time of day of a moment, `10:36:32`. */
export function clockText(seconds: number): string {
  const at = new Date(seconds * 1000);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** How far the clocks here are ahead of UTC at a moment: `+01:00`. */
export function zoneOf(seconds: number): string {
  const ahead = -new Date(seconds * 1000).getTimezoneOffset();
  const minutes = Math.abs(ahead);
  return `${ahead < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

/** The day of a moment, `2026-11-28`. */
export function dayOf(seconds: number): string {
  const at = new Date(seconds * 1000);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

/** When it was, in a table: the time, and the day before it unless that is the day of `now`. The heading of the table names the zone. */
export function whenText(seconds: number, now: number): string {
  const day = dayOf(seconds);
  return day === dayOf(now) ? clockText(seconds) : `${day} ${clockText(seconds)}`;
}

/** Milliseconds of an option. Throws wrong usage. */
export function durationOf(option: string, text: string): number {
  const parsed = parseDuration(text);
  if (typeof parsed === 'number') return parsed;
  throw misuse(`${option} ${text}: ${parsed.refused}. Write a whole number and ms, s, m, h or d.`);
}

const DATE = /^\d{4}-\d{2}-\d{2}$/;
const TIME = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2})?(Z| ?[+-]\d{2}:\d{2})?$/;

/**
 * A moment in whole seconds since the epoch: a duration before now, `today`, `yesterday` (both at midnight), a date, or a date with
 * a time, which is that of this process's zone unless it names one. Throws USAGE.
 */
export function momentOf(option: string, text: string, now: number = Date.now()): number {
  const today = new Date(now);
  today.setHours(0, 0, 0, 0);
  if (text === 'today') return today.getTime() / 1000;
  if (text === 'yesterday') {
    today.setDate(today.getDate() - 1);
    return today.getTime() / 1000;
  }
  if (!/^\d{4}-/.test(text)) return Math.floor((now - durationOf(option, text)) / 1000);
  // A date alone would be taken for one of UTC.
  const ms = DATE.test(text) ? new Date(`${text}T00:00:00`).getTime() : TIME.test(text) ? dateOf(text) : Number.NaN;
  if (!Number.isNaN(ms)) return Math.floor(ms / 1000);
  throw misuse(
    `${option} ${text}: write a date as 2026-01-31, 2026-01-31T12:00 or "2026-01-31 12:00:00 +01:00", or 24h, today or yesterday.`,
  );
}

function dateOf(text: string): number {
  return new Date(text.replace(' ', 'T').replace(/ (?=[+-])/, '')).getTime();
}
