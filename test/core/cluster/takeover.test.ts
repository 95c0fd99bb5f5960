import { describe, expect, test } from 'vitest';
import { Takeover } from '../../../core/dist/cluster/takeover.js';
import type { RouterRecord } from '../../../core/dist/store/membership.js';
import type { KnownRequest } from '../../../core/dist/store/token-store.js';
import { settle, World } from '../router/world.ts';
import { Lines, router } from './stage.ts';

const UP: readonly RouterRecord[] = [router('a'), router('b')];
const GONE: readonly RouterRecord[] = [router('a'), router('b', { state: 'silent' })];

/** A router over a store in which requests of routers are open that are gone. */
function stage() {
  const world = new World();
  const log = new Lines();
  const told: string[] = [];
  const waiting: { router: string; tokens: string[] }[] = [];
  const stage = {
    ...{ world, log, told, asked: 0, pages: [] as number[], isAway: false, isLost: false, busy: Promise.resolve() },
    claiming: new Set<string>(),
    delivered: new Set<string>(),
  };
  const answer = () => {
    if (stage.isAway) throw new Error('the database is away');
  };
  const membership = {
    takeOver: async () => {
      stage.asked++;
      await stage.busy;
      const taken = waiting.shift();
      if (stage.isLost) throw new Error('the answer was lost');
      return taken;
    },
    openHere: async (tokens: readonly string[]) => {
      stage.pages.push(tokens.length);
      answer();
      await stage.busy;
      return tokens.flatMap((token) => {
        const known = world.disk.requests.get(token);
        return known?.state === 'open' ? [known] : [];
      });
    },
  };
  const { registry, requests, elsewhere, disk: store } = world;
  const takeover = new Takeover({
    ...{ membership, store, recovery: { id: 'central', store, registry, requests, elsewhere, clock: Date } },
    isClaiming: (token) => stage.claiming.has(token),
    isDelivered: ({ token }) => stage.delivered.has(token),
    chronicle: { tell: (event: string, data: object) => void told.push(`${event} ${JSON.stringify(data)}`) } as never,
    log: log as never,
  });
  const stored = (...all: (Partial<KnownRequest> & { token: string })[]) => {
    for (const one of all) {
      const etime = Math.floor(Date.now() / 1000);
      const rest = { owner: 'alice', action: 'ONCE', target: '', data: '{}', envelope: '', etime, ctime: etime };
      world.disk.requests.set(one.token, { ...rest, state: 'open', ...one });
    }
    return all.map(({ token }) => token);
  };
  const open = (gone: string, ...all: (Partial<KnownRequest> & { token: string })[]) => {
    // What was for the router that is gone may have run there: the takeover notes that.
    const taken = all.map((one) => (one.target === gone ? { ...one, hasStarted: true as const } : one));
    waiting.push({ router: gone, tokens: stored(...taken) });
  };
  /** How a request ended: the codes of its errors. */
  const endsOf = (token: string) => world.disk.endsOf(token).map(({ data }) => JSON.parse(data).error);
  /** Looks again, with all routers up, until `done`. */
  const looking = (done: () => unknown) =>
    expect.poll(() => {
      takeover.look(UP, true);
      return done();
    });
  return Object.assign(stage, { takeover, stored, open, endsOf, looking });
}

describe('what is open at a router that is gone', () => {
  test('is settled as its restart would: once-only requests end, idempotent ones run, those to nodes go on', async () => {
    const all = stage();
    const { world } = all;
    await world.start();
    all.open(
      'b',
      { token: 'once' },
      { token: 'again', action: 'AGAIN' },
      { token: 'away', action: 'ONCE', target: 'paris' },
      { token: 'there', action: 'AGAIN', target: 'b' },
    );
    all.takeover.look(GONE, true);
    await expect.poll(() => world.given).toEqual(['again']);
    await expect.poll(() => world.disk.endsOf('there').length).toBe(1);
    expect(['once', 'there'].map(all.endsOf)).toEqual([['OUTCOME_UNKNOWN'], ['OUTCOME_UNKNOWN']]);
    expect([...world.elsewhere.has].map(({ token }) => token)).toEqual(['away']);
    expect(all.told).toEqual(['ROUTER_TAKEN_OVER {"router":"b","requests":4}']);
    expect(all.log.of('warn')).toEqual([
      'warn: the router b is gone: this one takes over what is open there, 4 requests {"router":"b"}',
    ]);
  });

  test('ends where a third router may have run it before, and runs again where it was for this one', async () => {
    const all = stage();
    const { world } = all;
    await world.start();
    all.open(
      'b',
      { token: 'elsewhere', action: 'AGAIN', target: 'c', hasStarted: true },
      { token: 'own', action: 'AGAIN', target: 'central', hasStarted: true },
      { token: 'own once', target: 'central', hasStarted: true },
    );
    all.takeover.look(GONE, true);
    await expect.poll(() => world.given).toEqual(['own']);
    await expect.poll(() => world.disk.endsOf('own once').length).toBe(1);
    expect(['elsewhere', 'own once'].map(all.endsOf)).toEqual([['OUTCOME_UNKNOWN'], ['OUTCOME_UNKNOWN']]);
    expect(world.elsewhere.has.size).toBe(0);
  });

  test('is sought until nothing is left, router after router, and read a thousand at a time', async () => {
    const all = stage();
    const many = Array.from({ length: 2500 }, (_, i) => ({ token: `t${i}` }));
    all.open('b', ...many);
    all.open('c', { token: 'last' });
    all.takeover.look(GONE, true);
    await expect.poll(() => all.world.disk.endsOf('last').length).toBe(1);
    await expect.poll(() => all.asked).toBe(3);
    expect(all.pages).toEqual([1000, 1000, 500, 1]);
    expect(many.filter(({ token }) => all.world.disk.endsOf(token).length !== 1)).toEqual([]);
    expect(all.log.of('warn').at(-1)).toContain('takes over what is open there, 1 request {');
  });

  test('is not sought while all are up, nor while it is being sought', async () => {
    const all = stage();
    all.takeover.look(UP, true);
    expect(all.asked).toBe(0);
    const { promise, resolve } = Promise.withResolvers<void>();
    all.busy = promise;
    for (let i = 0; i < 5; i++) all.takeover.look(GONE, true);
    await settle();
    all.takeover.look(GONE, true);
    await settle();
    expect(all.asked).toBe(1);
    resolve();
    await settle();
    all.takeover.look(GONE, true);
    await settle();
    expect(all.asked).toBe(2);
  });

  test('is left to others by a router that was not heard without a gap', async () => {
    const all = stage();
    all.open('b', { token: 'once' });
    all.takeover.look(GONE, false);
    await settle();
    all.takeover.unsure();
    all.takeover.look(GONE, false);
    await settle();
    expect(all.asked).toBe(0);
    all.takeover.look(GONE, true);
    await expect.poll(() => all.asked).toBe(2);
  });

  test('that ended meanwhile stays as it is', async () => {
    const all = stage();
    all.open('b', { token: 'ended', state: 'ended' }, { token: 'open' });
    all.takeover.look(GONE, true);
    await expect.poll(() => all.world.disk.endsOf('open').length).toBe(1);
    expect(all.world.disk.endsOf('ended')).toEqual([]);
  });

  test('is settled once the database is back that was away when it was read', async () => {
    const all = stage();
    all.open('b', { token: 'once' }, { token: 'there', target: 'b' });
    all.isAway = true;
    all.takeover.look(GONE, true);
    await expect.poll(() => all.log.of('warn').length).toBe(2);
    expect(all.log.of('warn')[1]).toContain('which is tried again: the database is away');
    all.isAway = false;
    // The router that is gone has nothing any more: only this one knows of it.
    await all.looking(() => ['once', 'there'].map(all.endsOf)).toEqual([['OUTCOME_UNKNOWN'], ['OUTCOME_UNKNOWN']]);
    expect(all.world.elsewhere.has.size).toBe(0);
  });

  test('is settled once, though the end of some of it was not stored at first', async () => {
    const all = stage();
    await all.world.start();
    all.open('b', { token: 'again', action: 'AGAIN' }, { token: 'once' }, { token: 'there', target: 'b' });
    all.world.disk.isFull = true;
    all.takeover.look(GONE, true);
    const notYet = () => all.log.of('warn').filter((line) => line.includes('is not settled yet'));
    await expect.poll(notYet).toEqual([expect.stringContaining('once '), expect.stringContaining('there ')]);
    all.world.disk.isFull = false;
    await all.looking(() => ['once', 'there'].map(all.endsOf)).toEqual([['OUTCOME_UNKNOWN'], ['OUTCOME_UNKNOWN']]);
    expect([all.world.given, all.world.elsewhere.has.size]).toEqual([['again'], 0]);
  });

  test('is settled though the answer was lost that said what it is, and what was for that router ends', async () => {
    const all = stage();
    await all.world.start();
    all.open(
      'b',
      { token: 'again', action: 'AGAIN' },
      { token: 'there', target: 'b' },
      { token: 'away', target: 'paris' },
    );
    all.isLost = true;
    all.takeover.look(GONE, true);
    await expect.poll(() => all.log.of('warn')).toEqual([expect.stringContaining('the answer was lost')]);
    all.isLost = false;
    await all.looking(() => all.world.given).toEqual(['again']);
    await expect.poll(() => all.endsOf('there')).toEqual(['OUTCOME_UNKNOWN']);
    expect([...all.world.elsewhere.has].map(({ token }) => token)).toEqual(['away']);
  });

  test('of which a request is for a third router goes on to that, as soon as it can be read', async () => {
    const all = stage();
    all.open('b', { token: 'to a', target: 'a' });
    all.isAway = true;
    all.takeover.look(GONE, true);
    await expect.poll(() => all.log.of('warn').length).toBe(2);
    all.isAway = false;
    await all.looking(() => [...all.world.elsewhere.has].map(({ token }) => token)).toEqual(['to a']);
    expect(all.endsOf('to a')).toEqual([]);
  });
});

describe('what is open here by the database and in no memory', () => {
  test('is settled at the next look once nobody is sure, and not before', async () => {
    const all = stage();
    await all.world.start();
    all.stored({ token: 'again', action: 'AGAIN' }, { token: 'once' });
    all.takeover.look(UP, true);
    await settle();
    expect(all.pages).toEqual([]);
    all.takeover.unsure();
    all.takeover.look(UP, true);
    await expect.poll(() => all.world.given).toEqual(['again']);
    await expect.poll(() => all.endsOf('once')).toEqual(['OUTCOME_UNKNOWN']);
    all.takeover.look(UP, true);
    await settle();
    expect([all.pages, all.world.given, all.log.lines]).toEqual([[2], ['again'], []]);
  });

  test('is what another router took, and gave back by its death: it ends, in memory too', async () => {
    const all = stage();
    await all.world.start();
    const { elsewhere, requests } = all.world;
    all.stored({ token: 'came back', target: 'b' }, { token: 'at its node', target: 'paris' });
    await all.world.recover();
    expect([...elsewhere.has].map(({ token }) => token).toSorted()).toEqual(['at its node', 'came back']);
    all.delivered.add('came back');
    all.stored({ token: 'came back', target: 'b', hasStarted: true });
    all.takeover.unsure();
    all.takeover.look(UP, true);
    await expect.poll(() => all.endsOf('came back')).toEqual(['OUTCOME_UNKNOWN']);
    await expect.poll(() => requests.get('came back')).toBeUndefined();
    expect([all.endsOf('at its node'), requests.get('at its node')?.state]).toEqual([[], 'running']);
  });

  test('is not what is in the memory, nor what is being taken from another router at this moment', async () => {
    const all = stage();
    await all.world.start();
    all.stored({ token: 'known', action: 'AGAIN' }, { token: 'being taken', action: 'AGAIN' });
    all.claiming.add('being taken');
    await all.world.recover();
    await expect.poll(() => [...all.world.given].sort()).toEqual(['being taken', 'known']);
    for (const { given, instance } of all.world.running) if (given.token === 'being taken') instance.say(given, 2);
    await expect.poll(() => all.world.requests.get('being taken')).toBe(undefined);
    all.stored({ token: 'being taken', action: 'AGAIN' });
    all.takeover.unsure();
    all.takeover.look(UP, true);
    await expect.poll(() => all.pages).toEqual([0]);
    await settle();
    expect(all.world.given).toHaveLength(2);
  });

  test('is not what ended, or was taken, while it was compared', async () => {
    const all = stage();
    await all.world.start();
    all.stored({ token: 'ended', action: 'AGAIN' }, { token: 'taken', action: 'AGAIN' });
    const { promise, resolve } = Promise.withResolvers<void>();
    all.busy = promise;
    all.takeover.unsure();
    all.takeover.look(UP, true);
    await expect.poll(() => all.pages).toEqual([2]);
    all.stored({ token: 'ended', state: 'ended' });
    all.claiming.add('taken');
    resolve();
    await settle();
    expect([all.world.given, all.endsOf('ended'), all.endsOf('taken')]).toEqual([[], [], []]);
  });

  test('is no failure where somebody else ended it first', async () => {
    const all = stage();
    all.stored({ token: 'once' });
    const release = all.world.disk.hold();
    all.takeover.unsure();
    all.takeover.look(UP, true);
    await expect.poll(() => all.pages).toEqual([1]);
    await settle();
    all.stored({ token: 'once', state: 'ended' });
    release();
    await settle();
    all.takeover.look(UP, true);
    await settle();
    expect([all.pages, all.log.lines]).toEqual([[1], []]);
  });
});
