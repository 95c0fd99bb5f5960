import { isTerminal } from '@centreond/plugin-sdk';
import { cliFault, openClient } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import { printJson, rowLines } from './print.ts';

/** Prints the rows of a token; with --follow also those to come, until the terminal one. Exit 1 where it failed. */
export async function log(options: Globals & { follow?: boolean }, token: string): Promise<number> {
  const client = await openClient(options);
  try {
    let last = -1;
    const rows = options.follow ? client.follow(token) : await client.query({ token });
    for await (const row of rows) {
      if (options.json) printJson(row);
      else process.stdout.write(rowLines(row));
      last = row.code;
    }
    if (last === -1) throw cliFault('NO_ROWS', { token });
    return isTerminal(last) && last === 1 ? EXIT.failed : EXIT.done;
  } finally {
    await client.close();
  }
}

/** Ends a request. Exit 1 where it is not one's own, or had ended. */
export async function cancel(options: Globals, token: string): Promise<number> {
  const client = await openClient(options);
  try {
    const { data, ok } = await client.call('CANCEL', { token });
    if (options.json) printJson(data);
    else {
      const { cancelled } = data as { cancelled?: boolean };
      process.stdout.write(cancelled ? `${token} is told to stop.\n` : `${token} had ended already.\n`);
    }
    return ok ? EXIT.done : EXIT.failed;
  } finally {
    await client.close();
  }
}
