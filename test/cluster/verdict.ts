import { expect } from 'vitest';
import { quantile, report, seconds } from '../fleet/report.ts';
import { type Evidence, timesAfterDeath, type Violation, violationsOf } from './checker.ts';
import type { Cluster } from './cluster.ts';
import type { Load } from './load.ts';

/** So many violations are told in full. */
const TOLD = 5;

/** Stops a load, fails unless all holds that a cluster promises of it, and prints its figures. Every router runs. */
export async function expectNothingWrong(cluster: Cluster, load: Load): Promise<Evidence> {
  await load.stop();
  const evidence = await cluster.evidence(load.history, load.options.prefix);
  const found = violationsOf(evidence);
  report(figures(load, evidence));
  expect(found.length, `${explained(found, evidence)}\n${found.length > 0 ? await cluster.story() : ''}`).toBe(0);
  // What was looked at was there.
  expect(evidence.rows.length).toBeGreaterThan(load.acknowledged);
  expect(evidence.seen.filter(({ kind }) => kind === 'write').length).toBeGreaterThanOrEqual(evidence.rows.length);
  return evidence;
}

function figures(load: Load, evidence: Evidence): string {
  const { events } = evidence;
  const count = (kind: string) => events.filter((event) => event.kind === kind).length;
  const refusals = [...load.history.refusals].map(([code, times]) => `${code} ${times}`).join(', ');
  const lags = lagsOf(evidence);
  const times = timesAfterDeath(evidence);
  const late =
    times.length === 0
      ? 'no token was open at a death'
      : `${times.length} tokens open at a death ended ${seconds(quantile(times, 0.5))} after it, the last ${seconds(Math.max(...times))}`;
  return [
    `${load.acknowledged} acknowledged (${count('unknown')} without an answer; ${refusals || 'nothing else refused'})`,
    `${count('follow')} followers were shown ${count('row')} rows, the end ${seconds(quantile(lags, 0.5))} after it was written, at most ${seconds(Math.max(0, ...lags))}`,
    late,
  ].join('; ');
}

/** How long after it was written each follower was shown the end; after it began to follow, where that was later. */
function lagsOf({ events, rows }: Evidence): number[] {
  const written = new Map(rows.map(({ id, at }) => [id, at]));
  const began = new Map(events.flatMap((event) => (event.kind === 'follow' ? [[event.follower, event.at]] : [])));
  return events.flatMap((event) => {
    if (event.kind !== 'row' || (event.code !== 1 && event.code !== 2)) return [];
    return event.at - Math.max(written.get(event.id) ?? 0, began.get(event.follower) ?? 0);
  });
}

/** Violations, and all that is known of the tokens of the first of them. */
function explained(found: readonly Violation[], { events, rows, runs }: Evidence): string {
  const counts = [...Map.groupBy(found, ({ fault }) => fault)].map(([fault, all]) => `${all.length} × ${fault}`);
  const tokens = [...new Set(found.map(({ token }) => token))].slice(0, TOLD);
  const told = tokens.flatMap((token) => [
    ...found
      .filter((one) => one.token === token)
      .map(({ fault, who }) => `${token}: ${fault}${who ? ` (${who})` : ''}`),
    ...events.filter((event) => 'token' in event && event.token === token).map((event) => `  ${JSON.stringify(event)}`),
    ...rows.filter((row) => row.token === token).map((row) => `  ${JSON.stringify(row)}`),
    `  ran ${runs.get(token) ?? 0} times`,
  ]);
  const deaths = events.filter(({ kind }) => kind === 'death').map((event) => JSON.stringify(event));
  return [counts.join(', '), ...told, ...deaths].join('\n');
}
