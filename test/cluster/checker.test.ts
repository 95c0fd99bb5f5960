import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ENDED_MS,
  type Evidence,
  type Fault,
  type Seen,
  type StoredRow,
  timesAfterDeath,
  violationsOf,
} from './checker.ts';
import type { Event } from './history.ts';

const ROUTERS = ['central-a', 'central-b', 'central-c'] as const;

interface Draft {
  events: Event[];
  rows: StoredRow[];
  runs: Map<string, number>;
  seen: Seen[];
}

const router = fc.constantFrom(...ROUTERS);

/**
 * A sound run: three routers, one of which dies in the middle and is taken over by another; requests before, over and after that,
 * each followed at up to two routers.
 */
const soundRun = fc
  .record({
    dying: router,
    requests: fc.array(
      fc.record({
        once: fc.boolean(),
        at: router,
        also: router,
        steps: fc.nat(3),
        fate: fc.constantFrom(
          'finished',
          'failed',
          'refused',
          'refused at first',
          'unknown and done',
          'unknown and lost',
        ),
        followers: fc.uniqueArray(router, { maxLength: 2 }),
        when: fc.constantFrom('before', 'over', 'after'),
      }),
      { minLength: 6, maxLength: 20 },
    ),
  })
  .map(({ dying, requests }): Draft => {
    const taker = ROUTERS.find((one) => one !== dying) ?? '';
    const run: Draft = { events: [], rows: [], runs: new Map(), seen: [] };
    let now = 1000;
    let id = 0;
    for (const one of ROUTERS) run.seen.push({ kind: 'fence', router: one, by: `${one}.1` });
    const living = (one: string) => (one === dying ? taker : one);
    const write = (token: string, code: number, by: string) => {
      run.rows.push({
        id: ++id,
        token,
        code,
        node: '',
        epoch: '',
        origin: null,
        router: by,
        process: `${by}.1`,
        at: now,
      });
      run.seen.push({ kind: 'write', token, by: `${by}.1` });
    };
    const ends: (() => void)[] = [];
    for (const phase of ['before', 'over', 'after']) {
      for (const [i, { once, at, also, steps, fate, followers, when }] of requests.entries()) {
        if (when !== phase) continue;
        const token = `t${i}`;
        const asked = phase === 'after' ? living(at) : at;
        const event = { token, at: ++now, router: asked };
        run.events.push({ kind: 'invoke', ...event, once, target: '' });
        if (fate.startsWith('refused')) run.events.push({ kind: 'fail', ...event, code: 'BUSY' });
        if (fate.startsWith('unknown')) run.events.push({ kind: 'unknown', ...event });
        if (fate === 'refused' || fate === 'unknown and lost') continue;
        if (fate === 'refused at first') {
          const other = phase === 'after' ? living(also) : also;
          run.events.push({ kind: 'invoke', ...event, router: other, once, target: '' });
        }
        write(token, 0, asked);
        if (!fate.startsWith('unknown')) run.events.push({ kind: 'ok', ...event });
        run.runs.set(token, once ? 1 : 2);
        for (let step = 0; step < steps; step++) write(token, 50, asked);
        const end = (by: string) => write(token, fate === 'failed' ? 1 : 2, by);
        if (phase === 'over') ends.push(() => end(living(asked)));
        else end(asked);
        for (const at of followers) {
          const follower = `${token} at ${at}`;
          ends.push(() => {
            const shown = { at: now, router: at, token, follower };
            run.events.push({ kind: 'follow', ...shown });
            for (const row of run.rows) {
              if (row.token === token) run.events.push({ kind: 'row', ...shown, id: row.id, code: row.code });
            }
            run.events.push({ kind: 'followed', ...shown, code: undefined });
          });
        }
      }
      if (phase !== 'over') continue;
      run.events.push({ kind: 'death', at: ++now, router: dying });
      now += ENDED_MS - 1000;
      run.seen.push({ kind: 'fence', router: dying, by: `${taker}.1` });
      for (const end of ends.splice(0)) end();
    }
    for (const end of ends) end();
    return run;
  });

const evidence = (run: Draft): Evidence => ({
  ...run,
  told: ROUTERS.map((one) => ({ router: one, rows: run.rows })),
});

const acknowledged = ({ events }: Draft) => events.find(({ kind }) => kind === 'ok') as { token: string } | undefined;
const rowsOf = ({ rows }: Draft, token: string) => rows.filter((row) => row.token === token);
const without = <T>(all: T[], some: readonly T[]) => all.filter((one) => !some.includes(one));
/** A row that a follower was shown, and neither the first nor the last of them. */
function middle({ events }: Draft) {
  return events.flatMap((event, at) => {
    const [before, after] = [events[at - 1], events[at + 1]];
    return event.kind === 'row' && before?.kind === 'row' && after?.kind === 'row' ? [{ ...event, place: at }] : [];
  })[0];
}

type Planted = Exclude<
  Fault,
  // Of one router as well: ../history/checker.test.ts plants them.
  | 'a row after its end'
  | 'its first row is not that of its acceptance'
  | 'rows of a node out of order'
  | 'never asked for'
>;

/** Spoils a sound run, if it can; says which token is wrong then. */
const PLANTED: Record<Planted, (run: Draft) => string | undefined> = {
  'acknowledged, and lost': (run) => {
    const { token } = acknowledged(run) ?? {};
    if (token) run.rows = without(run.rows, rowsOf(run, token));
    return token;
  },
  'acknowledged, and not ended': (run) => {
    const { token } = acknowledged(run) ?? {};
    if (token) run.rows = without(run.rows, rowsOf(run, token).slice(-1));
    return token;
  },
  'ended twice': (run) => {
    const { token } = acknowledged(run) ?? {};
    const last = token && rowsOf(run, token).at(-1);
    if (last) run.rows.push({ ...last, id: last.id + 10_000 });
    return token;
  },
  'accepted twice': (run) => {
    const { token } = acknowledged(run) ?? {};
    const first = run.rows.findIndex((row) => row.token === token);
    const row = run.rows[first];
    if (row) run.rows.splice(first, 0, { ...row, id: row.id - 0.5 });
    return token;
  },
  'ran twice': (run) => {
    const once = run.events.find((event) => event.kind === 'invoke' && event.once && run.runs.has(event.token));
    if (once?.kind !== 'invoke') return undefined;
    run.runs.set(once.token, 2);
    return once.token;
  },
  'refused, and done': (run) => {
    const { events } = run;
    const kinds = (token: string) => events.flatMap((one) => ('token' in one && one.token === token ? one.kind : []));
    const refused = events.find(
      (event) => event.kind === 'invoke' && event.once && kinds(event.token).join() === 'invoke,fail',
    );
    if (refused?.kind !== 'invoke') return undefined;
    run.runs.set(refused.token, 1);
    return refused.token;
  },
  'finished, and never ran': (run) => {
    const done = run.rows.find(({ code }) => code === 2);
    if (done) run.runs.delete(done.token);
    return done?.token;
  },
  'ended too late after the death of its router': (run) => {
    const [death] = run.events.filter(({ kind }) => kind === 'death');
    const token = run.rows.find(
      (row) => row.router === death?.router && row.code === 0 && isOver(run, row.token),
    )?.token;
    run.rows = run.rows.map((row) => (row.token === token && row.code > 0 && row.code < 3 ? late(row) : row));
    return token;
  },
  'a row was shown that is not stored': (run) => {
    const shown = middle(run);
    if (shown) run.events.splice(shown.place + 1, 0, { ...shown, id: shown.id + 0.5 });
    return shown?.token;
  },
  'rows were shown out of order': (run) => {
    const shown = middle(run);
    const next = shown && run.events[shown.place + 1];
    if (shown && next) run.events.splice(shown.place, 2, next, shown);
    return shown?.token;
  },
  'a row was shown twice': (run) => {
    const shown = middle(run);
    if (shown) run.events.splice(shown.place, 0, shown);
    return shown?.token;
  },
  'a row was not shown': (run) => {
    const shown = middle(run);
    if (shown) run.events.splice(shown.place, 1);
    return shown?.token;
  },
  'the end was not shown': (run) => {
    const at = run.events.findIndex((event) => event.kind === 'row' && (event.code === 1 || event.code === 2));
    const [shown] = at < 0 ? [] : run.events.splice(at, 1);
    return shown?.kind === 'row' ? shown.token : undefined;
  },
  'a follower was refused': (run) => {
    const at = run.events.findIndex(({ kind }) => kind === 'followed');
    const shown = run.events[at];
    if (shown?.kind !== 'followed') return undefined;
    run.events[at] = { ...shown, code: 'FORBIDDEN' };
    return shown.token;
  },
  'written by a router after its fence': (run) => {
    const fence = run.seen.findLast(({ kind }) => kind === 'fence');
    const { token } = run.rows[0] ?? {};
    if (fence?.kind !== 'fence' || token === undefined) return undefined;
    run.seen.push({ kind: 'write', token, by: `${fence.router}.1` });
    return token;
  },
  'a router tells other rows than there are': () => undefined,
};

/** Whether a token was open when the router died. */
function isOver(run: Draft, token: string): boolean {
  const [death] = run.events.filter(({ kind }) => kind === 'death');
  const times = rowsOf(run, token).map(({ at }) => at);
  return death !== undefined && Math.min(...times) < death.at && Math.max(...times) > death.at;
}

const late = (row: StoredRow): StoredRow => ({ ...row, at: row.at + 2000 });

test('a sound run has no violation, and tells how long after the death of its router each token ended', () => {
  fc.assert(
    fc.property(soundRun, (run) => {
      expect(violationsOf(evidence(run))).toEqual([]);
      for (const time of timesAfterDeath(evidence(run))) expect(time).toBe(ENDED_MS - 1000);
    }),
  );
});

describe('a planted violation is found, and no other token is blamed', () => {
  const all = Object.entries(PLANTED) as [Fault, (run: Draft) => string | undefined][];
  test.each(all.filter(([fault]) => fault !== 'a router tells other rows than there are'))('%s', (fault, plant) => {
    let planted = 0;
    fc.assert(
      fc.property(soundRun, (run) => {
        const token = plant(run);
        if (token === undefined) return;
        planted++;
        const found = violationsOf(evidence(run));
        expect(found).toContainEqual(expect.objectContaining({ token, fault }));
        expect(new Set(found.map((one) => one.token))).toEqual(new Set([token]));
      }),
    );
    expect(planted).toBeGreaterThan(10);
  });

  test('a router tells other rows than there are', () => {
    fc.assert(
      fc.property(soundRun, fc.nat(), (run, nth) => {
        const row = run.rows[nth % Math.max(1, run.rows.length)];
        if (!row) return;
        const whole = evidence(run);
        const [first, ...others] = whole.told;
        const told = [{ router: first?.router ?? '', rows: without(run.rows, [row]) }, ...others];
        const fault = 'a router tells other rows than there are';
        expect(violationsOf({ ...whole, told })).toEqual([{ token: row.token, fault, who: ROUTERS[0] }]);
      }),
    );
  });
});

describe('what is no violation', () => {
  const row = (id: number, code: number, by: string, at: number): StoredRow => {
    return { id, token: 't', code, node: '', epoch: '', origin: null, router: routerOfRow(by), process: by, at };
  };
  const routerOfRow = (by: string) => by.slice(0, -2);
  const asked = { token: 't', at: 900, router: 'a' };
  const begun: Event[] = [
    { kind: 'invoke', ...asked, once: false, target: '' },
    { kind: 'ok', ...asked },
  ];
  const runs = new Map([['t', 2]]);

  test('a router that started again writes, since it raised its own fence', () => {
    const rows = [row(1, 0, 'a.1', 1000), row(2, 2, 'a.2', 3000)];
    const seen: Seen[] = [
      { kind: 'fence', router: 'a', by: 'a.1' },
      { kind: 'write', token: 't', by: 'a.1' },
      { kind: 'fence', router: 'a', by: 'b.1' },
      { kind: 'fence', router: 'a', by: 'a.2' },
      { kind: 'write', token: 't', by: 'a.2' },
    ];
    expect(violationsOf({ events: begun, rows, runs, seen, told: [] })).toEqual([]);
    const early: Seen[] = [...seen, { kind: 'write', token: 't', by: 'a.1' }];
    expect(violationsOf({ events: begun, rows, runs, seen: early, told: [] })).toEqual([
      { token: 't', fault: 'written by a router after its fence', who: 'a.1' },
    ]);
  });

  test('a token whose second router died, too, has its time from that death', () => {
    const events: Event[] = [
      ...begun,
      { kind: 'death', at: 2000, router: 'a' },
      { kind: 'death', at: 12_000, router: 'b' },
    ];
    const rows = [row(1, 0, 'a.1', 1000), row(2, 2, 'c.1', 26_000)];
    expect(violationsOf({ events, rows, runs, seen: [], told: [] })).toEqual([]);
    const [alone] = [events.filter((event) => event.router !== 'b')];
    expect(violationsOf({ events: alone ?? [], rows, runs, seen: [], told: [] })).toEqual([
      { token: 't', fault: 'ended too late after the death of its router' },
    ]);
  });
});
