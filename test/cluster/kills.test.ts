import { describe, expect, onTestFinished, test } from 'vitest';
import { noPostgres } from '../core/store/postgres-server.ts';
import { until } from '../daemon-process.ts';
import { seeded, seedOfRun } from '../faults/ledger.ts';
import { report } from '../fleet/report.ts';
import { Cluster, listed } from './cluster.ts';
import { Load } from './load.ts';
import type { Router } from './member.ts';
import { noNats } from './nats-server.ts';
import { expectNothingWrong } from './verdict.ts';

const KILLS = process.env.LONG ? 100 : 4;
/** The history of so many kills is checked at a time. */
const PART = process.env.LONG ? 10 : 4;
const timeout = process.env.LONG ? 7_200_000 : 600_000;
const LANES = 8;
/** Longer than the promise: whatever is late is found by the checker. */
const PATIENCE_MS = 45_000;
/** While one is dead, another dies within so long. */
const SECOND_MS = 13_000;
/** What follows a kill: the router is started again; stays away until others have settled what it had; another one dies meanwhile. */
const WAYS = ['again', 'away', 'two'] as const;

const seed = seedOfRun();

class Killer {
  readonly #random = seeded(seed);
  kills = 0;

  constructor(
    private readonly cluster: Cluster,
    private readonly load: Load,
  ) {}

  async kill(): Promise<void> {
    const { load, cluster } = this;
    await load.flows(20 + Math.floor(this.#random() * 100));
    const way = WAYS[this.kills % WAYS.length];
    const dead = [await this.#killOne()];
    if (way !== 'again') {
      const open = new Set((await cluster.witness.open(load.options.prefix)).keys());
      if (way === 'two') {
        await new Promise((resolve) => setTimeout(resolve, this.#random() * SECOND_MS));
        dead.push(await this.#killOne());
      }
      let late = new Map<string, string>();
      const settled = async () => {
        const now = [...(await cluster.witness.open(load.options.prefix))];
        late = new Map(now.filter(([token]) => open.has(token)));
        return late.size === 0;
      };
      // The checker says more of what is late.
      await until('what was open has ended', settled, PATIENCE_MS).catch(async (error: Error) =>
        report(`${error.message}; ${listed(late)}\n${await cluster.story(5)}`),
      );
      await load.flows(20);
    }
    for (const router of dead) await cluster.restart(router);
    await cluster.whenLinked();
  }

  async #killOne(): Promise<Router> {
    const running = this.cluster.routers.filter((router) => router.running);
    const victim = running[Math.floor(this.#random() * running.length)];
    if (!victim) throw new Error('no router runs');
    await new Promise((resolve) => setTimeout(resolve, this.#random() * 50));
    this.load.history.died(victim.id);
    this.kills++;
    await victim.end('SIGKILL');
    return victim;
  }
}

describe.skipIf(noPostgres ?? noNats)('a cluster of three routers', () => {
  test(`loses nothing, runs nothing twice and ends every token within 15 s when any of them is killed with -9 at any time (SEED=${seed})`, {
    timeout,
  }, async () => {
    const cluster = await Cluster.start({ routers: 3, nodes: 1 });
    onTestFinished(() => cluster.close());
    const targets = cluster.nodes.map(({ id }) => id);
    for (let kills = 0, part = 0; kills < KILLS; part++) {
      const load = new Load(cluster, { prefix: `kill${part}-`, lanes: LANES, random: seeded(seed + part), targets });
      const killer = new Killer(cluster, load);
      while (killer.kills < Math.min(PART, KILLS - kills)) await killer.kill();
      kills += killer.kills;
      await load.flows(100);
      const { seen } = await expectNothingWrong(cluster, load);
      report(`${kills} kills in all`);
      const taken = seen.filter((one) => one.kind === 'fence' && !one.by.startsWith(`${one.router}.`));
      expect(taken.length, 'routers whose place another one took').toBeGreaterThan(0);
    }
  });
});
