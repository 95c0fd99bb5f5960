import { z } from 'zod';
import type { StatusActions } from '../router/status-actions.ts';
import { type Column, tableLines } from './columns.ts';
import { openClient } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import { healthLines, sharedLines, standbyLines } from './health-text.ts';
import { type View, viewOf } from './painted.ts';
import { countText, hanging, msText, printJson, spanText } from './print.ts';
import { SKEW_SECONDS } from './routers.ts';

type Information = ReturnType<StatusActions['information']>;

const HEAD_CELLS = 10;
const Counters = z.object({
  store: z.object({
    away: z.string().nullable().default(null),
    bytes: z.number(),
    maxBytes: z.number(),
    retentionSeconds: z.number(),
    purgedRows: z.number(),
    purgedRequests: z.number(),
    lastPurge: z.object({ at: z.number(), rows: z.number(), requests: z.number() }).nullable(),
    nextPurgeAt: z.number(),
  }),
});

/** What runs, with figures. `--json` prints the answer of INFORMATION. */
export async function status(options: Globals): Promise<number> {
  await using client = await openClient(options);
  const { data } = await client.send('INFORMATION', {});
  if (options.json) printJson(data);
  else {
    const information = data as unknown as Information;
    process.stdout.write(statusText(information, viewOf(process.stdout, information.time)));
  }
  return EXIT.done;
}

/** The router, its history and its plugins for a terminal; the plugins' columns are cut, and then go, where it is narrow. */
export function statusText(information: Information, { width, paint }: Omit<View, 'now'>): string {
  const { id, version, uptimeSeconds, plugins, counters } = information;
  const { open, accepted, refused } = counters;
  const head = [
    hanging('', `router ${id}, centreond ${version}, up ${uptimeText(uptimeSeconds)}`, width),
    `${'requests'.padEnd(HEAD_CELLS)}${open} open, ${accepted} accepted, ${refused} refused\n`,
    ...clusterLines(information, width),
    ...historyLines(information, width),
    '\n',
  ].join('');
  const lines = plugins.flatMap((plugin) => plugin.instances.map((instance, i) => ({ plugin, instance, i })));
  const columns: readonly Column<(typeof lines)[number]>[] = [
    { heading: 'PLUGIN', least: 10, cutAt: 'middle', piece: ({ plugin, i }) => (i === 0 ? plugin.type : '') },
    { heading: 'ID', least: 6, cutAt: 'middle', piece: ({ instance }) => instance.id },
    { heading: 'STATE', piece: ({ plugin, instance }) => (isDegraded(plugin, instance) ? 'degraded' : plugin.state) },
    { heading: 'PID', goes: 8, piece: ({ instance }) => String(instance.pid ?? '-') },
    { heading: 'RESTARTS', goes: 5, piece: ({ instance }) => String(instance.restarts) },
    { heading: 'RUNNING', goes: 3, piece: ({ instance }) => String(instance.inFlight) },
    { heading: 'WAITING', goes: 4, piece: ({ plugin }) => String(plugin.waiting) },
    { heading: 'DONE', goes: 2, piece: ({ plugin }) => String(sum(plugin.actions, 'finished')) },
    { heading: 'FAILED', goes: 1, piece: ({ plugin }) => String(sum(plugin.actions, 'failed')) },
    { heading: 'P50', goes: 7, piece: ({ instance }) => latencyText(instance.p50Ms) },
    { heading: 'P99', goes: 6, piece: ({ instance }) => latencyText(instance.p99Ms) },
    {
      heading: 'MEMORY',
      goes: 4.5,
      piece: ({ instance: { rss } }) => (rss === null ? '-' : `${Math.round(rss / 2 ** 20)} MiB`),
    },
  ];
  const reasons = plugins.flatMap(({ type, state, reason }) =>
    reason === undefined || state === 'standby' ? [] : [`${type}: ${reason}\n`],
  );
  const remarks = [...reasons, ...healthLines(plugins), ...standbyLines(plugins), ...sharedLines(plugins)];
  const below = remarks.length > 0 ? `\n${remarks.map((remark) => hanging('', remark.trimEnd(), width)).join('')}` : '';
  return `${head}${tableLines(columns, lines, width, paint).join('\n')}\n${below}`;
}

const Cluster = z.object({
  name: z.string(),
  natsAway: z.string().nullable(),
  clockSkewSeconds: z.number(),
  routers: z.record(z.string(), z.string()),
});

/** The cluster, with what is not as it should be; nothing for a router by itself. */
function clusterLines({ cluster }: Information, width: number | undefined): string[] {
  const { success, data } = Cluster.safeParse(cluster);
  if (!success) return [];
  const { name, natsAway, clockSkewSeconds, routers } = data;
  const all = Object.entries(routers);
  const up = all.filter(([, state]) => state === 'up').length;
  const others = all.filter(([, state]) => state !== 'up').map(([id, state]) => `${id} is ${state}`);
  const skew = Math.abs(clockSkewSeconds);
  const remarks = [
    ...others,
    ...(natsAway === null ? [] : [natsAway]),
    ...(skew > SKEW_SECONDS ? [`the clock here differs from that of the database by ${skew} s`] : []),
  ];
  const text = [`${name}, ${up} of ${countText(all.length, 'router')} up`, ...remarks].join('; ');
  return [hanging('cluster'.padEnd(HEAD_CELLS), text, width)];
}

/** Whether the database is away, how large the history is, and when it is purged; nothing for a router of an earlier version. */
function historyLines({ time, counters }: Information, width: number | undefined): string[] {
  const { success, data: counted } = Counters.safeParse(counters);
  if (!success) return [];
  const { away, bytes, maxBytes, retentionSeconds, purgedRows, purgedRequests, lastPurge, nextPurgeAt } = counted.store;
  const seconds = (ms: number) => spanText(Math.max(0, Math.round(ms / 1000)));
  const removed = (rows: number, requests: number) => `${countText(rows, 'row')} and ${countText(requests, 'request')}`;
  const last =
    lastPurge === null
      ? 'not yet'
      : `${seconds(time - lastPurge.at)} ago, removed ${removed(lastPurge.rows, lastPurge.requests)}; ${removed(purgedRows, purgedRequests)} since the start`;
  const lost = `away (${away}): nothing is accepted until it is back`;
  return [
    ...(away === null ? [] : [hanging('store'.padEnd(HEAD_CELLS), lost, width)]),
    hanging(
      'history'.padEnd(HEAD_CELLS),
      `${mib(bytes)} of ${mib(maxBytes)}; rows are kept for ${spanText(retentionSeconds)}`,
      width,
    ),
    hanging('purge'.padEnd(HEAD_CELLS), `${last}; next within ${seconds(nextPurgeAt - time)}`, width),
  ];
}

function mib(bytes: number): string {
  return bytes < 2 ** 30 ? `${(bytes / 2 ** 20).toFixed(1)} MiB` : `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

/** Whether an instance serves and says that it is degraded. */
function isDegraded(
  { state }: Information['plugins'][number],
  { health }: { health: { state: string } | null },
): boolean {
  return state === 'ready' && health?.state === 'degraded';
}

function sum(actions: readonly { finished: number; failed: number }[], key: 'finished' | 'failed'): number {
  return actions.reduce((total, action) => total + action[key], 0);
}

function latencyText(ms: number | null): string {
  return ms === null ? '-' : msText(ms);
}

function uptimeText(seconds: number): string {
  const days = Math.floor(seconds / 86_400);
  const clock = new Date((seconds % 86_400) * 1000).toISOString().slice(11, 19);
  return days > 0 ? `${days} d ${clock}` : clock;
}
