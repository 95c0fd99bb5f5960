import { reasonOf } from '@centreond/plugin-sdk';
import { Cron } from 'croner';

/** The form of a schedule: five or six fields, or a name such as `@daily`. croner says the rest. */
export const SCHEDULE_FORM = /^(@[a-z]+|\S+( +\S+){4,5})$/;

/** The time zone of this machine. */
export function machineTimeZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** When a definition is due: croner's reading of its pattern in its time zone. Times are milliseconds since the epoch. */
export class Schedule {
  readonly #cron: Cron;

  /** Throws what croner says of a pattern or a time zone that it does not know. */
  constructor(
    readonly pattern: string,
    readonly timeZone: string,
  ) {
    // Without a function and paused: croner only computes, the timers are the plugin's own.
    this.#cron = new Cron(pattern, { timezone: timeZone, mode: '5-or-6-parts', paused: true });
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

/** What is wrong with a schedule, or undefined. */
export function scheduleFault(pattern: string, timeZone: string, now: number): string | undefined {
  if (!SCHEDULE_FORM.test(pattern)) return 'must have five or six fields (with seconds), or be a name such as @daily';
  try {
    Intl.DateTimeFormat('en', { timeZone });
  } catch {
    return `the time zone ${timeZone} is not known here; use a name such as Europe/Paris`;
  }
  try {
    return new Schedule(pattern, timeZone).next(now) === undefined ? 'never comes due' : undefined;
  } catch (error) {
    return reasonOf(error).replace(/^CronPattern: /, '');
  }
}
