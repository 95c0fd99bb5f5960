import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Heartbeat } from '../../../core/dist/cluster/heartbeat.js';
import { type Heartbeat as Beat, Fenced } from '../../../core/dist/store/membership.js';
import { Lines } from './stage.ts';

const BEAT: Beat = { routers: [], trust: 0, clockSkewSeconds: 0 };

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function stage() {
  const log = new Lines();
  const said: { endpoint: string; load: object }[] = [];
  const fenced = vi.fn();
  const stage = { log, said, fenced, beat: async (): Promise<Beat> => BEAT };
  const membership = {
    beat: (endpoint: string, load: object) => {
      said.push({ endpoint, load });
      return stage.beat();
    },
  };
  const options = {
    membership: membership as never,
    clock: { monotonic: () => Date.now() },
    log: log as never,
    fenced,
  };
  return Object.assign(stage, { heartbeat: new Heartbeat(options) });
}

const away = async (): Promise<Beat> => {
  throw new Error('the database is away');
};

describe('the heartbeat of a router', () => {
  test('is written at once, and every two seconds from then on, until it is stopped', async () => {
    const { heartbeat, said } = stage();
    await heartbeat.start();
    expect(said).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1999);
    expect(said).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(8001);
    expect(said).toHaveLength(6);
    await heartbeat.stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(said).toHaveLength(6);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('does not start where the first one does not get through', async () => {
    const all = stage();
    all.beat = away;
    await expect(all.heartbeat.start()).rejects.toThrow('the database is away');
    expect(vi.getTimerCount()).toBe(0);
  });

  test('goes on after one that did not get through, and keeps what the last one brought', async () => {
    const all = stage();
    all.beat = async () => ({ ...BEAT, trust: 7 });
    await all.heartbeat.start();
    all.beat = away;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(all.heartbeat.last.trust).toBe(7);
    expect(all.said).toHaveLength(31);
    all.beat = async () => ({ ...BEAT, trust: 8 });
    await vi.advanceTimersByTimeAsync(2000);
    expect(all.heartbeat.last.trust).toBe(8);
    expect(all.fenced).not.toHaveBeenCalled();
    await all.heartbeat.stop();
  });

  test('that is asked for brings what was so afterwards, and says so, or why not', async () => {
    const all = stage();
    await all.heartbeat.start();
    const { promise, resolve } = Promise.withResolvers<Beat>();
    all.beat = () => promise;
    all.heartbeat.hurry();
    const asked = all.heartbeat.beat();
    await vi.advanceTimersByTimeAsync(0);
    all.beat = async () => ({ ...BEAT, trust: 2 });
    resolve({ ...BEAT, trust: 1 });
    await asked;
    expect([all.said.length, all.heartbeat.last.trust]).toEqual([3, 2]);
    all.beat = away;
    await expect(all.heartbeat.beat()).rejects.toThrow('the database is away');
    await all.heartbeat.stop();
    await expect(all.heartbeat.beat()).rejects.toThrow('this router stops');
    expect(vi.getTimerCount()).toBe(0);
  });

  test('is as old as its question: its answer may have been late', async () => {
    const all = stage();
    await all.heartbeat.start();
    const { promise, resolve } = Promise.withResolvers<Beat>();
    all.beat = () => promise;
    await vi.advanceTimersByTimeAsync(5000);
    resolve(BEAT);
    await vi.advanceTimersByTimeAsync(0);
    expect(all.heartbeat.age).toBe(3000);
    await all.heartbeat.stop();
  });

  test('is never under way twice: the next one comes two seconds after the last has ended', async () => {
    const all = stage();
    await all.heartbeat.start();
    const { promise, resolve } = Promise.withResolvers<Beat>();
    all.beat = () => promise;
    await vi.advanceTimersByTimeAsync(30_000);
    expect(all.said).toHaveLength(2);
    resolve(BEAT);
    await vi.advanceTimersByTimeAsync(2000);
    expect(all.said).toHaveLength(3);
    await all.heartbeat.stop();
  });

  test('is stopped once the one under way has ended', async () => {
    const all = stage();
    await all.heartbeat.start();
    const { promise, resolve } = Promise.withResolvers<Beat>();
    all.beat = () => promise;
    await vi.advanceTimersByTimeAsync(2000);
    const stopped = vi.fn();
    const stopping = all.heartbeat.stop().then(stopped);
    await vi.advanceTimersByTimeAsync(1000);
    expect(stopped).not.toHaveBeenCalled();
    resolve(BEAT);
    await stopping;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(all.said).toHaveLength(2);
  });

  test('ends where another process has the place of this router, which is told once', async () => {
    const all = stage();
    await all.heartbeat.start();
    all.beat = async () => {
      throw new Fenced();
    };
    await vi.advanceTimersByTimeAsync(60_000);
    expect(all.fenced.mock.calls).toEqual([[expect.any(Fenced)]]);
    expect(all.said).toHaveLength(2);
  });

  test('says what it is told to say, at once', async () => {
    const all = stage();
    await all.heartbeat.start();
    expect(all.said).toEqual([{ endpoint: '', load: {} }]);
    let open = 1;
    const heard = vi.fn(async () => {});
    await all.heartbeat.speak({ endpoint: 'tcp://a:5555', load: () => ({ open }), heard });
    expect(all.said.at(-1)).toEqual({ endpoint: 'tcp://a:5555', load: { open: 1 } });
    expect(heard).toHaveBeenCalledTimes(1);
    open = 2;
    await vi.advanceTimersByTimeAsync(2000);
    expect(all.said.at(-1)).toEqual({ endpoint: 'tcp://a:5555', load: { open: 2 } });
    await all.heartbeat.stop();
  });

  test('goes on where what it brought could not be taken', async () => {
    const all = stage();
    await all.heartbeat.start();
    let heard = 0;
    const failing = async () => {
      if (++heard > 1) throw new Error('the nodes were not read');
    };
    await all.heartbeat.speak({ endpoint: '', load: () => ({}), heard: failing });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(heard).toBe(6);
    expect(all.log.of('debug')).toHaveLength(5);
    expect(all.log.of('debug')[0]).toContain('what a heartbeat brought was not taken: the nodes were not read');
    await all.heartbeat.stop();
  });

  test('goes on while what it brought is being taken, of which only one is at a time', async () => {
    const all = stage();
    await all.heartbeat.start();
    const taking: PromiseWithResolvers<void>[] = [];
    const heard = vi.fn((_: Beat) => {
      const one = Promise.withResolvers<void>();
      taking.push(one);
      return one.promise;
    });
    await all.heartbeat.speak({ endpoint: '', load: () => ({}), heard });
    for (let trust = 1; trust <= 5; trust++) {
      all.beat = async () => ({ ...BEAT, trust });
      await vi.advanceTimersByTimeAsync(2000);
    }
    expect([all.said.length, heard.mock.calls.length, all.heartbeat.last.trust]).toEqual([7, 1, 5]);
    taking[0]?.resolve();
    await vi.advanceTimersByTimeAsync(2000);
    expect(heard.mock.calls.map(([{ trust }]) => trust)).toEqual([0, 5]);
    // It ends without waiting for that either.
    await all.heartbeat.stop();
  });

  test('has an age: since when none got through', async () => {
    const all = stage();
    expect(all.heartbeat.age).toBe(Number.POSITIVE_INFINITY);
    await all.heartbeat.start();
    expect(all.heartbeat.age).toBe(0);
    await vi.advanceTimersByTimeAsync(1500);
    expect(all.heartbeat.age).toBe(1500);
    all.beat = away;
    await vi.advanceTimersByTimeAsync(30_000);
    expect(all.heartbeat.age).toBe(31_500);
    all.beat = async () => BEAT;
    await vi.advanceTimersByTimeAsync(500);
    expect(all.heartbeat.age).toBe(0);
    await all.heartbeat.stop();
  });
});

describe('a heartbeat that is hurried', () => {
  test('comes at once, and the next one two seconds later', async () => {
    const { heartbeat, said } = stage();
    await heartbeat.start();
    await vi.advanceTimersByTimeAsync(1000);
    heartbeat.hurry();
    await vi.advanceTimersByTimeAsync(0);
    expect(said).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1999);
    expect(said).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1);
    expect(said).toHaveLength(3);
    expect(vi.getTimerCount()).toBe(1);
    await heartbeat.stop();
  });

  test('has ended once its promise resolves, also where it does not get through', async () => {
    const all = stage();
    await all.heartbeat.start();
    all.beat = async () => ({ ...BEAT, trust: 7 });
    await all.heartbeat.hurry();
    expect(all.heartbeat.last.trust).toBe(7);
    all.beat = away;
    await all.heartbeat.hurry();
    expect([all.said.length, all.heartbeat.last.trust]).toEqual([3, 7]);
    await all.heartbeat.stop();
    await all.heartbeat.hurry();
    expect(all.said).toHaveLength(3);
  });

  test('comes after the one under way, and is ended with it', async () => {
    const all = stage();
    await all.heartbeat.start();
    const first = Promise.withResolvers<Beat>();
    all.beat = () => first.promise;
    await vi.advanceTimersByTimeAsync(2000);
    all.heartbeat.hurry();
    await vi.advanceTimersByTimeAsync(1000);
    expect(all.said).toHaveLength(2);
    const second = Promise.withResolvers<Beat>();
    all.beat = () => second.promise;
    first.resolve({ ...BEAT, trust: 1 });
    await vi.advanceTimersByTimeAsync(5000);
    expect([all.said.length, all.heartbeat.last.trust]).toEqual([3, 1]);
    const stopped = vi.fn();
    const stopping = all.heartbeat.stop().then(stopped);
    await vi.advanceTimersByTimeAsync(1000);
    expect(stopped).not.toHaveBeenCalled();
    second.resolve({ ...BEAT, trust: 2 });
    await stopping;
    expect([all.heartbeat.last.trust, vi.getTimerCount()]).toEqual([2, 0]);
  });

  test('does not come once it is stopped', async () => {
    const { heartbeat, said } = stage();
    await heartbeat.start();
    await heartbeat.stop();
    heartbeat.hurry();
    await vi.advanceTimersByTimeAsync(60_000);
    expect([said.length, vi.getTimerCount()]).toEqual([1, 0]);
  });
});

describe('a router is steady', () => {
  /** Whether it was steady, with each heartbeat from now on. */
  async function speaking() {
    const all = stage();
    const steady: boolean[] = [];
    await all.heartbeat.start();
    const heard = async (_: Beat, isSteady: boolean) => void steady.push(isSteady);
    await all.heartbeat.speak({ endpoint: '', load: () => ({}), heard });
    return { ...all, all, steady };
  }

  test('once it has been heard for 10 seconds', async () => {
    const { steady, heartbeat } = await speaking();
    await vi.advanceTimersByTimeAsync(12_000);
    expect(steady).toEqual([false, false, false, false, false, true, true]);
    await heartbeat.stop();
  });

  test('over one heartbeat that was lost', async () => {
    const { all, steady, heartbeat } = await speaking();
    await vi.advanceTimersByTimeAsync(10_000);
    all.beat = away;
    await vi.advanceTimersByTimeAsync(2000);
    all.beat = async () => BEAT;
    await vi.advanceTimersByTimeAsync(2000);
    expect(steady.at(-1)).toBe(true);
    await heartbeat.stop();
  });

  test('10 seconds after a gap, and not before', async () => {
    const { all, steady, heartbeat } = await speaking();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(steady.at(-1)).toBe(true);
    all.beat = away;
    await vi.advanceTimersByTimeAsync(4000);
    all.beat = async () => BEAT;
    steady.length = 0;
    await vi.advanceTimersByTimeAsync(12_000);
    expect(steady).toEqual([false, false, false, false, false, true]);
    await heartbeat.stop();
  });

  test('not because it was paused for so long', async () => {
    const { steady, heartbeat } = await speaking();
    // As after SIGCONT: the clock has gone on, and no timer has.
    vi.setSystemTime(Date.now() + 60_000);
    await vi.advanceTimersByTimeAsync(2000);
    expect(steady).toEqual([false, false]);
    await heartbeat.stop();
  });
});

test('a clock that is wrong is told of once, and again only once it was right meanwhile', async () => {
  const all = stage();
  let clockSkewSeconds = 5;
  all.beat = async () => ({ ...BEAT, clockSkewSeconds });
  const next = async (seconds: number) => {
    clockSkewSeconds = seconds;
    await vi.advanceTimersByTimeAsync(2000);
  };
  await all.heartbeat.start();
  expect(all.log.of('warn')).toEqual([]);
  for (const seconds of [61, 60, 7]) await next(seconds);
  expect(all.log.of('warn')).toEqual([
    expect.stringContaining('the clock of this machine is 61 s behind that of the database'),
  ]);
  for (const seconds of [0, -6]) await next(seconds);
  expect(all.log.of('warn')).toHaveLength(2);
  expect(all.log.of('warn')[1]).toContain('the clock of this machine is 6 s ahead of that of the database');
  await all.heartbeat.stop();
});
