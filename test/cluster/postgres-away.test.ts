import type { Client } from '@centreond/client';
import { isCentreondError, reasonOf } from '@centreond/protocol';
import { describe, expect, onTestFinished, test } from 'vitest';
import { noPostgres } from '../core/store/postgres-server.ts';
import { until } from '../daemon-process.ts';
import { seeded, seedOfRun } from '../faults/ledger.ts';
import { quantile, report, seconds } from '../fleet/report.ts';
import { Cluster } from './cluster.ts';
import { Load } from './load.ts';
import type { Router } from './member.ts';
import { noNats } from './nats-server.ts';
import { expectNothingWrong } from './verdict.ts';

const AWAY_MS = process.env.LONG ? 60_000 : 10_000;
const BACK_MS = 5000;
const ANSWER_MS = 10_000;
/** Longer than a statement may take. */
const STILL_MS = process.env.LONG ? 60_000 : 35_000;
const UNANSWERED_MS = 2000;
const PREFIX = 'postgres-';
const SENTENCE = /could not be put on disk: .+ Nothing was run/;

const seed = seedOfRun();

/** What a router answers to a request: 'ok', or its refusal with the sentence. */
async function answerOf(client: Client, token: string, timeoutMs = ANSWER_MS): Promise<string> {
  try {
    await client.send('ECHO_ONCE', {}, { token, timeoutMs });
    return 'ok';
  } catch (error) {
    return isCentreondError(error) ? `${error.code}: ${reasonOf(error)}` : reasonOf(error);
  }
}

/** How long after `back` each router accepts a request, in milliseconds. */
function servedAgain(cluster: Cluster, back: number): Promise<number[]> {
  return Promise.all(
    cluster.routers.map(async (router) => {
      const client = cluster.client(router);
      let answer = '';
      let asked = 0;
      const accepts = async () => {
        answer = await answerOf(client, `back-${router.id}-${++asked}`);
        return answer === 'ok';
      };
      await until(`${router.id} accepts a request`, accepts).catch(async (error: Error) => {
        throw new Error(`${error.message}, but ${answer}\n${await cluster.story()}`);
      });
      return performance.now() - back;
    }),
  );
}

/** Why the store is away, as INFORMATION tells. */
async function awayOf(client: Client): Promise<unknown> {
  const { counters } = (await client.send('INFORMATION', {})).data as { counters: { store: { away: unknown } } };
  return counters.store.away;
}

describe.skipIf(noPostgres ?? noNats)('a cluster without PostgreSQL', () => {
  test(`acknowledges nothing, says why, and serves again within 5 s after it is back (SEED=${seed})`, async () => {
    const cluster = await Cluster.start({ routers: 3, nodes: 1, postgres: ['fsync=on'] });
    onTestFinished(() => cluster.close());
    const { routers, postgres } = cluster;
    const targets = cluster.nodes.map(({ id }) => id);
    const load = new Load(cluster, { prefix: PREFIX, lanes: 8, random: seeded(seed), targets });
    await load.flows(200);

    await postgres.kill();
    const began = performance.now();
    const answersMs: number[] = [];
    for (let asked = 0; performance.now() - began < AWAY_MS; ) {
      for (const router of routers) {
        const before = performance.now();
        const answer = await answerOf(cluster.client(router), `away-${++asked}`);
        expect(answer, router.id).toMatch(/^STORE_FAILED: /);
        expect(answer).toMatch(SENTENCE);
        answersMs.push(performance.now() - before);
      }
    }
    for (const router of routers) expect(await awayOf(cluster.client(router)), router.id).toMatch(/PostgreSQL/);
    await postgres.start();

    const back = performance.now();
    const backMs = await servedAgain(cluster, back);
    await cluster.whenLinked();
    await load.flows(100);
    for (const router of routers) expect(await awayOf(cluster.client(router)), router.id).toBeNull();
    report(
      [
        `PostgreSQL killed, and away for ${seconds(back - began)}`,
        `${answersMs.length} requests refused with STORE_FAILED within ${seconds(quantile(answersMs, 0.5))}, at most ${seconds(Math.max(...answersMs))}`,
        `the routers served again after ${backMs.map(seconds).join(', ')}`,
      ].join('; '),
    );
    await expectNothingWrong(cluster, load);
    const known = await cluster.witness.query("SELECT token FROM centreond_request WHERE token LIKE 'away-%'");
    expect(known, 'what was refused is not there').toEqual([]);
    expect(Math.max(...backMs)).toBeLessThan(BACK_MS);
    // Nobody took a silence that all had for a death.
    expect(routers.map((router) => router.process)).toEqual(routers.map(({ id }) => `${id}.1`));
    expect(routers.every(({ running }) => running)).toBe(true);
  });

  test(`that only stands still, acknowledges nothing, loses nothing, and serves again within 5 s after it goes on (SEED=${seed})`, async () => {
    const cluster = await Cluster.start({ routers: 3, nodes: 1 });
    onTestFinished(() => cluster.close());
    const { routers, postgres } = cluster;
    const load = new Load(cluster, { prefix: PREFIX, lanes: 8, random: seeded(seed) });
    await load.flows(200);
    postgres.pause();
    const began = performance.now();
    const answers = new Set<string>();
    for (let asked = 0; performance.now() - began < STILL_MS; ) {
      const answer = (router: Router) => answerOf(cluster.client(router), `still-${++asked}`, UNANSWERED_MS);
      for (const one of await Promise.all(routers.map(answer))) answers.add(one.split(':')[0] ?? '');
    }
    postgres.resume();
    const back = performance.now();
    const backMs = await servedAgain(cluster, back);
    await cluster.whenLinked();
    await load.flows(100);
    report(
      `PostgreSQL stood still for ${seconds(back - began)}; answers: ${[...answers].join(', ')}; the routers served again after ${backMs.map(seconds).join(', ')}`,
    );
    await expectNothingWrong(cluster, load);
    expect(answers).not.toContain('ok');
    expect(Math.max(...backMs)).toBeLessThan(BACK_MS);
    expect(routers.every(({ running }) => running)).toBe(true);
  });
});
