import type { StatusActions } from '../router/status-actions.ts';
import { type Column, tableLines } from './columns.ts';
import { openClient } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import { healthLines, sharedLines } from './health-text.ts';
import { msText, printJson } from './print.ts';

type Information = ReturnType<StatusActions['information']>;

/** What runs, with figures. `--json` prints the answer of INFORMATION. */
export async function status(options: Globals): Promise<number> {
  await using client = await openClient(options);
  const { data } = await client.send('INFORMATION', {});
  if (options.json) printJson(data);
  else process.stdout.write(statusText(data as unknown as Information));
  return EXIT.done;
}

function statusText({ id, version, uptimeSeconds, plugins, counters }: Information): string {
  const head = `router ${id}, centreond ${version}, up ${uptimeText(uptimeSeconds)}; ${counters.open} open, ${counters.accepted} accepted, ${counters.refused} refused\n\n`;
  const lines = plugins.flatMap((plugin) => plugin.instances.map((instance, i) => ({ plugin, instance, i })));
  const columns: readonly Column<(typeof lines)[number]>[] = [
    { heading: 'PLUGIN', piece: ({ plugin, i }) => (i === 0 ? plugin.type : '') },
    { heading: 'ID', piece: ({ instance }) => instance.id },
    { heading: 'STATE', piece: ({ plugin, instance }) => (isDegraded(plugin, instance) ? 'degraded' : plugin.state) },
    { heading: 'PID', piece: ({ instance }) => String(instance.pid ?? '-') },
    { heading: 'RESTARTS', piece: ({ instance }) => String(instance.restarts) },
    { heading: 'RUNNING', piece: ({ instance }) => String(instance.inFlight) },
    { heading: 'WAITING', piece: ({ plugin }) => String(plugin.waiting) },
    { heading: 'DONE', piece: ({ plugin }) => String(sum(plugin.actions, 'finished')) },
    { heading: 'FAILED', piece: ({ plugin }) => String(sum(plugin.actions, 'failed')) },
    { heading: 'P50', piece: ({ instance }) => latencyText(instance.p50Ms) },
    { heading: 'P99', piece: ({ instance }) => latencyText(instance.p99Ms) },
    {
      heading: 'MEMORY',
      piece: ({ instance: { rss } }) => (rss === null ? '-' : `${Math.round(rss / 2 ** 20)} MiB`),
    },
  ];
  const reasons = plugins.flatMap(({ type, reason }) => (reason === undefined ? [] : [`${type}: ${reason}\n`]));
  const remarks = [...reasons, ...healthLines(plugins), ...sharedLines(plugins)];
  const below = remarks.length > 0 ? `\n${remarks.join('')}` : '';
  return `${head}${tableLines(columns, lines).join('\n')}\n${below}`;
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
