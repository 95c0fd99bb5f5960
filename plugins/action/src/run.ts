import { setImmediate as nextTurn } from 'node:timers/promises';
import { heldOpen, Output, readFor } from '@centreond/command';
import { isCentreondError } from '@centreond/plugin-sdk';
import { ProcessGroup } from './group.ts';
import { type CommandProcess, type Launch, launch } from './launch.ts';
import type { Mark, Marks } from './marks.ts';
import type { Pipes } from './pipes.ts';

/** Between SIGTERM and SIGKILL of a command that is stopped. */
const STOP_GRACE_MS = 2_000;
/** The same, for what a command that ended by itself left in its group. */
const REMAINS_GRACE_MS = 500;
/** How long the outputs of a command that was stopped are still read: what it wrote last is in the pipes already. */
const LAST_WORDS_MS = 100;

/** How a command ended. `exitCode` is null where a signal ended it. */
export interface Result {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  /** Whether stdout or stderr had more than the 1 MiB that each may have here and in the rows. */
  truncated: boolean;
}

export type Stream = 'stdout' | 'stderr';

/** What a run needs of its asker. */
export interface Asker {
  readonly token: string;
  /** Takes a chunk of output and resolves when it can take more. */
  readonly give: (stream: Stream, chunk: string) => Promise<void>;
  /** Told when even SIGKILL did not end something within 5 s. */
  readonly unkillable: (pid: number) => void;
}

interface Running {
  readonly token: string;
  readonly group: ProcessGroup;
  readonly stop: AbortController;
  readonly done: Promise<Result>;
}

/** The commands of one plugin instance that run. Should this process end, they are killed with it. */
export class Runs {
  readonly #running = new Set<Running>();
  #reason: ((token: string) => Error) | undefined;
  /** Resolves when the next program may start. */
  #start: Promise<void> = Promise.resolve();

  readonly #marks: Marks;
  readonly #pipes: Pipes;

  constructor(marks: Marks, pipes: Pipes) {
    this.#marks = marks;
    this.#pipes = pipes;
  }

  readonly #onExit = (): void => {
    for (const { group } of this.#running) group.kill();
  };

  /**
   * Runs a program to its end. When `stop` aborts before, its processes are killed and the promise rejects with the reason
   * once they are gone. Rejects with COMMAND_NOT_STARTED, with what `give` rejects, and with the reason of {@link close}.
   */
  async run(what: Launch, stop: AbortController, asker: Asker): Promise<Result> {
    // Starting a program holds the event loop: one a turn, or the host takes a busy machine's instance for stuck.
    const turn = this.#start;
    this.#start = turn.then(() => nextTurn());
    await turn;
    this.#stopIfClosed(stop, asker);
    stop.signal.throwIfAborted();
    const mark = this.#marks.next();
    try {
      return await this.#follow(await launch(marked(what, mark), this.#pipes), mark, stop, asker);
    } finally {
      if (!endsWithInstance(stop.signal.reason)) mark.release();
    }
  }

  async #follow(command: CommandProcess, mark: Mark, stop: AbortController, asker: Asker): Promise<Result> {
    const group = new ProcessGroup(command.pid);
    const running = { token: asker.token, group, stop, done: follow(command, group, mark, stop, asker) };
    if (this.#running.size === 0) process.on('exit', this.#onExit);
    this.#running.add(running);
    this.#stopIfClosed(stop, asker);
    try {
      return await running.done;
    } finally {
      this.#running.delete(running);
      if (this.#running.size === 0) process.off('exit', this.#onExit);
    }
  }

  /** Stops all that runs, and whatever is asked for from here on, for a reason. Resolves when nothing runs any more. */
  async close(reason: (token: string) => Error): Promise<void> {
    this.#reason ??= reason;
    const running = [...this.#running];
    for (const { stop, token } of running) stop.abort(this.#reason(token));
    await Promise.allSettled(running.map(({ done }) => done));
    this.#pipes.close();
  }

  #stopIfClosed(stop: AbortController, { token }: Asker): void {
    if (this.#reason) stop.abort(this.#reason(token));
  }
}

/** Whether a command was stopped since the plugin's process is about to end: the daemon then ends all that the command started. */
function endsWithInstance(reason: unknown): boolean {
  return isCentreondError(reason) && (reason.code === 'INTERRUPTED' || reason.code === 'PLUGIN_KILLED');
}

function marked(what: Launch, { value }: Mark): Launch {
  return value === undefined ? what : { ...what, env: { ...what.env, CENTREOND_INSTANCE: value } };
}

async function follow(
  { child, ...outputs }: CommandProcess,
  group: ProcessGroup,
  mark: Mark,
  stop: AbortController,
  { give, unkillable }: Asker,
): Promise<Result> {
  let lost: { readonly error: unknown } | undefined;
  const fail = (error: unknown): void => {
    lost ??= { error };
    stop.abort(error);
  };
  const exited = new Promise<Pick<Result, 'exitCode' | 'signal'>>((resolve) => {
    child.once('exit', (exitCode, signal) => {
      group.leaderEnded();
      resolve({ exitCode, signal });
    });
  });
  child.on('error', fail); // a signal that could not be sent
  const stopped = new Promise<undefined>((resolve) => {
    if (stop.signal.aborted) resolve(undefined);
    stop.signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  const stdout = new Output(outputs.stdout, (chunk) => give('stdout', chunk), fail);
  const stderr = new Output(outputs.stderr, (chunk) => give('stderr', chunk), fail);
  const closed = Promise.all([stdout.closed, stderr.closed]);

  const end = await Promise.race([exited, stopped]);
  if (!end) {
    if (!(await group.end(STOP_GRACE_MS))) unkillable(group.pid);
    await Promise.race([closed, readFor(LAST_WORDS_MS, [stdout, stderr])]);
    // Handed over, but not waited for: the reason of the stop may be that nobody takes them.
    void Promise.allSettled([stdout.finish(), stderr.finish()]);
    throw stop.signal.reason;
  }
  if (group.signal(0) && !(await group.end(REMAINS_GRACE_MS))) unkillable(group.pid);
  mark.release();
  await Promise.race([closed, stopped, heldOpen([stdout, stderr])]);
  await Promise.race([Promise.all([stdout.finish(), stderr.finish()]), stopped]);
  if (lost) throw lost.error;
  return { ...end, stdout: stdout.text, stderr: stderr.text, truncated: stdout.truncated || stderr.truncated };
}
