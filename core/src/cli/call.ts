import type { Client, EnvelopeOptions } from '@centreond/client';
import { coreManifest } from '../core-actions.ts';
import { type Asked, type CallOptions, envelopeOf, exitFault, untilText } from './asked.ts';
import { batchesOf } from './batches.ts';
import { callEach } from './call-each.ts';
import { misuse, openClient } from './connection.ts';
import { dataOf, inputOf } from './data-words.ts';
import { EXIT } from './exit.ts';
import { fleetOf, isReached } from './fleet.ts';
import { dataLines, meaning, printJson, rowLines } from './print.ts';
import { titlesOf } from './row-titles.ts';
import { targetsOf } from './targets.ts';
import { durationOf } from './time.ts';

/**
 * Sends a request and prints its outcome. Exit 1 where it ended with code 1, 4 where it took longer than --timeout. To
 * several nodes it goes as a request each.
 */
export async function call(options: CallOptions, action: string, words: readonly string[]): Promise<number> {
  const { target, label, hold } = options;
  const isRead = coreManifest.actions.some(({ name, reply }) => name === action && reply === 'ack');
  const onlyAccepted = options.wait === false;
  const batches = batchesOf(options);
  if (batches && target === undefined && !label) {
    throw misuse('--batch is for several nodes: name them with --target or --label.');
  }
  const named = target === undefined && !label ? undefined : targetsOf(target, label);
  const many = named !== undefined && (named.many || batches !== undefined);
  const asked = {
    action,
    data: await dataOf(words, () => inputOf(options, action)),
    sending: {
      ...(options.timeout !== undefined && { timeoutMs: durationOf('--timeout', options.timeout) }),
      ...(hold !== undefined && { envelope: envelopeOf(hold) }),
    },
    ackOnly: onlyAccepted || isRead,
    onlyAccepted,
    isRead,
    checkExit: options.checkExit ?? (many && action === 'COMMAND'),
  };
  await using client = await openClient(options);
  if (many) return await callEach(client, asked, { ...options, named, batches });
  const { envelope } = asked.sending;
  const held = envelope && (await heldText(client, target, envelope));
  return asked.ackOnly ? await ask(client, asked, options, held) : await run(client, asked, options, held);
}

async function ask(client: Client, asked: Asked, options: CallOptions, held: string | undefined): Promise<number> {
  const { action, data } = asked;
  const ack = await client.send(action, data, common(asked, options));
  if (options.json) printJson(ack);
  else
    process.stdout.write(asked.isRead ? `${action} ${ack.token} answered\n${dataLines(ack.data)}` : `${ack.token}\n`);
  if (held !== undefined) process.stderr.write(held);
  return EXIT.done;
}

async function run(client: Client, asked: Asked, options: CallOptions, held: string | undefined): Promise<number> {
  const { action, data } = asked;
  const titles = options.follow && !options.json ? await titlesOf(client) : undefined;
  let isAccepted = false;
  const outcome = await client.call(action, data, {
    ...common(asked, options),
    onRow: (row) => {
      if (!isAccepted && held !== undefined) process.stderr.write(held);
      isAccepted = true;
      if (!options.follow) return;
      if (options.json) printJson(row);
      else process.stdout.write(rowLines(row, titles));
    },
  });
  const fault = asked.checkExit && outcome.ok ? exitFault(outcome.data) : undefined;
  if (!options.follow) {
    const how = `${meaning(outcome.code)}${fault === undefined ? '' : `, and failed: ${fault}`}`;
    if (options.json) printJson(outcome.row);
    else process.stdout.write(`${action} ${outcome.token} ${how}\n${dataLines(outcome.data)}`);
  }
  return outcome.ok && fault === undefined ? EXIT.done : EXIT.failed;
}

function common({ sending }: Asked, { token, target }: CallOptions) {
  return { ...sending, ...(token && { token }), ...(target && { target }) };
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
