import type { StatusActions } from '../router/status-actions.ts';
import { openClient } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import { msText, printJson, table } from './print.ts';

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
  const rows = plugins.flatMap((plugin) =>
    plugin.instances.map((instance, i) => [
      i === 0 ? plugin.type : '',
      instance.id,
      plugin.state,
      String(instance.pid ?? '-'),
      String(instance.restarts),
      String(instance.inFlight),
      String(plugin.waiting),
      String(sum(plugin.actions, 'finished')),
      String(sum(plugin.actions, 'failed')),
      latencyText(instance.p50Ms),
      latencyText(instance.p99Ms),
      instance.rss === null ? '-' : `${Math.round(instance.rss / 2 ** 20)} MiB`,
    ]),
  );
  const heading = [
    'PLUGIN',
    'ID',
    'STATE',
    'PID',
    'RESTARTS',
    'RUNNING',
    'WAITING',
    'DONE',
    'FAILED',
    'P50',
    'P99',
    'MEMORY',
  ];
  const reasons = plugins.flatMap(({ type, reason }) => (reason === undefined ? [] : [`${type}: ${reason}\n`]));
  return head + table([heading, ...rows]) + (reasons.length > 0 ? `\n${reasons.join('')}` : '');
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
