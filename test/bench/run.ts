// npm run bench -- [--json] [--case 1x1000]… [--rounds 5] [--seconds 2] [--action ECHO] [--profile FOLDER]
// Runs the frozen relay and the real path alternately and prints the medians of their rates and ratios. Unless a case or an action
// is named, a table for an action that is not idempotent follows, then what others.ts and store.ts measure.
import { execFile, spawnSync } from 'node:child_process';
import path from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { DaemonProcess, ROOT } from '../daemon-process.ts';
import { median } from '../fleet/report.ts';
import type { Counted, Order, Window } from './clients.ts';
import { childOf } from './cpu.ts';
import { benchKeys, KEYS } from './keys.ts';

const run = promisify(execFile);
const CASES = ['1x1', '1x100', '1x1000', '100x1', '1000x1'];
const BYTES = 500;
const RUN_LIMIT_MS = 180_000;
/** When a window of measurement begins: the cold one, and one after the code is compiled. */
const COLD_MS = 700;
const WARM_MS = 4000;

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    case: { type: 'string', multiple: true },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    action: { type: 'string' },
    /** Where each thread of the daemon, the plugin and the clients leaves a CPU profile. */
    profile: { type: 'string' },
  },
});
const seconds = Number(values.seconds);
const profiled = values.profile ? [`--cpu-prof`, `--cpu-prof-dir=${path.resolve(values.profile)}`] : [];

async function measure<T>(script: string, args: string[]): Promise<T> {
  const { stdout } = await run(process.execPath, [...profiled, path.join(import.meta.dirname, script), ...args], {
    cwd: ROOT,
    timeout: RUN_LIMIT_MS,
  });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as T;
}

async function benchCase(name: string, action: string) {
  const [clients = 1, inFlight = 1] = name.split('x').map(Number);
  const fingerprints = await benchKeys(clients);
  const daemon = new DaemonProcess({
    core: { log: { level: 'warn' } },
    plugins: [
      {
        package: path.join(ROOT, 'test/fixtures/probe'),
        ...(values.profile && { env: { NODE_OPTIONS: profiled.join(' ') } }),
      },
    ],
  });
  for (const [i, fingerprint] of fingerprints.entries()) {
    daemon.clients.push({ identity: `bench-${i}`, fingerprint, roles: ['client'] });
  }
  await daemon.start(values.profile ? ['env', `NODE_OPTIONS=${profiled.join(' ')}`] : []);
  try {
    const relays: number[] = [];
    const dones: Counted[] = [];
    const acks: Counted[] = [];
    const pids = { router: daemon.pid, plugin: childOf(daemon.pid, 'child.js') };
    const door = { address: daemon.endpoint, router: daemon.fingerprint, keys: KEYS };
    const order = { ...door, clients, inFlight, seconds, bytes: BYTES, action, pids };
    const counted = (more: Pick<Order, 'until' | 'windows'>) =>
      measure<Counted>('clients.ts', [JSON.stringify({ ...order, ...more } satisfies Order)]);
    for (let round = 0; round < Number(values.rounds); round++) {
      const relay = await measure<{ perSecond: number }>('relay.mjs', [clients, inFlight, seconds, BYTES].map(String));
      relays.push(relay.perSecond);
      dones.push(await counted({ until: 'done', windows: [COLD_MS, WARM_MS] }));
      acks.push(await counted({ until: 'ack', windows: [COLD_MS] }));
    }
    const windows = (all: Counted[], which: number) => all.flatMap((one) => one.windows.at(which) ?? []);
    const ratio = (real: Window[]) =>
      Number(median(real.map(({ perSecond }, i) => perSecond / (relays[i] ?? 1))).toFixed(3));
    const warm = windows(dones, 1);
    const cpu = (process: string) => median(warm.map(({ cpuMicros }) => cpuMicros[process] ?? 0));
    return {
      doneRatio: ratio(warm),
      coldRatio: ratio(windows(dones, 0)),
      ackRatio: ratio(windows(acks, 0)),
      perSecond: median(warm.map(({ perSecond }) => perSecond)),
      relayPerSecond: median(relays),
      p50Ms: median(warm.map(({ p50Ms }) => p50Ms)),
      p99Ms: median(warm.map(({ p99Ms }) => p99Ms)),
      cpuMicros: { router: cpu('router'), plugin: cpu('plugin'), clients: cpu('clients') },
      connectMs: median(dones.map(({ connectMs }) => connectMs)),
    };
  } finally {
    if (values.profile) await daemon.end('SIGTERM'); // the profile is written on the way out
    await daemon.dispose();
  }
}

const HEADS = ['done/relay', 'cold', 'ack/relay', 'done/s', 'relay/s', 'p50 ms', 'p99 ms', 'router µs', 'plugin µs'];
HEADS.push('clients µs', 'connect ms');
const row = (name: string, cells: (string | number)[]) =>
  `${name.padEnd(7)}${cells.map((cell, i) => String(cell).padStart((HEADS[i]?.length ?? 0) + 2)).join('')}\n`;

/** The table of one action. */
async function table(action: string) {
  const cases: Record<string, Awaited<ReturnType<typeof benchCase>>> = {};
  if (!values.json) process.stdout.write(`${action}\n${row('case', HEADS)}`);
  for (const name of values.case ?? CASES) {
    const result = await benchCase(name, action);
    cases[name] = result;
    if (values.json) continue;
    const { doneRatio, coldRatio, ackRatio, perSecond, relayPerSecond, p50Ms, p99Ms, cpuMicros, connectMs } = result;
    const { router, plugin, clients } = cpuMicros;
    const cells = [doneRatio, coldRatio, ackRatio, perSecond, relayPerSecond, p50Ms, p99Ms, router, plugin, clients];
    process.stdout.write(row(name, [...cells, connectMs]));
  }
  return cases;
}

const isWhole = !values.case && !values.action && !values.profile;
let result: object = { cases: await table(values.action ?? 'ECHO') };
if (isWhole) result = { ...result, once: await table('ECHO_ONCE') };
for (const script of isWhole ? ['others.ts', 'store.ts'] : []) {
  if (values.json) result = { ...result, ...(await measure<object>(script, ['--json'])) };
  else spawnSync(process.execPath, [path.join(import.meta.dirname, script)], { cwd: ROOT, stdio: 'inherit' });
}
if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
