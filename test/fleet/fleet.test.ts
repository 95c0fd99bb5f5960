import path from 'node:path';
import type { Client } from '@centreond/client';
import type { HistoryRow } from '@centreond/protocol';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT } from '../daemon-process.ts';
import { runs, seeded, seedOfRun, terminalRows } from '../faults/ledger.ts';
import { storedRows, violationsOf } from '../history/checker.ts';
import { Recorder } from '../history/recorder.ts';
import { Fleet, type Poller } from './fleet.ts';
import { report, seconds } from './report.ts';
import type { Wire } from './wire.ts';

const OF_EACH_KIND = Number(process.env.POLLERS ?? (process.env.LONG ? 50 : 20)) / 2;
const CHAOS_MS = process.env.CHAOS ? Number(process.env.CHAOS) * 1000 : process.env.LONG ? 600_000 : 40_000;
const LANES = 60;
/** Between two requests of a lane, at most. */
const REQUEST_EVERY_MS = 300;
/** Between two faults, at most. */
const FAULT_EVERY_MS = 1500;
/** One fault in so many ends the central. */
const CENTRAL_ONE_IN = 25;
/** What a fleet may need to end everything once it is whole again. */
const SETTLE_MS = 120_000;

let fleet: Fleet;
beforeAll(async () => {
  const began = performance.now();
  const plugins = [{ package: path.join(ROOT, 'plugins/action') }];
  fleet = await Fleet.start({ push: OF_EACH_KIND, pull: OF_EACH_KIND, poller: { plugins } });
  const took = seconds(performance.now() - began);
  report(`${fleet.pollers.length} pollers on ${fleet.network.description}, up after ${took}`);
});
afterAll(async () => fleet?.close());

test('a command to every node: all outcomes are central', async () => {
  const began = performance.now();
  const outcomes = await Promise.all(
    fleet.pollers.map(async ({ id }) => {
      const outcome = await fleet.alice.call('COMMAND', { command: ['echo', id] }, { target: id, timeoutMs: 60_000 });
      return { id, node: outcome.row.node, data: outcome.data };
    }),
  );
  for (const { id, node, data } of outcomes) {
    expect({ node, data }).toMatchObject({ node: id, data: { exitCode: 0, stdout: `${id}\n` } });
  }
  report(`${outcomes.length} outcomes after ${seconds(performance.now() - began)}`);
});

/** Clients that send to random nodes until they are told to end, and follow what was acknowledged. */
class Traffic {
  readonly recorder = new Recorder();
  /** Tokens by the error of their terminal row, or 'finished'. */
  readonly ended = new Map<string, string>();
  readonly faults: string[] = [];
  #going = true;
  #next = 0;
  readonly #lanes: Promise<unknown>;

  constructor(
    clients: readonly Client[],
    private readonly random: () => number,
  ) {
    this.#lanes = Promise.all(
      Array.from({ length: LANES }, (_, i) => this.#lane(clients[i % clients.length] as Client)),
    );
  }

  /** Resolves when everything that was acknowledged has ended. */
  async end(): Promise<void> {
    this.#going = false;
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<never>((_, reject) => {
      const fail = () => {
        const open = [...this.recorder.acknowledged].filter((token) => !this.ended.has(token));
        reject(
          new Error(`${open.length} tokens do not end within ${seconds(SETTLE_MS)}: ${open.slice(0, 10).join(' ')}`),
        );
      };
      timer = setTimeout(fail, SETTLE_MS);
    });
    await Promise.race([this.#lanes, limit]);
    clearTimeout(timer);
  }

  async #lane(client: Client): Promise<void> {
    while (this.#going) {
      await new Promise((resolve) => setTimeout(resolve, this.random() * REQUEST_EVERY_MS));
      const { id } = fleet.pollers[Math.floor(this.random() * fleet.pollers.length)] as Poller;
      const token = `chaos-${++this.#next}`;
      const data = { ms: Math.floor(this.random() * 50), rows: Math.floor(this.random() * 4) };
      const hold = this.random() < 0.1;
      const options = { token, target: id, once: true, ...(hold && { envelope: { hold } }) };
      if (!(await this.recorder.send(client, 'ONCE', data, options))) continue;
      this.#check(token, id, data.rows, await this.recorder.follow(client, token));
    }
  }

  #check(token: string, target: string, expected: number, rows: readonly HistoryRow[]): void {
    const last = rows.at(-1) as HistoryRow;
    const error = last.code === 2 ? 'finished' : String((last.data as { error?: unknown }).error);
    this.ended.set(token, error);
    const steps = rows.filter(({ code }) => code === 50).map(({ data }) => (data as { step: number }).step);
    if (steps.some((step, i) => step !== i + 1)) this.faults.push(`${token}: its steps are ${steps}`);
    if (error !== 'finished') return;
    const all = rows.map(({ node, code }) => `${node} ${code}`).join(', ');
    const whole = [
      'central 0',
      `${target} 0`,
      ...Array.from({ length: expected }, () => `${target} 50`),
      `${target} 2`,
    ];
    if (all !== whole.join(', ')) this.faults.push(`${token}: its rows are ${all}`);
  }
}

/** What goes wrong, at random, one thing at a time for each node. */
class Chaos {
  readonly counts = new Map<string, number>();
  readonly #busy = new Map<object, Promise<void>>();

  constructor(
    private readonly random: () => number,
    private readonly clientWires: readonly Wire[],
  ) {}

  async run(milliseconds: number): Promise<void> {
    const until = Date.now() + milliseconds;
    for (let fault = 1; Date.now() < until; fault++) {
      await this.#pause(FAULT_EVERY_MS);
      if (fault % CENTRAL_ONE_IN === 0) await this.#central();
      else if (fault % 10 === 0) this.#count('a client is cut', () => this.#pick(this.clientWires).reset());
      else this.#hit(this.#pick(fleet.pollers));
    }
    await Promise.all(this.#busy.values());
  }

  #pick<T>(all: readonly T[]): T {
    return all[Math.floor(this.random() * all.length)] as T;
  }

  #pause(atMost: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, this.random() * atMost));
  }

  #count<T>(what: string, work: () => T): T {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
    return work();
  }

  async #central(): Promise<void> {
    await this.#count('the central is killed', () => fleet.central.end('SIGKILL'));
    await fleet.central.start();
  }

  #hit(poller: Poller): void {
    if (this.#busy.has(poller)) return;
    const work = this.#fault(poller).then(() => void this.#busy.delete(poller));
    this.#busy.set(poller, work);
  }

  async #fault({ machine, wire }: Poller): Promise<void> {
    const dice = this.random();
    if (dice < 0.4) {
      await this.#count('killed', () => machine.end('SIGKILL'));
      await this.#pause(2000);
      await machine.start();
    } else if (dice < 0.6) this.#count('reset', () => wire.reset());
    else if (dice < 0.75) {
      this.#count('cut', () => wire.cut());
      await this.#pause(5000);
      await wire.heal();
    } else if (dice < 0.9) {
      this.#count('silent', () => wire.silence());
      await this.#pause(20_000);
      await wire.heal();
    } else {
      this.#count('stopped', () => process.kill(machine.pid, 'SIGSTOP'));
      await this.#pause(20_000);
      process.kill(machine.pid, 'SIGCONT');
    }
  }
}

const seed = seedOfRun();
test(`${CHAOS_MS / 60_000} minutes of kills and cuts: every request that was acknowledged ends once, none runs twice, rows are in order (SEED=${seed})`, {
  timeout: CHAOS_MS + 2 * SETTLE_MS + 120_000,
}, async () => {
  const random = seeded(seed);
  const wires = [await fleet.wireTo(fleet.central), await fleet.wireTo(fleet.central)];
  const clients = await Promise.all((['bob', 'carol'] as const).map((name, i) => fleet.connect(name, wires[i])));
  const traffic = new Traffic(clients, random);
  const chaos = new Chaos(random, wires);
  let whole = 0;
  let up = 0;
  try {
    await chaos.run(CHAOS_MS);
    whole = performance.now();
    await fleet.whenUp();
    up = performance.now() - whole;
  } finally {
    await traffic.end();
  }
  report(`${[...chaos.counts].map(([what, count]) => `${what} ${count}`).join(', ')}`);
  report(`all up after ${seconds(up)}, all ended after ${seconds(performance.now() - whole)}`);
  report(`${traffic.recorder.acknowledged.size} acknowledged: ${countsOf(traffic.ended.values())}`);
  report(`refused: ${[...traffic.recorder.refusals].map(([code, count]) => `${code} ${count}`).join(', ')}`);
  await Promise.all(clients.map((client) => client.close()));
  await Promise.all([fleet.central, ...fleet.pollers.map(({ machine }) => machine)].map((machine) => machine.end()));

  expect(traffic.faults).toEqual([]);
  const { recorder, ended } = traffic;
  expect([...recorder.acknowledged].filter((token) => !ended.has(token))).toEqual([]);
  const ran = new Map<string, number>();
  for (const { machine } of fleet.pollers) {
    for (const [token, times] of runs(machine)) ran.set(token, (ran.get(token) ?? 0) + times);
    expect([...terminalRows(machine)].filter(([, times]) => times > 1)).toEqual([]);
  }
  const rows = storedRows(fleet.central.database, 'chaos-');
  expect(violationsOf({ events: recorder.events, rows, runs: ran })).toEqual([]);
  const finished = [...ended.values()].filter((how) => how === 'finished');
  // What ran when its daemon was killed ends with code 1; all else finishes.
  expect(finished.length).toBeGreaterThan(ended.size * 0.8);
});

function countsOf(values: Iterable<string>): string {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].map(([value, count]) => `${count} ${value}`).join(', ');
}
