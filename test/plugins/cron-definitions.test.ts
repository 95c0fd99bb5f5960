import { afterEach, expect, it } from 'vitest';
import { Stages } from './cron-stage.ts';

const stages = new Stages();
const stage = (start?: string) => stages.open(start);
afterEach(() => stages.close());

const nightly = { id: 'nightly', schedule: '0 2 * * *', action: 'RUN' };

it('definitions are added, changed and deleted at run time, and kept', async () => {
  const on = stage();
  await on.plugin();
  expect(await on.call('ADDCRON', { ...nightly, timeZone: 'Europe/Paris', target: 'lyon-1' })).toEqual({
    ...nightly,
    timeZone: 'Europe/Paris',
    target: 'lyon-1',
    data: {},
    overlap: false,
    missed: 'skip',
    enabled: true,
    source: 'state',
    nextRun: '2025-11-23T01:00:00.000Z',
    lastRun: null,
    running: [],
    waiting: 0,
    counts: { fired: 0, finished: 0, failed: 0, refused: 0, unknown: 0, skipped: 0, missed: 0 },
  });
  const change = { id: 'nightly', schedule: '*/10 * * * *', timeZone: null, target: null, data: { n: 1 } };
  expect(await on.call('UPDATECRON', change)).toMatchObject({
    nextRun: '2025-11-22T10:10:00.000Z',
    timeZone: 'UTC',
  });
  await on.stop();
  await on.plugin();
  await on.clock.to('2025-11-22T10:10:01Z');
  expect(on.accepted).toMatchObject([{ action: 'RUN', data: { n: 1 }, target: '' }]);
  expect(await on.call('DELETECRON', { id: 'nightly' })).toEqual({ id: 'nightly', deleted: true });
  await on.clock.forward(3600);
  expect(on.accepted).toHaveLength(1);
  expect(on.tested.state.size).toBe(0);
  await on.stop();
  await on.plugin();
  expect(await on.call('GETCRON', {})).toEqual({ definitions: [] });
});

it('what is asked for twice is done once', async () => {
  const on = stage();
  await on.plugin();
  const added = await on.call('ADDCRON', { ...nightly, data: { a: 1, b: { c: 2, d: 3 } } });
  expect(await on.call('ADDCRON', { data: { b: { d: 3, c: 2 }, a: 1 }, ...nightly })).toEqual(added);
  const other = on.call('ADDCRON', { ...nightly, action: 'OTHER' });
  await expect(other).rejects.toMatchObject({
    code: 'INVALID_DATA',
    message: expect.stringContaining('UPDATECRON changes it'),
  });
  await on.call('DELETECRON', { id: 'nightly' });
  expect(await on.call('DELETECRON', { id: 'nightly' })).toEqual({ id: 'nightly', deleted: false });
});

it('what cannot be is refused, named, and changes nothing', async () => {
  const on = stage();
  await on.plugin({ definitions: [{ ...nightly, id: 'fixed' }] });
  const refused = (action: Uppercase<string>, input: object, message: RegExp) =>
    expect(on.call(action, input)).rejects.toMatchObject({
      code: 'INVALID_DATA',
      message: expect.stringMatching(message),
    });
  await refused('ADDCRON', { ...nightly, schedule: '0 25 * * *' }, /schedule: .*hour: 25/);
  await refused('ADDCRON', { ...nightly, schedule: '0 0 31 4 *' }, /never comes due/);
  await refused('ADDCRON', { ...nightly, timeZone: 'Nowhere' }, /Nowhere is not known/);
  await refused('ADDCRON', { ...nightly, id: 'a b' }, /id must match pattern/);
  await refused('ADDCRON', { ...nightly, action: 'run' }, /action must match pattern/);
  await refused('ADDCRON', { ...nightly, extra: 1 }, /extra/);
  await refused('UPDATECRON', { id: 'nightly', enabled: false }, /no definition nightly; there is: fixed/);
  await refused('GETCRON', { id: 'nightly' }, /no definition nightly; there is: fixed/);
  await on.call('ADDCRON', nightly);
  await refused('UPDATECRON', { id: 'nightly', schedule: '* * * * 9' }, /schedule/);
  expect(await on.call('GETCRON', { id: 'nightly' })).toMatchObject({ definitions: [{ schedule: '0 2 * * *' }] });
});

it('what stands in the config is changed there', async () => {
  const on = stage();
  await on.plugin({ definitions: [nightly] });
  for (const [action, input] of [
    ['UPDATECRON', { id: 'nightly', enabled: false }],
    ['DELETECRON', { id: 'nightly' }],
  ] as const) {
    await expect(on.call(action, input)).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringContaining('It stands in the config of the plugin cron, under definitions'),
    });
  }
});

it('the config wins over what was added under the same id', async () => {
  const on = stage();
  await on.plugin();
  await on.call('ADDCRON', { ...nightly, action: 'ADDED' });
  await on.stop();
  await on.plugin({ definitions: [{ ...nightly, action: 'WRITTEN' }] });
  expect(await on.call('GETCRON', {})).toMatchObject({ definitions: [{ action: 'WRITTEN', source: 'config' }] });
  expect(on.logged).toContainEqual({
    level: 'warn',
    message: expect.stringContaining('the one that ADDCRON made is not used'),
  });
});

it('a run under way goes on when its definition is deleted', async () => {
  const on = stage();
  on.prompt = false;
  await on.plugin();
  await on.call('ADDCRON', { ...nightly, schedule: '* * * * *' });
  const held = on.tested.faults.hold('RUN');
  await on.clock.forward(61);
  await on.call('DELETECRON', { id: 'nightly' });
  expect(held.waiting).toBe(1);
  held.release();
  await on.clock.forward(1);
  await on.end(on.open()[0] ?? expect.fail());
  await on.clock.forward(300);
  expect(on.accepted).toHaveLength(1);
  expect(on.tested.state.size).toBe(0);
});

it('what was kept and cannot be read stops nothing else', async () => {
  const on = stage();
  on.before['definition:broken'] = { id: 'broken' };
  on.before['run:nightly'] = 'nonsense';
  on.before['definition:nightly'] = nightly;
  await on.plugin();
  expect(await on.call('GETCRON', {})).toMatchObject({ definitions: [{ id: 'nightly' }] });
  expect(on.logged.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual([
    expect.stringContaining('definition:broken is kept and cannot be used'),
    expect.stringContaining('what was kept of the runs of nightly cannot be read'),
  ]);
});
