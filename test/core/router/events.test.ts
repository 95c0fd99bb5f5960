import type { Manifest } from '@centreond/plugin-sdk/internal';
import { beforeEach, expect, test } from 'vitest';
import { CLOCK } from '../../../core/dist/clock.js';
import { Chronicle } from '../../../core/dist/router/chronicle.js';
import { Events } from '../../../core/dist/router/events.js';
import type { Executor, Hearer } from '../../../core/dist/router/executor.js';
import type { Peer } from '../../../core/dist/router/peer.js';
import { Registry } from '../../../core/dist/router/registry.js';
import { Verbs } from '../../../core/dist/router/verbs.js';
import { TestLog } from '../store/opened.ts';

class TestHearer implements Hearer {
  readonly heard: string[] = [];
  constructor(readonly type: string) {}
  send(message: string): void {
    this.heard.push(message);
  }
}

let registry: Registry;
let log: TestLog;
let verbs: Verbs;
let events: Events;
let chronicle: Chronicle;
beforeEach(() => {
  registry = new Registry();
  log = new TestLog();
  verbs = new Verbs(log as never);
  chronicle = new Chronicle(CLOCK);
  events = new Events(registry, log as never, verbs, chronicle);
});

const news = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'], additionalProperties: false };

function plugin(type: string, hearers: Hearer[], instances: object = { pool: 1 }, mode: object = {}): void {
  const listens = hearers.length > 0 || type.startsWith('late') ? [{ event: 'NEWS', method: 'hear', ...mode }] : [];
  const manifest = { type, actions: [], emits: [{ name: 'NEWS', schema: news }], listens, instances };
  registry.add(manifest as unknown as Manifest, { hearers: () => hearers } as unknown as Executor);
}

/** Whether the message of an instance is taken, and is no request. */
function says(identity: string, message: string): boolean {
  const peer = { identity, roles: new Set(['plugin']) } as unknown as Peer;
  return verbs.receive(peer, Buffer.from(message), () => {});
}

/** The instance says that it has taken its `i`th event. */
function takes(hearer: TestHearer, i: number, identity = `@${hearer.type}`): boolean {
  const number = /\[(\d+)\]/.exec(hearer.heard[i] as string)?.[1];
  return says(identity, `[HEARD] [NEWS] [${number}]`);
}

test('an event goes to one instance of a pool as long as that keeps up, and to each live one of a keyed plugin', () => {
  const [one, two] = [new TestHearer('pool'), new TestHearer('pool')];
  const seats = [new TestHearer('seats'), new TestHearer('seats')];
  plugin('pool', [one, two], { pool: 2 });
  plugin('seats', seats, { key: 'seat', start: 'eager' });
  plugin('herald', []);
  for (let n = 0; n < 1200; n++) events.emitFrom('herald', 'NEWS', { n });
  expect([one.heard.length, two.heard.length]).toEqual([1000, 200]);
  expect(one.heard[0]).toMatch(/^\[EVENT\] \[NEWS\] \[\d+\] \{"n":0\}$/);
  expect(seats.map(({ heard }) => heard.length)).toEqual([1000, 1000]);
  expect(events.counters).toEqual({ emitted: 1200, delivered: 3200, dropped: 400 });
  expect(log.lines.length).toBe(1);
});

test('an event goes to one instance of a keyed plugin that listens in one, and waits for the first where none runs', () => {
  const seats = [new TestHearer('seats'), new TestHearer('seats')];
  const instances = { key: 'seat', start: 'on-demand' };
  plugin('seats', seats, instances, { in: 'one' });
  plugin('late-seats', [], instances, { in: 'one' });
  plugin('herald', []);
  for (let n = 0; n < 3; n++) events.emitFrom('herald', 'NEWS', { n });
  expect(seats.map(({ heard }) => heard.length)).toEqual([3, 0]);
  const first = new TestHearer('late-seats');
  events.ready('late-seats', first);
  expect(first.heard.length).toBe(3);
});

test('an instance gets more once it has taken some; others cannot take them for it', () => {
  const [slow, other] = [new TestHearer('slow'), new TestHearer('other')];
  plugin('slow', [slow]);
  plugin('other', [other]);
  for (let n = 0; n < 1001; n++) events.emitFrom('slow', 'NEWS', { n });
  expect(slow.heard.length).toBe(1000);
  expect(takes(slow, 0, '@other')).toBe(true);
  events.emitFrom('slow', 'NEWS', { n: 1 });
  expect(slow.heard.length).toBe(1000);
  takes(slow, 0);
  takes(slow, 1);
  for (let n = 0; n < 3; n++) events.emitFrom('slow', 'NEWS', { n });
  expect(slow.heard.length).toBe(1002);
  expect(says('@slow', '[GETLOG] [] [] {"id":0}')).toBe(false);
});

test("a listener in the core's process bounds what it hears by itself", () => {
  const heard: string[] = [];
  plugin('resident', [{ type: 'resident', inCore: true, send: (message) => heard.push(message) }]);
  for (let n = 0; n < 1500; n++) events.emitFrom('resident', 'NEWS', { n });
  expect([heard.length, events.counters.dropped]).toEqual([1500, 0]);
});

test('what is emitted while no instance is ready is kept, within a bound, for the first that is', () => {
  plugin('late', []);
  for (let n = 0; n < 1500; n++) events.emitFrom('late', 'NEWS', { n });
  expect(events.counters.dropped).toBe(500);
  const hearer = new TestHearer('late');
  events.ready('late', hearer);
  expect(hearer.heard.length).toBe(1000);
  events.gone(hearer);
  const next = new TestHearer('late');
  events.ready('late', next);
  expect(next.heard).toEqual([]);
});

test('an event is only what its plugin declared, and as it did', () => {
  plugin('herald', []);
  const emit = (type: string, event: string, data: object) => () => events.emitFrom(type, event, data);
  expect(emit('herald', 'NEWS', { n: 1 })).not.toThrow();
  expect(emit('herald', 'NEWS', { n: 'one' })).toThrow(/herald cannot emit NEWS: n must be integer/);
  expect(emit('herald', 'NEWS', { n: 1, more: 1 })).toThrow(/must not have the key 'more'/);
  expect(emit('herald', 'OLDS', {})).toThrow(/not among the plugin's declared events/);
  registry.remove('herald');
  expect(emit('herald', 'NEWS', { n: 1 })).toThrow(/not among/);
});

test("the core's own events reach their listeners", () => {
  const hearer = new TestHearer('acl');
  const listens = [{ event: 'UNREGISTERNODE', method: 'gone' }];
  const manifest = { type: 'acl', actions: [], emits: [], listens, instances: { pool: 1 } };
  registry.add(manifest as unknown as Manifest, { hearers: () => [hearer] } as unknown as Executor);
  events.emit('UNREGISTERNODE', { id: 'paris' });
  events.emit('REGISTERNODE', { id: 'paris', version: '1', actions: [], nodes: [] });
  expect(hearer.heard).toEqual([expect.stringContaining('{"id":"paris"}')]);
});

test('what is told to the operator is an event for plugins as well', () => {
  const hearer = new TestHearer('watch');
  const listens = [{ event: 'HAPPENED', method: 'hear' }];
  const manifest = { type: 'watch', actions: [], emits: [], listens, instances: { pool: 1 } };
  registry.add(manifest as unknown as Manifest, { hearers: () => [hearer] } as unknown as Executor);
  chronicle.tell('NODE_DOWN', { node: 'paris', state: 'unreachable', reason: 'its link has ended' });
  expect(hearer.heard).toEqual([expect.stringMatching(/^\[EVENT\] \[HAPPENED\] \[1\] \{.*"node":"paris".*\}$/)]);
});
