import type { Ack } from '@centreond/protocol';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Fleet } from '../../plugins/carrying/dist/fleet.js';
import { InFlight } from '../../plugins/carrying/dist/in-flight.js';
import { instanceOf } from '../../plugins/carrying/dist/share.js';
import type { PushConfig } from '../../plugins/proxy/dist/push-config.js';
import { PUSH } from '../../plugins/proxy/dist/push-kind.js';
import { ProxyStage, pushed, requestFor, settle } from './proxy-stage.ts';

let stage: ProxyStage;
let fleet: Fleet<PushConfig>;
beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse('2025-11-22T10:00:00Z') });
  stage = new ProxyStage();
  fleet = new Fleet({ kind: PUSH, transport: stage.transport, state: stage.state, log: stage.log });
});
afterEach(async () => {
  await fleet.close(new Set());
  vi.useRealTimers();
});
const pass = async (ms: number) => {
  await vi.advanceTimersByTimeAsync(ms);
  await settle();
};
const bringUp = async (id: string, more: object = {}) => {
  await fleet.bring(pushed(id, more));
  await stage.link(id).up();
  await pass(100);
};
const behind = (id: string, ...subs: object[]) => {
  stage.link(id).answers.CONSTATUS = () => ({ nodes: subs.map((sub) => ({ state: 'up', ...sub })) as never });
};

test('each node belongs to exactly one instance of the pool, about as many to each', () => {
  const shares = new Map<string, number>();
  for (let i = 0; i < 1000; i++) {
    const instance = instanceOf(`node-${i}`, 4);
    shares.set(instance, (shares.get(instance) ?? 0) + 1);
    expect(instanceOf(`node-${i}`, 4)).toBe(instance);
  }
  expect([...shares.keys()].sort()).toEqual(['1', '2', '3', '4']);
  for (const share of shares.values()) expect(share).toBeGreaterThan(200);
});

describe('announcements', () => {
  test('come at once where something changed, and once a second at most where only times did', async () => {
    await bringUp('paris');
    expect(stage.last('paris')).toMatchObject({ state: 'up', actions: ['DO', 'ECHO'] });
    const before = stage.carried.length;
    await pass(60_000);
    // A PING every 5 s: times change, and nothing else.
    expect(stage.carried.length - before).toBeGreaterThanOrEqual(11);
    expect(stage.carried.length - before).toBeLessThanOrEqual(26);
    const again = stage.carried.length;
    await stage.link('paris').lost();
    await pass(1100);
    expect(stage.carried.length).toBe(again + 1);
    expect(stage.last('paris')?.state).toBe('connecting');
  });

  test('of many nodes that come at once are few', async () => {
    const ids = Array.from(
      { length: 200 },
      (_, i) => `n${'abcdefghij'[i % 10]}${'abcdefghijklmnopqrst'[Math.floor(i / 10)]}`,
    );
    for (const id of ids) await fleet.bring(pushed(id));
    await pass(100);
    stage.carried.length = 0;
    for (const id of ids) await stage.link(id).up();
    await pass(100);
    expect(stage.carried.length).toBeLessThan(10);
    expect(stage.carried.at(-1)?.every(({ state }) => state === 'up')).toBe(true);
  });

  test('end with the fleet: what is no node any more is forgotten, the others are left', async () => {
    await bringUp('paris');
    await bringUp('lyon');
    await fleet.close(new Set(['lyon']));
    expect(stage.carried.at(-1)?.map(({ id }) => id)).toEqual(['paris']);
    expect(stage.disposed).toBe(1);
    expect([stage.link('paris').isClosed, stage.link('lyon').isClosed]).toEqual([true, true]);
  });
});

describe('a request', () => {
  test('goes to its node, and where that is behind others, by the cheapest that is up and was not passed yet', async () => {
    await fleet.bring(pushed('far', { score: 5, subnodes: ['deep'] }));
    await fleet.bring(pushed('near', { subnodes: ['deep'] }));
    behind('far', { id: 'deep' });
    behind('near', { id: 'deep', score: 2 });
    await stage.link('far').up();
    await stage.link('near').up();
    await pass(100);
    const taken = async (target: string, hops: string[] = []) => {
      await stage.deliver(requestFor(target, {}, hops));
      const by = ['far', 'near'].filter((id) => stage.link(id).forwarded.length > 0);
      for (const id of by) stage.link(id).forwarded.length = 0;
      return by;
    };
    expect(await taken('far')).toEqual(['far']);
    expect(await taken('deep')).toEqual(['near']);
    expect(await taken('deep', ['near'])).toEqual(['far']);
    await stage.link('near').lost();
    await pass(1100);
    expect(await taken('deep')).toEqual(['far']);
    await expect(stage.deliver(requestFor('deep', {}, ['far']))).rejects.toMatchObject({ code: 'NODE_UNREACHABLE' });
    await expect(stage.deliver(requestFor('nowhere'))).rejects.toMatchObject({ code: 'NODE_UNREACHABLE' });
  });

  test('for a node that does not answer is BUSY beyond a bound, and another node does not notice', async () => {
    await bringUp('dead');
    await bringUp('alive');
    stage.link('dead').forwarding = () => new Promise<Ack>(() => {});
    for (let i = 0; i < 1000; i++) void stage.deliver(requestFor('dead'));
    await expect(stage.deliver(requestFor('dead'))).rejects.toMatchObject({ code: 'BUSY' });
    expect((await stage.deliver(requestFor('alive'))).token).toBe('token');
  });

  test('is BUSY beyond a bound in characters too, and a large one goes alone', async () => {
    const inFlight = new InFlight({ requests: 10, characters: 1000 });
    const large = requestFor('dead', { text: 'x'.repeat(600) });
    let answer = (_: Ack) => {};
    const first = inFlight.run(large, () => new Promise((resolve) => (answer = resolve)));
    const deliver = async ({ token }: { token: string }) => ({ token, data: {} });
    await expect(inFlight.run(large, deliver)).rejects.toMatchObject({ code: 'BUSY' });
    answer({ token: 'token', data: {} });
    await first;
    await inFlight.run(requestFor('dead', { text: 'x'.repeat(2000) }), deliver);
  });
});

describe('a node', () => {
  test('is put to work again where its settings changed, and left alone where they did not', async () => {
    await bringUp('paris');
    const link = stage.link('paris');
    await fleet.bring(pushed('paris'));
    expect([stage.link('paris') === link, link.isClosed]).toEqual([true, false]);
    await fleet.bring(pushed('paris', { name: 'Paris' }));
    expect([stage.link('paris') === link, link.isClosed]).toEqual([false, true]);
    // What the old link still says is nobody's.
    await link.lost();
    await stage.link('paris').up();
    await pass(100);
    expect(stage.last('paris')).toMatchObject({ name: 'Paris', state: 'up' });
    await fleet.drop('paris');
    expect(stage.last('paris')).toBeUndefined();
  });

  test('whose settings cannot work is unreachable, and the log and its announcement say why', async () => {
    stage.transport.link = () => {
      throw new Error('no such thing');
    };
    expect(await fleet.bringOrTell(pushed('paris'))).toBe('no such thing');
    await pass(100);
    const reason = 'it cannot be carried: no such thing';
    expect(stage.last('paris')).toEqual({ id: 'paris', kind: 'push', state: 'unreachable', reason });
    expect(stage.lines).toEqual(['error the node paris cannot be carried: no such thing']);
    await expect(stage.deliver(requestFor('paris'))).rejects.toMatchObject({ code: 'NODE_UNREACHABLE' });
  });

  test('that was up by the old version is waited for, and a dead one not for long', async () => {
    await fleet.bring(pushed('paris'));
    await fleet.bring(pushed('dead'));
    let over = false;
    const waited = fleet.whenUp(['paris', 'elsewhere'], 3000).then(() => {
      over = true;
    });
    await pass(500);
    expect(over).toBe(false);
    await stage.link('paris').up();
    await pass(100);
    await waited;
    const dead = fleet.whenUp(['dead'], 3000);
    await pass(3100);
    await dead;
  });
});
