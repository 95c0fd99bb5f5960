// npm run bench -- [--json] [--case 1x1000]… [--rounds 5] [--seconds 2]
// Runs the frozen relay and the real path alternately and prints the medians of their rates and ratios.
import { execFile } from 'node:child_process';
import path from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { DaemonProcess, ROOT } from '../daemon-process.ts';
import { benchKeys, KEYS } from './keys.ts';

const run = promisify(execFile);
const CASES = ['1x1', '1x100', '1x1000', '100x1', '1000x1'];
const BYTES = 500;
const RUN_LIMIT_MS = 180_000;

interface Measured {
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  /** How long all clients took to connect, none of which knew the router's key. The relay has none. */
  connectMs?: number;
}

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    case: { type: 'string', multiple: true, default: CASES },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
  },
});
const seconds = Number(values.seconds);

async function measure(script: string, args: string[]): Promise<Measured> {
  const { stdout } = await run(process.execPath, [path.join(import.meta.dirname, script), ...args], {
    cwd: ROOT,
    timeout: RUN_LIMIT_MS,
  });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Measured;
}

function median(numbers: number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

async function benchCase(name: string) {
  const [clients = 1, inFlight = 1] = name.split('x').map(Number);
  const fingerprints = await benchKeys(clients);
  const daemon = new DaemonProcess({
    core: { log: { level: 'warn' } },
    plugins: [{ package: path.join(ROOT, 'test/fixtures/probe') }],
  });
  for (const [i, fingerprint] of fingerprints.entries()) {
    daemon.clients.push({ identity: `bench-${i}`, fingerprint, roles: ['client'] });
  }
  await daemon.start();
  try {
    const relays: Measured[] = [];
    const acks: Measured[] = [];
    const dones: Measured[] = [];
    const order = {
      address: daemon.endpoint,
      router: daemon.fingerprint,
      keys: KEYS,
      clients,
      inFlight,
      seconds,
      bytes: BYTES,
    };
    for (let round = 0; round < Number(values.rounds); round++) {
      relays.push(await measure('relay.mjs', [clients, inFlight, seconds, BYTES].map(String)));
      dones.push(await measure('clients.ts', [JSON.stringify({ ...order, until: 'done' })]));
      acks.push(await measure('clients.ts', [JSON.stringify({ ...order, until: 'ack' })]));
    }
    const ratio = (real: Measured[]) => {
      return Number(median(real.map(({ perSecond }, i) => perSecond / (relays[i]?.perSecond ?? 1))).toFixed(3));
    };
    return {
      ackRatio: ratio(acks),
      doneRatio: ratio(dones),
      perSecond: median(dones.map(({ perSecond }) => perSecond)),
      relayPerSecond: median(relays.map(({ perSecond }) => perSecond)),
      p50Ms: median(dones.map(({ p50Ms }) => p50Ms)),
      p99Ms: median(dones.map(({ p99Ms }) => p99Ms)),
      connectMs: median(dones.map(({ connectMs = 0 }) => connectMs)),
    };
  } finally {
    await daemon.dispose();
  }
}

const cases: Record<string, Awaited<ReturnType<typeof benchCase>>> = {};
if (!values.json)
  process.stdout.write('case     ack/relay  done/relay   done/s   relay/s   p50 ms   p99 ms  connect ms\n');
for (const name of values.case) {
  const result = await benchCase(name);
  cases[name] = result;
  if (values.json) continue;
  const { ackRatio, doneRatio, perSecond, relayPerSecond, p50Ms, p99Ms, connectMs } = result;
  const cells = [ackRatio, doneRatio, perSecond, relayPerSecond, p50Ms, p99Ms, connectMs].map(String);
  const widths = [9, 10, 7, 8, 7, 7, 10];
  process.stdout.write(`${name.padEnd(8)} ${cells.map((cell, i) => cell.padStart(widths[i] ?? 8)).join('  ')}\n`);
}
if (values.json) process.stdout.write(`${JSON.stringify({ cases })}\n`);
