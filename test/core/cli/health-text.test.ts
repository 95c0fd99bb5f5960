import { expect, test } from 'vitest';
import { healthLines, standbyLines } from '../../../core/dist/cli/health-text.js';
import type { PluginStatus } from '../../../core/dist/router/executor.js';

const SINCE = Date.UTC(2026, 10, 28, 12, 30);
const ok = { state: 'ok', since: SINCE } as const;
const bad = { state: 'degraded', why: 'its disk is \u001b[31mfull', since: SINCE } as const;

function plugin(instances: Record<string, typeof ok | typeof bad | null>): PluginStatus {
  const figures = {
    pid: 1,
    state: 'ready',
    restarts: 0,
    inFlight: 0,
    p50Ms: null,
    p99Ms: null,
    rss: null,
    metrics: {},
  };
  const all = Object.entries(instances).map(([id, health]) => ({ id, ...figures, health }));
  const worst = all.find(({ health }) => health?.state === 'degraded') ?? all.find(({ health }) => health !== null);
  const health = worst?.health ? { instance: worst.id, ...worst.health } : null;
  return {
    type: 'weather',
    package: 'weather',
    version: '1',
    state: 'ready',
    health,
    metrics: [],
    waiting: 0,
    instances: all,
  };
}

test('names the worst instance with its key, and counts the others', () => {
  const since = 'is degraded since 2026-11-28 12:30:00 +00:00';
  expect(healthLines([plugin({ 1: bad })])).toEqual([`weather ${since}: its disk is �[31mfull\n`]);
  expect(healthLines([plugin({ paris: ok, rome: bad })])).toEqual([`weather/rome ${since}: its disk is �[31mfull\n`]);
  expect(healthLines([plugin({ paris: bad, rome: bad })])[0]).toContain(`${since}; so is 1 other instance of it: `);
  expect(healthLines([plugin({ a: bad, b: bad, c: bad, d: ok })])[0]).toContain('; so are 2 other instances of it: ');
});

test('says nothing of plugins that are ok, or report nothing', () => {
  expect(healthLines([plugin({ 1: ok }), plugin({ 1: null }), plugin({})])).toEqual([]);
});

test('says of a plugin that another router runs that it stands by, and why', () => {
  const standby = { ...plugin({}), state: 'standby', reason: 'it runs on the router b' };
  expect(standbyLines([plugin({ 1: ok }), standby])).toEqual(['weather stands by here: it runs on the router b\n']);
});
