import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { afterEach, expect, onTestFinished, test } from 'vitest';
import {
  DaemonProcess,
  type DaemonSettings,
  HighestMemory,
  type Identity,
  ROOT,
  seconds,
  until,
} from '../daemon-process.ts';
import type { Flood, Flooded } from './flooder.ts';

const LONG = process.env.LONG === '1';
const MIB = 2 ** 20;
const HOUR_MS = 3_600_000;
const fixture = (name: string) => path.join(ROOT, 'test/fixtures', name);
const FLOODER = path.join(ROOT, 'test/faults/flooder.ts');

const daemons: DaemonProcess[] = [];
afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.dispose();
});

function made(settings: DaemonSettings): DaemonProcess {
  const daemon = new DaemonProcess(settings);
  daemons.push(daemon);
  return daemon;
}

async function connected(daemon: DaemonProcess, who: Identity): Promise<Client> {
  const client = await connect({ ...daemon.door(who), timeoutMs: 60_000 });
  onTestFinished(() => client.close());
  return client;
}

/** Floods the daemon from a process of its own. */
async function flood(daemon: DaemonProcess, who: Identity, what: Omit<Flood, 'door'>): Promise<Flooded> {
  const order: Flood = { door: daemon.door(who), ...what };
  const child = spawn(process.execPath, [FLOODER, JSON.stringify(order)], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let text = '';
  child.stdout.on('data', (chunk) => (text += chunk));
  await new Promise((resolve) => child.once('close', resolve));
  return JSON.parse(text) as Flooded;
}

/** Milliseconds that `work` takes each time, sorted, as long as `during` goes on. */
async function timings(during: Promise<unknown>, work: () => Promise<unknown>): Promise<number[]> {
  const taken: number[] = [];
  let isOver = false;
  const over = () => {
    isOver = true;
  };
  during.then(over, over);
  while (!isOver) {
    taken.push((await seconds(work)) * 1000);
    await pause(10);
  }
  return taken.sort((a, b) => a - b);
}

function p99(sorted: readonly number[]): number {
  return sorted[Math.floor(sorted.length * 0.99)] ?? 0;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function print(figures: object): void {
  process.stdout.write(`${expect.getState().currentTestName}: ${JSON.stringify(figures)}\n`);
}

test('gigabytes of waiting requests of one identity: BUSY at its share, flat memory, others go on, and a start after kill -9', async () => {
  const daemon = made({ plugins: [{ package: fixture('probe') }] });
  const [mallory, bob] = [daemon.client('mallory'), daemon.client('bob')];
  await daemon.start();
  const client = await connected(daemon, bob);
  const echo = () => client.call('ECHO', {});
  const calm = await timings(pause(5_000), echo);
  const memory = new HighestMemory(daemon.pid);
  const before = memory.bytes;
  const noteBytes = 300_000;
  const bytes = (LONG ? 3 : 1) * 1024 * MIB;
  const flooding = flood(daemon, mallory, {
    action: 'AGAIN',
    data: { ms: HOUR_MS },
    noteBytes,
    count: Math.ceil(bytes / noteBytes),
    atOnce: 64,
  });
  const busy = await timings(flooding, echo);
  memory.stop();
  const { accepted, refused, seconds: took } = await flooding;
  await daemon.end('SIGKILL');
  const start = await seconds(() => daemon.start());
  print({
    accepted,
    refused,
    took,
    before: before / MIB,
    highest: memory.bytes / MIB,
    calm: p99(calm),
    busy: p99(busy),
    start,
  });
  expect(Object.keys(refused)).toEqual(['BUSY']);
  expect(accepted * noteBytes).toBeGreaterThan(120 * MIB);
  expect(accepted * noteBytes).toBeLessThanOrEqual(128 * MIB);
  expect(memory.bytes - before).toBeLessThan(400 * MIB);
  // Five seconds are promised, of a machine that does nothing else.
  expect(start).toBeLessThan(15);
});

test('a hundred thousand open requests of one identity: the operator comes at once, and both ways to end are short', async () => {
  const daemon = made({ plugins: [{ package: path.join(ROOT, 'plugins/action') }] });
  const mallory = daemon.client('mallory');
  await daemon.start();
  const count = 99_990;
  const flooded = await flood(daemon, mallory, {
    action: 'COMMAND',
    data: { command: 'sleep 3600', timeoutSeconds: 3600 },
    noteBytes: 0,
    count,
    atOnce: 5_000,
  });
  const command = await seconds(async () => {
    const local = await connect({ address: daemon.socket });
    onTestFinished(() => local.close());
    expect((await local.call('COMMAND', { command: 'true' })).ok).toBe(true);
  });
  await daemon.end('SIGKILL');
  const start = await seconds(() => daemon.start());
  const stop = await seconds(async () => expect(await daemon.end('SIGTERM')).toBe(0));
  print({ flooded, command, start, stop });
  expect(flooded.accepted).toBe(count);
  expect(command).toBeLessThan(1);
  expect(start).toBeLessThan(15);
  expect(stop).toBeLessThan(10);
});

test('twelve thousand keys of an on-demand plugin: none is refused, and no more processes run than may', async () => {
  const instances = 4;
  const daemon = made({ plugins: [{ package: fixture('keyed'), limits: { instances } }] });
  const ada = daemon.client('ada');
  await daemon.start();
  const client = await connected(daemon, ada);
  let most = 0;
  const watch = setInterval(() => {
    most = Math.max(most, instancesOf(daemon.pid));
  }, 50);
  onTestFinished(() => clearInterval(watch));
  const keys = 12_000;
  const asked = Array.from({ length: keys }, (_, i) => client.send('VISIT', { city: `city-${i}` }));
  expect(await Promise.all(asked)).toHaveLength(keys);
  const count = async (state: 'open' | 'finished' | 'failed') =>
    ((await client.send('GETREQUESTS', { state, limit: 100 })).data.requests as unknown[]).length;
  // In the short form most are still open at the end.
  const isDone = async () => (LONG ? (await count('open')) === 0 : (await count('finished')) === 100);
  await until(
    'they have ended',
    async () => (await isDone()) || (await count('failed')) > 0,
    LONG ? 3 * HOUR_MS : 120_000,
  );
  clearInterval(watch);
  print({ keys, most });
  expect(await count('failed')).toBe(0);
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(instances);
});

test('five thousand GETLOGs of one client: the FOLLOW of another is answered within 100 ms', async () => {
  const daemon = made({ plugins: [{ package: fixture('probe') }] });
  const [mallory, bob] = [daemon.client('mallory'), daemon.client('bob')];
  await daemon.start();
  const client = await connected(daemon, bob);
  const other = await connected(daemon, mallory);
  await other.call('STEPS', { rows: 20_000 }, { token: 'many' });
  await other.close();
  const { token } = await client.call('ECHO', {});
  const reads = flood(daemon, mallory, {
    action: 'GETLOG',
    data: { token: 'many', limit: 10_000 },
    noteBytes: 0,
    count: 5_000,
    atOnce: 5_000,
  });
  const taken = await timings(reads, async () => {
    for await (const _ of client.follow(token));
  });
  print({ reads: await reads, follows: taken.length, p99: p99(taken), most: taken.at(-1) });
  expect(taken.length).toBeGreaterThan(5);
  // A tenth of a second is promised, of a machine that does nothing else.
  expect(p99(taken)).toBeLessThan(500);
});

/** How many processes of plugins the daemon has. */
function instancesOf(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean);
  return children.filter((child) => {
    try {
      return readFileSync(`/proc/${child}/cmdline`, 'latin1').includes('/child.js');
    } catch {
      return false; // it has ended meanwhile
    }
  }).length;
}
