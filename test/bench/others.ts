// npm run bench:others [-- --json]
// What the cases of `npm run bench` do not show: commands, PUTLOG, GETLOG, starts and stops, memory, and how quiet the machine is.
import { spawn } from 'node:child_process';
import { closeSync, fsyncSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { type Client, connect } from '@centreond/client';
import { DaemonProcess, memoryOf, ROOT } from '../daemon-process.ts';
import { quantile } from '../fleet/report.ts';
import { benchKeys, KEYS } from './keys.ts';

const { values } = parseArgs({ options: { json: { type: 'boolean', default: false } } });
const SECONDS = 3;
const IDLE_CLIENTS = 300;
const STARTS = 3;
const PLUGINS = [path.join(ROOT, 'test/fixtures/probe'), path.join(ROOT, 'plugins/action')];

interface Rate {
  readonly perSecond: number;
  readonly p50Ms: number;
}

/** Does `work` over and over, `atOnce` at a time. */
async function rateOf(atOnce: number, work: () => Promise<unknown>, seconds = SECONDS): Promise<Rate> {
  const taken: number[] = [];
  const startedAt = performance.now();
  const goOn = async () => {
    while (performance.now() - startedAt < seconds * 1000) {
      const since = performance.now();
      await work();
      taken.push(performance.now() - since);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, goOn));
  const perSecond = taken.length / ((performance.now() - startedAt) / 1000);
  return { perSecond: Math.round(perSecond), p50Ms: round(quantile(taken, 0.5)) };
}

function round(figure: number): number {
  return Number(figure.toPrecision(3));
}

function bareSpawn(): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('true', { stdio: ['ignore', 'pipe', 'pipe'] });
    child.once('error', reject);
    child.once('close', () => resolve());
  });
}

/** Milliseconds of the same work, over and over: the further the slowest is from the median, the less quiet the machine. */
function quietness() {
  const loops = Array.from({ length: 50 }, () => {
    const since = performance.now();
    for (let i = 0, x = 1; i < 2e6; i++) x = (x * 31 + i) | 0;
    return performance.now() - since;
  });
  const file = path.join(os.tmpdir(), `centreond-bench-${process.pid}`);
  const handle = openSync(file, 'w');
  const syncs = Array.from({ length: 50 }, () => {
    const since = performance.now();
    writeSync(handle, 'x'.repeat(4096));
    fsyncSync(handle);
    return performance.now() - since;
  });
  closeSync(handle);
  rmSync(file);
  return {
    loopP50Ms: round(quantile(loops, 0.5)),
    loopP90Ms: round(quantile(loops, 0.9)),
    fsyncP50Ms: round(quantile(syncs, 0.5)),
    fsyncP90Ms: round(quantile(syncs, 0.9)),
  };
}

async function commands(client: Client) {
  const command = () => client.call('COMMAND', { command: 'true' });
  await rateOf(16, command, 1);
  const compared = async (atOnce: number) => {
    const bare = await rateOf(atOnce, bareSpawn);
    const real = await rateOf(atOnce, command);
    return { ...real, bare, ratio: round(real.perSecond / bare.perSecond) };
  };
  return { x1: await compared(1), x16: await compared(16) };
}

async function history(client: Client) {
  const row = { note: 'x'.repeat(400) };
  const { token } = await client.send('ECHO', row);
  let n = 0;
  const put = () => client.send('PUTLOG', { token: `put-${n++ % 1000}`, code: 10, data: row });
  await rateOf(64, put, 1);
  return { putlog: await rateOf(64, put), getlog: await rateOf(1, () => client.send('GETLOG', { token })) };
}

async function startsAndStops() {
  const starts: number[] = [];
  const stops: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    const daemon = new DaemonProcess({ plugins: PLUGINS.map((folder) => ({ package: folder })) });
    const since = performance.now();
    await daemon.start();
    const ready = performance.now();
    await daemon.end('SIGTERM');
    starts.push(ready - since);
    stops.push(performance.now() - ready);
    await daemon.dispose();
  }
  return { startMs: Math.round(quantile(starts, 0.5)), stopMs: Math.round(quantile(stops, 0.5)) };
}

const fingerprints = await benchKeys(IDLE_CLIENTS);
const daemon = new DaemonProcess({
  core: { log: { level: 'warn' } },
  plugins: PLUGINS.map((folder) => ({ package: folder })),
});
const root = daemon.client('root', ['admin']);
for (const [i, fingerprint] of fingerprints.entries()) {
  daemon.clients.push({ identity: `bench-${i}`, fingerprint, roles: ['client'] });
}
const before = quietness();
await daemon.start();
const client = await connect(daemon.door(root));
const figures = { ...(await commands(client)), ...(await history(client)) };
await client.close();

const empty = memoryOf(daemon.pid);
const startedAt = performance.now();
const clients: Client[] = [];
for (let i = 0; i < IDLE_CLIENTS; i += 16) {
  const some = Array.from({ length: Math.min(16, IDLE_CLIENTS - i) }, (_, k) => {
    const key = readFileSync(path.join(KEYS, `${i + k}.pem`), 'utf8');
    return connect({ address: daemon.endpoint, key, identity: `bench-${i + k}`, router: daemon.fingerprint });
  });
  clients.push(...(await Promise.all(some)));
}
const handshakesPerSecond = Math.round((IDLE_CLIENTS * 1000) / (performance.now() - startedAt));
const kibPerClient = Math.round((memoryOf(daemon.pid) - empty) / 1024 / IDLE_CLIENTS);
await Promise.all(clients.map((one) => one.close()));
await daemon.dispose();
const { x1, x16, putlog, getlog } = figures;
const result = {
  command: { x1, x16 },
  putlog,
  getlog,
  handshakesPerSecond,
  kibPerClient,
  ...(await startsAndStops()),
  quiet: { before, after: quietness() },
};

if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
else {
  const line = (name: string, text: string) => process.stdout.write(`${name.padEnd(22)}${text}\n`);
  for (const [name, figure] of Object.entries({ 'COMMAND, one by one': x1, 'COMMAND, 16 at once': x16 })) {
    const { perSecond, p50Ms, bare, ratio } = figure;
    line(name, `${perSecond}/s, p50 ${p50Ms} ms; bare spawn ${bare.perSecond}/s, p50 ${bare.p50Ms} ms; ratio ${ratio}`);
  }
  line('PUTLOG, 64 at once', `${putlog.perSecond}/s, p50 ${putlog.p50Ms} ms`);
  line('GETLOG by token', `${getlog.perSecond}/s, p50 ${getlog.p50Ms} ms`);
  line('handshakes', `${handshakesPerSecond}/s`);
  line('a connected client', `${kibPerClient} KiB`);
  line('start, stop', `${result.startMs} ms, ${result.stopMs} ms (two plugins)`);
  const { loopP50Ms, loopP90Ms, fsyncP50Ms, fsyncP90Ms } = result.quiet.after;
  line('this machine', `a loop p50 ${loopP50Ms}, p90 ${loopP90Ms} ms; fsync p50 ${fsyncP50Ms}, p90 ${fsyncP90Ms} ms`);
}
