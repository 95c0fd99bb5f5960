import 'reflect-metadata';
import { FakeClock, testPlugin } from '@centreond/plugin-kit';
import { Action, type Counter, inject, METRICS, type Metrics, Plugin } from '@centreond/plugin-sdk';
import { expect, test } from 'vitest';
import { z } from 'zod';
import {
  LinkMetrics,
  METRICS_EVERY_MS,
  METRICS_LIMIT,
  type ReportedMetric,
} from '../../plugin-sdk/runtime/dist/metrics.js';

const Nothing = z.strictObject({});
const HEAD = '[INSTANCEMETRICS] [] [] ';

@Plugin({ type: 'looker', title: 'Counts its lookups' })
class LookerPlugin {
  readonly #lookups: Counter;
  constructor(@inject(METRICS) metrics: Metrics) {
    this.#lookups = metrics.counter('lookups', 'Lookups that were made');
  }

  @Action('LOOK', { title: 'Look something up', input: Nothing, output: Nothing })
  look(): z.input<typeof Nothing> {
    this.#lookups.add();
    return {};
  }
}

/** Metrics, and what their core was told. */
function told() {
  const clock = new FakeClock();
  const reports: Record<string, ReportedMetric>[] = [];
  const send = (text: string) => {
    expect(text.startsWith(HEAD)).toBe(true);
    reports.push(JSON.parse(text.slice(HEAD.length)));
  };
  return { clock, reports, metrics: new LinkMetrics('looker', { send }, clock) };
}

test('a test sees what the plugin counted', async () => {
  const clock = new FakeClock();
  await using looker = await testPlugin(LookerPlugin, { clock });
  expect(looker.metrics).toEqual({ lookups: 0 });
  for (let i = 0; i < 3; i++) await looker.call('LOOK', {});
  expect(looker.metrics).toEqual({ lookups: 3 });
  await clock.advance(METRICS_EVERY_MS);
  expect(looker.router.services.metrics.get('lookups')).toEqual({
    kind: 'counter',
    title: 'Lookups that were made',
    value: 3,
  });
});

test('a million changes are a message each five seconds, with what changed and its sum', async () => {
  const { clock, reports, metrics } = told();
  const lookups = metrics.counter('lookups', 'Lookups');
  const waiting = metrics.gauge('waiting', 'Requests that wait');
  metrics.counter('idle', 'Never used');
  await clock.advance(0);
  expect(reports.map((report) => Object.keys(report))).toEqual([['lookups', 'waiting', 'idle']]);
  for (let second = 0; second < 20; second++) {
    for (let i = 0; i < 50_000; i++) lookups.add();
    waiting.set(second);
    await clock.advance(1000);
  }
  await clock.advance(METRICS_EVERY_MS);
  expect(reports.length).toBeLessThanOrEqual(2 + 20_000 / METRICS_EVERY_MS);
  expect(reports.at(-1)).toEqual({
    lookups: { kind: 'counter', title: 'Lookups', value: 1_000_000 },
    waiting: { kind: 'gauge', title: 'Requests that wait', value: 19 },
  });
  const before = reports.length;
  waiting.set(19);
  lookups.add(0);
  await clock.advance(10 * METRICS_EVERY_MS);
  expect(reports, 'nothing changed').toHaveLength(before);
});

test('a stop tells what was still to be told', async () => {
  const { clock, reports, metrics } = told();
  const lookups = metrics.counter('lookups', 'Lookups');
  await clock.advance(0);
  lookups.add(7);
  metrics.flush();
  metrics.flush();
  await clock.advance(2 * METRICS_EVERY_MS);
  expect(reports.map((report) => report.lookups?.value)).toEqual([0, 7]);
});

test('asking for a name again gives the same metric', () => {
  const { metrics } = told();
  metrics.counter('lookups', 'Lookups').add(2);
  metrics.counter('lookups', 'Lookups again').add(0.5);
  expect(metrics.values()).toEqual({ lookups: 2.5 });
});

test('what can be no metric, and one too many, is refused with its name and what is wrong', () => {
  const { metrics } = told();
  const refused = (make: () => unknown, sentence: string) =>
    expect(make).toThrow(
      expect.objectContaining({ code: 'INVALID_REPORT', message: expect.stringContaining(sentence) }),
    );
  for (const name of ['', 'Lookups', 'lookups.paris', '7up', 'x'.repeat(65), 'a-b', 'a b'])
    refused(() => metrics.counter(name, 'Title'), 'its name is not a lower-case letter');
  refused(() => metrics.gauge('waiting', ''), 'its title is empty');
  refused(() => metrics.gauge('waiting', 'é'.repeat(129)), 'longer than 256 bytes');
  const counter = metrics.counter('lookups', 'Lookups');
  refused(() => metrics.gauge('lookups', 'Lookups'), 'lookups is a counter already');
  for (const by of [-1, Number.NaN, Number.POSITIVE_INFINITY]) refused(() => counter.add(by), 'from 0 up');
  const gauge = metrics.gauge('waiting', 'Waiting');
  for (const value of [Number.NaN, Number.NEGATIVE_INFINITY]) refused(() => gauge.set(value), 'a finite number');
  gauge.set(-3.5);
  for (let i = 2; i < METRICS_LIMIT; i++) metrics.counter(`metric_${i}`, 'One more');
  refused(() => metrics.counter('too_many', 'Too many'), 'has 64 metrics already');
  expect(metrics.values()).toMatchObject({ lookups: 0, waiting: -3.5 });
});
