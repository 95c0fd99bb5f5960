import { describe, expect, test } from 'vitest';
import type { Node, Router, Row, Status } from '../../plugins/http/dashboard/src/api/shapes.ts';
import { inTrouble } from '../../plugins/http/dashboard/src/cluster/routers.ts';
import { countStates, groupsOf, isMeant, labelKeys, membersOf } from '../../plugins/http/dashboard/src/fleet/fleet.ts';
import * as format from '../../plugins/http/dashboard/src/format.ts';
import { endOf, entriesOf, ROWS, withRows } from '../../plugins/http/dashboard/src/requests/entries.ts';
import { queryOf, tokenIn } from '../../plugins/http/dashboard/src/requests/filters.ts';
import { hrefOf, placeOf } from '../../plugins/http/dashboard/src/state/address.ts';
import {
  highest,
  ratesOf,
  type Sample,
  sampleOf,
  total,
  valuesOf,
  withSample,
} from '../../plugins/http/dashboard/src/state/figures.ts';

const node = (id: string, more: Partial<Node> = {}): Node => ({
  id,
  name: '',
  kind: 'pull',
  state: 'up',
  reason: null,
  address: null,
  labels: {},
  lastPing: null,
  lastPong: null,
  roundTripMs: null,
  clockSkewSeconds: null,
  cursor: null,
  version: null,
  actions: [],
  subnodes: [],
  sharedBy: [],
  router: null,
  ...more,
});

describe('the fleet', () => {
  const nodes = [
    node('lyon-10', { labels: { site: 'lyon', role: 'web' }, subnodes: ['inner', 'lyon-2'] }),
    node('lyon-2', { labels: { site: 'lyon' }, state: 'connecting', reason: 'its link is being opened' }),
    node('paris', { labels: { site: 'paris' }, state: 'unreachable', subnodes: ['inner', 'lost'] }),
  ];
  const members = membersOf(nodes, 'central');

  test('has the nodes that are linked here and those behind them, each once, in the order of people', () => {
    expect(members.map(({ id, state, via }) => ({ id, state, via }))).toEqual([
      { id: 'inner', state: 'up', via: ['lyon-10', 'paris'] },
      { id: 'lost', state: 'unreachable', via: ['paris'] },
      { id: 'lyon-2', state: 'connecting', via: [] },
      { id: 'lyon-10', state: 'up', via: [] },
      { id: 'paris', state: 'unreachable', via: [] },
    ]);
    expect(countStates(members)).toEqual({ up: 2, connecting: 1, unreachable: 2 });
  });

  test.each([
    ['', ['inner', 'lost', 'lyon-2', 'lyon-10', 'paris']],
    ['LYON', ['inner', 'lyon-2', 'lyon-10']],
    ['site=lyon', ['lyon-2', 'lyon-10']],
    ['site=', ['lyon-2', 'lyon-10', 'paris']],
    ['site=lyon -state:connecting', ['lyon-10']],
    ['state:un', ['lost', 'paris']],
    ['via:paris', ['inner', 'lost']],
    ['kind:behind inner', ['inner']],
    ['opened', ['lyon-2']],
    ['nowhere', []],
  ])('is filtered by %j', (typed, ids) => {
    expect(members.filter((member) => isMeant(member, typed)).map(({ id }) => id)).toEqual(ids);
  });

  test('is grouped by a label or by the way to it', () => {
    const names = (grouping: Parameters<typeof groupsOf>[1]) =>
      groupsOf(members, grouping, 'central').map(({ name, members: each }) => [name, each.map(({ id }) => id)]);
    expect(labelKeys(members)).toEqual(['site', 'role']);
    expect(names({ by: 'label', key: 'site' })).toEqual([
      ['lyon', ['lyon-2', 'lyon-10']],
      ['paris', ['paris']],
      ['', ['inner', 'lost']],
    ]);
    expect(names({ by: 'router' })).toEqual([
      ['central', ['lyon-2', 'lyon-10', 'paris']],
      ['lyon-10', ['inner']],
      ['paris', ['lost']],
    ]);
  });
});

describe('the fleet of a cluster', () => {
  const members = membersOf(
    [
      node('away', { state: 'unreachable', reason: 'it has not linked yet' }),
      node('here'),
      node('there', { router: 'central-b', subnodes: ['inner'] }),
    ],
    'central-a',
  );

  test('says which router carries a node, unless nobody is known to', () => {
    expect(members.map(({ id, router }) => [id, router])).toEqual([
      ['away', undefined],
      ['here', 'central-a'],
      ['inner', 'central-b'],
      ['there', 'central-b'],
    ]);
  });

  test.each([
    ['router:central-a', ['here']],
    ['router:central-b', ['inner', 'there']],
    ['-router:central-a', ['away', 'inner', 'there']],
    ['router:central', []],
  ])('is filtered by %j', (typed, ids) => {
    expect(members.filter((member) => isMeant(member, typed)).map(({ id }) => id)).toEqual(ids);
  });

  test('is grouped by the routers that carry it', () => {
    const groups = groupsOf(members, { by: 'router' }, 'central-a');
    expect(groups.map(({ name, members: each }) => [name, each.map(({ id }) => id)])).toEqual([
      ['central-a', ['away', 'here']],
      ['central-b', ['there']],
      ['there', ['inner']],
    ]);
  });
});

test('the routers that somebody should look at are those that should be up, and those that do not reach NATS', () => {
  const router = (id: string, state: string, nats = true): Router => ({
    ...{
      id,
      endpoint: '',
      version: '',
      state,
      startedAt: 0,
      silentSeconds: 0,
      self: id === 'a',
      open: 0,
      nodes: 0,
      nats,
    },
  });
  const idsOf = (routers: Router[], natsAway: string | null) => inTrouble({ routers, natsAway }).map(({ id }) => id);
  const all = [
    router('a', 'up'),
    router('b', 'up', false),
    router('c', 'silent'),
    router('d', 'taken', false),
    router('e', 'stopped', false),
  ];
  expect(idsOf(all, null)).toEqual(['b', 'c', 'd']);
  expect(idsOf(all, 'it does not answer')).toEqual(['a', 'b', 'c', 'd']);
});

describe('figures', () => {
  const status = (uptimeSeconds: number, accepted: number, p99: number | null): Status => ({
    id: 'central',
    version: '1',
    uptimeSeconds,
    plugins: [
      {
        type: 'action',
        package: '',
        version: '',
        state: 'ready',
        health: null,
        metrics: [],
        waiting: 0,
        instances: [1, 2].map((id) => ({
          id: String(id),
          pid: 1,
          state: 'ready',
          restarts: 0,
          inFlight: id,
          p50Ms: null,
          p99Ms: id === 1 ? p99 : null,
          rss: 10,
          health: null,
        })),
        actions: [
          { name: 'A', finished: accepted, failed: 1 },
          { name: 'B', finished: 1, failed: 0 },
        ],
      },
    ],
    counters: { received: accepted * 2, accepted, refused: 0, open: 3, store: { rows: 0, bytes: 0, maxBytes: null } },
  });
  const samples = (...given: [at: number, uptime: number, accepted: number][]): readonly Sample[] =>
    given.reduce<readonly Sample[]>(
      (all, [at, uptime, accepted]) => withSample(all, sampleOf(status(uptime, accepted, at), at)),
      [],
    );

  test('of a plugin are those of its instances together', () => {
    expect(sampleOf(status(5, 7, 12), 1000).plugins.action).toEqual({
      ended: 9,
      inFlight: 3,
      p50Ms: null,
      p99Ms: 12,
      rss: 20,
    });
    expect([highest([null, 3, 2]), highest([null]), total([null, 3, 2]), total([])]).toEqual([3, null, 5, null]);
  });

  test('that count become rates, with gaps where the page was hidden or the daemon started again', () => {
    const all = samples(
      [0, 10, 100],
      [3000, 13, 130],
      [6000, 16, 130],
      [60_000, 70, 900],
      [63_000, 1, 5],
      [66_000, 4, 8],
    );
    expect(ratesOf(all, ({ accepted }) => accepted)).toEqual([null, 10, 0, null, null, 1]);
    expect(valuesOf(all, ({ open }) => open)).toEqual([3, 3, 3, 3, 3, 3]);
  });

  test('of half an hour are kept', () => {
    let all: readonly Sample[] = [];
    for (let at = 0; at < 700; at++) all = withSample(all, sampleOf(status(at, at, null), at * 3000));
    expect([all.length, all[0]?.at]).toEqual([600, 300_000]);
  });
});

describe('a timeline', () => {
  const row = (id: number, code: number, data: unknown, more: Partial<Row> = {}): Row => ({
    id,
    token: 'T',
    type: 'COMMAND',
    node: 'central',
    code,
    etime: id,
    ctime: id,
    data,
    ...more,
  });

  test('has output that follows each other as one step, stream by stream', () => {
    const rows = [
      row(1, 0, {}),
      row(2, 100, { stream: 'stdout', chunk: 'one\n' }),
      row(3, 100, { stream: 'stdout', chunk: 'two\n' }),
      row(4, 100, { stream: 'stderr', chunk: 'wrong' }),
      row(5, 50, { step: 1 }),
      row(6, 100, { stream: 'stdout', chunk: '<b>' }),
      row(7, 100, { stream: 'stdout', chunk: 'elsewhere' }, { node: 'lyon' }),
      row(8, 2, { chunk: 'an output that is no chunk' }),
    ];
    expect(
      entriesOf(rows).map(({ code, rows: count, from, until, output }) => ({ code, count, from, until, output })),
    ).toEqual([
      { code: 0, count: 1, from: 1, until: 1, output: undefined },
      {
        code: 100,
        count: 3,
        from: 2,
        until: 4,
        output: [
          { stream: 'stdout', text: 'one\ntwo\n' },
          { stream: 'stderr', text: 'wrong' },
        ],
      },
      { code: 50, count: 1, from: 5, until: 5, output: undefined },
      { code: 100, count: 1, from: 6, until: 6, output: [{ stream: 'stdout', text: '<b>' }] },
      { code: 100, count: 1, from: 7, until: 7, output: [{ stream: 'stdout', text: 'elsewhere' }] },
      { code: 2, count: 1, from: 8, until: 8, output: undefined },
    ]);
    expect(endOf(rows)?.id).toBe(8);
    expect(endOf(rows.slice(0, 5))).toBeUndefined();
  });

  test('takes each row once, and keeps the last ones', () => {
    const first = withRows([], [row(1, 0, {}), row(2, 50, {})]);
    expect(withRows(first, [row(2, 50, {})])).toBe(first);
    expect(withRows(first, [row(2, 50, {}), row(3, 2, {})]).map(({ id }) => id)).toEqual([1, 2, 3]);
    const many = withRows(
      first,
      Array.from({ length: ROWS }, (_, index) => row(index + 3, 50, {})),
    );
    expect([many.length, many[0]?.id]).toEqual([ROWS, 3]);
  });
});

describe('an address', () => {
  test('leads to a page and back', () => {
    const href = hrefOf(['requests', 'a/b:1'], { state: 'open', owner: '', q: 'a b&c' });
    expect(href).toBe('#/requests/a%2Fb%3A1?state=open&q=a+b%26c');
    expect(placeOf(href)).toEqual({ path: ['requests', 'a/b:1'], query: { state: 'open', q: 'a b&c' } });
    expect(placeOf('')).toEqual({ path: [], query: {} });
    expect(placeOf('#/nodes/%E0%A4%A')).toEqual({ path: ['nodes', '%E0%A4%A'], query: {} });
  });

  test('of requests has their filters', () => {
    expect(queryOf({ state: 'failed', owner: '', since: '1h' }, 50, 10_000)).toBe('limit=50&state=failed&since=6400');
    expect(tokenIn(' T:1 \n')).toBe('T:1');
    expect(tokenIn('no token')).toBeUndefined();
  });
});

test('times and figures read like those of people', () => {
  const at = Date.UTC(2026, 10, 29, 9, 5, 7);
  expect(format.momentText(at, 'UTC')).toBe('2026-11-29 09:05:07 UTC');
  expect(format.momentText(at, 'Asia/Kolkata')).toBe('2026-11-29 14:35:07 GMT+5:30');
  expect([0, 400, 61_000, -7_200_000].map((ms) => format.agoText(at - ms, at))).toEqual([
    'now',
    'now',
    '1 min ago',
    'in 2 h',
  ]);
  expect([0, 59, 61, 3600, 90_061].map(format.durationText)).toEqual(['0 s', '59 s', '1 min 1 s', '1 h', '1 d 1 h']);
  expect([0, 900, 1536, 5 * 2 ** 30].map(format.bytesText)).toEqual(['0 B', '900 B', '1.5 KiB', '5 GiB']);
  expect([0.25, 4.2, 42.42, 1200].map(format.msText)).toEqual(['0.25 ms', '4.2 ms', '42.4 ms', '1.2 s']);
  expect([format.plural(1, 'node'), format.plural(1200, 'node'), format.plural(2, 'try', 'tries')]).toEqual([
    '1 node',
    '1,200 nodes',
    '2 tries',
  ]);
});
