import type { Client } from '@centreond/client';
import { type HistoryRow, isCentreondError, newToken, reasonOf } from '@centreond/protocol';
import { TurnGate } from '../turns.ts';
import { type Asked, type CallOptions, untilText } from './asked.ts';
import { CliError, misuse } from './connection.ts';
import { EXIT } from './exit.ts';
import { type Fleet, fleetOf, isReached } from './fleet.ts';
import { dataLines, meaning, printJson, rowLines } from './print.ts';
import { type Fate, Tally } from './tally.ts';
import { everyNodeWith, type Named } from './targets.ts';

/** Requests on their way to the router at a time. What it has accepted runs at its node, and makes room for another. */
const AT_ONCE = 100;
const TOKEN_LIMIT = 255;
/** What only says that it took longer than --timeout. */
const TIME_OVER: ReadonlySet<string> = new Set(['WAIT_OVER', 'NOT_ACKNOWLEDGED']);

/**
 * Sends a request to each of several nodes and prints the outcomes as they come, then what came of all: 0 where all
 * finished, 4 where nothing else went wrong than that some took longer than --timeout, else 1. A refusal is an outcome of
 * its node, and no end of the others.
 */
export async function callEach(client: Client, asked: Asked, named: Named, options: CallOptions): Promise<number> {
  const fleet = named.ids === 'all' || asked.sending.envelope ? await fleetOf(client) : undefined;
  const chosen =
    named.ids === 'all' ? everyNodeWith(asked.action, fleet as Fleet) : { targets: named.ids, lacking: [] };
  const tally = new Tally(asked, named.ids === 'all', options.wait);
  for (const target of chosen.lacking) tally.add(target, 'lacking');
  const calls = new Calls(client, asked, options, tally, fleet);
  await calls.run(chosen.targets);
  (options.json || !options.wait ? process.stderr : process.stdout).write(tally.text());
  return tally.exit;
}

/** Requests to several nodes, one each. */
class Calls {
  readonly #interrupted = new AbortController();

  constructor(
    private readonly client: Client,
    private readonly asked: Asked,
    private readonly options: CallOptions,
    private readonly tally: Tally,
    private readonly fleet: Fleet | undefined,
  ) {}

  /** Resolves when each has its outcome. A first Ctrl-C ends the waiting: what was accepted goes on. */
  async run(targets: readonly string[]): Promise<void> {
    const tokens = targets.map((target) => tokenFor(target, this.options.token));
    const interrupt = () => this.#interrupted.abort(new CliError('INTERRUPTED', 'Interrupted.', EXIT.failed));
    process.once('SIGINT', interrupt);
    try {
      const gate = new TurnGate(AT_ONCE);
      const running: Promise<void>[] = [];
      for (const [i, target] of targets.entries()) {
        const leave = await gate.turn();
        running.push(this.#one(target, tokens[i] as string, leave).finally(leave));
      }
      await Promise.all(running);
    } finally {
      process.off('SIGINT', interrupt);
    }
  }

  async #one(target: string, token: string, accepted: () => void): Promise<void> {
    const { client, asked, options, tally } = this;
    const { signal } = this.#interrupted;
    if (signal.aborted) return tally.add(target, 'unsent');
    const { action, data, sending, ackOnly } = asked;
    const common = { ...sending, token, target, signal };
    let isAccepted = false;
    try {
      if (ackOnly) {
        const ack = await client.send(action, data, common);
        this.#accepted(target);
        if (options.json) printJson({ target, ...ack });
        else if (options.wait) this.#print(target, `${action} ${token} answered\n${dataLines(ack.data)}`);
        else process.stdout.write(`${target}  ${token}\n`);
        return tally.add(target, 'finished');
      }
      const { row, ok } = await client.call(action, data, {
        ...common,
        onRow: (each) => {
          accepted();
          if (!isAccepted) this.#accepted(target);
          isAccepted = true;
          if (options.follow) this.#row(target, each);
        },
      });
      if (!options.follow) this.#outcome(target, row);
      if (ok) tally.add(target, 'finished');
      else tally.add(target, 'failed', errorOf(row));
    } catch (error) {
      this.#refused(target, token, error);
    }
  }

  #accepted(target: string): void {
    const { asked, fleet, tally } = this;
    const { envelope } = asked.sending;
    if (!envelope || !fleet || isReached(fleet, target)) return;
    tally.held(target);
    process.stderr.write(`${target}  held until ${untilText(envelope)}: there is no way to it now\n`);
  }

  #row(target: string, row: HistoryRow): void {
    if (this.options.json) printJson({ target, ...row });
    // Rows of many come in between each other: each line says whose it is.
    else
      process.stdout.write(
        rowLines(row)
          .replaceAll(/^/gm, `${target} | `)
          .slice(0, -target.length - 3),
      );
  }

  #outcome(target: string, row: HistoryRow): void {
    if (this.options.json) printJson({ target, ...row });
    else this.#print(target, `${row.type} ${row.token} ${meaning(row.code)}\n${dataLines(row.data)}`);
  }

  #print(target: string, text: string): void {
    process.stdout.write(`${target}  ${text}`);
  }

  #refused(target: string, token: string, error: unknown): void {
    const { options, tally } = this;
    const code = isCentreondError(error) ? error.code : 'FAILED';
    const fate = this.#fateOf(code);
    tally.add(target, fate, TIME_OVER.has(code) || fate === 'left' ? '' : code);
    if (fate === 'lacking') return;
    const message = fate === 'left' ? `${token} is no longer waited for; read it by its token.` : reasonOf(error);
    if (options.json) printJson({ target, token, error: code, message });
    else {
      const text = `${target}  ${code}: ${message}\n`;
      // Tokens alone are the result of --no-wait.
      (options.wait ? process.stdout : process.stderr).write(text);
    }
  }

  #fateOf(code: string): Fate {
    if (this.#interrupted.signal.aborted) return 'left';
    // Asked for everybody who has it: those who have not are no failures.
    if (code === 'NODE_LACKS_ACTION' && this.tally.all) return 'lacking';
    return TIME_OVER.has(code) || code === 'NOT_CONNECTED' ? 'late' : 'refused';
  }
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

function errorOf({ data }: HistoryRow): string {
  const { error } = typeof data === 'object' && data !== null && !Array.isArray(data) ? data : {};
  return typeof error === 'string' ? error : 'FAILED';
}
