import { type JsonObject, parseData } from '@centreond/plugin-sdk';
import type { Client, EnvelopeOptions } from '@centreond/plugin-sdk/client';
import { parseDuration } from '../config/units.ts';
import { coreManifest } from '../core-actions.ts';
import { callEach } from './call-each.ts';
import { misuse, openClient } from './connection.ts';
import { EXIT, type Globals } from './exit.ts';
import { fleetOf, isReached } from './fleet.ts';
import { dataLines, meaning, momentText, printJson, rowLines } from './print.ts';
import { targetsOf } from './targets.ts';

/** How long the router holds a request that names no deadline. */
const HOLD_MS = 24 * 3600 * 1000;

export interface CallOptions extends Globals {
  /** A node, several with commas between, or `all`. */
  readonly target?: string;
  /** With several nodes each request has TOKEN:NODE. */
  readonly token?: string;
  readonly follow?: boolean;
  /** `--no-wait`. */
  readonly wait: boolean;
  readonly timeout?: string;
  /** How long to keep it where there is no way to the node; empty for as long as the router does by itself. */
  readonly hold?: string;
}

/** What a request says, to whichever nodes. */
export interface Asked {
  readonly action: string;
  readonly data: JsonObject;
  readonly timeoutMs: number | undefined;
  readonly envelope: EnvelopeOptions | undefined;
  /** Only its ACK is waited for: nobody asked for more, or its answer is there. */
  readonly ackOnly: boolean;
  /** Its ACK has its answer: there are no rows, and nothing to keep. */
  readonly isRead: boolean;
}

/**
 * Sends a request and prints its outcome. Exit 1 where it ended with code 1, 4 where it took longer than --timeout. To
 * several nodes it goes as a request each.
 */
export async function call(options: CallOptions, action: string, words: readonly string[]): Promise<number> {
  const { target, hold, wait } = options;
  const isRead = coreManifest.actions.some(({ name, reply }) => name === action && reply === 'ack');
  const asked = {
    action,
    data: dataOf(words),
    timeoutMs: options.timeout === undefined ? undefined : durationOf('--timeout', options.timeout),
    envelope: hold === undefined ? undefined : envelopeOf(hold),
    ackOnly: !wait || isRead,
    isRead,
  };
  const named = target === undefined ? undefined : targetsOf(target);
  const client = await openClient(options);
  try {
    if (named?.many) return await callEach(client, asked, named, options);
    const held = asked.envelope && (await heldText(client, target, asked.envelope));
    return asked.ackOnly ? await ask(client, asked, options, held) : await run(client, asked, options, held);
  } finally {
    await client.close();
  }
}

async function ask(client: Client, asked: Asked, options: CallOptions, held: string | undefined): Promise<number> {
  const { action, data, timeoutMs } = asked;
  const ack = await client.send(action, data, {
    ...common(asked, options),
    ...(timeoutMs !== undefined && { timeoutMs }),
  });
  if (options.json) printJson(ack);
  else
    process.stdout.write(asked.isRead ? `${action} ${ack.token} answered\n${dataLines(ack.data)}` : `${ack.token}\n`);
  if (held !== undefined) process.stderr.write(held);
  return EXIT.done;
}

async function run(client: Client, asked: Asked, options: CallOptions, held: string | undefined): Promise<number> {
  const { action, data, timeoutMs } = asked;
  let isAccepted = false;
  const outcome = await client.call(action, data, {
    ...common(asked, options),
    ...(timeoutMs !== undefined && { timeoutMs }),
    onRow: (row) => {
      if (!isAccepted && held !== undefined) process.stderr.write(held);
      isAccepted = true;
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
}

function common({ envelope }: Asked, { token, target }: CallOptions) {
  return { ...(token && { token }), ...(target && { target }), ...(envelope && { envelope }) };
}

/** What to say once a request is accepted for a node to which there is no way now. */
async function heldText(
  client: Client,
  target: string | undefined,
  envelope: EnvelopeOptions,
): Promise<string | undefined> {
  if (target === undefined || isReached(await fleetOf(client), target)) return undefined;
  return `There is no way to ${target} now. The request is held for it until ${untilText(envelope)}.\n`;
}

/** Until when the router holds a request. */
export function untilText({ deadline }: EnvelopeOptions): string {
  return momentText(deadline ?? Math.floor((Date.now() + HOLD_MS) / 1000));
}

function envelopeOf(hold: string): EnvelopeOptions {
  if (hold === '') return { hold: true };
  return { hold: true, deadline: Math.ceil((Date.now() + durationOf('--hold', hold)) / 1000) };
}

/** DATA from the command line: one JSON object, or `key=value` words, whose values are JSON where they parse as it. */
export function dataOf(words: readonly string[]): JsonObject {
  const [first = ''] = words;
  if (words.length === 1 && first.trimStart().startsWith('{')) return parseData(first);
  const data: JsonObject = {};
  for (const word of words) {
    const at = word.indexOf('=');
    if (at < 1) throw misuse(`'${word}' is neither key=value nor a JSON object.`);
    const text = word.slice(at + 1);
    try {
      data[word.slice(0, at)] = JSON.parse(text);
    } catch {
      data[word.slice(0, at)] = text;
    }
  }
  return data;
}

function durationOf(option: string, text: string): number {
  const parsed = parseDuration(text);
  if (typeof parsed === 'number') return parsed;
  throw misuse(`${option} ${text}: ${parsed.refused}. Write a whole number and ms, s, m, h or d.`);
}
