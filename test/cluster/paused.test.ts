import { describe, expect, onTestFinished, test } from 'vitest';
import { noPostgres } from '../core/store/postgres-server.ts';
import { until } from '../daemon-process.ts';
import { seeded, seedOfRun } from '../faults/ledger.ts';
import { report, seconds } from '../fleet/report.ts';
import { Cluster } from './cluster.ts';
import { Load } from './load.ts';
import { noNats } from './nats-server.ts';
import { expectNothingWrong } from './verdict.ts';

const PAUSE_MS = process.env.LONG ? 60_000 : 15_000;
const TAKEN_MS = 15_000;
/** A router that goes on and finds itself fenced has ended within so long. */
const ENDED_MS = 10_000;

const seed = seedOfRun();

describe.skipIf(noPostgres ?? noNats)('a router of three that stands still for longer than it may be silent', () => {
  test.each([
    ['with all that it started', true],
    ['while its plugins go on', false],
  ])(`writes nothing when it goes on, and ends itself: %s (SEED=${seed})`, async (name, isWhole) => {
    const cluster = await Cluster.start({ routers: 3, nodes: 1 });
    onTestFinished(() => cluster.close());
    const targets = cluster.nodes.map(({ id }) => id);
    const load = new Load(cluster, { prefix: 'pause-', lanes: 8, random: seeded(seed), targets });
    await load.flows(200);
    const [, paused] = cluster.routers;
    if (!paused) throw new Error('there is no such router');
    const began = performance.now();
    load.history.died(paused.id);
    paused.pause(isWhole);
    const isFenced = async () =>
      (await cluster.witness.seen('pause-')).some(
        (one) => one.kind === 'fence' && one.router === paused.id && !one.by.startsWith(`${paused.id}.`),
      );
    await until('another router has taken its place', isFenced, TAKEN_MS);
    const taken = performance.now() - began;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS - taken));
    await load.flows(50);
    paused.resume();
    const resumed = performance.now();
    await until('the router has ended by itself', () => !paused.running, ENDED_MS);
    const ended = performance.now() - resumed;
    expect(await paused.ended()).not.toBe(0);
    const paces = `taken over after ${seconds(taken)}, ended ${seconds(ended)} after it went on`;
    report(`a router paused for ${seconds(PAUSE_MS)} ${name}: ${paces}`);
    // As its supervisor does.
    await cluster.restart(paused);
    await cluster.whenLinked();
    await load.flows(100);
    await expectNothingWrong(cluster, load);
  });
});
