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
