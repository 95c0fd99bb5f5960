import { reasonOf } from '@centreond/protocol';
import { Cron } from 'croner';
import { timeZoneFault } from './time-zone.ts';

export { timeZoneFault, timeZoneOf, type ZoneOrFault } from './time-zone.ts';

/** The form of a schedule: five or six fields, or a name such as `@daily`. croner says the rest. */
export const SCHEDULE_FORM = /^(@[a-z]+|\S+( +\S+){4,5})$/;

/**
 * When a schedule is due in a time zone. Fields are read as croner reads them; day of month and weekday together as Vixie cron: both
 * have to match if one of them starts with `*`, else either. Times are milliseconds since the epoch.
 */
export class Schedule {
  readonly #cron: Cron;

  /** Throws what croner says of a pattern or a time zone that it does not know. */
  constructor(
    readonly pattern: string,
    readonly timeZone: string,
  ) {
    const fields = pattern.trim().split(/ +/);
    const days = fields.length < 5 ? [] : [fields.at(-3), fields.at(-1)];
    const domAndDow = days.some((field) => /^[*?]/.test(field ?? ''));
    // Without a function and paused: croner only computes, the timers are the plugin's own.
    this.#cron = new Cron(pattern, { timezone: timeZone, mode: '5-or-6-parts', paused: true, domAndDow });
  }

  /** The first time after `after`, if there is one. */
  next(after: number): number | undefined {
    return this.#cron.nextRun(new Date(after))?.getTime();
  }

  /** The last `limit` times after `after` and not after `until`, ascending. */
  between(after: number, until: number, limit: number): number[] {
    const next = this.next(after);
    if (next === undefined || next > until) return [];
    return this.#cron
      .previousRuns(limit, new Date(until + 1))
      .map((date) => date.getTime())
      .filter((at) => at > after)
      .reverse();
  }
}

/** What is wrong with a schedule in the zone, or undefined: a clause. One that never comes due after `now` is wrong, too. */
export function scheduleFault(pattern: string, timeZone: string, now: number): string | undefined {
  if (!SCHEDULE_FORM.test(pattern)) return 'must have five or six fields (with seconds), or be a name such as @daily';
  const unknown = timeZoneFault(timeZone);
  if (unknown !== undefined) return unknown;
  try {
    return new Schedule(pattern, timeZone).next(now) === undefined ? 'never comes due' : undefined;
  } catch (error) {
    return reasonOf(error).replace(/^CronPattern: /, '');
  }
}
