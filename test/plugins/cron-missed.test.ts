import { afterEach, describe, expect, it } from 'vitest';
import { type Stage, Stages } from './cron-stage.ts';

const stages = new Stages();
const stage = (start?: string) => stages.open(start);
afterEach(() => stages.close());

const hourly = { id: 'backup', schedule: '0 * * * *', action: 'RUN', data: {} };
const hours = (on: Stage) => on.accepted.map(({ token }) => token.slice(-15, -4));

describe('a clock that was ahead', () => {
  const definitions = [{ ...hourly, missed: 'skip' as const }];

  it('leaves nothing silent once it is right again: the schedule goes on from there, under the same tokens', async () => {
    const on = stage();
    await on.plugin({ definitions });
    on.clock.set('2025-12-22T10:59:59Z');
    await on.clock.to('2025-12-22T11:10:00Z');
    on.clock.set('2025-11-22T10:10:00Z');
    await on.clock.to('2025-11-22T12:10:00Z');
    expect(hours(on)).toEqual(['12-22T11:00', '11-22T11:00', '11-22T12:00']);
  });

  it('nor over a restart', async () => {
    const on = stage();
    await on.plugin({ definitions });
    on.clock.set('2025-12-22T10:59:59Z');
    await on.clock.to('2025-12-22T11:10:00Z');
    await on.stop();
    on.clock.set('2025-11-22T10:10:00Z');
    await on.plugin({ definitions });
    await on.clock.to('2025-11-22T11:10:00Z');
    expect(hours(on).at(-1)).toBe('11-22T11:00');
  });
});

describe('what fell due while nobody was there', () => {
  async function restarted(stop: string, missed: string, schedule = hourly.schedule) {
    const on = stage();
    const definitions = [{ ...hourly, schedule, missed }];
    await on.plugin({ definitions });
    await on.clock.to('2025-11-22T11:10:00Z');
    await on.stop();
    on.clock.set(stop);
    await on.plugin({ definitions });
    await on.clock.forward(1);
    return { on, shown: await on.call('GETCRON', {}) };
  }

  it('is skipped, and said to be', async () => {
    const { on, shown } = await restarted('2025-11-22T14:30:00Z', 'skip');
    expect(hours(on)).toEqual(['11-22T11:00']);
    expect(on.rowsOf(111)).toMatchObject([
      {
        token: 'cron:backup:2025-11-22T14:00:00Z',
        data: {
          id: 'backup',
          policy: 'skip',
          count: 3,
          andMore: false,
          first: '2025-11-22T12:00:00Z',
          last: '2025-11-22T14:00:00Z',
        },
      },
    ]);
    expect(shown).toMatchObject({
      definitions: [{ nextRun: '2025-11-22T15:00:00.000Z', counts: { fired: 1, missed: 3 } }],
    });
    // And once is enough.
    await on.stop();
    await on.plugin({ definitions: [{ ...hourly, missed: 'skip' }] });
    await on.clock.forward(1);
    expect(on.rowsOf(111)).toHaveLength(1);
  });

  it('is run once, for the last', async () => {
    const { on, shown } = await restarted('2025-11-22T14:30:00Z', 'once');
    expect(hours(on)).toEqual(['11-22T11:00', '11-22T14:00']);
    expect(shown).toMatchObject({ definitions: [{ counts: { fired: 2, missed: 2 } }] });
  });

  it('is run once by the run that is due anyway', async () => {
    const { on } = await restarted('2025-11-22T14:00:20Z', 'once');
    expect(hours(on)).toEqual(['11-22T11:00', '11-22T14:00']);
    expect(on.rowsOf(111)).toMatchObject([{ data: { count: 2 } }]);
  });

  it('is run each, one after the other', async () => {
    const { on, shown } = await restarted('2025-11-22T14:30:00Z', 'all');
    expect(hours(on)).toEqual(['11-22T11:00', '11-22T12:00', '11-22T13:00', '11-22T14:00']);
    expect(on.rowsOf(111)).toEqual([]);
    expect(shown).toMatchObject({ definitions: [{ counts: { fired: 4, finished: 4, missed: 0, skipped: 0 } }] });
  });

  it('is run a hundred times at most', async () => {
    const { on } = await restarted('2025-12-22T14:30:00Z', 'all', '* * * * *');
    const madeUpFor = on.accepted.filter(({ at }) => at.startsWith('2025-12'));
    expect(madeUpFor).toHaveLength(100);
    expect(madeUpFor.at(-1)?.token).toBe('cron:backup:2025-12-22T14:30:00Z');
    expect(on.rowsOf(111)).toMatchObject([{ data: { policy: 'all', andMore: true } }]);
  });

  it('was not missed when it is less than a minute late', async () => {
    const { on } = await restarted('2025-11-22T12:00:40Z', 'skip');
    expect(hours(on)).toEqual(['11-22T11:00', '11-22T12:00']);
  });
});

it('runs that are made up for hold what falls due meanwhile in its place', async () => {
  const on = stage();
  const definitions = [{ ...hourly, missed: 'all' }];
  await on.plugin({ definitions });
  await on.stop();
  on.clock.set('2025-11-22T12:30:00Z');
  on.prompt = false;
  await on.plugin({ definitions });
  await on.clock.to('2025-11-22T13:00:10Z');
  expect(await on.call('GETCRON', {})).toMatchObject({ definitions: [{ running: [on.open()[0]], waiting: 2 }] });
  // A stop with some waiting loses none.
  await on.stop();
  await on.plugin({ definitions });
  for (let i = 0; i < 3; i++) {
    await on.clock.forward(1);
    expect(on.open()).toHaveLength(1);
    await on.end(on.open()[0] ?? expect.fail());
  }
  await on.clock.forward(1);
  expect(hours(on)).toEqual(['11-22T11:00', '11-22T12:00', '11-22T13:00']);
  expect(on.rowsOf(110)).toEqual([]);
});

it('a run that finds no room behind those is skipped, and they are not lost by that', async () => {
  const on = stage();
  const definitions = [{ ...hourly, schedule: '* * * * *', missed: 'all' }];
  await on.plugin({ definitions });
  await on.stop();
  on.clock.set('2025-11-22T13:00:30Z');
  on.prompt = false;
  await on.plugin({ definitions });
  await on.clock.forward(120);
  expect(on.rowsOf(110)).toMatchObject([{ data: { at: '2025-11-22T13:02:00Z' } }]);
  await on.stop();
  await on.plugin({ definitions });
  await on.clock.forward(1);
  expect(await on.call('GETCRON', {})).toMatchObject({ definitions: [{ waiting: 100, counts: { fired: 1 } }] });
});

it('a token that somebody else has used is a refusal, unless it was this very run before its definition changed', async () => {
  const on = stage();
  const definitions = [{ ...hourly, data: { now: 'this' }, missed: 'all' }];
  await on.plugin({ definitions });
  const plugin = { identity: '@cron', roles: ['plugin'] } as const;
  on.tested.send('RUN', {}, { ...plugin, token: 'cron:backup:2025-11-22T11:00:00Z' });
  await on.clock.to('2025-11-22T11:00:05Z');
  expect(await on.call('GETCRON', {})).toMatchObject({
    definitions: [{ lastRun: { outcome: 'refused', error: 'TOKEN_REUSED' } }],
  });
  // Dies between the ACK and writing that it had it.
  on.tested.faults.crashAfterRequests('RUN');
  await on.clock.to('2025-11-22T12:00:05Z');
  await on.plugin({ definitions: [{ ...hourly, data: { now: 'that' }, missed: 'all' }] });
  await on.clock.forward(1);
  expect(await on.call('GETCRON', {})).toMatchObject({
    definitions: [{ lastRun: { at: '2025-11-22T12:00:00.000Z', outcome: 'finished' } }],
  });
});

it('a definition that is new, changed or was off has missed nothing', async () => {
  const on = stage();
  const all = { ...hourly, missed: 'all' };
  await on.plugin({ definitions: [{ ...all, enabled: false }] });
  await on.stop();
  on.clock.set('2025-11-22T15:30:00Z');
  await on.plugin({
    definitions: [
      { ...all, enabled: true },
      { ...all, id: 'other' },
    ],
  });
  await on.stop();
  on.clock.set('2025-11-22T15:40:00Z');
  await on.plugin({ definitions: [{ ...all, schedule: '*/5 * * * *' }] });
  await on.clock.forward(1);
  expect(on.accepted).toEqual([]);
  // Taken out of the config and put in again: nothing was missed in between.
  await on.stop();
  await on.plugin({});
  await on.stop();
  on.clock.set('2025-11-22T18:30:30Z');
  await on.plugin({ definitions: [{ ...all, schedule: '*/5 * * * *' }] });
  await on.clock.forward(1);
  expect(on.accepted).toEqual([]);
});

it('a clock that is set back fires nothing twice, one that is set ahead misses as a stop does', async () => {
  const on = stage();
  await on.plugin({ definitions: [{ ...hourly, missed: 'once' }] });
  await on.clock.to('2025-11-22T12:10:00Z');
  on.clock.set('2025-11-22T10:50:00Z');
  await on.clock.to('2025-11-22T13:10:00Z');
  expect(hours(on)).toEqual(['11-22T11:00', '11-22T12:00', '11-22T13:00']);
  on.clock.set('2025-11-22T17:30:00Z');
  await on.clock.forward(31);
  expect(hours(on).slice(3)).toEqual(['11-22T17:00']);
  expect(on.rowsOf(111)).toMatchObject([{ data: { count: 3 } }]);
});

it('wherever the plugin dies, each run is run once', async () => {
  const definitions = [{ ...hourly, missed: 'all' }];
  for (let writes = 0; writes < 16; writes++) {
    const on = stage();
    await on.plugin({ definitions });
    on.tested.faults.crashAfterWrites(writes);
    await on.clock.to('2025-11-22T13:30:00Z');
    const died = on.tested.router.gone !== undefined;
    await on.plugin({ definitions });
    await on.clock.to('2025-11-22T14:30:00Z');
    expect(hours(on), `dead after ${writes} writes: ${died}`).toEqual([
      '11-22T11:00',
      '11-22T12:00',
      '11-22T13:00',
      '11-22T14:00',
    ]);
    await on.stop();
  }
});

it('a run that was not sent and is too late by then is skipped, one that was sent is followed', async () => {
  for (const sent of [false, true]) {
    const on = stage();
    on.prompt = false;
    await on.plugin({ definitions: [hourly] });
    // With one write it dies before it sends, with two when it has the ACK.
    on.tested.faults.crashAfterWrites(sent ? 2 : 1);
    await on.clock.to('2025-11-22T11:00:05Z');
    on.clock.set('2025-11-22T11:30:00Z');
    await on.plugin({ definitions: [hourly] });
    if (sent) await on.end('cron:backup:2025-11-22T11:00:00Z');
    await on.clock.forward(1);
    expect(on.accepted).toHaveLength(sent ? 1 : 0);
    const outcome = sent ? 'finished' : 'refused';
    expect(await on.call('GETCRON', {})).toMatchObject({ definitions: [{ lastRun: { outcome } }] });
  }
});

it('two at work, as while a reload, fire each run once, also of what only the old one was told', async () => {
  const on = stage();
  await on.plugin({ definitions: [hourly] });
  const old = on.tested.plugin;
  const finish = await on.tested.reload();
  await old.add({ ...hourly, id: 'late', overlap: false, missed: 'skip', enabled: true });
  const held = on.tested.faults.hold('RUN');
  await on.clock.to('2025-11-22T11:00:10Z');
  expect(held.waiting, 'of each run by both').toBe(4);
  held.release();
  await on.clock.forward(1);
  expect(on.accepted.map(({ token }) => token).sort()).toEqual([
    'cron:backup:2025-11-22T11:00:00Z',
    'cron:late:2025-11-22T11:00:00Z',
  ]);
  await finish();
  await on.clock.to('2025-11-22T12:00:10Z');
  expect(on.accepted).toHaveLength(4);
});
