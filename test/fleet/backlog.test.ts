import type { Client } from '@centreond/client';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../daemon-process.ts';
import { Fleet, type Poller } from './fleet.ts';
import { median, quantile, report, seconds } from './report.ts';

const ROWS = Number(process.env.ROWS ?? (process.env.LONG ? 1_000_000 : 100_000));
/** Requests that write them. */
const WRITERS = 4;
const CUTS = 20;
const MIB = 2 ** 20;
const GROWTH_LIMIT = 64 * MIB;
const ROWS_PER_SECOND = 20_000;
const P99_RATIO = 3;
/** Calls of which each p99 is taken; the median of those counts, so that a hiccup of the machine does not. */
const WINDOW_CALLS = 200;
const WINDOWS = 5;
const LIMIT_MS = 300_000;

let fleet: Fleet;
beforeAll(async () => {
  // The pollers stand for machines of their own: on this one they give way to the central.
  const poller = { wrapper: ['nice', '-n', '5'] };
  fleet = await Fleet.start({ push: 1, pull: 1, poller });
  report(`${ROWS} rows on ${fleet.network.description}`);
});
afterAll(async () => fleet?.close());

/** Another client of the central, that calls one thing after the other until it is told to end. */
class Bystander {
  readonly #latencies: number[] = [];
  #going = true;
  readonly #calls: Promise<void>;

  constructor(client: Client) {
    this.#calls = this.#run(client);
  }

  get count(): number {
    return this.#latencies.length;
  }

  async #run(client: Client): Promise<void> {
    while (this.#going) {
      const since = performance.now();
      await client.call('ECHO', { n: this.#latencies.length });
      this.#latencies.push(performance.now() - since);
    }
  }

  /** The median of the windows' p99, in milliseconds. */
  async end(): Promise<number> {
    this.#going = false;
    await this.#calls;
    const windows: number[] = [];
    for (let at = 0; at + WINDOW_CALLS <= this.#latencies.length; at += WINDOW_CALLS) {
      windows.push(quantile(this.#latencies.slice(at, at + WINDOW_CALLS), 0.99));
    }
    // Fewer calls than a window holds: they were slow, and count as they are.
    return windows.length > 0 ? median(windows) : quantile(this.#latencies, 0.99);
  }
}

const cursorOf = async (id: string) => Number((await fleet.nodes()).find((node) => node.id === id)?.cursor ?? 0);

/** Has a poller write its rows while it is cut off. Resolves with the id of its last row. */
async function writeCutOff({ id, machine, wire }: Poller, tokens: readonly string[]): Promise<number> {
  const rows = ROWS / WRITERS;
  await Promise.all(tokens.map((token) => fleet.alice.send('STEPS', { rows }, { target: id, token })));
  const oneOf = (token: string) => fleet.alice.query({ token, code: 50, limit: 1 });
  await until('all write their rows', async () => {
    const first = await Promise.all(tokens.map(oneOf));
    return first.every((rows) => rows.length > 0);
  });
  wire.cut();
  const local = await fleet.local(machine);
  // Asked for by its rows, each look would read a quarter of a million.
  const counters = async () => (await local.send('INFORMATION')).data.counters as { open?: number };
  await until(`all has ended on ${id}`, async () => (await counters()).open === 0, LIMIT_MS);
  await local.close();
  const db = new Database(machine.database, { readonly: true });
  try {
    return db.prepare<[], number>('SELECT max(id) FROM centreond_history').pluck().get() as number;
  } finally {
    db.close();
  }
}

interface Healing {
  readonly tookMs: number;
  /** From each cut until rows came again. */
  readonly awayMs: number;
  /** Rows per second after the last cut. */
  readonly perSecond: number;
  readonly growth: number;
}

/** Heals the wire, and breaks it 20 times while the rows come. */
async function heal({ id, wire }: Poller, last: number): Promise<Healing> {
  const first = await cursorOf(id);
  const before = fleet.central.memory;
  let peak = before;
  let awayMs = 0;
  await wire.heal();
  await until(`${id} is up`, async () => (await fleet.stateOf(id)) === 'up', 20_000);
  const began = performance.now();
  const passes = async (position: number) => {
    await until(
      `row ${position} of ${last} is central`,
      async () => {
        peak = Math.max(peak, fleet.central.memory);
        return (await cursorOf(id)) >= position;
      },
      LIMIT_MS,
    );
  };
  for (let cut = 1; cut <= CUTS; cut++) {
    // In the first half of the rows; the second shows what the wire gives when it is left alone.
    await passes(first + Math.floor(((last - first) * cut) / (2 * CUTS)));
    const position = await cursorOf(id);
    const since = performance.now();
    wire.reset();
    await passes(Math.min(position + 1, last));
    awayMs += performance.now() - since;
  }
  const left = last - (await cursorOf(id));
  const since = performance.now();
  await passes(last);
  const now = performance.now();
  return { tookMs: now - began, awayMs, perSecond: (left / (now - since)) * 1000, growth: peak - before };
}

/** What is different between the log of a node and what the central has of it; '' where nothing is. */
function difference({ id, machine }: Poller): string {
  const there = new Database(machine.database, { readonly: true });
  const here = new Database(fleet.central.database, { readonly: true });
  try {
    const own = there
      .prepare('SELECT id, token, code, etime, data FROM centreond_history ORDER BY id')
      .iterate() as IterableIterator<Record<string, unknown>>;
    // In the order in which the central stored them: its ids ascend with the node's.
    const central = here
      .prepare(
        `SELECT o.origin_id AS id, token, code, etime, data FROM centreond_history h JOIN centreond_origin o USING (id)
         WHERE o.node = (SELECT number FROM centreond_node WHERE id = ?) ORDER BY h.id`,
      )
      .iterate(id) as IterableIterator<Record<string, unknown>>;
    for (;;) {
      const [a, b] = [own.next(), central.next()];
      if (a.done && b.done) return '';
      const [written, stored] = [JSON.stringify(a.value), JSON.stringify(b.value)];
      if (written !== stored) {
        own.return?.();
        central.return?.();
        return `${id} wrote ${written}, and the central has ${stored}`;
      }
    }
  } finally {
    there.close();
    here.close();
  }
}

test.each(['pull-1', 'push-1'])(
  '%s writes its rows while it is cut off, and 20 cuts while healing: all arrive once and in order',
  async (id) => {
    const poller = fleet.poller(id);
    const bob = await fleet.connect('bob');
    // What a central has in use when it has worked for a while.
    await fleet.alice.call('STEPS', { rows: 20_000 }, { target: id });
    const calm = new Bystander(bob);
    await until('it has called often enough', () => calm.count >= WINDOWS * WINDOW_CALLS, 60_000);
    const p99Before = await calm.end();
    const tokens = Array.from({ length: WRITERS }, (_, i) => `backlog-${id}-${Date.now()}-${i}`);
    const wrote = performance.now();
    const last = await writeCutOff(poller, tokens);
    report(`${id}: cut off, and its rows written in ${seconds(performance.now() - wrote)}`);
    const busy = new Bystander(bob);
    const { tookMs, awayMs, perSecond, growth } = await heal(poller, last);
    const p99During = await busy.end();
    report(
      `${id}: ${ROWS} rows and ${CUTS} cuts in ${seconds(tookMs)}, of which ${seconds(awayMs)} to come back after cuts`,
    );
    report(`${id}: ${Math.round(perSecond)} rows/s after the last cut, ${Math.round((ROWS / tookMs) * 1000)} in all`);
    report(`${id}: the central grew by ${(growth / MIB).toFixed(0)} MiB`);
    report(`${id}: another client's p99 ${p99Before.toFixed(1)} ms before, ${p99During.toFixed(1)} ms meanwhile`);
    await bob.close();

    expect(difference(poller)).toBe('');
    for (const token of tokens) expect(await fleet.alice.query({ token, code: 2 })).toHaveLength(1);
    expect(growth).toBeLessThan(GROWTH_LIMIT);
    // A figure of the machine as much as of the daemon: held where there is time to measure it.
    if (process.env.LONG) expect((ROWS / tookMs) * 1000).toBeGreaterThan(ROWS_PER_SECOND);
    expect(p99During / p99Before).toBeLessThan(P99_RATIO);
  },
);
