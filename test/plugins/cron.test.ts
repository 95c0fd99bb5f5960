import CronPlugin from '@centreond/plugin-cron';
import { manifestOf } from '@centreond/plugin-sdk/internal';
import { CentreondError, failure } from '@centreond/protocol';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Stages } from './cron-stage.ts';

const stages = new Stages();
const stage = (start?: string) => stages.open(start);
afterEach(() => {
  vi.unstubAllEnvs();
  return stages.close();
});

const hourly = { id: 'backup', schedule: '0 * * * *', action: 'RUN', data: { what: 'all' } };

describe('a definition', () => {
  it('fires its action, with its data, to its target, under a token that names the run', async () => {
    const on = stage();
    await on.plugin({ definitions: [{ ...hourly, target: 'paris-1' }] });
    await on.clock.to('2025-11-22T12:30:00Z');
    expect(on.accepted).toEqual([
      {
        action: 'RUN',
        token: 'cron:backup:2025-11-22T11:00:00Z',
        data: { what: 'all' },
        target: 'paris-1',
        at: '2025-11-22T11:00:00.000Z',
      },
      {
        action: 'RUN',
        token: 'cron:backup:2025-11-22T12:00:00Z',
        data: { what: 'all' },
        target: 'paris-1',
        at: '2025-11-22T12:00:00.000Z',
      },
    ]);
    expect(await on.call('GETCRON', { id: 'backup' })).toMatchObject({
      definitions: [
        {
          id: 'backup',
          source: 'config',
          timeZone: 'UTC',
          nextRun: '2025-11-22T13:00:00.000Z',
          lastRun: { at: '2025-11-22T12:00:00.000Z', token: 'cron:backup:2025-11-22T12:00:00Z', outcome: 'finished' },
          running: [],
          counts: { fired: 2, finished: 2, failed: 0, skipped: 0, missed: 0 },
        },
      ],
    });
  });

  it('fires to the second with six fields', async () => {
    const on = stage();
    await on.plugin({ definitions: [{ ...hourly, schedule: '*/20 * * * * *' }] });
    await on.clock.forward(61);
    expect(on.accepted.map(({ at }) => at.slice(17, 19))).toEqual(['20', '40', '00']);
  });

  it('says how its run failed', async () => {
    const on = stage();
    on.prompt = false;
    await on.plugin({ definitions: [hourly] });
    await on.clock.to('2025-11-22T11:00:01Z');
    expect(await on.call('GETCRON', {})).toMatchObject({
      definitions: [{ lastRun: { outcome: 'running', endedAt: null }, running: ['cron:backup:2025-11-22T11:00:00Z'] }],
    });
    await on.end('cron:backup:2025-11-22T11:00:00Z', new CentreondError('TIMEOUT', 'too slow'));
    await on.clock.forward(1);
    expect(await on.call('GETCRON', {})).toMatchObject({
      definitions: [{ lastRun: { outcome: 'failed', error: 'TIMEOUT', message: 'too slow' }, counts: { failed: 1 } }],
    });
  });

  it('does not fire while it is not enabled', async () => {
    const on = stage();
    await on.plugin({ definitions: [{ ...hourly, enabled: false }] });
    await on.clock.forward(7200);
    expect(on.accepted).toEqual([]);
    expect(await on.call('GETCRON', {})).toMatchObject({ definitions: [{ enabled: false, nextRun: null }] });
  });

  it('is refused, named, where it could never fire', async () => {
    const wrong = async (definition: object) => {
      const error = await stage()
        .plugin({ definitions: [{ ...hourly, ...definition }] })
        .then(() => expect.fail('taken'), String);
      return error;
    };
    expect(await wrong({ schedule: '61 * * * *' })).toMatch(/definitions\.0\.schedule: .*minute: 61/);
    expect(await wrong({ schedule: '0 0 30 2 *' })).toMatch(/schedule: never comes due/);
    expect(await wrong({ schedule: '2030-01-01T00:00:00Z' })).toMatch(/definitions\.0\.schedule must match pattern/);
    expect(await wrong({ timeZone: 'Mars/Olympus' })).toMatch(/time zone Mars\/Olympus is not known/);
    expect(await wrong({ data: { $: {} } })).toMatch(/definitions\.0\.data must match pattern/);
    expect(await wrong({ retries: 3 })).toMatch(/retries/);
    const twice = stage().plugin({ definitions: [hourly, hourly] });
    await expect(twice).rejects.toThrow(/definitions\.1\.id: is the id of two definitions/);
  });

  it('is declared the same on every machine', () => {
    const { config, actions } = manifestOf(CronPlugin);
    expect(JSON.stringify(config)).not.toContain(Intl.DateTimeFormat().resolvedOptions().timeZone);
    expect(actions.map(({ name, access, effects, idempotent }) => [name, ...access, effects, idempotent])).toEqual([
      ['GETCRON', 'admin', 'read', true],
      ['ADDCRON', 'admin', 'write', true],
      ['UPDATECRON', 'admin', 'write', true],
      ['DELETECRON', 'admin', 'destructive', true],
    ]);
    for (const { input } of actions) expect(input).toMatchObject({ type: 'object', additionalProperties: false });
  });
});

describe('a time zone', () => {
  async function runs(schedule: string, timeZone: string, from: string, to: string): Promise<string[]> {
    const on = stage(from);
    await on.plugin({ definitions: [{ ...hourly, schedule, timeZone }] });
    await on.clock.to(to);
    await on.stop();
    return on.accepted.map(({ at }) => at.slice(5, 16));
  }

  it('is the one that the definition names', async () => {
    const day = ['2025-11-22T00:00:00Z', '2025-11-23T00:00:00Z'] as const;
    expect(await runs('0 9 * * *', 'Europe/Paris', ...day)).toEqual(['11-22T08:00']);
    expect(await runs('0 9 * * *', 'Asia/Kolkata', ...day)).toEqual(['11-22T03:30']);
    expect(await runs('0 9 * * *', 'America/New_York', ...day)).toEqual(['11-22T14:00']);
  });

  it.each(['', 'CET-1CEST', 'Nowhere/Land'])('has to be named where TZ=%j names none', async (TZ) => {
    vi.stubEnv('TZ', TZ);
    const named = TZ === '' ? 'TZ is empty' : `TZ is ${TZ}`;
    const on = stage();
    await expect(on.plugin({ timeZone: undefined, definitions: [hourly] })).rejects.toThrow(
      `definitions.0.timeZone: is omitted, and ${named}`,
    );
    await on.plugin({ timeZone: undefined, definitions: [{ ...hourly, timeZone: 'Asia/Tokyo' }] });
    expect(await on.call('GETCRON', {})).toMatchObject({ definitions: [{ timeZone: 'Asia/Tokyo' }] });
    await expect(on.call('ADDCRON', { ...hourly, id: 'other' })).rejects.toThrow(`timeZone: is omitted, and ${named}`);
  });

  it('is read out of TZ where that names a file', async () => {
    vi.stubEnv('TZ', ':/usr/share/zoneinfo/Asia/Tokyo');
    const on = stage();
    await on.plugin({ timeZone: undefined, definitions: [{ ...hourly, schedule: '0 9 * * *' }] });
    expect(await on.call('GETCRON', {})).toMatchObject({
      definitions: [{ timeZone: 'Asia/Tokyo', nextRun: '2025-11-23T00:00:00.000Z' }],
    });
  });

  it('springs forward: a time of day that does not exist is run at the first that does, an interval goes on', async () => {
    // Paris, 30 March 2025: 02:00 is 03:00, at 01:00 UTC.
    const gap = ['2025-03-29T22:00:00Z', '2025-03-31T06:00:00Z'] as const;
    expect(await runs('30 2 * * *', 'Europe/Paris', ...gap)).toEqual(['03-30T01:00', '03-31T00:30']);
    const night = ['2025-03-30T00:15:00Z', '2025-03-30T01:45:00Z'] as const;
    expect(await runs('*/30 * * * *', 'Europe/Paris', ...night)).toEqual(['03-30T00:30', '03-30T01:00', '03-30T01:30']);
    expect(await runs('*/30 2 * * *', 'Europe/Paris', ...gap)).toEqual(['03-31T00:00', '03-31T00:30']);
  });

  it('falls back: a time of day that comes twice is run once, an interval runs through both', async () => {
    // Paris, 26 October 2025: 03:00 is 02:00 again, at 01:00 UTC.
    const repeat = ['2025-10-25T22:00:00Z', '2025-10-27T06:00:00Z'] as const;
    expect(await runs('30 2 * * *', 'Europe/Paris', ...repeat)).toEqual(['10-26T00:30', '10-27T01:30']);
    const night = ['2025-10-26T00:15:00Z', '2025-10-26T01:45:00Z'] as const;
    expect(await runs('30 * * * *', 'Europe/Paris', ...night)).toEqual(['10-26T00:30', '10-26T01:30']);
  });
});

describe('a run that has not ended', () => {
  it('holds off the next, which is counted, logged and a row', async () => {
    const on = stage();
    on.prompt = false;
    await on.plugin({ definitions: [hourly] });
    await on.clock.to('2025-11-22T12:00:01Z');
    expect(on.accepted).toHaveLength(1);
    expect(on.rowsOf(110)).toMatchObject([
      {
        token: 'cron:backup:2025-11-22T12:00:00Z',
        data: { id: 'backup', at: '2025-11-22T12:00:00Z', running: ['cron:backup:2025-11-22T11:00:00Z'] },
      },
    ]);
    expect(on.logged).toContainEqual({
      level: 'warn',
      message: 'backup is skipped at 2025-11-22T12:00:00Z: its last run has not ended',
    });
    await on.end('cron:backup:2025-11-22T11:00:00Z');
    await on.clock.to('2025-11-22T13:00:01Z');
    expect(on.accepted.map(({ token }) => token.slice(-10))).toEqual(['T11:00:00Z', 'T13:00:00Z']);
    expect(await on.call('GETCRON', {})).toMatchObject({ definitions: [{ counts: { fired: 2, skipped: 1 } }] });
  });

  it('does not where overlap is allowed', async () => {
    const on = stage();
    on.prompt = false;
    await on.plugin({ definitions: [{ ...hourly, overlap: true }] });
    await on.clock.to('2025-11-22T13:00:01Z');
    expect(on.open()).toHaveLength(3);
    expect(await on.call('GETCRON', {})).toMatchObject({ definitions: [{ counts: { fired: 3, skipped: 0 } }] });
  });

  it('holds off the next also after a restart, and its end is seen', async () => {
    const on = stage();
    on.prompt = false;
    await on.plugin({ definitions: [hourly] });
    await on.clock.to('2025-11-22T11:59:50Z');
    await on.stop();
    await on.plugin({ definitions: [hourly] });
    await on.clock.to('2025-11-22T12:00:10Z');
    expect(on.accepted).toHaveLength(1);
    expect(on.rowsOf(110)).toHaveLength(1);
    await on.end('cron:backup:2025-11-22T11:00:00Z');
    await on.clock.forward(1);
    expect(await on.call('GETCRON', {})).toMatchObject({
      definitions: [{ lastRun: { outcome: 'finished' }, running: [], counts: { fired: 1, finished: 1, skipped: 1 } }],
    });
  });

  it('is given up after eight days, so that it does not hold off for ever', async () => {
    const on = stage('2025-11-22T23:59:00Z');
    await on.plugin({ definitions: [{ ...hourly, schedule: '1 0 */5 * *' }] });
    // It never hears of the end.
    on.tested.faults.hold('FOLLOW');
    await on.clock.to('2025-12-06T00:02:00Z');
    expect(on.accepted.map(({ at }) => at.slice(0, 10))).toEqual(['2025-11-26', '2025-12-06']);
    expect(await on.call('GETCRON', {})).toMatchObject({ definitions: [{ counts: { unknown: 1, skipped: 1 } }] });
  });
});

describe('a refusal', () => {
  it('that may pass is met by sending again', async () => {
    const on = stage();
    on.refusals.push(
      failure('BUSY', { what: 'the queue', limit: 1 }),
      failure('NOT_READY', { type: 'x', state: 'quarantined', reason: 'it crashed' }),
      failure('NOT_ACKNOWLEDGED', { token: 't', seconds: 30 }),
    );
    await on.plugin({ definitions: [hourly] });
    await on.clock.to('2025-11-22T11:00:30Z');
    expect(on.accepted).toHaveLength(1);
    expect(await on.call('GETCRON', {})).toMatchObject({
      definitions: [{ counts: { fired: 1, finished: 1, refused: 0 } }],
    });
  });

  it('that will not pass is counted, logged and a row', async () => {
    const on = stage();
    on.refusals.push(failure('UNKNOWN_ACTION', { action: 'RUN', near: 'RUM' }));
    await on.plugin({ definitions: [hourly] });
    await on.clock.to('2025-11-22T11:00:01Z');
    expect(on.accepted).toEqual([]);
    expect(on.rowsOf(112)).toMatchObject([
      { token: 'cron:backup:2025-11-22T11:00:00Z', data: { id: 'backup', error: 'UNKNOWN_ACTION', attempts: 1 } },
    ]);
    expect(on.logged.at(-1)).toMatchObject({ level: 'error', message: expect.stringContaining('did you mean RUM') });
    expect(await on.call('GETCRON', {})).toMatchObject({
      definitions: [{ lastRun: { outcome: 'refused', error: 'UNKNOWN_ACTION' }, counts: { refused: 1 } }],
    });
    await on.clock.to('2025-11-22T12:00:01Z');
    expect(on.accepted).toHaveLength(1);
  });

  it('that lasts for a minute is final', async () => {
    const on = stage();
    for (let i = 0; i < 100; i++) on.refusals.push(failure('BUSY', { what: 'the queue', limit: 1 }));
    await on.plugin({ definitions: [hourly] });
    await on.clock.to('2025-11-22T11:01:15Z');
    expect(on.rowsOf(112)).toMatchObject([{ data: { error: 'BUSY' } }]);
    const sent = 100 - on.refusals.length;
    expect(sent).toBeGreaterThan(5);
    expect(sent).toBeLessThan(25);
  });
});
