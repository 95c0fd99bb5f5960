// npm run bench:cost [-- --case 1x100]… [--rounds 3] [--seconds 2] [--json]
// Two routers of a cluster, alternately and together under load: the CPU time that a request costs each, and the ratio of the two.
import { parseArgs } from 'node:util';
import { Cluster } from '../cluster/cluster.ts';
import type { Router } from '../cluster/member.ts';
import { noNats } from '../cluster/nats-server.ts';
import { noPostgres } from '../core/store/postgres-server.ts';
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

const NAMES = ['first', 'second'] as const;

/** A request's cost at each router. */
interface Cost {
  readonly perSecond: number;
  readonly cpuMicros: number;
}

async function costs(cluster: Cluster, name: string) {
  const [clients = 1, inFlight = 1] = name.split('x').map(Number);
  const load = { clients, inFlight, seconds: Number(values.seconds) };
  const [first, second] = cluster.routers as [Router, Router];
  const cost = async (router: Router): Promise<Cost> => {
    const { perSecond, cpuMicros } = await countOnce(router, load);
    return { perSecond, cpuMicros: cpuMicros.router ?? 0 };
  };
  const all: Record<'first' | 'second' | 'both', Cost[]> = { first: [], second: [], both: [] };
  for (let round = 0; round < Number(values.rounds); round++) {
    // Each goes first in turn: what else the machine does is not to be one router's.
    for (const one of round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
      all[NAMES[one]].push(await cost(one === 0 ? first : second));
    }
    const [one, other] = await Promise.all([cost(first), cost(second)]);
    all.both.push({ perSecond: one.perSecond + other.perSecond, cpuMicros: (one.cpuMicros + other.cpuMicros) / 2 });
  }
  const figures = (some: readonly Cost[]): Cost => ({
    perSecond: Math.round(median(some.map(({ perSecond }) => perSecond))),
    cpuMicros: Math.round(median(some.map(({ cpuMicros }) => cpuMicros))),
  });
  const ratio = median(all.second.map(({ cpuMicros }, i) => cpuMicros / (all.first[i]?.cpuMicros ?? 1)));
  const both = figures(all.both);
  return { ratio: Number(ratio.toFixed(3)), first: figures(all.first), second: figures(all.second), both };
}

if (noPostgres ?? noNats) process.exit(1);
const clients = Math.max(...values.case.map((name) => Number(name.split('x')[0])));
const benchers = (await benchKeys(clients)).map((fingerprint, i) => ({ identity: `bench-${i}`, fingerprint }));
const results: Record<string, Awaited<ReturnType<typeof costs>>> = {};
const cluster = await Cluster.start({ routers: 2, clients: benchers, postgres: [] });
try {
  for (const name of values.case) {
    const result = await costs(cluster, name);
    results[name] = result;
    if (values.json) continue;
    const told = ({ perSecond, cpuMicros }: Cost) => `${perSecond}/s, ${cpuMicros} µs`;
    const { ratio, first, second, both } = result;
    process.stdout.write(
      `${name.padEnd(8)}CPU of a request, second/first ${ratio}   first ${told(first)}; second ${told(second)}; both ${told(both)}\n`,
    );
  }
} finally {
  await cluster.close();
}
if (values.json) process.stdout.write(`${JSON.stringify({ cost: results })}\n`);
