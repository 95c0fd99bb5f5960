import { describe, expect, test } from 'vitest';
import { PluginMetrics } from '../../../core/dist/host/metrics.js';
import { manifest, settle, World } from '../router/world.ts';
import { TestLog } from '../store/opened.ts';

const counter = (value: number) => ({ kind: 'counter', title: 'Lookups', value });
const gauge = (value: number) => ({ kind: 'gauge', title: 'Waiting', value });
const report = (metrics: object) => `[INSTANCEMETRICS] [] [] ${JSON.stringify(metrics)}`;

function made() {
  const log = new TestLog();
  const plugin = new PluginMetrics('work', log as never);
  const values = () => Object.fromEntries(plugin.status().map(({ name, value }) => [name, value]));
  return { log, plugin, values };
}

describe('the metrics of a plugin', () => {
  test('are sums over its processes', () => {
    const { plugin, values } = made();
    const [one, two] = [plugin.open(), plugin.open()];
    expect(one.take(JSON.stringify({ lookups: counter(5), waiting: gauge(2) }))).toBeUndefined();
    expect(two.take(JSON.stringify({ lookups: counter(7), waiting: gauge(-1) }))).toBeUndefined();
    expect(one.take(JSON.stringify({ lookups: counter(6) }))).toBeUndefined();
    expect(values()).toEqual({ lookups: 13, waiting: 1 });
    expect(one.values()).toEqual({ lookups: 6, waiting: 2 });
    expect(plugin.status()[0]).toEqual({ name: 'lookups', ...counter(13) });
  });

  test('keep what processes counted that have ended, and forget their gauges', () => {
    const { plugin, values } = made();
    for (let run = 1; run <= 3; run++) {
      const process = plugin.open();
      process.take(JSON.stringify({ lookups: counter(10), waiting: gauge(run) }));
      expect(values()).toEqual({ lookups: 10 * run, waiting: run });
      process.end();
      process.end();
      expect(values()).toEqual({ lookups: 10 * run });
    }
  });

  test('are of the kind that the newest version declares', () => {
    const { plugin, values } = made();
    const old = plugin.open();
    old.take(JSON.stringify({ size: counter(100) }));
    const young = plugin.open();
    young.take(JSON.stringify({ size: gauge(3) }));
    expect(values()).toEqual({ size: 3 });
    old.end();
    expect(values()).toEqual({ size: 3 });
  });

  test('have 256 names at most over all processes; the first that is dropped is logged', () => {
    const { plugin, log } = made();
    for (let run = 0; run < 50; run++) {
      const process = plugin.open();
      const names = Array.from({ length: 64 }, (_, i) => [`run_${run}_${i}`, counter(1)]);
      expect(process.take(JSON.stringify(Object.fromEntries(names)))).toBeUndefined();
      process.end();
    }
    expect(plugin.status()).toHaveLength(256);
    expect(log.lines).toHaveLength(1);
    expect(log.lines[0]).toContain('plugin work has 256 metrics over its instances; run_4_0 and further names');
  });
});

test.each([
  ['no object', '[INSTANCEMETRICS] [] [] "lookups"', 'malformed message'],
  ['a name that is none', report({ 'lookups.paris': counter(1) }), 'malformed name'],
  ['an unknown kind', report({ lookups: { kind: 'histogram', title: 'L', value: 1 } }), 'malformed'],
  ['a value that is no number', report({ lookups: { kind: 'gauge', title: 'L', value: null } }), 'malformed'],
  ['a long title', report({ lookups: { kind: 'gauge', title: 'é'.repeat(129), value: 1 } }), 'malformed'],
  ['a negative counter', report({ lookups: counter(-1) }), 'a lower value of the counter lookups'],
  ['a counter that falls', report({ known: counter(9) }), 'a lower value of the counter known'],
  ['another kind', report({ known: gauge(12) }), 'the metric known as a gauge, which was a counter'],
  [
    'too many',
    report(Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`metric_${i}`, gauge(i)]))),
    'more than 64 metrics',
  ],
  ['a flood', report({ lookups: { kind: 'gauge', title: 'x'.repeat(70_000), value: 1 } }), 'a report on itself of'],
])('a report of %s ends the process with that cause', async (_, message, cause) => {
  const world = new World(undefined, { declared: manifest() });
  await world.start();
  world.instances[0]?.report(report({ known: counter(10) }));
  world.instances[0]?.report(message);
  await settle();
  expect(world.host.exits()[0]?.cause).toContain(cause);
  expect(world.host.status().metrics).toEqual([{ name: 'known', ...counter(10) }]);
});
