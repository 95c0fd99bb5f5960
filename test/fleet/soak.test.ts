import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Client } from '@centreond/client';
import { isCentreondError } from '@centreond/protocol';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT, until } from '../daemon-process.ts';
import { seeded, seedOfRun } from '../faults/ledger.ts';
import { Fleet, fresh, type Poller } from './fleet.ts';
import { median, report } from './report.ts';

/** In seconds: SOAK, an hour with --long, or a minute. */
const SOAK = Number(process.env.SOAK ?? (process.env.LONG ? 3600 : 60));
const POLLERS = Number(process.env.POLLERS ?? (process.env.LONG || process.env.SOAK ? 20 : 4));
const SAMPLES = 80;
const LANES_OF_EACH_KIND = 3;
/** Between two requests of a lane, and between two faults, at most. */
const REQUEST_EVERY_MS = 400;
const FAULT_EVERY_MS = 8000;
const SETTLE_MS = 180_000;
const MIB = 1024 * 1024;

const seed = seedOfRun();
const random = seeded(seed);
const folder = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'centreond-soak-')));
const outbox = path.join(folder, 'outbox');
const inbox = path.join(folder, 'inbox');
let fleet: Fleet;

beforeAll(
  async () => {
    for (const each of [outbox, inbox]) mkdirSync(each);
    writeFileSync(path.join(outbox, 'file'), 'x'.repeat(100_000));
    const files = path.join(ROOT, 'plugins/files');
    fleet = await Fleet.start({
      push: Math.floor(POLLERS / 2),
      pull: Math.ceil(POLLERS / 2),
      central: { plugins: [{ package: files, config: { send: [outbox] } }] },
      poller: {
        plugins: [{ package: path.join(ROOT, 'plugins/action') }, { package: files, config: { receive: [inbox] } }],
      },
    });
  },
  60_000 + POLLERS * 15_000,
);
afterAll(async () => {
  await fleet?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** What is to stay flat, of the central or of all of its fleet. */
interface Sample {
  readonly centralFiles: number;
  readonly centralRss: number;
  readonly wal: number;
  readonly files: number;
  readonly pss: number;
  readonly processes: number;
}

/** By how much the last quarter may be above the second: a part of that, and so much more. */
const SLACK: Readonly<Record<keyof Sample, { part: number; more: number }>> = {
  centralFiles: { part: 0.1, more: 20 },
  centralRss: { part: 0.15, more: 24 * MIB },
  wal: { part: 0.25, more: 8 * MIB },
  files: { part: 0.1, more: 100 },
  pss: { part: 0.15, more: 64 * MIB },
  processes: { part: 0.1, more: 6 },
};

/** A process and all below it. */
function familyOf(pid: number): number[] {
  try {
    const tasks = readdirSync(`/proc/${pid}/task`);
    const children = tasks.flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' '));
    return [pid, ...children.filter(Boolean).flatMap((child) => familyOf(Number(child)))];
  } catch {
    return []; // it ended just now
  }
}

function filesOf(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0; // it ended just now
  }
}

/** A figure in KiB of a file of /proc, in bytes. */
function bytesIn(file: string, name: string): number {
  try {
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(file, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0; // it ended just now
  }
}

function sample(): Sample {
  const { central } = fleet;
  const running = [central, ...fleet.pollers.map(({ machine }) => machine)].filter((machine) => machine.running);
  const pids = running.flatMap((machine) => familyOf(machine.pid));
  const sum = (of: (pid: number) => number) => pids.reduce((all, pid) => all + of(pid), 0);
  return {
    centralFiles: filesOf(central.pid),
    centralRss: bytesIn(`/proc/${central.pid}/status`, 'VmRSS'),
    wal: statSync(`${central.database}-wal`, { throwIfNoEntry: false })?.size ?? 0,
    files: sum(filesOf),
    pss: sum((pid) => bytesIn(`/proc/${pid}/smaps_rollup`, 'Pss')),
    processes: pids.length,
  };
}

const anyNode = () => (fleet.pollers[Math.floor(random() * fleet.pollers.length)] as Poller).id;

/** One request of each kind of work, to its end. */
const WORK: Readonly<Record<string, (client: Client) => Promise<unknown>>> = {
  echo: (client) =>
    client.call('ECHO', { text: 'x'.repeat(random() * 2000) }, { target: random() < 0.5 ? '' : anyNode() }),
  command: (client) =>
    client.call('COMMAND', { command: ['sh', '-c', 'echo out; echo err >&2'] }, { target: anyNode() }),
  putlog: (client) => client.send('PUTLOG', { token: fresh('soak-log'), code: 10, data: { value: random() } }),
  files: (client) => {
    const id = anyNode();
    const files = [{ source: 'file', destination: `${id}/${Math.floor(random() * 20)}` }];
    return client.call('SENDFILES', { files }, { target: id });
  },
  follow: async (client) => {
    const token = fresh('soak-steps');
    await client.send('STEPS', { rows: 50 }, { token, target: anyNode() });
    for await (const row of client.follow(token)) if (row.code === 50 && random() < 0.01) return; // some leave early
  },
};

/** The mixed load, until it is told to stop. */
class Load {
  readonly done = new Map<string, number>();
  readonly refused = new Map<string, number>();
  #going = true;
  readonly #lanes: Promise<unknown>;

  constructor(client: Client) {
    const kinds = Object.keys(WORK).flatMap((kind) => Array.from({ length: LANES_OF_EACH_KIND }, () => kind));
    this.#lanes = Promise.all(kinds.map((kind) => this.#lane(client, kind)));
  }

  async #lane(client: Client, kind: string): Promise<void> {
    const work = WORK[kind] as (client: Client) => Promise<unknown>;
    while (this.#going) {
      await wait(random() * REQUEST_EVERY_MS);
      try {
        await work(client);
        this.done.set(kind, (this.done.get(kind) ?? 0) + 1);
      } catch (error) {
        // A node that is away is part of the chaos.
        if (!isCentreondError(error)) throw error;
        this.refused.set(error.code, (this.refused.get(error.code) ?? 0) + 1);
      }
    }
  }

  async stop(): Promise<void> {
    this.#going = false;
    await this.#lanes;
  }
}

/** Restarts nodes and breaks their lines, one at a time. */
async function chaos(end: number, counts: Map<string, number>): Promise<void> {
  const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
  while (Date.now() < end) {
    await wait(random() * FAULT_EVERY_MS);
    const { machine, wire } = fleet.pollers[Math.floor(random() * fleet.pollers.length)] as Poller;
    const dice = random();
    if (dice < 0.3) {
      count('killed');
      await machine.end('SIGKILL');
      await machine.start();
    } else if (dice < 0.5) {
      count('restarted');
      await machine.end('SIGTERM');
      await machine.start();
    } else if (dice < 0.75) {
      count('reset');
      wire.reset();
    } else {
      count(dice < 0.9 ? 'cut' : 'silent');
      if (dice < 0.9) wire.cut();
      else wire.silence();
      await wait(random() * 5000);
      await wire.heal();
    }
  }
}

/** Takes samples until the time is over. */
async function sampling(end: number): Promise<Sample[]> {
  const every = (end - Date.now()) / SAMPLES;
  const samples: Sample[] = [];
  while (Date.now() < end) {
    samples.push(sample());
    await wait(every);
  }
  return samples;
}

const shown = (name: keyof Sample, value: number) =>
  name === 'centralRss' || name === 'wal' || name === 'pss' ? `${(value / MIB).toFixed(1)} MiB` : value.toFixed(0);
const listed = (counts: Map<string, number>) => [...counts].map(([what, count]) => `${what} ${count}`).join(', ');

test(`${SOAK} seconds of mixed load and chaos leave files, memory, the write-ahead log and processes as they were (SEED=${seed})`, {
  timeout: SOAK * 1000 + 2 * SETTLE_MS,
}, async () => {
  const end = Date.now() + SOAK * 1000;
  const counts = new Map<string, number>();
  const load = new Load(await fleet.connect('bob'));
  const [samples] = await Promise.all([sampling(end), chaos(end, counts)]);
  await fleet.whenUp(SETTLE_MS);
  await load.stop();
  const admin = await fleet.local(fleet.central);
  const open = async () => (await admin.send('GETREQUESTS', { state: 'open', limit: 1 })).data.requests as unknown[];
  await until('every request has ended', async () => (await open()).length === 0, SETTLE_MS);

  report(`${POLLERS} pollers, ${SOAK} s: ${listed(load.done)}; refused: ${listed(load.refused)}; ${listed(counts)}`);
  const quarter = Math.floor(samples.length / 4);
  const above: string[] = [];
  for (const name of Object.keys(SLACK) as (keyof Sample)[]) {
    const values = samples.map((one) => one[name]);
    const second = median(values.slice(quarter, 2 * quarter));
    const last = median(values.slice(3 * quarter));
    const most = Math.max(...values);
    report(`${name}: second quarter ${shown(name, second)}, last ${shown(name, last)}, most ${shown(name, most)}`);
    const { part, more } = SLACK[name];
    if (last > second * (1 + part) + more) above.push(`${name}: ${shown(name, second)} became ${shown(name, last)}`);
  }
  expect(above).toEqual([]);
  for (const kind of Object.keys(WORK)) expect(load.done.get(kind) ?? 0).toBeGreaterThan(SOAK / 10);
  expect(await fleet.central.end('SIGTERM')).toBe(0);
});
