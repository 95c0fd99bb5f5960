// npm run bench:neighbours [-- --json]
// What neighbours do to another plugin's p99, at 1,000 requests a second: the median ratio of three calm and disturbed spells.
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { DaemonProcess, ROOT } from '../daemon-process.ts';

const PROBE = path.join(ROOT, 'test/fixtures/probe');
const PER_SECOND = 1000;
const SPELL_SECONDS = 3;

async function p99Of(client: Client, seconds: number): Promise<number> {
  const latencies: number[] = [];
  const pending: Promise<unknown>[] = [];
  const startedAt = performance.now();
  for (let i = 0; i < PER_SECOND * seconds; i++) {
    const due = startedAt + (i * 1000) / PER_SECOND;
    while (performance.now() < due) await new Promise((resolve) => setTimeout(resolve, 1));
    const sentAt = performance.now();
    pending.push(client.call('ECHO', { i }).then(() => latencies.push(performance.now() - sentAt)));
  }
  await Promise.all(pending);
  latencies.sort((a, b) => a - b);
  return latencies[Math.floor(latencies.length * 0.99)] ?? 0;
}

async function measure(neighbour: object, disturb: (client: Client) => Promise<unknown>) {
  const daemon = new DaemonProcess({ core: { log: { level: 'warn' } }, plugins: [{ package: PROBE }, neighbour] });
  const admin = daemon.client('root', ['admin']);
  await daemon.start();
  const client = await connect(daemon.door(admin));
  try {
    const rounds: { calmMs: number; disturbedMs: number; ratio: number }[] = [];
    await p99Of(client, 1);
    for (let round = 0; round < 3; round++) {
      const calmMs = await p99Of(client, SPELL_SECONDS);
      const disturbing = disturb(client);
      const disturbedMs = await p99Of(client, SPELL_SECONDS);
      await disturbing;
      rounds.push({ calmMs, disturbedMs, ratio: disturbedMs / calmMs });
    }
    const { calmMs, disturbedMs, ratio } = rounds.sort((a, b) => a.ratio - b.ratio)[1] ?? {
      calmMs: 0,
      disturbedMs: 0,
      ratio: 0,
    };
    return {
      p99CalmMs: Number(calmMs.toFixed(1)),
      p99DisturbedMs: Number(disturbedMs.toFixed(1)),
      ratio: Number(ratio.toFixed(2)),
    };
  } finally {
    await client.close();
    await daemon.dispose();
  }
}

const limits = { memory: '256MiB', processes: 20, stuck: '2s' };
let town = 0;
const results = {
  misbehaving: await measure(
    { package: path.join(ROOT, 'test/fixtures/pool'), restart: { max: 1000, within: '1s' }, limits },
    (client) => Promise.all(['LOOP', 'LEAK', 'FORK', 'LEAVE'].map((action) => client.call(action, {}))),
  ),
  starting: await measure({ package: path.join(ROOT, 'test/fixtures/keyed') }, (client) =>
    Promise.all(Array.from({ length: 34 }, () => client.call('VISIT', { city: `town-${town++}` }))),
  ),
};
if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify(results)}\n`);
else {
  process.stdout.write('neighbours                        p99 calm   disturbed   ratio\n');
  for (const [name, { p99CalmMs, p99DisturbedMs, ratio }] of Object.entries(results)) {
    const what = name === 'starting' ? '34 instances that start' : 'one loops, leaks, forks, exits';
    process.stdout.write(
      `${`${what.padEnd(32)} ${p99CalmMs} ms`.padEnd(44) + `${p99DisturbedMs} ms`.padEnd(12)}${ratio}\n`,
    );
  }
}
