import { type JsonObject, parseData } from '@centreond/plugin-sdk';
import { parseDuration } from '../config/units.ts';
import { CliError, openClient } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import { dataLines, meaning, printJson, rowLines } from './print.ts';

export interface CallOptions extends Globals {
  readonly target?: string;
  readonly token?: string;
  readonly follow?: boolean;
  /** `--no-wait`. */
  readonly wait: boolean;
  readonly timeout?: string;
}

/** Sends a request and prints its outcome. Exit 1 where it ended with code 1, 4 where it took longer than --timeout. */
export async function call(options: CallOptions, action: string, words: readonly string[]): Promise<number> {
  const data = dataOf(words);
  const timeoutMs = options.timeout === undefined ? undefined : durationOf(options.timeout);
  const client = await openClient(options);
  try {
    const { token, target } = options;
    const common = { ...(token && { token }), ...(target && { target }) };
    if (!options.wait) {
      const ack = await client.send(action, data, common);
      if (options.json) printJson(ack);
      else process.stdout.write(`${ack.token}\n`);
      return EXIT.done;
    }
    const outcome = await client.call(action, data, {
      ...common,
      ...(timeoutMs !== undefined && { timeoutMs }),
      onRow: (row) => {
        if (!options.follow) return;
        if (options.json) printJson(row);
        else process.stdout.write(rowLines(row));
      },
    });
    if (!options.follow) {
      if (options.json) printJson(outcome.row);
      else process.stdout.write(`${action} ${outcome.token} ${meaning(outcome.code)}\n${dataLines(outcome.data)}`);
    }
    return outcome.ok ? EXIT.done : EXIT.failed;
  } finally {
    await client.close();
  }
}

/** DATA from the command line: one JSON object, or `key=value` words, whose values are JSON where they parse as it. */
export function dataOf(words: readonly string[]): JsonObject {
  const [first = ''] = words;
  if (words.length === 1 && first.trimStart().startsWith('{')) return parseData(first);
  const data: JsonObject = {};
  for (const word of words) {
    const at = word.indexOf('=');
    if (at < 1) throw new CliError('USAGE', `'${word}' is neither key=value nor a JSON object.`, EXIT.usage);
    const text = word.slice(at + 1);
    try {
      data[word.slice(0, at)] = JSON.parse(text);
    } catch {
      data[word.slice(0, at)] = text;
    }
  }
  return data;
}

function durationOf(text: string): number {
  const parsed = parseDuration(text);
  if (typeof parsed === 'number') return parsed;
  throw new CliError(
    'USAGE',
    `--timeout ${text}: ${parsed.refused}. Write a whole number and ms, s, m, h or d.`,
    EXIT.usage,
  );
}
