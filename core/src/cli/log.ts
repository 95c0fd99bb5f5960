import type { Client } from '@centreond/client';
import { type HistoryRow, isCentreondError, isTerminal } from '@centreond/protocol';
import { cliFault, misuse, openClient } from './connection.ts';
import { EXIT } from './exit.ts';
import { type PluginLogOptions, pluginLog } from './plugin-log.ts';
import { printJson, requestLines, rowLines } from './print.ts';
import { requestOf } from './requests.ts';
import { titlesOf } from './row-titles.ts';

/**
 * Prints a token's request, with its DATA, and its rows; with --follow also those to come, until the terminal one. Exit 1 if it
 * failed. With --plugin the rows of a plugin instead.
 */
export async function log(options: PluginLogOptions & { plugin?: string }, token?: string): Promise<number> {
  const { plugin, since, rate, exits } = options;
  if (plugin !== undefined) {
    if (token !== undefined) throw misuse('log takes a token or --plugin TYPE, not both.');
    return pluginLog(options, plugin);
  }
  if (token === undefined) throw misuse('log needs a token, which `centreond requests` lists, or --plugin TYPE.');
  if (since !== undefined || rate !== undefined || exits) {
    throw misuse('--since, --rate and --exits go with --plugin TYPE.');
  }
  await using client = await openClient(options);
  if (!options.json) process.stdout.write(await requestText(client, token));
  const titles = options.json ? undefined : await titlesOf(client);
  let last = -1;
  const rows: AsyncIterable<HistoryRow> | HistoryRow[] = options.follow
    ? client.follow(token)
    : await client.query({ token });
  for await (const row of rows) {
    if (options.json) printJson(row);
    else process.stdout.write(rowLines(row, titles));
    last = row.code;
  }
  if (last === -1) throw cliFault('NO_ROWS', { token });
  return isTerminal(last) && last === 1 ? EXIT.failed : EXIT.done;
}

/** Who asked for what, and with which DATA; empty for a token that only has rows. */
async function requestText(client: Client, token: string): Promise<string> {
  try {
    const request = await requestOf(client, token);
    return request ? requestLines(request) : '';
  } catch (error) {
    // A router of an earlier version does not list requests.
    if (isCentreondError(error) && error.code === 'UNKNOWN_ACTION') return '';
    throw error;
  }
}
