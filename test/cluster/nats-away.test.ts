import { isRetryable } from '@centreond/protocol';
import { describe, expect, onTestFinished, test } from 'vitest';
import { noPostgres } from '../core/store/postgres-server.ts';
import { seeded, seedOfRun } from '../faults/ledger.ts';
import { quantile, report, seconds } from '../fleet/report.ts';
import { Cluster } from './cluster.ts';
import { Load } from './load.ts';
import type { Router } from './member.ts';
import { noNats } from './nats-server.ts';
import { expectNothingWrong } from './verdict.ts';

const AWAY_MS = process.env.LONG ? 60_000 : 15_000;
/** What needs no other router ends within so long while the machine is loaded. */
const LOCAL_MS = 5000;
const BACK_MS = 5000;
/** Whoever was not answered for so long asks no more. */
const ANSWER_MS = 15_000;
const PREFIX = 'nats-';

const seed = seedOfRun();

/** What is asked of each router while NATS is away, and what came of it. */
class Probes {
  readonly localMs: number[] = [];
  /** Tokens for nodes of other routers that were acknowledged. */
  readonly accepted: string[] = [];
  readonly refused = new Map<string, number>();
  #count = 0;

  constructor(
    private readonly cluster: Cluster,
    private readonly load: Load,
  ) {}

  async all(): Promise<void> {
    const { routers, nodes } = this.cluster;
    for (const router of routers) {
      const own = this.cluster.nodesOf(router);
      await this.#here(router, '');
      for (const { id } of own) await this.#here(router, id);
      for (const { id } of nodes.filter((node) => !own.includes(node))) await this.#elsewhere(router, id);
    }
  }

  /** Runs at the router itself, or at its own node: that needs no NATS. */
  async #here(router: Router, target: string): Promise<void> {
    const began = performance.now();
    const { ok } = await this.cluster.client(router).call('ECHO', {}, { target, timeoutMs: LOCAL_MS });
    expect(ok, `${target || 'the plugin'} at ${router.id}`).toBe(true);
    this.localMs.push(performance.now() - began);
  }

  async #elsewhere(router: Router, target: string): Promise<void> {
    const token = `${PREFIX}probe-${++this.#count}`;
    const order = { token, target, once: true, timeoutMs: ANSWER_MS };
    const told = await this.load.history.send(router.id, this.cluster.client(router), 'ONCE', { ms: 0 }, order);
    expect(told, `${token} for ${target} at ${router.id} has an answer`).not.toBe('unknown');
    if (told === 'ok') this.accepted.push(token);
    else {
      expect(isRetryable(told), `${told} for ${target} at ${router.id}`).toBe(true);
      this.refused.set(told, (this.refused.get(told) ?? 0) + 1);
    }
  }
}

describe.skipIf(noPostgres ?? noNats)('a cluster without NATS', () => {
  test.each(['killed', 'paused'])(
    `goes on with local plugins and own nodes, refuses or holds the rest and loses nothing: NATS is %s (SEED=${seed})`,
    async (how) => {
      const nats = { user: 'router', password: 'a word of NATS' };
      const cluster = await Cluster.start({ routers: 3, nodes: 1, nats });
      onTestFinished(() => cluster.close());
      const targets = cluster.nodes.map(({ id }) => id);
      const load = new Load(cluster, { prefix: PREFIX, lanes: 6, random: seeded(seed), targets });
      await load.flows(200);

      const probes = new Probes(cluster, load);
      const began = performance.now();
      if (how === 'killed') await cluster.nats.kill();
      else await cluster.nats.pause();
      while (performance.now() - began < AWAY_MS) await probes.all();
      await load.flows(20);

      if (how === 'killed') await cluster.nats.start();
      else cluster.nats.resume();
      const back = performance.now();
      await cluster.whenLinked();
      const backMs = performance.now() - back;
      const { localMs, accepted, refused } = probes;
      const told = [...refused].map(([code, times]) => `${code} ${times}`).join(', ') || 'nothing refused';
      report(
        [
          `NATS ${how} for ${seconds(performance.now() - began)}`,
          `${localMs.length} local requests within ${seconds(quantile(localMs, 0.5))}, at most ${seconds(Math.max(...localMs))}`,
          `for nodes of other routers: ${told}, ${accepted.length} held`,
          `every router reached every node ${seconds(backMs)} after it was back`,
        ].join('; '),
      );
      await load.flows(100);
      const { rows } = await expectNothingWrong(cluster, load);
      const finished = new Set(rows.filter(({ code }) => code === 2).map(({ token }) => token));
      expect(accepted.filter((token) => !finished.has(token))).toEqual([]);
      expect(backMs).toBeLessThan(BACK_MS);
      expect(cluster.routers.map((router) => router.process)).toEqual(cluster.routers.map(({ id }) => `${id}.1`));
      expect(cluster.routers.every(({ running }) => running)).toBe(true);
    },
  );
});
