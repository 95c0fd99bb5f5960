// npm run bench:postgres [-- --case 1x1000]… [--rounds 3] [--seconds 2] [--json]
// One router on SQLite and on PostgreSQL, alternately on one machine: what each ends in a second, and the ratio of the two.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { noPostgres, PostgresServer } from '../core/store/postgres-server.ts';
import { DaemonProcess, ROOT } from '../daemon-process.ts';
import { median } from '../fleet/report.ts';
import { countOnce } from './count-once.ts';
import { benchKeys } from './keys.ts';

const { values } = parseArgs({
  options: {
    case: { type: 'string', multiple: true, default: ['1x100', '1x1000'] },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
    json: { type: 'boolean', default: false },
  },
});

/** A router with the plugin of the benches and this store. */
async function router(store: object, fingerprints: readonly string[]): Promise<DaemonProcess> {
  const daemon = new DaemonProcess({
    core: { log: { level: 'warn' }, store },
    plugins: [{ package: path.join(ROOT, 'test/fixtures/probe') }],
  });
  for (const [i, fingerprint] of fingerprints.entries())
    daemon.clients.push({ identity: `bench-${i}`, fingerprint, roles: ['client'] });
  return daemon.start();
}

async function benchCase(server: PostgresServer, name: string) {
  const [clients = 1, inFlight = 1] = name.split('x').map(Number);
  const fingerprints = await benchKeys(clients);
  const url = server.url(await server.database());
  const stores = { sqlite: {}, postgres: { driver: 'postgres', url } };
  const rates: Record<keyof typeof stores, number[]> = { sqlite: [], postgres: [] };
  const cpu: Record<keyof typeof stores, number[]> = { sqlite: [], postgres: [] };
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const driver of ['sqlite', 'postgres'] as const) {
      const daemon = await router(stores[driver], fingerprints);
      try {
        const { perSecond, cpuMicros } = await countOnce(daemon, {
          clients,
          inFlight,
          seconds: Number(values.seconds),
        });
        rates[driver].push(perSecond);
        cpu[driver].push(cpuMicros.router ?? 0);
      } finally {
        await daemon.end('SIGTERM');
        await daemon.dispose();
      }
    }
  }
  const ratio = median(rates.postgres.map((rate, i) => rate / (rates.sqlite[i] ?? 1)));
  return {
    ratio: Number(ratio.toFixed(3)),
    perSecond: { sqlite: Math.round(median(rates.sqlite)), postgres: Math.round(median(rates.postgres)) },
    cpuMicros: { sqlite: Math.round(median(cpu.sqlite)), postgres: Math.round(median(cpu.postgres)) },
  };
}

if (noPostgres) process.exit(1);
const server = await new PostgresServer().start();
const results: Record<string, Awaited<ReturnType<typeof benchCase>>> = {};
try {
  for (const name of values.case) {
    const result = await benchCase(server, name);
    results[name] = result;
    const { ratio, perSecond, cpuMicros } = result;
    if (!values.json)
      process.stdout.write(
        `${name.padEnd(8)}postgres/sqlite ${ratio}   ${perSecond.postgres}/s and ${perSecond.sqlite}/s, router ${cpuMicros.postgres} and ${cpuMicros.sqlite} µs\n`,
      );
  }
} finally {
  await server.stop();
}
if (values.json) process.stdout.write(`${JSON.stringify({ postgres: results })}\n`);
