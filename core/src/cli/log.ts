import type { Client } from '@centreond/client';
import { type HistoryRow, isCentreondError, isTerminal } from '@centreond/protocol';
import { cliFault, openClient } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import { dataLines, printJson, rowLines } from './print.ts';
import { requestOf } from './requests.ts';
import { titlesOf } from './row-titles.ts';
import { momentText } from './time.ts';

/**
 * Prints a token's request, with its DATA, and its rows; with --follow also those to come, until the terminal one. Exit 1 if it
 * failed.
 */
export async function log(options: Globals & { follow?: boolean }, token: string): Promise<number> {
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
    if (!request) return '';
    const { action, owner, target, acceptedAt, data } = request;
    const on = target === '' ? '' : ` on ${target}`;
    return `${momentText(acceptedAt)}  ${owner} asked for ${action}${on}\n${dataLines(data)}`;
  } catch (error) {
    // A router of an earlier version does not list requests.
    if (isCentreondError(error) && error.code === 'UNKNOWN_ACTION') return '';
    throw error;
  }
}
