import type { NodeAnnouncement } from '@centreond/plugin-sdk/nodes';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CarriedNodes } from '../../../core/dist/cluster/carried-nodes.js';
import { type Carrier, Routes } from '../../../core/dist/fleet/routes.js';
import type { CarriedNode, RouterRecord } from '../../../core/dist/store/membership.js';
import { FakeBus, Lines, router } from './stage.ts';

const TICK_MS = 100;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const up = (id: string, more: Partial<NodeAnnouncement> = {}): NodeAnnouncement => ({ id, state: 'up', ...more });
const told = (id: string, more: Partial<NodeAnnouncement> = {}) => ({ node: id, told: JSON.stringify(up(id, more)) });
const carrierOf = (name: string, more: Partial<Carrier> = {}): Carrier => ({
  ...{ name, congested: false, carry: async () => '{}' },
  ...more,
});

function stage() {
  const bus = new FakeBus();
  const log = new Lines();
  const routes = new Routes({ id: 'a', log: log as never });
  const carriers = new Map<string, Carrier>();
  const stage = {
    bus,
    log,
    routes,
    isAway: false,
    rows: [] as CarriedNode[],
    reads: 0,
    reading: Promise.resolve(),
    written: [] as object[],
  };
  const membership = {
    carry: async (nodes: readonly { node: string }[], gone: readonly string[], all: boolean) => {
      if (stage.isAway) throw new Error('the database is away');
      stage.written.push({ nodes: nodes.map(({ node }) => node), gone, all });
    },
    carried: async () => {
      stage.reads++;
      const { rows } = stage;
      await stage.reading;
      return rows;
    },
  };
  const nodes = new CarriedNodes({
    ...{ id: 'a', membership: membership as never, bus: bus as never, routes, log: log as never },
    carrierOf: (id) => {
      const carrier = carriers.get(id) ?? carrierOf(`the router ${id}`, { router: id });
      carriers.set(id, carrier);
      return carrier as never;
    },
  });
  /** The heartbeats of other routers, each with how often it told of its nodes. */
  const look = (versions: Record<string, number>, change: Partial<RouterRecord> = {}) =>
    nodes.look(
      Object.keys(versions).map((id) => router(id, change)),
      ({ id }) => versions[id] ?? 0,
    );
  const tell = (from: string, version: number, nodes_: object[], gone: string[] = []) =>
    nodes.told(from, JSON.stringify({ version, nodes: nodes_, gone }));
  /** Each node with the router by which it is reached; `-` where it is not. */
  const ways = (...ids: string[]) => ids.map((id) => `${id} ${routes.pick(id)?.carrier.router ?? '-'}`);
  return Object.assign(stage, { nodes, look, tell, ways });
}

describe('what this router carries', () => {
  const own = carrierOf('sessions');

  test('is written and told to all within a tick, what came together in one message', async () => {
    const { routes, bus, nodes, written } = stage();
    routes.announce(own, [up('x'), up('y', { actions: ['ECHO'] })]);
    routes.announce(own, [up('z')]);
    await vi.advanceTimersByTimeAsync(TICK_MS);
    expect(bus.heard()).toEqual([
      {
        to: '*',
        what: 'nodes',
        said: { version: 1, nodes: [told('x'), told('y', { actions: ['ECHO'] }), told('z')], gone: [] },
      },
    ]);
    expect(written).toEqual([{ nodes: ['x', 'y', 'z'], gone: [], all: false }]);
    expect([nodes.version, nodes.count]).toEqual([1, 3]);
  });

  test('is told again only as far as it changed', async () => {
    const { routes, bus, nodes } = stage();
    routes.announce(own, [up('x'), up('y'), up('z')]);
    await nodes.tell();
    bus.heard();
    await nodes.tell();
    expect([bus.heard(), nodes.version]).toEqual([[], 1]);
    // When it answered last is no change.
    routes.announce(own, [up('x', { lastPong: 5, roundTripMs: 3 })]);
    await nodes.tell();
    expect(bus.heard()).toEqual([]);
    routes.announce(own, [up('y', { state: 'unreachable', reason: 'it is off' })], ['z']);
    await nodes.tell();
    expect(bus.heard().map(({ said }) => said)).toEqual([
      {
        version: 2,
        nodes: [{ node: 'y', told: '{"id":"y","state":"unreachable","reason":"it is off"}' }],
        gone: ['z'],
      },
    ]);
    expect(nodes.count).toBe(2);
  });

  test('is told in messages of 500 nodes, and what is gone in the first of them', async () => {
    const { routes, bus, nodes } = stage();
    routes.announce(own, [up('old')]);
    await nodes.tell();
    bus.heard();
    routes.announce(
      own,
      Array.from({ length: 1001 }, (_, i) => up(`n${i}`)),
      ['old'],
    );
    await nodes.tell();
    const said = bus.heard().map((one) => one.said as { version: number; nodes: object[]; gone: string[] });
    expect(said.map(({ version, nodes, gone }) => [version, nodes.length, gone.length])).toEqual([
      [2, 500, 1],
      [3, 500, 0],
      [4, 1, 0],
    ]);
  });

  test('is told again whole where it could not be written', async () => {
    const all = stage();
    all.isAway = true;
    all.routes.announce(own, [up('x')]);
    await all.nodes.tell();
    expect([all.bus.heard(), all.nodes.count]).toEqual([[], 0]);
    all.isAway = false;
    await all.nodes.tell();
    expect(all.bus.heard().map(({ said }) => said)).toEqual([{ version: 1, nodes: [told('x')], gone: [] }]);
  });

  test('is not what other routers carry', async () => {
    const { bus, nodes, look, tell } = stage();
    await look({ b: 0 });
    tell('b', 1, [told('x')]);
    await nodes.tell();
    expect(bus.heard().map(({ said }) => said)).toEqual([{ version: 1, nodes: [], gone: [] }]);
    expect(nodes.count).toBe(0);
  });
});

describe('what another router carries', () => {
  test('is read where that router is new, and then follows what it tells, without a look at the database', async () => {
    const all = stage();
    all.rows = [
      { router: 'b', ...told('x') },
      { router: 'c', ...told('other') },
    ];
    await all.look({ b: 3 });
    expect(all.ways('x', 'other')).toEqual(['x b', 'other -']);
    all.tell('b', 4, [told('y')], ['x']);
    await all.look({ b: 4 });
    expect([all.ways('x', 'y'), all.reads]).toEqual([['x -', 'y b'], 1]);
    expect(all.routes.knows('x')).toBe(false);
  });

  test('is read again where a message was lost, and what did not follow is left out until then', async () => {
    const all = stage();
    await all.look({ b: 1 });
    all.tell('b', 3, [told('y')]);
    expect(all.ways('y')).toEqual(['y -']);
    all.rows = [
      { router: 'b', ...told('x') },
      { router: 'b', ...told('y') },
    ];
    await all.look({ b: 3 });
    expect([all.ways('x', 'y'), all.reads]).toEqual([['x b', 'y b'], 2]);
    all.rows = [];
    await all.look({ b: 9 });
    expect([all.ways('x', 'y'), all.routes.knows('x')]).toEqual([['x -', 'y -'], false]);
  });

  test('is not taken of a router of which no heartbeat was seen', () => {
    const { tell, ways } = stage();
    tell('b', 1, [told('x')]);
    expect(ways('x')).toEqual(['x -']);
  });

  test('is not read again for a heartbeat from before the last message', async () => {
    const all = stage();
    await all.look({ b: 1 });
    all.tell('b', 2, [told('x')]);
    await all.look({ b: 1 });
    expect(all.ways('x')).toEqual(['x b']);
    all.tell('b', 3, [told('y')]);
    expect([all.ways('x', 'y'), all.reads]).toEqual([['x b', 'y b'], 1]);
  });

  test('is not set back by what was read before it was told', async () => {
    const all = stage();
    await all.look({ b: 1 });
    const { promise, resolve } = Promise.withResolvers<void>();
    all.reading = promise;
    const looked = all.look({ b: 2 });
    all.tell('b', 2, [told('x')]);
    all.tell('b', 3, [told('y')]);
    resolve();
    await looked;
    expect(all.ways('x', 'y')).toEqual(['x b', 'y b']);
  });

  test('is read again where the router started again, whatever it counts', async () => {
    const all = stage();
    await all.look({ b: 5 });
    all.rows = [{ router: 'b', ...told('x') }];
    await all.look({ b: 1 }, { startedAt: 2 });
    expect([all.ways('x'), all.reads]).toEqual([['x b'], 2]);
    await all.look({ b: 5 }, { startedAt: 3 });
    expect(all.reads).toBe(3);
  });

  test('goes by the nearer way where this router carries it too', async () => {
    const all = stage();
    all.rows = [{ router: 'b', ...told('x') }];
    all.routes.announce(carrierOf('sessions'), [up('x')]);
    await all.look({ b: 1 });
    expect(all.routes.pick('x')?.carrier.name).toBe('sessions');
    expect(all.routes.status().map(({ id }) => id)).toEqual(['x']);
  });

  test('is never this router itself', async () => {
    const all = stage();
    all.rows = [{ router: 'b', ...told('a') }];
    await all.look({ b: 1 });
    expect([all.routes.knows('a'), all.log.of('warn')]).toEqual([false, []]);
  });

  test('may be told in a way that this version does not know: of the others nothing is lost', async () => {
    const all = stage();
    all.rows = [
      { router: 'b', node: 'x', told: '{"id":"x","state":"up","colour":"red"}' },
      { router: 'b', ...told('y') },
    ];
    await all.look({ b: 1 });
    expect([all.ways('x', 'y'), all.log.of('debug').length]).toEqual([['x -', 'y b'], 1]);
  });

  test.each(['null', '{}', '{"version":2,"nodes":[{"node":"x"}],"gone":[]}', '{"version":"2","nodes":[],"gone":[]}'])(
    'is not changed by a malformed message: %s',
    async (text) => {
      const { nodes, look, ways, tell } = stage();
      await look({ b: 1 });
      nodes.told('b', text);
      tell('b', 2, [told('y')]);
      expect(ways('x', 'y')).toEqual(['x -', 'y b']);
    },
  );
});

describe('another router', () => {
  test('is a way to itself, and away it is none, nor to its nodes, for the reason that is told', async () => {
    const all = stage();
    all.rows = [{ router: 'b', ...told('x') }];
    await all.look({ b: 1 });
    all.nodes.router(up('b', { actions: ['ECHO'] }), undefined);
    expect(all.ways('b', 'x')).toEqual(['b b', 'x b']);
    all.nodes.router(up('b'), 'NATS is away at the router b');
    expect(all.ways('b', 'x')).toEqual(['b -', 'x -']);
    expect(all.routes.whyNot('x')).toBe('is not reached: NATS is away at the router b');
    all.tell('b', 2, [told('y')]);
    expect(all.ways('y')).toEqual(['y -']);
    all.nodes.router(up('b'), undefined);
    expect(all.ways('b', 'x', 'y')).toEqual(['b b', 'x b', 'y b']);
    expect(all.reads).toBe(1);
  });

  test('that is gone leaves its nodes known and unreachable, until another carries them', async () => {
    const all = stage();
    all.rows = [{ router: 'b', ...told('x') }];
    await all.look({ b: 1 });
    all.nodes.router(up('b'), undefined);
    all.nodes.left('b');
    expect([all.ways('b', 'x'), all.routes.knows('x')]).toEqual([['b -', 'x -'], true]);
    // What it said while it went is not taken.
    all.tell('b', 2, [told('y')]);
    expect(all.ways('y')).toEqual(['y -']);
    all.rows = [{ router: 'c', ...told('x') }];
    await all.look({ c: 1 });
    expect(all.ways('x')).toEqual(['x c']);
  });
});

test('nothing is told any more once it is stopped', async () => {
  const { routes, nodes, bus } = stage();
  routes.announce(carrierOf('sessions'), [up('x')]);
  nodes.stop();
  await vi.advanceTimersByTimeAsync(10 * TICK_MS);
  expect(bus.heard()).toEqual([]);
});
