import { afterEach, describe, expect, test } from 'vitest';
import { noPostgres } from '../core/store/postgres-server.ts';
import { seeded, seedOfRun } from '../faults/ledger.ts';
import { report } from '../fleet/report.ts';
import { violationsOf } from './checker.ts';
import { Cluster } from './cluster.ts';
import { Load } from './load.ts';
import { noNats } from './nats-server.ts';

const KILLS = 2;
const PREFIX = 'alone-';
const seed = seedOfRun();

let cluster: Cluster | undefined;
afterEach(() => cluster?.close());

describe.skipIf(noPostgres ?? noNats)('what watches a cluster', () => {
  test(`finds nothing wrong with a router by itself that is killed with -9 and started again (SEED=${seed})`, async () => {
    cluster = await Cluster.start({ routers: 1, nodes: 1, clustered: false });
    const [router] = cluster.routers;
    if (!router) throw new Error('there is no router');
    const targets = cluster.nodes.map(({ id }) => id);
    const load = new Load(cluster, { prefix: PREFIX, lanes: 8, random: seeded(seed), targets });
    for (let kill = 0; kill < KILLS; kill++) {
      await load.flows(100);
      load.history.died(router.id);
      await router.end('SIGKILL');
      await router.start();
    }
    await load.flows(100);
    await load.stop();
    const evidence = await cluster.evidence(load.history, PREFIX);
    const { seen, told, rows, runs, events } = evidence;
    report(`${load.acknowledged} acknowledged, ${rows.length} rows, ${events.length} events, ${KILLS} kills`);
    expect(violationsOf(evidence)).toEqual([]);
    // What was looked at was there.
    expect(seen.filter(({ kind }) => kind === 'fence').length).toBe(KILLS + 1);
    expect(seen.filter(({ kind }) => kind === 'write').length).toBeGreaterThan(300);
    expect(told[0]?.rows.length).toBe(rows.length);
    expect(runs.size).toBeGreaterThan(200);
    expect(rows.some(({ node }) => node === 'node-a1')).toBe(true);
    expect(events.filter(({ kind }) => kind === 'followed').length).toBeGreaterThan(100);
  });
});
