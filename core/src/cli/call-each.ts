import { setTimeout as wait } from 'node:timers/promises';
import type { Client } from '@centreond/client';
import { type HistoryRow, isCentreondError, type Json, newToken, reasonOf } from '@centreond/protocol';
import { TurnGate } from '../turns.ts';
import { type Asked, type CallOptions, exitFault, untilText } from './asked.ts';
import type { Batches } from './batches.ts';
import { CliError, misuse } from './connection.ts';
import { EXIT } from './exit.ts';
import { type Fleet, fleetOf, isReached } from './fleet.ts';
import { viewOf } from './painted.ts';
import { dataLines, rowLines } from './print.ts';
import { Progress, type Standing } from './progress.ts';
import { resultsText } from './results.ts';
import { type RowTitles, titlesOf } from './row-titles.ts';
import { type Fate, finishedWord, Tally } from './tally.ts';
import { chosenOf, type Named, needsFleet } from './targets.ts';

/** Requests on their way to the router at a time. What it has accepted runs at its node, and makes room for another. */
const AT_ONCE = 100;
const TOKEN_LIMIT = 255;
/** What only says that it took longer than --timeout. */
const TIME_OVER: ReadonlySet<string> = new Set(['WAIT_OVER', 'NOT_ACKNOWLEDGED']);

/** What of a client a request to several nodes needs. */
export type Caller = Pick<Client, 'id' | 'send' | 'call'>;

/** Where results go, and what is said of them. */
export interface Streams {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
}

/** Which nodes a request goes to, how many at a time, and how results are printed. */
export interface Sending extends Pick<CallOptions, 'token' | 'follow' | 'json'> {
  readonly named: Named;
  readonly batches?: Batches | undefined;
}

/**
 * Sends a request to each of several nodes, batch by batch, and prints what they said, then what came of all: 0 where all
 * finished, 4 where nothing else went wrong than that some took longer than --timeout, else 1. A refusal is an outcome of
 * its node, and no end of the others.
 */
export async function callEach(
  client: Caller,
  asked: Asked,
  sending: Sending,
  streams: Streams = process,
): Promise<number> {
  const { named, follow, json } = sending;
  const fleet = needsFleet(named) || asked.sending.envelope ? await fleetOf(client) : undefined;
  const chosen =
    fleet && needsFleet(named) ? chosenOf(named, asked.action, fleet) : { targets: named.words, lacking: [] };
  const tally = new Tally(asked);
  for (const node of chosen.lacking) tally.add({ node, fate: 'lacking' });
  const titles = follow && !json ? await titlesOf(client) : undefined;
  const calls = new Calls({ client, asked, sending, tally, fleet, titles, streams });
  await calls.run(chosen.targets);
  const { stdout, stderr } = streams;
  const summary = json || asked.onlyAccepted ? stderr : stdout;
  if (!json && !asked.onlyAccepted) {
    stdout.write(`${resultsText(tally.outcomes, finishedWord(asked), viewOf(stdout, 0))}\n`);
  }
  summary.write(tally.text(viewOf(summary, 0).width));
  return tally.exit;
}

interface CallsOptions {
  readonly client: Caller;
  readonly asked: Asked;
  readonly sending: Sending;
  readonly tally: Tally;
  readonly fleet: Fleet | undefined;
  readonly titles: RowTitles | undefined;
  readonly streams: Streams;
}

/** Requests to several nodes, one each. */
class Calls {
  readonly #options: CallsOptions;
  readonly #interrupted = new AbortController();
  #standing: Standing = { total: 0, done: 0, running: 0, failed: 0 };
  #progress: Progress | undefined;

  constructor(options: CallsOptions) {
    this.#options = options;
  }

  /** Resolves when each has its outcome. A first Ctrl-C ends the waiting: what was accepted goes on. */
  async run(targets: readonly string[]): Promise<void> {
    const { sending, streams } = this.#options;
    const requests = targets.map((target) => ({ target, token: tokenFor(target, sending.token) }));
    const interrupt = () => this.#interrupted.abort(new CliError('INTERRUPTED', 'Interrupted.', EXIT.failed));
    process.once('SIGINT', interrupt);
    using progress = new Progress(streams.stderr, () => this.#standing);
    this.#progress = progress;
    try {
      await this.#batches(requests);
    } finally {
      process.off('SIGINT', interrupt);
    }
  }

  async #batches(requests: readonly Request[]): Promise<void> {
    const { tally, sending } = this.#options;
    const { sizeOf, pauseMs = 0, failFast = false } = sending.batches ?? {};
    const size = Math.max(1, sizeOf?.(requests.length) ?? requests.length);
    const of = Math.ceil(requests.length / size);
    for (let number = 1; number <= of; number++) {
      const batch = sending.batches && { number, of };
      this.#stands({ total: requests.length, batch });
      await this.#batch(requests.slice((number - 1) * size, number * size));
      const left = requests.slice(number * size);
      if (left.length > 0 && failFast && tally.troubles.length > 0) {
        for (const { target } of left) this.#unsent(target, 'a node of an earlier batch failed');
        return;
      }
      if (left.length === 0 || pauseMs === 0) continue;
      if (batch) this.#stands({ batch: { ...batch, nextAt: performance.now() + pauseMs } });
      // An interrupt ends the pause; the others are not sent.
      await wait(pauseMs, undefined, { signal: this.#interrupted.signal }).catch(() => undefined);
    }
  }

  async #batch(requests: readonly Request[]): Promise<void> {
    const gate = new TurnGate(AT_ONCE);
    const running: Promise<void>[] = [];
    for (const request of requests) {
      const leave = await gate.turn();
      this.#stands({ running: this.#standing.running + 1 });
      const one = this.#one(request, leave).finally(() => {
        leave();
        const { tally } = this.#options;
        const troubles = tally.troubles;
        const last = troubles.at(-1);
        this.#stands({
          running: this.#standing.running - 1,
          done: this.#standing.done + 1,
          failed: troubles.length,
          lastFailure: last && `${last.node} ${last.why ?? 'timed out'}`,
        });
      });
      running.push(one);
    }
    await Promise.all(running);
  }

  #stands(change: Partial<Standing>): void {
    this.#standing = { ...this.#standing, ...change };
  }

  async #one(request: Request, accepted: () => void): Promise<void> {
    const { client, asked, sending, tally } = this.#options;
    const { target, token } = request;
    const { signal } = this.#interrupted;
    if (signal.aborted) return this.#unsent(target, 'the call was interrupted');
    const common = { ...asked.sending, token, target, signal };
    const startedAt = performance.now();
    const took = () => performance.now() - startedAt;
    let isAccepted = false;
    try {
      if (asked.ackOnly) {
        const ack = await client.send(asked.action, asked.data, common);
        this.#accepted(target);
        if (sending.json) this.#line({ target, ...ack });
        else if (asked.onlyAccepted) this.#print(`${target}  ${token}\n`);
        const told = asked.isRead ? undefined : token;
        const text = dataLines(ack.data);
        return tally.add({ node: target, fate: 'finished', token: told, tookMs: took(), text });
      }
      const { row, ok } = await client.call(asked.action, asked.data, {
        ...common,
        onRow: (each) => {
          accepted();
          if (!isAccepted) this.#accepted(target);
          isAccepted = true;
          if (sending.follow) this.#row(target, each);
        },
      });
      if (sending.json && !sending.follow) this.#line({ target, ...row });
      // With --follow all of it was printed already.
      const text = sending.follow ? '' : dataLines(row.data);
      const why = ok ? asked.checkExit && exitFault(row.data) : errorOf(row.data);
      tally.add({
        ...{ node: target, token, tookMs: took(), text },
        ...(why ? ({ fate: 'failed', why } as const) : ({ fate: 'finished' } as const)),
      });
    } catch (error) {
      this.#refused(request, error, took());
    }
  }

  #accepted(target: string): void {
    const { asked, fleet, tally } = this.#options;
    const { envelope } = asked.sending;
    if (!envelope || !fleet || isReached(fleet, target)) return;
    tally.held(target);
    this.#say(`${target}  held until ${untilText(envelope)}: there is no way to it now\n`);
  }

  #row(target: string, row: HistoryRow): void {
    const { sending, titles } = this.#options;
    if (sending.json) this.#line({ target, ...row });
    else this.#print(rowLines(row, titles).replaceAll(/^(?=.)/gm, `${target} | `));
  }

  #unsent(target: string, why: string): void {
    const { sending, tally } = this.#options;
    tally.add({ node: target, fate: 'unsent' });
    if (sending.json) this.#line({ target, error: 'NOT_SENT', message: `It was not sent: ${why}.` });
  }

  #refused({ target, token }: Request, error: unknown, tookMs: number): void {
    const { asked, sending, tally } = this.#options;
    const code = isCentreondError(error) ? error.code : 'FAILED';
    const fate = this.#fateOf(code, target);
    if (fate === 'lacking') {
      tally.add({ node: target, fate });
      return;
    }
    const why = TIME_OVER.has(code) || fate === 'left' ? undefined : code;
    const message = fate === 'left' ? 'It is no longer waited for; read it by its token.' : reasonOf(error);
    const readable = fate === 'late' || fate === 'left' ? token : undefined;
    const text = `  ${why === undefined ? '' : `${code}: `}${message}\n`;
    tally.add({ node: target, fate, why, token: readable, tookMs, text });
    if (sending.json) this.#line({ target, token, error: code, message });
    // Tokens alone are the result of --no-wait.
    else if (asked.onlyAccepted) this.#say(`${target}  ${code}: ${message}\n`);
  }

  #fateOf(code: string, target: string): Fate {
    if (this.#interrupted.signal.aborted) return 'left';
    // Asked for everybody who has it: those who have not are no failures.
    if (code === 'NODE_LACKS_ACTION' && !this.#options.sending.named.words.includes(target)) return 'lacking';
    return TIME_OVER.has(code) || code === 'NOT_CONNECTED' ? 'late' : 'refused';
  }

  #line(value: object): void {
    this.#print(`${JSON.stringify(value)}\n`);
  }

  #print(text: string): void {
    this.#progress?.clear();
    this.#options.streams.stdout.write(text);
  }

  #say(text: string): void {
    this.#progress?.clear();
    this.#options.streams.stderr.write(text);
  }
}

interface Request {
  readonly target: string;
  readonly token: string;
}

/** The token of a request to one of several nodes: the same one whenever the same is asked again. */
function tokenFor(target: string, token: string | undefined): string {
  if (!token) return newToken();
  const own = `${token}:${target}`;
  if (own.length <= TOKEN_LIMIT) return own;
  throw misuse(
    `--token: with several nodes each request has TOKEN:NODE, and ${own} is longer than ${TOKEN_LIMIT} characters.`,
  );
}

function errorOf(data: Json): string {
  const { error } = typeof data === 'object' && data !== null && !Array.isArray(data) ? data : {};
  return typeof error === 'string' ? error : 'FAILED';
}
