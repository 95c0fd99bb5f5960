import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Watches } from '../../../core/dist/cluster/watches.js';
import { FakeBus } from './stage.ts';

const TICK_MS = 5;
/** It runs on. */
const RUNS = 10;
const DONE = 2;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const tick = () => vi.advanceTimersByTime(TICK_MS);
const row = (token: string, id: number, code = RUNS) =>
  ({ id, token, code, type: 'ONCE', node: 'a', etime: 1, ctime: 1, data: '{}' }) as const;
const interest = (said: object) => ({ to: '*', what: 'watches', said: { all: false, add: [], remove: [], ...said } });

function stage() {
  const bus = new FakeBus();
  const watches = new Watches(bus);
  const news: string[] = [];
  watches.onNews = (token, id) => void news.push(`${token} ${id}`);
  return { bus, watches, news };
}

test('the node of a request that another router handed over is known until its end, and whoever else wants to hear of it', () => {
  const { watches } = stage();
  expect(watches.targetOf('t')).toBeUndefined();
  watches.wants('b', 't', 'leaf');
  watches.wants('c', 't');
  expect(watches.targetOf('t')).toBe('leaf');
  // Who says once more what it watches, watches that still.
  watches.told('b', 'watches', JSON.stringify({ all: true, add: ['t'], remove: [] }));
  expect(watches.targetOf('t')).toBe('leaf');
  watches.written(row('t', 1));
  expect(watches.targetOf('t')).toBe('leaf');
  watches.written(row('t', 2, DONE));
  expect(watches.targetOf('t')).toBeUndefined();
});

describe('what is watched here', () => {
  test('is told to all in one message for what comes within a tick', () => {
    const { bus, watches } = stage();
    for (const token of ['t1', 't2', 't3']) watches.add(token);
    expect(bus.heard()).toEqual([]);
    tick();
    expect(bus.heard()).toEqual([interest({ add: ['t1', 't2', 't3'] })]);
    tick();
    expect(bus.heard()).toEqual([]);
    watches.remove('t2');
    watches.add('t4');
    tick();
    expect(bus.heard()).toEqual([interest({ add: ['t4'], remove: ['t2'] })]);
  });

  test('is told once however many watch it, until the last of them is gone', () => {
    const { bus, watches } = stage();
    watches.add('t');
    watches.add('t');
    tick();
    expect(bus.heard()).toEqual([interest({ add: ['t'] })]);
    watches.remove('t');
    tick();
    expect([bus.heard(), watches.has('t')]).toEqual([[], true]);
    watches.remove('t');
    tick();
    expect([bus.heard(), watches.has('t')]).toEqual([[interest({ remove: ['t'] })], false]);
    watches.remove('t');
    tick();
    expect(bus.heard()).toEqual([]);
  });

  test('is not told where it came and went within a tick, or went and came back', () => {
    const { bus, watches } = stage();
    watches.add('brief');
    watches.remove('brief');
    tick();
    expect(bus.heard()).toEqual([]);
    watches.add('kept');
    tick();
    bus.heard();
    watches.remove('kept');
    watches.add('kept');
    tick();
    expect([bus.heard(), watches.has('kept')]).toEqual([[], true]);
  });

  test('is said whole once more, and what was about to be told is in that', () => {
    const { bus, watches } = stage();
    watches.add('old');
    tick();
    bus.heard();
    watches.add('new');
    watches.repeat();
    tick();
    expect(bus.heard()).toEqual([interest({ all: true, add: ['old', 'new'] })]);
    expect(watches.counters).toEqual({ watched: 2, wanted: 0 });
  });

  test('has news where another router says so, or the database does', () => {
    const { watches, news } = stage();
    watches.add('t');
    watches.add('u');
    watches.told('b', 'news', '[["t",4],["other",9]]');
    watches.found(
      new Map([
        ['u', 5],
        ['other', 9],
      ]),
    );
    expect(news).toEqual(['t 4', 'u 5']);
  });

  test('is looked for in the database after the last row that was read: what was told only may be read by nobody', () => {
    const { watches, news } = stage();
    watches.add('t');
    watches.add('u');
    watches.told('b', 'news', '[["t",4],["u",4]]');
    expect([...watches.seen()]).toEqual([
      ['t', 0],
      ['u', 0],
    ]);
    watches.read('t', 4);
    // What was read before, and is told late, is no later row.
    watches.read('t', 2);
    watches.told('c', 'news', '[["t",2]]');
    watches.read('other', 9);
    expect([...watches.seen()]).toEqual([
      ['t', 4],
      ['u', 0],
    ]);
    expect(news).toEqual(['t 4', 'u 4', 't 2']);
    watches.remove('t');
    watches.add('t');
    expect(watches.seen().get('t')).toBe(0);
  });
});

describe('what others want to hear of', () => {
  test('is told to those, and to no other, with the last row of each token', () => {
    const { bus, watches } = stage();
    watches.told('b', 'watches', JSON.stringify({ all: false, add: ['t', 'u'], remove: [] }));
    watches.told('c', 'watches', JSON.stringify({ all: false, add: ['u'], remove: [] }));
    for (const one of [row('t', 1), row('u', 2), row('t', 3), row('nobody', 4)]) watches.written(one);
    expect(bus.heard()).toEqual([]);
    tick();
    expect(bus.heard()).toEqual([
      {
        ...{ to: 'b', what: 'news' },
        said: [
          ['t', 3],
          ['u', 2],
        ],
      },
      { to: 'c', what: 'news', said: [['u', 2]] },
    ]);
    tick();
    expect(bus.heard()).toEqual([]);
  });

  test('is told no more once they want it no more', () => {
    const { bus, watches } = stage();
    watches.wants('b', 't');
    watches.wants('c', 't');
    watches.told('b', 'watches', JSON.stringify({ all: false, add: [], remove: ['t', 'never wanted'] }));
    watches.written(row('t', 1));
    tick();
    expect(bus.heard()).toEqual([{ to: 'c', what: 'news', said: [['t', 1]] }]);
    watches.told('c', 'watches', JSON.stringify({ all: false, add: [], remove: ['t'] }));
    expect(watches.counters.wanted).toBe(0);
  });

  test('is over with its last row, which is told', () => {
    const { bus, watches } = stage();
    watches.wants('b', 't');
    watches.written(row('t', 1, DONE));
    tick();
    expect(bus.heard()).toEqual([{ to: 'b', what: 'news', said: [['t', 1]] }]);
    expect(watches.counters.wanted).toBe(0);
    watches.written(row('t', 2));
    tick();
    expect(bus.heard()).toEqual([]);
  });

  test('is forgotten with a router that is gone, and with it what it was about to be told', () => {
    const { bus, watches } = stage();
    watches.wants('b', 't');
    watches.wants('c', 't');
    watches.wants('b', 'only b');
    watches.written(row('t', 1));
    watches.dropRouter('b');
    tick();
    expect(bus.heard()).toEqual([{ to: 'c', what: 'news', said: [['t', 1]] }]);
    expect(watches.counters.wanted).toBe(1);
  });

  test('is what a router says last where it says all, and news that it was about to be told is told', () => {
    const { bus, watches } = stage();
    watches.wants('b', 'old');
    watches.wants('b', 'kept');
    watches.written(row('kept', 1));
    watches.told('b', 'watches', JSON.stringify({ all: true, add: ['kept', 'new'], remove: [] }));
    tick();
    expect(bus.heard()).toEqual([{ to: 'b', what: 'news', said: [['kept', 1]] }]);
    for (const token of ['old', 'kept', 'new']) watches.written(row(token, 2));
    tick();
    expect(bus.heard()).toEqual([
      {
        ...{ to: 'b', what: 'news' },
        said: [
          ['kept', 2],
          ['new', 2],
        ],
      },
    ]);
  });
});

test.each([
  ['watches', '{"add":["t"]}'],
  ['watches', '{"all":false,"add":[1],"remove":[]}'],
  ['watches', '{"all":false,"add":["t"],"remove":[],"more":1}'],
  ['watches', 'null'],
  ['news', '{"t":1}'],
  ['news', '[["t"]]'],
  ['news', '[["t","1"]]'],
  ['news', '[["t",1.5]]'],
  ['something else', '[["t",1]]'],
])('a malformed message does nothing: %s %s', (what, text) => {
  const { bus, watches, news } = stage();
  watches.add('t');
  tick();
  bus.heard();
  watches.told('b', what, text);
  tick();
  expect([bus.heard(), news, watches.counters, watches.seen().get('t')]).toEqual([
    [],
    [],
    { watched: 1, wanted: 0 },
    0,
  ]);
});

test('nothing is said any more once it is stopped', () => {
  const { bus, watches } = stage();
  watches.add('t');
  watches.stop();
  tick();
  expect(bus.heard()).toEqual([]);
});
