import { connect } from '@centreond/client';
import type { Config } from '../config/config.ts';
import type { PluginStatus } from '../router/executor.ts';
import type { StatusActions } from '../router/status-actions.ts';
import { answers } from './connection.ts';

const LIMIT_MS = 5000;

/** How the plugins fare in the daemon of `config`; undefined if none runs. Rejects if it runs and does not answer. */
export async function runningPlugins({ core }: Config): Promise<readonly PluginStatus[] | undefined> {
  if (!(await answers(core.socket))) return undefined;
  await using client = await connect({ address: `ipc://${core.socket}`, timeoutMs: LIMIT_MS });
  const { data } = await client.send('INFORMATION', {}, { timeoutMs: LIMIT_MS });
  return (data as unknown as ReturnType<StatusActions['information']>).plugins;
}
