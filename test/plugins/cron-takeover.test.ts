import CronPlugin from '@centreond/plugin-cron';
import { manifestOf } from '@centreond/plugin-sdk/internal';
import { afterEach, expect, it } from 'vitest';
import { Stages } from './cron-stage.ts';

// A router that takes over shares state and history with the one that was lost: what it starts is this plugin, once more.
const stages = new Stages();
afterEach(() => stages.close());

const hourly = { id: 'backup', schedule: '0 * * * *', action: 'RUN', data: {} };
const config = { definitions: [hourly] };

it('cron runs on one router of a cluster at a time', () => {
  expect(manifestOf(CronPlugin).placement).toBe('one');
});

it('a run under way when its router is lost goes on, holds off the next, and is followed to its end', async () => {
  const on = stages.open();
  on.prompt = false;
  await on.plugin(config);
  await on.clock.to('2025-11-22T11:00:05Z');
  on.tested.crash();
  await on.clock.to('2025-11-22T11:00:20Z');
  await on.plugin(config);
  expect(on.accepted).toHaveLength(1);
  expect(await on.call('GETCRON', {})).toMatchObject({
    definitions: [{ running: ['cron:backup:2025-11-22T11:00:00Z'] }],
  });
  await on.clock.to('2025-11-22T12:00:01Z');
  expect(on.rowsOf(110)).toMatchObject([{ token: 'cron:backup:2025-11-22T12:00:00Z' }]);
  await on.end('cron:backup:2025-11-22T11:00:00Z');
  expect(await on.call('GETCRON', {})).toMatchObject({
    definitions: [{ running: [], lastRun: { outcome: 'finished' }, counts: { fired: 1, finished: 1, skipped: 1 } }],
  });
});

it('a run whose router was lost before it was known to be accepted is sent again, and runs once', async () => {
  const on = stages.open();
  await on.plugin(config);
  on.tested.faults.crashAfterRequests('RUN');
  await on.clock.to('2025-11-22T11:00:05Z');
  expect(on.tested.router.gone).toBeDefined();
  await on.clock.to('2025-11-22T11:00:20Z');
  await on.plugin(config);
  await on.clock.forward(1);
  expect(on.accepted.map(({ token }) => token)).toEqual(['cron:backup:2025-11-22T11:00:00Z']);
  expect(await on.call('GETCRON', {})).toMatchObject({ definitions: [{ lastRun: { outcome: 'finished' } }] });
});

it('a run that falls due during the takeover is run by the router that takes over', async () => {
  const on = stages.open();
  await on.plugin(config);
  await on.clock.to('2025-11-22T10:59:55Z');
  on.tested.crash();
  await on.clock.to('2025-11-22T11:00:10Z');
  expect(on.accepted).toEqual([]);
  await on.plugin(config);
  await on.clock.forward(1);
  expect(on.accepted.map(({ token }) => token)).toEqual(['cron:backup:2025-11-22T11:00:00Z']);
  expect(on.rowsOf(111)).toEqual([]);
});

it('a run that falls due during a takeover that lasts longer than a minute is told as missed', async () => {
  const on = stages.open();
  await on.plugin(config);
  await on.clock.to('2025-11-22T10:59:55Z');
  on.tested.crash();
  await on.clock.to('2025-11-22T11:02:00Z');
  await on.plugin(config);
  await on.clock.forward(1);
  expect(on.accepted).toEqual([]);
  expect(on.rowsOf(111)).toMatchObject([{ token: 'cron:backup:2025-11-22T11:00:00Z', data: { count: 1 } }]);
});

it('each run of a schedule to the second is run or told, wherever in it the router is lost', async () => {
  const often = { definitions: [{ ...hourly, schedule: '*/5 * * * * *' }] };
  for (const lost of [1, 5, 6, 9]) {
    const on = stages.open();
    await on.plugin(often);
    await on.clock.forward(lost);
    on.tested.crash();
    await on.clock.forward(15);
    await on.plugin(often);
    await on.clock.to('2025-11-22T10:01:01Z');
    const tokens = [...on.accepted, ...on.rowsOf(110)].map(({ token }) => token);
    const due = Array.from(
      { length: 11 },
      (_, i) => `cron:backup:2025-11-22T10:00:${String(5 * (i + 1)).padStart(2, '0')}Z`,
    );
    expect(tokens.sort(), `lost after ${lost} s`).toEqual([...due, 'cron:backup:2025-11-22T10:01:00Z']);
    await on.stop();
  }
});

it('a definition that was added on the router that is lost is there', async () => {
  const on = stages.open();
  await on.plugin();
  await on.call('ADDCRON', hourly);
  on.tested.crash();
  await on.plugin();
  await on.clock.to('2025-11-22T11:00:01Z');
  expect(on.accepted).toHaveLength(1);
});

it('a router that was only cut off, and goes on for a while, runs nothing a second time', async () => {
  const on = stages.open();
  await on.plugin(config);
  const finish = await on.tested.reload();
  const held = on.tested.faults.hold('RUN');
  await on.clock.to('2025-11-22T11:00:10Z');
  expect(held.waiting, 'sent by both').toBe(2);
  held.release();
  await on.clock.forward(1);
  expect(on.accepted).toHaveLength(1);
  await finish();
  await on.clock.to('2025-11-22T12:00:10Z');
  expect(on.accepted.map(({ token }) => token)).toEqual([
    'cron:backup:2025-11-22T11:00:00Z',
    'cron:backup:2025-11-22T12:00:00Z',
  ]);
});
