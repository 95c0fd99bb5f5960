import { keyAt } from '@centreond/plugin-sdk/internal';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { action, manifest, settle, TestPeer, World } from '../router/world.ts';
import type { FakeInstance } from './fake-instance.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const alice = () => new TestPeer('alice');
const alive = (world: World): FakeInstance[] => world.instances.filter(({ gone }) => !gone);
const endOf = (world: World, token: string) => JSON.parse(world.disk.endsOf(token)[0]?.data ?? 'null');

async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
  await settle();
}

describe('a pool of instances', () => {
  test('shares the requests out to the instance that runs the fewest', async () => {
    const world = new World(undefined, { declared: manifest({ instances: { pool: 2 } }) });
    await world.start();
    const peer = alice();
    for (const token of ['a', 'b', 'c', 'd', 'e']) world.send(peer, 'ONCE', token);
    await settle();
    // Two at once in each; the fifth waits.
    expect(world.instances.map(({ running }) => running.length)).toEqual([2, 2]);
    const [first] = world.running;
    first?.instance.say(first.given, 2);
    await settle();
    expect(world.given).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  test('goes on with the others while one of them restarts', async () => {
    const world = new World(undefined, { declared: manifest({ instances: { pool: 2 } }) });
    await world.start();
    world.instances[0]?.exit('it left');
    const peer = alice();
    for (const token of ['a', 'b']) world.send(peer, 'ONCE', token);
    await settle();
    expect(world.instances[1]?.running).toHaveLength(2);
    await pass(1000);
    expect(alive(world)).toHaveLength(2);
  });
});

describe('an instance that dies', () => {
  test('ends what it ran with its cause, and what may run again runs in the next one', async () => {
    const world = new World();
    await world.start();
    const peer = alice();
    world.send(peer, 'ONCE', 'once');
    world.send(peer, 'AGAIN', 'again');
    await settle();
    world.instances[0]?.exit('killed by SIGSEGV');
    await settle();
    expect(endOf(world, 'once')).toMatchObject({
      error: 'PLUGIN_CRASHED',
      message: expect.stringContaining('SIGSEGV'),
    });
    expect(endOf(world, 'again')).toBeNull();
    await pass(1000);
    expect(world.running.map(({ given }) => given.token)).toEqual(['again']);
  });

  test('is not given a request for a fourth time that three instances died with', async () => {
    const world = new World();
    await world.start();
    world.send(alice(), 'AGAIN', 'deadly');
    await settle();
    for (let death = 0; death < 5; death++) {
      for (const instance of alive(world)) instance.exit('it fell over');
      await pass(2000);
    }
    expect(world.given).toEqual(['deadly', 'deadly', 'deadly']);
    expect(endOf(world, 'deadly')).toMatchObject({ error: 'PLUGIN_CRASHED' });
  });

  test('too often is set aside: what waits ends, and what comes is NOT_READY with the cause', async () => {
    const world = new World(undefined, { restart: { max: 2, withinMs: 60_000 } });
    await world.start();
    const peer = alice();
    for (let death = 0; death < 3; death++) {
      for (const instance of alive(world)) instance.exit('it fell over');
      await pass(5000);
    }
    expect(alive(world)).toEqual([]);
    world.send(peer, 'ONCE', 'late');
    await settle();
    expect(peer.acks('late')).toEqual(['NOT_READY']);
    expect(peer.heard.join()).toContain('it fell over');
  });
});

describe('instances by key, on demand', () => {
  const declared = manifest({
    actions: [action('VISIT', { idempotent: true, inFlight: 'requeue' })],
    instances: { key: 'city', start: 'on-demand', idleSeconds: 1 },
  });

  test('start for the first request of their key, and never more than may run at once', async () => {
    const world = new World(undefined, { declared }, (given, instance) => instance.say(given, 2));
    await world.start();
    expect(world.instances).toEqual([]);
    const peer = alice();
    let most = 0;
    for (let i = 0; i < 30; i++) world.send(peer, 'VISIT', `t${i}`, { city: `c${i}` });
    for (let round = 0; round < 200 && world.requests.used().count > 0; round++) {
      await pass(500);
      most = Math.max(most, alive(world).length);
    }
    expect(most).toBe(4);
    for (let i = 0; i < 30; i++) expect([i, world.disk.endsOf(`t${i}`)[0]?.code]).toEqual([i, 2]);
  });

  test('rest when they were idle for as long as they declare, and start again when they are asked', async () => {
    const world = new World(undefined, { declared }, (given, instance) => instance.say(given, 2));
    await world.start();
    const peer = alice();
    world.send(peer, 'VISIT', 'first', { city: 'paris' });
    await settle();
    expect(alive(world)).toHaveLength(1);
    await pass(10_000);
    expect(alive(world)).toHaveLength(0);
    world.send(peer, 'VISIT', 'second', { city: 'paris' });
    await pass(10);
    expect(world.disk.endsOf('second')[0]?.code).toBe(2);
  });
});

describe('instances by a key inside the input', () => {
  const declared = manifest({
    actions: [action('FETCH', { idempotent: true, inFlight: 'requeue' }), action('LOOK', { reply: 'ack' })],
    instances: { key: 'url.host', start: 'on-demand' },
  });

  test('run the requests of one key in one process, whether the key is a text or a number', async () => {
    const world = new World(undefined, { declared }, (given, instance) => instance.say(given, 2));
    await world.start();
    const hosts = ['a', 'b', 'a', 7, '7'];
    for (const [i, host] of hosts.entries()) world.send(alice(), 'FETCH', `t${i}`, { url: { host } });
    await pass(500);
    expect(world.instances.map(({ options }) => options.id)).toEqual(['a', 'b', '7']);
    for (const i of hosts.keys()) expect([i, world.disk.endsOf(`t${i}`)[0]?.code]).toEqual([i, 2]);
  });

  const wrong: [string, object, string][] = [
    [
      'missing',
      { url: {} },
      'its url.host names the instance that runs it and must be a text or a number, and it is missing',
    ],
    ['around it missing', {}, 'and it is missing'],
    ['null', { url: { host: null } }, 'and it is null'],
    ['empty', { url: { host: '' } }, 'and it is empty'],
    ['a list', { url: { host: ['a'] } }, 'and it is a list'],
    ['an object', { url: { host: {} } }, 'and it is an object'],
    ['a boolean', { url: { host: true } }, 'and it is a boolean'],
    ['in a list', { url: [{ host: 'a' }] }, 'and its url is a list'],
    ['in a text', { url: 'a' }, 'and its url is a string'],
    ['in null', { url: null }, 'and its url is null'],
  ];
  test.each(wrong)('refuse a request whose key is %s, and leave no trace of it', async (_, data, sentence) => {
    const world = new World(undefined, { declared });
    await world.start();
    const peer = alice();
    world.send(peer, 'FETCH', 'fetch', data);
    world.send(peer, 'LOOK', 'look', data);
    await settle();
    expect([peer.acks('fetch'), peer.acks('look')]).toEqual([['INVALID_DATA'], ['INVALID_DATA']]);
    expect(peer.heard.join()).toContain(sentence);
    expect(world.instances).toEqual([]);
    expect(world.requests.used().count).toBe(0);
  });

  test('is no key that an object inherits', () => {
    expect(keyAt({}, ['constructor', 'name'])).toHaveProperty('fault');
    expect(keyAt({ url: 'text' }, ['url', 'length'])).toHaveProperty('fault');
  });
});
