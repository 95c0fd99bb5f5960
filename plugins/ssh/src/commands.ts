import { setTimeout as pause } from 'node:timers/promises';
import { joinWords, OUTPUT } from '@centreond/command';
import {
  type Ack,
  type CentreondError,
  failure,
  isCentreondError,
  type Json,
  type Logger,
  reasonOf,
} from '@centreond/plugin-sdk';
import type { CarriedRequest } from '@centreond/plugin-sdk/nodes';
import { FAILED, FINISHED } from '@centreond/protocol';
import { type Command, readCommand } from './command.ts';
import { LinkFault } from './dial.ts';
import { digestOf, type Ledger } from './ledger.ts';
import type { NodeLog } from './node-log.ts';
import { EndUnseen, runRemotely } from './remote-run.ts';
import type { SshConfig } from './ssh-config.ts';
import type { SshConnection } from './ssh-connection.ts';
import { NoChannel } from './ssh-link.ts';

/** An sshd opens 10 sessions on a connection where it is not told otherwise: three are the watch, SFTP and its hashes. */
const AT_ONCE = 7;
const WAITING_LIMIT = 1000;
/** How long what waits to start does so without a connection. */
const PATIENCE_MS = 60_000;
const SWEEP_MS = 1000;
/** So often a session may be refused where no other is open. */
const REFUSALS_LIMIT = 10;
const REFUSED_MS = 500;
const ENDED_LIMIT = 10_000;
const RECOVERY_MS = 5000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const SHOWN_CHARS = 200;

export interface CommandsOptions {
  readonly config: SshConfig;
  readonly connection: Pick<SshConnection, 'link' | 'why'>;
  readonly ledger: Ledger;
  readonly rows: NodeLog;
  readonly log: Logger;
}

interface Job extends Command {
  readonly token: string;
  readonly stop: AbortController;
  readonly deadline: NodeJS.Timeout | undefined;
  /** Since when it waits without a connection. */
  since: number;
  refusals: number;
}

/** The commands of one SSH node: taken once each, so many run at once, the others wait their turn. */
export class Commands {
  readonly #options: CommandsOptions;
  readonly #taking = new Map<string, Promise<Ack>>();
  readonly #jobs = new Map<string, Job>();
  readonly #waiting: Job[] = [];
  readonly #running = new Map<Job, Promise<void>>();
  readonly #ended = new Set<string>();
  readonly #recovered = new Set<string>();
  #atOnce = AT_ONCE;
  #sweep: NodeJS.Timeout | undefined;
  #recovery: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: CommandsOptions) {
    this.#options = options;
    void this.#recover();
  }

  /** Takes a COMMAND: resolves once it is on disk that it was taken; rejects with the refusal. */
  async take(request: CarriedRequest): Promise<Ack> {
    const { token } = request;
    const duplicate = { token, data: { duplicate: true } };
    const taking = this.#taking.get(token);
    if (taking) {
      await taking;
      return duplicate;
    }
    if (this.#jobs.has(token) || this.#ended.has(token)) return duplicate;
    const taken = this.#take(request);
    this.#taking.set(token, taken);
    try {
      return await taken;
    } finally {
      this.#taking.delete(token);
    }
  }

  async #take({ action, token, data, envelope }: CarriedRequest): Promise<Ack> {
    const { config, connection, ledger, rows } = this.#options;
    const digest = digestOf(action, data);
    const known = await ledger.find(token);
    if (known && known.digest !== digest) throw failure('TOKEN_REUSED', { token, action: known.action });
    // One of ours that does not run: it was put down, and nobody told us.
    if (known && !ledger.owns(known)) return { token, data: { duplicate: true } };
    const command = readCommand(data, config);
    if (!connection.link) throw failure('NODE_UNREACHABLE', { target: config.id, why: connection.why });
    if (this.#waiting.length + this.#taking.size >= WAITING_LIMIT) {
      throw failure('BUSY', { what: `the queue of the node ${config.id}`, limit: WAITING_LIMIT });
    }
    await ledger.take(token, action, digest);
    if (this.#closed) {
      await ledger.forget(token);
      throw failure('NODE_UNREACHABLE', { target: config.id });
    }
    const router = envelope.hops.at(-1) ?? '';
    const data0 = { owner: `${router}/${envelope.from}`, target: config.id };
    rows.append({ token, type: action, code: 0, data: data0 });
    const stop = new AbortController();
    const job: Job = {
      ...command,
      token,
      stop,
      deadline: this.#deadline(envelope.deadline, stop),
      since: performance.now(),
      refusals: 0,
    };
    stop.signal.addEventListener('abort', () => this.#aborted(job), { once: true });
    this.#jobs.set(token, job);
    this.#waiting.push(job);
    this.pump();
    return { token, data: {} };
  }

  #deadline(until: number | undefined, stop: AbortController): NodeJS.Timeout | undefined {
    if (until === undefined) return undefined;
    const ms = Math.max(0, Math.min(LONGEST_TIMER_MS, until * 1000 - Date.now()));
    const seconds = Math.round(ms / 1000);
    return setTimeout(() => stop.abort(failure('TIMEOUT', { action: 'COMMAND', seconds })), ms);
  }

  /** Ends a command for `by`; false where there is none of this token that has not ended. */
  async cancel(token: string, by: string): Promise<boolean> {
    await this.#taking.get(token)?.catch(() => undefined);
    const job = this.#jobs.get(token);
    job?.stop.abort(failure('CANCELLED', { token, by }));
    return job !== undefined;
  }

  /** There is a new connection. */
  connected(): void {
    this.#atOnce = AT_ONCE;
    this.pump();
  }

  /** Starts what can be started. */
  pump(): void {
    const { link } = this.#options.connection;
    while (link && !this.#closed && this.#running.size < this.#atOnce) {
      const job = this.#waiting.shift();
      if (!job) return;
      this.#running.set(
        job,
        this.#run(job, link).finally(() => {
          this.#running.delete(job);
          this.pump();
        }),
      );
    }
    if (this.#waiting.length > 0) this.#sweep ??= setInterval(() => this.#onSweep(), SWEEP_MS);
  }

  #onSweep(): void {
    const now = performance.now();
    const { link, why } = this.#options.connection;
    const late = link ? [] : this.#waiting.filter(({ since }) => now - since > PATIENCE_MS);
    if (link) for (const job of this.#waiting) job.since = now;
    const { id: target } = this.#options.config;
    for (const job of late) this.#fail(job, failure('NODE_UNREACHABLE', { target, why }));
    this.pump();
    if (this.#waiting.length > 0) return;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }

  async #run(job: Job, link: NonNullable<SshConnection['link']>): Promise<void> {
    const { token, launch, seconds, stop } = job;
    const { rows, log, config } = this.#options;
    const timer = setTimeout(
      () => stop.abort(failure('TIMEOUT', { action: 'COMMAND', seconds })),
      Math.min(LONGEST_TIMER_MS, seconds * 1000),
    );
    try {
      const result = await runRemotely(link, launch, stop, {
        token,
        give: (stream, chunk) => rows.append({ token, type: 'COMMAND', code: OUTPUT, data: { stream, chunk } }).room,
        unkillable: (pid) =>
          log.error(
            { node: config.id, token, pid },
            `the processes of ${shown(launch.argv)} on ${config.id} did not end on SIGKILL`,
          ),
      });
      this.#end(job, FINISHED, { ...result });
    } catch (error) {
      if (error instanceof NoChannel || error instanceof LinkFault) await this.#notStarted(job, error);
      else this.#fail(job, this.#failureOf(job, error));
    } finally {
      clearTimeout(timer);
    }
  }

  #failureOf({ token }: Job, error: unknown): CentreondError {
    if (isCentreondError(error)) return error;
    if (!(error instanceof EndUnseen)) return failure('ACTION_FAILED', { reason: reasonOf(error) });
    const cause = `The node ${this.#options.config.id} ${error.message}`;
    return failure('OUTCOME_UNKNOWN', { token, action: 'COMMAND', cause });
  }

  /** There was no channel for it, so it waits on. */
  async #notStarted(job: Job, error: Error): Promise<void> {
    const others = this.#running.size - 1;
    if (error instanceof NoChannel) {
      // What its sshd allows may be less than usual, and somebody may have changed it.
      if (others > 0) this.#atOnce = Math.max(1, Math.min(this.#atOnce - 1, others));
      else if (++job.refusals > REFUSALS_LIMIT) {
        const program = joinWords(job.launch.argv.slice(0, 1));
        this.#fail(
          job,
          failure('COMMAND_NOT_STARTED', { program, reason: `its SSH server allows no session: ${error.message}` }),
        );
        return;
      } else await pause(REFUSED_MS);
    }
    const { signal } = job.stop;
    if (signal.aborted || this.#closed) {
      this.#fail(job, isCentreondError(signal.reason) ? signal.reason : this.#interrupted(job));
      return;
    }
    job.since = performance.now();
    this.#waiting.unshift(job);
  }

  #aborted(job: Job): void {
    const at = this.#waiting.indexOf(job);
    // What runs ends by itself.
    if (at >= 0) this.#fail(job, job.stop.signal.reason);
  }

  #interrupted({ token }: Job): CentreondError {
    return failure('INTERRUPTED', { token });
  }

  #fail(job: Job, error: CentreondError): void {
    this.#end(job, FAILED, { ...error.toData() });
  }

  #end(job: Job, code: number, data: Json): void {
    const { token } = job;
    if (!this.#jobs.delete(token)) return;
    clearTimeout(job.deadline);
    const at = this.#waiting.indexOf(job);
    if (at >= 0) this.#waiting.splice(at, 1);
    this.#ended.add(token);
    const [oldest] = this.#ended;
    if (this.#ended.size > ENDED_LIMIT && oldest !== undefined) this.#ended.delete(oldest);
    this.#settle(token, code, data);
  }

  /** Writes the terminal row of a token, which is forgotten once the core has it. */
  #settle(token: string, code: number, data: Json): void {
    const { rows, ledger, log, config } = this.#options;
    const { taken } = rows.append({ token, type: 'COMMAND', code, data });
    taken
      .then(() => ledger.forget(token))
      .catch((error: unknown) => {
        log.warn({ err: error, node: config.id, token }, `${token} is kept longer than needed: ${reasonOf(error)}`);
      });
  }

  /** Ends what others took that are gone: nobody saw whether it ran. */
  async #recover(): Promise<void> {
    const { ledger, config, log } = this.#options;
    let again = true;
    try {
      const { orphans, others } = await ledger.left();
      again = others > 0;
      for (const { token } of orphans) {
        if (this.#closed || this.#recovered.has(token)) continue;
        this.#recovered.add(token);
        const cause = 'The instance of the plugin ssh that watched over it ended';
        this.#settle(token, FAILED, { ...failure('OUTCOME_UNKNOWN', { token, action: 'COMMAND', cause }).toData() });
      }
    } catch (error) {
      log.warn(
        { err: error, node: config.id },
        `what ${config.id} was given before is not known yet: ${reasonOf(error)}`,
      );
    }
    if (again && !this.#closed) this.#recovery = setTimeout(() => void this.#recover(), RECOVERY_MS);
  }

  /** Stops all that runs and waits; resolves when nothing runs any more. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#recovery);
    clearInterval(this.#sweep);
    for (const job of [...this.#jobs.values()]) job.stop.abort(this.#interrupted(job));
    await Promise.all(this.#running.values());
  }
}

function shown(argv: readonly string[]): string {
  const text = joinWords(argv);
  return text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text;
}
