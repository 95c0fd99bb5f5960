import { type Client, connect } from '@centreond/client';
import { afterEach, expect, onTestFinished, test } from 'vitest';
import { type DaemonProcess, until } from '../daemon-process.ts';
import { Fleet, type Poller } from '../fleet/fleet.ts';
import { quantile, report } from '../fleet/report.ts';
import { storedRows, violationsOf } from '../history/checker.ts';
import { daemonWithLedger, expectSound, longestLife, processesOf, runs, seeded, seedOfRun } from './ledger.ts';
import { Stream } from './stream.ts';

/** So many times something is killed, at random points of a stream of so many requests. */
const KILLS = process.env.LONG ? 200 : 5;
const REQUESTS = process.env.LONG ? 100_000 : 2500;
const LANES = 50;
/** ONCE and AGAIN may run for a minute; every token ends 5 s later at the latest. */
const LIFE_SECONDS = 65;
/** It is ready within 2 s where nothing else runs; the figure is printed. */
const READY_MS = 20_000;
const timeout = process.env.LONG ? 3_600_000 : 300_000;

let daemon: DaemonProcess | undefined;
afterEach(async () => daemon?.dispose());

const seed = seedOfRun();

/** After how many acknowledged requests to kill: ascending. */
function points(random: () => number): number[] {
  return Array.from({ length: KILLS }, () => Math.floor(random() * REQUESTS)).sort((a, b) => a - b);
}

/** Kills by `kill` at random points of a stream, and sends all of it. */
async function killing(client: Client, target: string, kill: () => Promise<void>): Promise<Stream> {
  const random = seeded(seed);
  const stream = new Stream(client, { prefix: 'kill-', lanes: LANES, ms: () => Math.floor(random() * 20), target });
  for (const point of points(random)) {
    await stream.reaches(point, 120_000);
    await new Promise((resolve) => setTimeout(resolve, random() * 30));
    await kill();
  }
  await stream.reaches(REQUESTS, timeout);
  await stream.stop();
  return stream;
}

/** What must hold of a daemon that has stopped and of the processes that ran for it. */
function expectNothingLost(who: DaemonProcess, { recorder: { events, acknowledged } }: Stream, ran = who): void {
  const rows = storedRows(who.database, 'kill-');
  expect(violationsOf({ events, rows, runs: runs(ran) })).toEqual([]);
  expect(acknowledged.size).toBeGreaterThanOrEqual(REQUESTS);
  expectSound(who.database);
  const life = longestLife(who.database, 'kill-');
  report(`${acknowledged.size} acknowledged, ${KILLS} kills, the longest life of a token ${life} s`);
  expect(life).toBeLessThanOrEqual(LIFE_SECONDS);
}

/** Resolves when no request is open. */
async function allEnd(admin: Client): Promise<void> {
  const open = async () => (await admin.send('GETREQUESTS', { state: 'open', limit: 1 })).data.requests as unknown[];
  await until('every request has ended', async () => (await open()).length === 0, 60_000);
}

/** Starts `who` again; how long it took until it was ready. */
async function readyAgain(who: DaemonProcess): Promise<number> {
  await until('no process is left behind', () => processesOf(who).length === 0, 15_000);
  const began = performance.now();
  await who.start();
  return performance.now() - began;
}

function reportReady(times: readonly number[]): void {
  report(`ready again after ${quantile(times, 0.5).toFixed(0)} ms, at most ${Math.max(...times).toFixed(0)} ms`);
  expect(Math.max(...times)).toBeLessThan(READY_MS);
}

test(`the daemon, killed with -9 at any moment of a stream, loses nothing and runs nothing twice (SEED=${seed})`, {
  timeout,
}, async () => {
  const who = daemonWithLedger();
  daemon = who;
  const alice = who.client('alice');
  await who.start();
  const client = await connect(who.door(alice));
  const ready: number[] = [];
  const stream = await killing(client, '', async () => {
    await who.end('SIGKILL');
    ready.push(await readyAgain(who));
  });
  await client.close();
  expect(await who.end('SIGTERM')).toBe(0);
  reportReady(ready);
  expectNothingLost(who, stream);
});

test(`a plugin, killed with -9 at any moment of a stream, loses nothing and runs nothing twice (SEED=${seed})`, {
  timeout,
}, async () => {
  const who = daemonWithLedger();
  daemon = who;
  await who.start();
  const client = await connect({ address: who.socket });
  let kills = 0;
  const stream = await killing(client, '', async () => {
    // Its restarts come later and later while it ends at once each time: one that was sound for a second begins anew.
    if (++kills % 4 === 0) await servesFor(client, 1100);
    await until('the plugin runs, and is killed', () => processesOf(who).map(kill).some(Boolean));
  });
  await allEnd(client);
  await client.close();
  expect(await who.end('SIGTERM')).toBe(0);
  expectNothingLost(who, stream);
});

test(`a poller, killed with -9 at any moment of a stream, loses nothing and runs nothing twice (SEED=${seed})`, {
  timeout,
}, async () => {
  const fleet = await Fleet.start({ pull: 1 });
  onTestFinished(() => fleet.close());
  const [{ id, machine }] = fleet.pollers as [Poller];
  const ready: number[] = [];
  const stream = await killing(fleet.alice, id, async () => {
    await machine.end('SIGKILL');
    ready.push(await readyAgain(machine));
    await fleet.whenUp(60_000);
  });
  await allEnd(await fleet.local(fleet.central));
  expect(await machine.end('SIGTERM')).toBe(0);
  expectSound(machine.database);
  expect(await fleet.central.end('SIGTERM')).toBe(0);
  reportReady(ready);
  expectNothingLost(fleet.central, stream, machine);
});

/** Resolves when one process of the plugin has been ready for `ms`. */
async function servesFor(client: Client, ms: number): Promise<void> {
  let seen: { readonly pid: unknown; readonly at: number } | undefined;
  await until(`the plugin has served for ${ms} ms`, async () => {
    const { plugins } = (await client.send('INFORMATION')).data as unknown as { plugins: Described[] };
    const ready = plugins.find(({ type }) => type === 'probe')?.instances?.find(({ state }) => state === 'ready');
    if (ready === undefined || ready.pid !== seen?.pid) seen = ready && { pid: ready.pid, at: performance.now() };
    return seen !== undefined && performance.now() - seen.at >= ms;
  });
}

interface Described {
  readonly type: string;
  readonly instances?: readonly { readonly state: string; readonly pid: number | null }[];
}

/** Whether there was such a process. */
function kill(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    return false;
  }
}

test('an idempotent action runs again after the daemon was killed, and its request finishes', async () => {
  daemon = daemonWithLedger();
  const alice = daemon.client('alice');
  await daemon.start();
  const client = await connect(daemon.door(alice));
  await client.send('AGAIN', { ms: 60_000, note: 'first run' }, { token: 'again' }).catch(() => {});
  const short = client.call('AGAIN', { ms: 300 }, { token: 'short' });
  await until('both run', () => runs(daemon as DaemonProcess).size === 2);
  await daemon.end('SIGKILL');
  await daemon.start();
  expect((await short).ok).toBe(true);
  expect(runs(daemon).get('short')).toBe(2);
  await client.close();
});

test('a request whose outcome nobody knows says so after the daemon was killed', async () => {
  daemon = daemonWithLedger();
  const alice = daemon.client('alice');
  await daemon.start();
  const client = await connect(daemon.door(alice));
  const call = client.call('ONCE', { ms: 60_000 }, { token: 'once' });
  await until('it runs', () => runs(daemon as DaemonProcess).has('once'));
  await daemon.end('SIGKILL');
  await daemon.start();
  const outcome = await call;
  expect(outcome).toMatchObject({ ok: false, data: { error: 'OUTCOME_UNKNOWN' } });
  expect(runs(daemon).get('once')).toBe(1);
  await client.close();
});
