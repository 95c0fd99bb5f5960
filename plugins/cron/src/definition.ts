import { SCHEDULE_FORM, scheduleFault, timeZoneOf, type ZoneOrFault } from '@centreond/plugin-sdk/schedule';
import { z } from 'zod';

/** Runs that are made up for at most, wait for their turn at most, or go on at once at most, for one definition. */
export const RUNS_LIMIT = 100;
/** Definitions, those of the config included. */
export const DEFINITIONS_LIMIT = 1000;

export const Id = z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, 'must be 1 to 64 of A-Z a-z 0-9 . _ -');

const Data = z
  .record(z.string().regex(/^(?!\$$)/, 'must not be $, which is the envelope of a request'), z.json())
  .describe('what the action gets');

const schedule = z
  .string()
  .max(200)
  .regex(SCHEDULE_FORM, 'must have five or six fields (with seconds), or be a name such as @daily')
  .meta({ format: 'cron' })
  .describe(
    'five fields, or six with seconds in front, as croner reads them; or @hourly, @daily, @weekly, @monthly, @yearly',
  );
const timeZone = z
  .string()
  .min(1)
  .max(64)
  .meta({ format: 'timezone' })
  .describe("an IANA name; the config's timeZone when left out");
const action = z.string().regex(/^[A-Z][A-Z0-9_-]{0,63}$/, 'must be the name of an action');
const target = z
  .string()
  .regex(/^[A-Za-z0-9._-]{1,64}$/, 'must be a node id')
  .describe('the node to run it on; this router when left out');
const overlap = z.boolean().describe('fire although the last run has not ended');
const missed = z
  .enum(['skip', 'once', 'all'])
  .describe(
    `what to do about runs that fell due while nobody was there: nothing, run once, or run each (the last ${RUNS_LIMIT})`,
  );
const enabled = z.boolean();

const whole = {
  schedule,
  timeZone: timeZone.exactOptional(),
  action,
  data: Data.default({}),
  target: target.exactOptional(),
  overlap: overlap.default(false),
  missed: missed.default('skip'),
  enabled: enabled.default(true),
};

/** What is to be fired, and when. */
export const Definition = z.strictObject({ id: Id, ...whole });
export type Definition = z.output<typeof Definition>;

/** A change: what is left out stays, `null` takes away. */
export const Change = z.strictObject({
  id: Id,
  schedule: schedule.exactOptional(),
  timeZone: timeZone.nullable().exactOptional(),
  action: action.exactOptional(),
  data: Data.exactOptional(),
  target: target.nullable().exactOptional(),
  overlap: overlap.exactOptional(),
  missed: missed.exactOptional(),
  enabled: enabled.exactOptional(),
});
export type Change = z.output<typeof Change>;

/** The definition as the change leaves it. */
export function changed(definition: Definition, change: Change): Definition {
  const { timeZone, target, ...rest } = { ...definition, ...change };
  return {
    ...rest,
    ...(timeZone == null ? {} : { timeZone }),
    ...(target == null ? {} : { target }),
  };
}

export const Config = z
  .strictObject({
    // No default: the manifest would have the time zone of the machine that built it.
    timeZone: timeZone.exactOptional().describe("where a definition does not say; the machine's when left out"),
    definitions: z
      .array(Definition.extend({ timeZone: timeZone.exactOptional().meta({ 'centreond-else': ['/timeZone', 'TZ'] }) }))
      .max(DEFINITIONS_LIMIT)
      .default([])
      // The same for `centreond check`.
      .meta({ 'centreond-unique': 'id' })
      .describe('what is to be fired; only a change of the config changes these'),
  })
  .superRefine((config, context) => {
    const seen = new Set<string>();
    const own = zoneOfConfig(config);
    for (const [i, definition] of config.definitions.entries()) {
      const issue = (key: string, message: string) =>
        context.addIssue({ code: 'custom', path: ['definitions', i, key], message });
      if (seen.has(definition.id)) issue('id', `is the id of two definitions: ${definition.id}`);
      seen.add(definition.id);
      const zone = zoneFor(definition, own);
      if ('fault' in zone) {
        issue('timeZone', zone.fault);
        continue;
      }
      const fault = scheduleFault(definition.schedule, zone.zone, Date.now());
      if (fault) issue('schedule', fault);
    }
  });
export type Config = z.output<typeof Config>;

/** The time zone of definitions that name none: the config's, else that of the process. */
export function zoneOfConfig({ timeZone }: { readonly timeZone?: string }): ZoneOrFault {
  return timeZone === undefined ? timeZoneOf(process.env) : { zone: timeZone };
}

/** The time zone of a definition, `own` being that of definitions that name none. */
export function zoneFor({ timeZone }: Pick<Definition, 'timeZone'>, own: ZoneOrFault): ZoneOrFault {
  if (timeZone !== undefined) return { zone: timeZone };
  if ('zone' in own) return own;
  return { fault: `is omitted, and ${own.fault}; or name a timeZone here or in the config of the plugin` };
}

const Time = z.iso.datetime();

/** A run as it is shown. Skipped and missed runs are none: they are counted, and rows of their own. */
export const ShownRun = z.strictObject({
  at: Time.describe('when it was due'),
  token: z.string(),
  outcome: z
    .enum(['sending', 'running', 'finished', 'failed', 'refused', 'unknown'])
    .describe('finished: the request ended with code 2. refused: it was never accepted'),
  endedAt: Time.nullable(),
  error: z.string().nullable(),
  message: z.string().nullable(),
});
export type ShownRun = z.output<typeof ShownRun>;

export const Counts = z.strictObject({
  fired: z.int(),
  finished: z.int(),
  failed: z.int(),
  refused: z.int(),
  unknown: z.int().describe('no end was seen'),
  skipped: z.int().describe('fell due while the last run had not ended'),
  missed: z.int().describe('fell due while nobody was there, and were not made up for'),
});
export type Counts = z.output<typeof Counts>;

export const ShownDefinition = z.strictObject({
  ...Definition.shape,
  timeZone: z.string(),
  source: z.enum(['config', 'state']).describe('config: only a change of the config changes it'),
  nextRun: Time.nullable(),
  lastRun: ShownRun.nullable(),
  running: z.array(z.string()).describe('tokens of the runs that have not ended'),
  waiting: z.int().describe('runs that are made up for and wait for their turn'),
  counts: Counts,
});
export type ShownDefinition = z.output<typeof ShownDefinition>;

/** Milliseconds since the epoch as text, to the second. */
export function isoSecond(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`;
}

/** The token of the run of `id` that is due at `at`, in the plugin of this `type`: the same however often it is sent. */
export function tokenOf(type: string, id: string, at: number): string {
  return `${type}:${id}:${isoSecond(at)}`;
}
