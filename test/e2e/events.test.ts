import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';

const daemon = new DaemonProcess({
  plugins: ['herald', 'hearer', 'audience', 'deaf'].map((name) => ({
    package: path.join(ROOT, 'test/fixtures', name),
  })),
});
const root = daemon.client('root', ['admin']);
let admin: Client;
beforeAll(async () => {
  await daemon.start();
  admin = await connect(daemon.door(root));
});
afterAll(async () => {
  await admin?.close();
  await daemon.dispose();
});

const news = (number: number, title = 'news') => ({ event: 'NEWS', data: { title, number } });
const data = async (action: string, input: object = {}) => (await admin.call(action, input)).data;
const heard = async () => (await data('NEWSHEARD')) as number[];
const eventCounters = async () => {
  const { counters } = (await admin.send('INFORMATION')).data as { counters: { events: Record<string, number> } };
  return counters.events;
};

test('every plugin that listens hears: one instance of a pool, each live one of a keyed plugin', async () => {
  await Promise.all(['a', 'b'].map((seat) => data('SIT', { seat })));
  for (let number = 1; number <= 5; number++) expect((await admin.call('TELL', news(number))).ok).toBe(true);
  await until('all are heard', async () => (await heard()).length === 5);
  expect(await heard()).toEqual([1, 2, 3, 4, 5]);
  await until('each seat heard', async () => (await data('SIT', { seat: 'a' })) === 5);
  await until('each seat heard', async () => (await data('SIT', { seat: 'b' })) === 5);
  expect(await data('SIT', { seat: 'c' })).toBe(0);
  expect(daemon.stderr).toContain('thrown by a listener');
});

test('a listener of a keyed plugin that is called in one instance hears each event once in all', async () => {
  const seats = () => Promise.all(['a', 'b'].map(async (seat) => (await data('SIT', { seat })) as number));
  const before = await seats();
  const sum = (all: number[]) => all.reduce((one, other) => one + other, 0);
  for (let i = 0; i < 3; i++) expect(await data('TELL', { event: 'SOLD', data: { seats: 100 } })).toEqual({});
  // What is told later is heard later: both seats have heard all.
  await data('TELL', news(0));
  await until('both heard what came last', async () =>
    (await seats()).every((now, i) => (now - (before[i] ?? 0)) % 100 === 1),
  );
  expect(sum(await seats()) - sum(before)).toBe(302);
});

test('an event is emitted only as declared, by the plugin that declared it', async () => {
  const refusal = async (input: object) => data('TELL', input);
  expect(await refusal({ event: 'OLDS', data: {} })).toMatchObject({ error: 'INVALID_EVENT' });
  expect(await refusal({ event: 'REGISTERNODE', data: { id: 'x' } })).toMatchObject({ error: 'INVALID_EVENT' });
  expect(await refusal({ event: 'NEWS', data: { title: '', number: 1 } })).toMatchObject({
    error: 'INVALID_EVENT',
    message: expect.stringContaining('title'),
  });
  // The core checks by itself: a child of another make is not taken at its word.
  const asked = (event: object) => data('ASK', { action: 'EMIT', data: event });
  expect(await asked({ event: 'NEWS', data: { title: 'a', number: 'b' } })).toBe('INVALID_EVENT');
  expect(await asked({ event: 'UNREGISTERNODE', data: { id: 'x' } })).toBe('INVALID_EVENT');
  await expect(admin.send('EMIT', { event: 'NEWS', data: { title: 'a', number: 1 } })).rejects.toMatchObject({
    code: 'FORBIDDEN',
  });
});

test('a listener that hangs, or takes its whole process, harms neither the others nor who emits', async () => {
  const before = (await heard()).length;
  const deafBefore = (await data('DEAFHEARD')) as number;
  const wake = path.join(daemon.folder, 'wake');
  await data('TELL', news(0, `until:${wake}`));
  // More than wait for one listener: what is too much for the deaf one is dropped, counted and logged.
  for (let round = 1; round <= 3; round++) {
    expect((await admin.call('TELL', { ...news(7, 'quiet'), times: 400 })).ok).toBe(true);
    await until('the others heard all', async () => (await heard()).length === before + 1 + round * 400);
  }
  expect(daemon.stderr).toContain('events for the plugin deaf are dropped');
  expect((await eventCounters()).dropped).toBe(201);
  writeFileSync(wake, '');
  // The listener that hangs takes up a queue of its own; its sibling goes on.
  await until('the deaf one has taken the rest', async () => (await data('DEAFHEARD')) === deafBefore + 1000);
});

test('what is emitted while a listener restarts waits for it', async () => {
  const before = (await heard()).length;
  await data('TELL', news(10));
  await until('it is heard', async () => (await heard()).length === before + 1);
  const stopped = admin.call('KILL', { type: 'hearer' });
  await until('no instance is left', async () => {
    const { plugins } = (await admin.send('INFORMATION')).data as { plugins: { type: string; state: string }[] };
    return plugins.find(({ type }) => type === 'hearer')?.state !== 'ready';
  });
  await data('TELL', news(11));
  await stopped;
  await until('it is heard', async () => (await heard()).includes(11));
});
