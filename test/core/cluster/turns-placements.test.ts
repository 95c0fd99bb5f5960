import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Placements } from '../../../core/dist/cluster/placements.js';
import { Lines } from './turns-stage.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Locks as PostgreSQL has them: of a session, and counted. */
class Locks {
  session = 0;
  isAway = false;
  /** How often each is taken. */
  taken = new Map<string, number>();
  /** Called while a lock is taken. */
  meanwhile = () => {};

  async lock(name: string): Promise<boolean> {
    this.meanwhile();
    if (this.isAway) return new Promise(() => {});
    this.taken.set(name, (this.taken.get(name) ?? 0) + 1);
    return true;
  }
  async unlock(name: string): Promise<void> {
    if (this.isAway) return new Promise(() => {});
    const times = (this.taken.get(name) ?? 0) - 1;
    if (times > 0) this.taken.set(name, times);
    else this.taken.delete(name);
  }
  async holderOf(): Promise<undefined> {}

  /** Another session takes the place of this one. */
  change(): void {
    this.session++;
    this.taken.clear();
  }
}

function stage() {
  const locks = new Locks();
  const turns: boolean[] = [];
  const state = { beatAge: 0, locks, turns, also: (_type: string) => {} };
  const placements = new Placements({
    ...{ id: 'a', membership: locks, clock: { now: Date.now, monotonic: Date.now }, log: new Lines() as never },
    ...{ bus: { ask: async () => '{}' }, requests: { fail: () => {} } },
    beatAge: () => state.beatAge,
    beat: async () => {},
    others: () => ({ competing: [], running: undefined }),
    routers: () => [],
    keep: async () => false,
    carrierOf: () => {
      throw new Error('nothing is handed over');
    },
  });
  placements.compete('clock', async (isMine) => void turns.push(isMine));
  state.also = (type) => void placements.compete(type, async () => {});
  placements.start();
  return state;
}

const rounds = (count: number) => vi.advanceTimersByTimeAsync(count * 1000);

test('a turn ends where the database has not answered for 5 s, before its lock is free for another router', async () => {
  const router = stage();
  await rounds(1);
  router.beatAge = 5000;
  await rounds(1);
  expect(router.turns).toEqual([true]);
  router.beatAge = 5001;
  router.locks.isAway = true;
  await rounds(2);
  expect(router.turns).toEqual([true, false]);
});

test('it ends although the database is being asked for another turn, and does not answer', async () => {
  const router = stage();
  await rounds(1);
  router.locks.isAway = true;
  router.also('mail');
  await rounds(1);
  router.beatAge = 9000;
  await rounds(1);
  expect(router.turns).toEqual([true, false]);
});

test('a turn is not sought while the database does not answer, and its lock is taken once when it does again', async () => {
  const router = stage();
  await rounds(1);
  router.beatAge = 9000;
  await rounds(10);
  expect([router.turns, router.locks.taken.size]).toEqual([[true, false], 0]);
  router.beatAge = 0;
  await rounds(3);
  expect([router.turns, [...router.locks.taken.values()]]).toEqual([[true, false, true], [1]]);
});

test('a lock that is taken after the database was silent for too long is given back', async () => {
  const router = stage();
  await rounds(1);
  router.locks.meanwhile = () => {
    router.beatAge = 9000;
  };
  router.locks.change();
  await rounds(3);
  expect([router.turns, router.locks.taken.size]).toEqual([[true, false], 0]);
});
