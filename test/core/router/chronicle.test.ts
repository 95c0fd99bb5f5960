import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { NodeWatch } from '../../../core/dist/fleet/node-watch.js';
import { type Carrier, Routes } from '../../../core/dist/fleet/routes.js';
import { Chronicle } from '../../../core/dist/router/chronicle.js';
import { EventActions } from '../../../core/dist/router/event-actions.js';
import { TestLog } from '../store/opened.ts';

const START = Date.parse('2026-11-28T10:00:00Z');
let chronicle: Chronicle;
beforeEach(() => {
  vi.useFakeTimers({ now: START });
  chronicle = new Chronicle({ now: () => Date.now(), monotonic: () => performance.now() });
});
afterEach(() => {
  chronicle.stop();
  vi.useRealTimers();
});

const down = (node: string) =>
  chronicle.tell('NODE_DOWN', { node, state: 'unreachable', reason: 'its link has ended' });
const texts = (after = 0) => chronicle.after(after, 1000).events.map(({ text }) => text);

test('an event has an id that ascends, its time, kind and fields, and a sentence', () => {
  down('paris');
  down('lyon');
  const { events, last, gap } = chronicle.after(0, 10);
  expect(events[0]).toEqual({
    id: START + 1,
    time: START,
    kind: 'NODE_DOWN',
    text: 'The node paris is unreachable: its link has ended.',
    node: 'paris',
    state: 'unreachable',
    reason: 'its link has ended',
  });
  expect({ last, gap }).toEqual({ last: START + 2, gap: false });
  expect(chronicle.after(START + 1, 10).events).toMatchObject([{ node: 'lyon' }]);
  expect(chronicle.after(START + 2, 10)).toEqual({ events: [], last: START + 2, gap: false });
});

test('they come page by page, each once', () => {
  for (let i = 0; i < 25; i++) down(`node-${i}`);
  const seen: string[] = [];
  for (let after = 0; ; ) {
    const { events, last } = chronicle.after(after, 10);
    if (events.length === 0) break;
    seen.push(...events.map((event) => String((event as { node?: string }).node)));
    after = last;
  }
  expect(seen).toEqual(Array.from({ length: 25 }, (_, i) => `node-${i}`));
});

test('what does not fit into 1 MiB goes, the oldest first, and whoever stood there is told of the gap', () => {
  const reason = 'x'.repeat(10_000);
  for (let i = 0; i < 5000; i++) chronicle.tell('NODE_DOWN', { node: `n${i}`, state: 'unreachable', reason });
  const { events, gap } = chronicle.after(START + 1, 10_000);
  const bytes = events.reduce((sum, event) => sum + Buffer.byteLength(JSON.stringify(event)), 0);
  expect(bytes).toBeLessThanOrEqual(1024 * 1024);
  expect(bytes).toBeGreaterThan(1024 * 1000);
  expect(events.at(-1)).toMatchObject({ node: 'n4999' });
  expect(gap).toBe(true);
  // Long texts from elsewhere are cut, so that one of them does not push the others out.
  expect((events[0] as unknown as { reason: string }).reason).toHaveLength(500);
  expect(chronicle.after((events[0]?.id ?? 0) - 1, 1).gap).toBe(false);
  expect(chronicle.after(0, 1).gap).toBe(false);
});

test('an id of an earlier run, or of the future, is a gap', () => {
  down('paris');
  expect(chronicle.after(START - 5000, 10)).toMatchObject({ gap: true, events: [{ node: 'paris' }] });
  expect(chronicle.after(START + 5000, 10)).toMatchObject({ gap: true, events: [{ node: 'paris' }] });
});

test('what may be repeated at will is told once, then with its number once the time is over', async () => {
  const busy = (identity: string) =>
    chronicle.tell('BUSY', { identity, message: 'It is full.' }, { key: identity, withinMs: 10_000 });
  for (let i = 0; i < 1000; i++) busy('alice');
  busy('bob');
  expect(texts()).toEqual([
    'A request of alice was refused with BUSY: It is full.',
    'A request of bob was refused with BUSY: It is full.',
  ]);
  await vi.advanceTimersByTimeAsync(11_000);
  expect(texts()).toHaveLength(3);
  expect(texts().at(-1)).toBe('A request of alice was refused with BUSY (999 times in 10 s): It is full.');
  busy('alice');
  expect(texts()).toHaveLength(4);
});

test('strangers with ever new keys make it remember no more than a thousand of them', () => {
  for (let i = 0; i < 3000; i++) {
    chronicle.tell('KEY_PENDING', { fingerprint: `k${i}`, address: '10.0.0.7:1' }, { key: `k${i}`, withinMs: 600_000 });
  }
  // The first was forgotten: it is told again.
  const before = chronicle.last;
  chronicle.tell('KEY_PENDING', { fingerprint: 'k0', address: '10.0.0.7:1' }, { key: 'k0', withinMs: 600_000 });
  chronicle.tell('KEY_PENDING', { fingerprint: 'k2999', address: '10.0.0.7:1' }, { key: 'k2999', withinMs: 600_000 });
  expect(chronicle.last).toBe(before + 1);
});

const asking = (identity = 'root') => ({ caller: { identity } }) as never;

test('who asks waits for the next event, and not longer than it says', async () => {
  const actions = new EventActions({ chronicle });
  const next = actions.getEvents({ waitSeconds: 30 }, asking());
  await vi.advanceTimersByTimeAsync(5000);
  down('paris');
  expect(await next).toMatchObject({ events: [{ node: 'paris' }], gap: false });
  const none = actions.getEvents({ waitSeconds: 30 }, asking());
  await vi.advanceTimersByTimeAsync(30_000);
  expect(await none).toEqual({ events: [], last: START + 1, gap: false });
  expect(await actions.getEvents({}, asking())).toMatchObject({ events: [] });
  expect((await actions.getEvents({ after: 0 }, asking())).events).toHaveLength(1);
});

test('an identity may wait sixteen times at once, and others are not held up by it', async () => {
  const actions = new EventActions({ chronicle });
  const waiting = Array.from({ length: 16 }, () => actions.getEvents({ waitSeconds: 30 }, asking()));
  await expect(actions.getEvents({ waitSeconds: 30 }, asking())).rejects.toMatchObject({ code: 'BUSY' });
  const other = actions.getEvents({ waitSeconds: 30 }, asking('@http'));
  down('paris');
  expect(await Promise.all([...waiting, other])).toHaveLength(17);
  const again = actions.getEvents({ waitSeconds: 30 }, asking());
  chronicle.stop();
  expect(await again).toMatchObject({ events: [] });
});

test('a node is told of when it comes up, and when it is up no more', () => {
  const routes = new Routes({ id: 'central', log: new TestLog() as never });
  new NodeWatch(routes, chronicle);
  const carrier = { name: 'a', congested: false } as Carrier;
  const seen = () => {
    const told = texts();
    chronicle.stop();
    chronicle = new Chronicle({ now: () => Date.now(), monotonic: () => 0 });
    return told;
  };
  routes.announce(carrier, [{ id: 'paris', state: 'connecting', reason: 'it was not tried yet' }]);
  expect(texts()).toEqual([]);
  routes.announce(carrier, [{ id: 'paris', state: 'unreachable', reason: 'the connection was refused' }]);
  routes.announce(carrier, [{ id: 'paris', state: 'connecting', reason: 'the connection was refused' }]);
  routes.announce(carrier, [{ id: 'paris', kind: 'ssh', state: 'up', address: '10.0.0.7:22', subnodes: ['behind'] }]);
  routes.announce(carrier, [{ id: 'paris', kind: 'ssh', state: 'up', roundTripMs: 3, subnodes: ['behind'] }]);
  routes.left(carrier);
  routes.announce(carrier, [{ id: 'paris', state: 'up' }]);
  routes.announce(carrier, [], ['paris']);
  expect(seen()).toEqual([
    'The node paris is unreachable: the connection was refused.',
    'The node paris is up, at 10.0.0.7:22.',
    'The node paris is unreachable: its link has ended.',
    'The node paris is up.',
    'The node paris is unreachable: nobody carries it any more.',
  ]);
});
