import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Event, type Evidence, type Fault, type StoredRow, violationsOf } from './checker.ts';

interface Draft {
  events: Event[];
  rows: StoredRow[];
  runs: Map<string, number>;
}

/** A sound run: requests on two nodes, interleaved at random, some refused, some of which nobody knows. */
const soundRun = fc
  .array(
    fc.record({
      once: fc.boolean(),
      steps: fc.nat(3),
      fate: fc.constantFrom(
        'finished',
        'failed',
        'refused',
        'unknown and done',
        'unknown and lost',
        'refused at first',
      ),
      node: fc.constantFrom('paris', 'lyon'),
      isFollowed: fc.boolean(),
      at: fc.array(fc.nat(1000), { minLength: 8, maxLength: 8 }),
    }),
    { minLength: 3, maxLength: 20 },
  )
  .map((requests): Draft => {
    const events: Event[] = [];
    const runs = new Map<string, number>();
    const drafts: (Omit<StoredRow, 'id' | 'origin'> & { at: number; isOwn: boolean })[] = [];
    for (const [i, { once, steps, fate, node, at }] of requests.entries()) {
      const token = `t${i}`;
      events.push({ kind: 'invoke', token, once });
      if (fate.startsWith('refused')) events.push({ kind: 'fail', token, code: 'BUSY' });
      else if (fate.startsWith('unknown')) events.push({ kind: 'unknown', token });
      if (fate === 'refused at first') events.push({ kind: 'invoke', token, once });
      if (fate === 'refused' || fate === 'unknown and lost') continue;
      if (!fate.startsWith('unknown')) events.push({ kind: 'ok', token });
      const isFailed = fate === 'failed';
      if (!isFailed) runs.set(token, once ? 1 : 2);
      const times = at.toSorted((a, b) => a - b);
      const codes = [0, 0, ...Array.from({ length: steps }, () => 50), isFailed ? 1 : 2];
      for (const [n, code] of codes.entries()) {
        drafts.push({
          token,
          code,
          node: n === 0 ? '' : node,
          epoch: n === 0 ? '' : 'e',
          at: times[n] as number,
          isOwn: n === 0,
        });
      }
    }
    const origins = new Map<string, number>();
    const rows = drafts
      .toSorted((a, b) => a.at - b.at)
      .map(({ at: _, isOwn, ...row }, i): StoredRow => {
        const origin = (origins.get(row.node) ?? 0) + 1;
        origins.set(row.node, origin);
        return { ...row, id: i + 1, origin: isOwn ? null : origin };
      });
    for (const [i, { isFollowed }] of requests.entries()) {
      if (!isFollowed) continue;
      for (const { id, token, code } of rows) if (token === `t${i}`) events.push({ kind: 'row', token, id, code });
    }
    return { events, rows, runs };
  });

const acknowledged = ({ events }: Draft) => events.find(({ kind }) => kind === 'ok')?.token;
const rowsOf = ({ rows }: Draft, token: string) => rows.filter((row) => row.token === token);
const without = <T>(all: T[], some: readonly T[]) => all.filter((one) => !some.includes(one));

/** Spoils a sound run, if it can; says which token is wrong then. */
const PLANTED: Record<Fault, (run: Draft) => string | undefined> = {
  'acknowledged, and lost': (run) => {
    const token = acknowledged(run);
    run.rows = without(run.rows, rowsOf(run, token ?? ''));
    return token;
  },
  'acknowledged, and not ended': (run) => {
    const token = acknowledged(run);
    run.rows = without(run.rows, rowsOf(run, token ?? '').slice(-1));
    return token;
  },
  'ended twice': (run) => {
    const token = acknowledged(run);
    const last = token && rowsOf(run, token).at(-1);
    if (last) run.rows.push({ ...last, id: run.rows.length + 1, origin: 1000 });
    return token;
  },
  'a row after its end': (run) => {
    const token = acknowledged(run);
    const last = token && rowsOf(run, token).at(-1);
    if (last) run.rows.push({ ...last, id: run.rows.length + 1, origin: 1000, code: 50 });
    return token;
  },
  'its first row is not that of its acceptance': (run) => {
    const token = acknowledged(run);
    run.rows = without(run.rows, rowsOf(run, token ?? '').slice(0, 2));
    return token;
  },
  'rows of a node out of order': (run) => {
    const token = acknowledged(run);
    const [, second, third] = token ? rowsOf(run, token) : [];
    if (!second || !third) return undefined;
    run.rows = run.rows.map((row) => {
      if (row === second) return { ...row, origin: third.origin };
      return row === third ? { ...row, origin: second.origin } : row;
    });
    return token;
  },
  'never asked for': (run) => {
    const [token = ''] = run.rows.map((row) => row.token);
    run.events = run.events.filter((event) => event.token !== token);
    return token || undefined;
  },
  'refused, and done': (run) => {
    const isRefused = (token: string) =>
      run.events.some((event) => event.kind === 'fail' && event.token === token) &&
      !run.events.some((event) => event.kind === 'ok' && event.token === token);
    const token = run.events.find((event) => event.kind === 'invoke' && event.once && isRefused(event.token))?.token;
    if (token) run.runs.set(token, 1);
    return token;
  },
  'ran twice': (run) => {
    const once = run.events.find((event) => event.kind === 'invoke' && event.once && run.runs.has(event.token));
    if (once) run.runs.set(once.token, 2);
    return once?.token;
  },
  'finished, and never ran': (run) => {
    const [token] = run.runs.keys();
    if (token) run.runs.delete(token);
    return token;
  },
  'a row was shown that is not stored': (run) => {
    const token = acknowledged(run);
    if (token) run.events.push({ kind: 'row', token, id: 5000, code: 50 });
    return token;
  },
  'rows were shown out of order': (run) => {
    const at = run.events.findIndex((event, i) => event.kind === 'row' && run.events[i + 1]?.token === event.token);
    const [one, other] = run.events.slice(at, at + 2);
    if (at < 0 || !one || other?.kind !== 'row') return undefined;
    run.events.splice(at, 2, other, one);
    return one.token;
  },
  'a row was shown twice': (run) => {
    const shown = run.events.find((event) => event.kind === 'row');
    if (shown) run.events.splice(run.events.indexOf(shown), 0, shown);
    return shown?.token;
  },
  'a row was not shown': (run) => {
    const at = run.events.findIndex((event) => event.kind === 'row');
    return at < 0 ? undefined : run.events.splice(at, 1)[0]?.token;
  },
};

const evidence = ({ events, rows, runs }: Draft): Evidence => ({ events, rows, runs });

test('a sound run has no violation', () => {
  fc.assert(
    fc.property(soundRun, (run) => {
      expect(violationsOf(evidence(run))).toEqual([]);
    }),
  );
});

describe('a planted violation is found, and no other token is blamed', () => {
  test.each(Object.entries(PLANTED) as [Fault, (run: Draft) => string | undefined][])('%s', (fault, plant) => {
    let planted = 0;
    fc.assert(
      fc.property(soundRun, (run) => {
        const token = plant(run);
        if (token === undefined) return;
        planted++;
        const found = violationsOf(evidence(run));
        expect(found).toContainEqual({ token, fault });
        expect(new Set(found.map((one) => one.token))).toEqual(new Set([token]));
      }),
    );
    expect(planted).toBeGreaterThan(20);
  });
});
