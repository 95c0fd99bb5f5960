import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Placements } from '../../../core/dist/cluster/placements.js';
import type { RouterRecord } from '../../../core/dist/store/membership.js';
import { FakeBus, Lines, router } from './stage.ts';

const ROUND_MS = 1000;
const PASSED_MS = 5000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** The locks of a database: each belongs to a session, which may take it several times and must give it back as often. */
class LockTable {
  readonly held = new Map<string, { owner: Session; times: number }>();
}

class Session {
  session = 1;
  isAway = false;
  /** What happens in the middle of a lock. */
  before: () => void = () => {};
  after: () => void = () => {};
  constructor(private readonly table: LockTable) {}

  async lock(name: string): Promise<boolean> {
    await Promise.resolve();
    this.before();
    if (this.isAway) throw new Error('the database is away');
    const held = this.table.held.get(name) ?? { owner: this, times: 0 };
    if (held.owner !== this) return false;
    held.times++;
    this.table.held.set(name, held);
    this.after();
    return true;
  }

  async holderOf(): Promise<undefined> {}

  async unlock(name: string): Promise<void> {
    await Promise.resolve();
    if (this.isAway) throw new Error('the database is away');
    const held = this.table.held.get(name);
    if (held?.owner === this && --held.times === 0) this.table.held.delete(name);
  }

  /** The connection is lost, and with it its locks; another one is there. */
  lost(): void {
    this.session++;
    for (const [name, { owner }] of this.table.held) if (owner === this) this.table.held.delete(name);
  }
}

class Contender {
  readonly session: Session;
  readonly placements: Placements;
  readonly turns: string[] = [];
  others: { competing: string[]; running: string | undefined } = { competing: [], running: undefined };
  /** The other routers, as the last heartbeat described them. */
  routers: RouterRecord[] = [];
  /** What it said with each heartbeat of the turns that it has. */
  readonly beats: string[] = [];
  ending = Promise.resolve();
  readonly log = new Lines();

  constructor(table: LockTable, id: string) {
    this.session = new Session(table);
    this.placements = new Placements({
      ...{ id, membership: this.session, clock: { now: Date.now, monotonic: Date.now }, log: this.log as never },
      ...{ bus: new FakeBus(), requests: { fail: () => {} }, others: () => this.others, beatAge: () => 0 },
      ...{ routers: () => this.routers, keep: async () => false },
      beat: async () => void this.beats.push(this.placements.types.turns.join()),
      carrierOf: () => {
        throw new Error('nothing is handed over');
      },
    });
  }

  compete(type = 'cron'): () => void {
    return this.placements.compete(type, async (isMine) => {
      this.turns.push(`${type} ${isMine}`);
      if (!isMine) await this.ending;
    });
  }

  /** The types whose turn it is here, by what was told. */
  get mine(): string[] {
    const last = new Map(this.turns.map((turn) => turn.split(' ') as [string, string]));
    return [...last].flatMap(([type, isMine]) => (isMine === 'true' ? [type] : []));
  }
}

function pair() {
  const table = new LockTable();
  return { table, a: new Contender(table, 'a'), b: new Contender(table, 'b') };
}

const rounds = (count = 1) => vi.advanceTimersByTimeAsync(count * ROUND_MS);

describe('a plugin of which one router runs it at a time', () => {
  test('runs where its lock is, and nowhere else', async () => {
    const { a, b } = pair();
    for (const one of [a, b]) {
      one.compete();
      one.placements.start();
    }
    await rounds(10);
    expect([a.turns, b.turns]).toEqual([['cron true'], []]);
    expect(a.placements.types).toEqual({ competes: ['cron'], runs: ['cron'], turns: ['cron'] });
    expect(b.placements.types).toEqual({ competes: ['cron'], runs: [], turns: [] });
  });

  test('waits for the start of the cluster', async () => {
    const { a } = pair();
    a.compete();
    await rounds(10);
    expect(a.turns).toEqual([]);
    a.placements.start();
    await rounds();
    expect(a.turns).toEqual(['cron true']);
  });

  test('runs elsewhere within a round once its router withdraws', async () => {
    const { a, b, table } = pair();
    const withdraw = a.compete();
    a.placements.start();
    await rounds();
    b.compete();
    b.placements.start();
    await rounds();
    withdraw();
    await rounds();
    // Who withdraws has ended it, and is told nothing.
    expect([a.turns, b.turns]).toEqual([['cron true'], ['cron true']]);
    expect(a.placements.types).toEqual({ competes: [], runs: [], turns: [] });
    expect(table.held.size).toBe(1);
  });

  test('is let go where its router withdrew while it took the lock', async () => {
    const { a, table } = pair();
    const withdraw = a.compete();
    a.session.before = withdraw;
    a.placements.start();
    await rounds();
    expect([a.turns, table.held.size]).toEqual([[], 0]);
  });

  test('ends here with the session that had its lock, with all the others', async () => {
    const { a, b } = pair();
    for (const type of ['cron', 'mail']) a.compete(type);
    a.placements.start();
    await rounds();
    expect(a.mine).toEqual(['cron', 'mail']);
    a.session.lost();
    b.compete('cron');
    b.placements.start();
    await rounds();
    expect(a.turns.slice(2)).toEqual(['cron false', 'mail false', 'mail true']);
    expect([a.mine, b.mine]).toEqual([['mail'], ['cron']]);
  });

  test('is not sought while the database is away, and is once it is back', async () => {
    const { a } = pair();
    a.session.isAway = true;
    a.compete();
    a.placements.start();
    await rounds(5);
    expect(a.turns).toEqual([]);
    a.session.isAway = false;
    await rounds();
    expect(a.turns).toEqual(['cron true']);
  });

  test.each(['before', 'after'] as const)(
    'runs on one router though the session is lost while it takes the lock (%s it has it), and its lock is given back whole',
    async (when) => {
      const { a, b, table } = pair();
      const withdraw = a.compete();
      a.session[when] = () => {
        a.session.lost();
        a.session[when] = () => {};
      };
      a.placements.start();
      b.compete();
      b.placements.start();
      await rounds(5);
      expect([...a.mine, ...b.mine]).toEqual(['cron']);
      expect([...table.held.values()].map(({ times }) => times)).toEqual([1]);
      if (a.mine.length === 0) return;
      withdraw();
      await rounds(2);
      expect(b.mine).toEqual(['cron']);
    },
  );
});

/** The router b, which may run cron, as the heartbeat of a that brings it describes it. */
const former = (change: Partial<RouterRecord> = {}) =>
  router('b', {
    load: JSON.stringify({
      ...{ open: 0, nodes: 0, carried: 0, isReached: true, actions: [], competes: ['cron'], runs: [], turns: ['cron'] },
    }),
    ...change,
  });

describe('a turn that another router had', () => {
  test('begins here once the plugin has ended there, although its lock was free before', async () => {
    const { a } = pair();
    a.routers = [former()];
    a.compete();
    a.placements.start();
    await rounds(3);
    // The others know by then that it has the lock.
    expect([a.turns, a.placements.types.turns, a.beats.at(-1)]).toEqual([[], ['cron'], 'cron']);
    a.routers = [former({ load: '{}' })];
    await rounds();
    expect(a.turns).toEqual(['cron true']);
  });

  test.each([
    ['beats, and so knows that it lost its lock', {}, 5.5],
    ['was killed: it had beaten since this session began', { silentSeconds: 2 }, 5.5],
    ['has stopped', { state: 'stopped' as const }, 0],
    ['has been silent for so long that it has ended the plugin', { silentSeconds: 12 }, 0],
  ])('begins here when the other %s', async (_, change, seconds) => {
    const { a } = pair();
    a.routers = [former(change)];
    a.compete();
    a.placements.start();
    if (seconds > 0) await vi.advanceTimersByTimeAsync(seconds * 1000 - 500);
    if (seconds > 0) expect(a.turns).toEqual([]);
    await rounds();
    expect(a.turns).toEqual(['cron true']);
  });

  test('waits for the silence of a router of which the server that took over has heard nothing', async () => {
    const { a } = pair();
    // Its last heartbeat was 3 s before this session began.
    const beaten = Date.now() - 3000;
    Object.defineProperty(a, 'routers', {
      get: () => [former({ silentSeconds: Math.round((Date.now() - beaten) / 1000), state: 'silent' })],
    });
    a.compete();
    a.placements.start();
    await rounds(8);
    expect(a.turns).toEqual([]);
    await rounds(2);
    expect(a.turns).toEqual(['cron true']);
  });

  test('does not begin here where the session is lost meanwhile', async () => {
    const { a, b } = pair();
    a.routers = [former()];
    a.compete();
    a.placements.start();
    await rounds(2);
    a.session.lost();
    b.compete();
    b.placements.start();
    await rounds(20);
    expect([a.turns, b.turns]).toEqual([[], ['cron true']]);
  });

  test('is said to be here until the plugin has ended', async () => {
    const { a, b } = pair();
    a.compete();
    a.placements.start();
    await rounds();
    const { promise, resolve } = Promise.withResolvers<void>();
    a.ending = promise;
    b.compete();
    a.session.lost();
    b.placements.start();
    await rounds(3);
    expect([a.turns, a.placements.types.runs, a.placements.types.turns]).toEqual([
      ...[['cron true', 'cron false'], [], ['cron']],
    ]);
    resolve();
    await rounds();
    expect([a.placements.types.turns, a.beats.at(-1)]).toEqual([[], '']);
  });
});

describe('a plugin that failed for good on the router whose turn it is', () => {
  test('stays there where no other competes', async () => {
    const { a } = pair();
    a.compete();
    a.placements.start();
    await rounds();
    a.placements.pass('cron');
    a.placements.pass('unknown');
    await rounds();
    expect(a.turns).toEqual(['cron true']);
  });

  test('goes to another that competes, and is sought again after a while', async () => {
    const { a, b } = pair();
    a.compete();
    a.placements.start();
    await rounds();
    a.others = { competing: ['b'], running: undefined };
    a.placements.pass('cron');
    expect(a.turns).toEqual(['cron true', 'cron false']);
    await vi.advanceTimersByTimeAsync(PASSED_MS - ROUND_MS);
    expect(a.turns).toHaveLength(2);
    b.compete();
    b.placements.start();
    await rounds(10);
    expect([a.mine, b.mine]).toEqual([[], ['cron']]);
  });

  test('comes back where the other did not take it', async () => {
    const { a } = pair();
    a.compete();
    a.placements.start();
    await rounds();
    a.others = { competing: ['b'], running: undefined };
    a.placements.pass('cron');
    await vi.advanceTimersByTimeAsync(PASSED_MS + ROUND_MS);
    expect(a.turns).toEqual(['cron true', 'cron false', 'cron true']);
  });
});

test('nothing is sought any more once it is stopped, and what is let go goes with the session', async () => {
  const { a } = pair();
  const withdraw = a.compete();
  a.placements.start();
  await rounds();
  a.session.isAway = true;
  a.placements.stop();
  withdraw();
  await rounds(10);
  expect(a.turns).toEqual(['cron true']);
  expect(a.log.of('debug')).toEqual([expect.stringContaining('its turn was not given back: the database is away')]);
});

test('a stand-in knows the router that runs its plugin', () => {
  const { a } = pair();
  const standIn = a.placements.standIn({ type: 'cron' } as never);
  expect(standIn.runsOn()).toBeUndefined();
  a.others = { competing: ['b'], running: 'b' };
  expect(standIn.runsOn()).toBe('b');
});
