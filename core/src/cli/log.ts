import type { Client } from '@centreond/client';
import { type HistoryRow, isCentreondError, isTerminal } from '@centreond/protocol';
import { cliFault, misuse, openClient } from './connection.ts';
import { EXIT } from './exit.ts';
import { type PluginLogOptions, pluginLog } from './plugin-log.ts';
import { isAcceptance, printJson, rowLines } from './print.ts';
import { type Listed, requestOf } from './requests.ts';
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
  // The row that says that it was accepted shows what was asked, once.
  let asked = options.json ? undefined : (await knownRequest(client, token))?.data;
  const titles = options.json ? undefined : await titlesOf(client);
  let last = -1;
  const rows: AsyncIterable<HistoryRow> | HistoryRow[] = options.follow
    ? client.follow(token)
    : await client.query({ token });
  for await (const row of rows) {
    if (options.json) printJson(row);
    else process.stdout.write(rowLines(row, titles, { asked }));
    if (isAcceptance(row)) asked = undefined;
    last = row.code;
  }
  if (last === -1) throw cliFault('NO_ROWS', { token });
  return isTerminal(last) && last === 1 ? EXIT.failed : EXIT.done;
}

/** The request of a token, if the router tells of it. */
async function knownRequest(client: Client, token: string): Promise<Listed | undefined> {
  try {
    return await requestOf(client, token);
  } catch (error) {
    // A router of an earlier version does not list requests.
    if (isCentreondError(error) && error.code === 'UNKNOWN_ACTION') return undefined;
    throw error;
  }
}
