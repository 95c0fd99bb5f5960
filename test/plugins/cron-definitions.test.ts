import { afterEach, expect, it } from 'vitest';
import { call, FakeClock, Stage } from './cron-stage.ts';

const stages: Stage[] = [];
function stage(): Stage {
  const made = new Stage(new FakeClock('2025-11-22T10:00:00Z'));
  stages.push(made);
  return made;
}
afterEach(() => {
  for (const each of stages.splice(0)) each.stop();
});

const nightly = { id: 'nightly', schedule: '0 2 * * *', action: 'RUN' };

it('definitions are added, changed and deleted at run time, and kept', async () => {
  const on = stage();
  let plugin = await on.plugin();
  expect(await call(plugin, 'ADDCRON', { ...nightly, timeZone: 'Europe/Paris', target: 'lyon-1' })).toEqual({
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
  expect(await call(plugin, 'UPDATECRON', change)).toMatchObject({
    nextRun: '2025-11-22T10:10:00.000Z',
    timeZone: 'UTC',
  });
  on.stop();
  plugin = await on.plugin();
  await on.clock.to('2025-11-22T10:10:01Z');
  expect(on.accepted).toMatchObject([{ action: 'RUN', data: { n: 1 }, target: undefined }]);
  expect(await call(plugin, 'DELETECRON', { id: 'nightly' })).toEqual({ id: 'nightly', deleted: true });
  await on.clock.forward(3600);
  expect(on.accepted).toHaveLength(1);
  expect(on.kept.size).toBe(0);
  on.stop();
  expect(await call(await on.plugin(), 'GETCRON', {})).toEqual({ definitions: [] });
});

it('what is asked for twice is done once', async () => {
  const on = stage();
  const plugin = await on.plugin();
  const added = await call(plugin, 'ADDCRON', { ...nightly, data: { a: 1, b: { c: 2, d: 3 } } });
  expect(await call(plugin, 'ADDCRON', { data: { b: { d: 3, c: 2 }, a: 1 }, ...nightly })).toEqual(added);
  const other = call(plugin, 'ADDCRON', { ...nightly, action: 'OTHER' });
  await expect(other).rejects.toMatchObject({
    code: 'INVALID_DATA',
    message: expect.stringContaining('UPDATECRON changes it'),
  });
  await call(plugin, 'DELETECRON', { id: 'nightly' });
  expect(await call(plugin, 'DELETECRON', { id: 'nightly' })).toEqual({ id: 'nightly', deleted: false });
});

it('what cannot be is refused, named, and changes nothing', async () => {
  const on = stage();
  const plugin = await on.plugin({ definitions: [{ ...nightly, id: 'fixed' }] });
  const refused = (action: string, input: object, message: RegExp) =>
    expect(call(plugin, action, input)).rejects.toMatchObject({
      code: 'INVALID_DATA',
      message: expect.stringMatching(message),
    });
  await refused('ADDCRON', { ...nightly, schedule: '0 25 * * *' }, /schedule: .*hour: 25/);
  await refused('ADDCRON', { ...nightly, schedule: '0 0 31 4 *' }, /never comes due/);
  await refused('ADDCRON', { ...nightly, timeZone: 'Nowhere' }, /Nowhere is not known/);
  await refused('ADDCRON', { ...nightly, id: 'a b' }, /id: must be/);
  await refused('ADDCRON', { ...nightly, action: 'run' }, /action: must be/);
  await refused('ADDCRON', { ...nightly, extra: 1 }, /extra/);
  await refused('UPDATECRON', { id: 'nightly', enabled: false }, /no definition nightly; there is: fixed/);
  await refused('GETCRON', { id: 'nightly' }, /no definition nightly; there is: fixed/);
  await call(plugin, 'ADDCRON', nightly);
  await refused('UPDATECRON', { id: 'nightly', schedule: '* * * * 9' }, /schedule/);
  expect(await call(plugin, 'GETCRON', { id: 'nightly' })).toMatchObject({ definitions: [{ schedule: '0 2 * * *' }] });
});

it('what stands in the config is changed there', async () => {
  const on = stage();
  const plugin = await on.plugin({ definitions: [nightly] });
  for (const [action, input] of [
    ['UPDATECRON', { id: 'nightly', enabled: false }],
    ['DELETECRON', { id: 'nightly' }],
  ] as const) {
    await expect(call(plugin, action, input)).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringContaining('It stands in the config of the plugin cron, under definitions'),
    });
  }
});

it('the config wins over what was added under the same id', async () => {
  const on = stage();
  await call(await on.plugin(), 'ADDCRON', { ...nightly, action: 'ADDED' });
  on.stop();
  const plugin = await on.plugin({ definitions: [{ ...nightly, action: 'WRITTEN' }] });
  expect(await call(plugin, 'GETCRON', {})).toMatchObject({ definitions: [{ action: 'WRITTEN', source: 'config' }] });
  expect(on.logged).toContainEqual({
    level: 'warn',
    message: expect.stringContaining('the one that ADDCRON made is not used'),
  });
});

it('a run under way goes on when its definition is deleted', async () => {
  const on = stage();
  on.prompt = false;
  const plugin = await on.plugin();
  await call(plugin, 'ADDCRON', { ...nightly, schedule: '* * * * *' });
  const { promise, resolve } = Promise.withResolvers<void>();
  on.gate = promise;
  await on.clock.forward(61);
  await call(plugin, 'DELETECRON', { id: 'nightly' });
  resolve();
  await on.clock.forward(1);
  on.end(on.open()[0] ?? expect.fail());
  await on.clock.forward(300);
  expect(on.accepted).toHaveLength(1);
  expect(on.kept.size).toBe(0);
});

it('what was kept and cannot be read stops nothing else', async () => {
  const on = stage();
  on.kept.set('definition:broken', '{"id":"broken"}');
  on.kept.set('run:nightly', '"nonsense"');
  on.kept.set('definition:nightly', JSON.stringify(nightly));
  const plugin = await on.plugin();
  expect(await call(plugin, 'GETCRON', {})).toMatchObject({ definitions: [{ id: 'nightly' }] });
  expect(on.logged.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual([
    expect.stringContaining('definition:broken is kept and cannot be used'),
    expect.stringContaining('what was kept of the runs of nightly cannot be read'),
  ]);
});
