import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { heldOpen, joinWords, Output } from '@centreond/command';
import { CentreondError, failure } from '@centreond/plugin-sdk';
import type { ClientChannel } from 'ssh2';
import { HeadCut } from './head-cut.ts';
import { type RemoteLaunch, remoteScript, SHELL } from './remote-script.ts';
import type { SshLink } from './ssh-link.ts';

/** How long the other side may take to start a command. */
const START_LIMIT_MS = 20_000;
/** How long it may take to end one: 2 s between SIGTERM and SIGKILL, 5 s after that, and the way there and back. */
const STOP_LIMIT_MS = 12_000;
/** How often it is looked at whether somebody still takes the output of what is stopped. */
const LOOK_MS = 100;
const SHOWN_CHARS = 200;

/** How a command ended, as COMMAND answers it. */
export interface Result {
  exitCode: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
  truncated: boolean;
}

/** What a run needs of its asker. */
export interface Asker {
  readonly token: string;
  /** Takes a chunk of output and resolves when it can take more. */
  readonly give: (stream: 'stdout' | 'stderr', chunk: string) => Promise<void>;
  /** Told when what runs there did not end within 12 s of being stopped. */
  readonly unkillable: (pid: string | undefined) => void;
}

/** Rejected with where the connection ended, or broke off the command, before its end was seen. */
export class EndUnseen extends Error {}

type End = Pick<Result, 'exitCode' | 'signal'>;

/**
 * Runs a command over a connection to its end. When `stop` aborts before, its processes are ended and the promise rejects with
 * the reason once they are gone. Rejects with COMMAND_NOT_STARTED, with what `give` rejects, with {@link EndUnseen}, and, where
 * nothing was started, with NoChannel or the LinkFault that ended the link.
 */
export async function runRemotely(
  link: SshLink,
  launch: RemoteLaunch,
  stop: AbortController,
  asker: Asker,
): Promise<Result> {
  stop.signal.throwIfAborted();
  const channel = await link.exec(SHELL);
  return new RemoteRun(link, channel, launch, stop, asker).follow();
}

class RemoteRun {
  readonly #mark = randomBytes(16).toString('hex');
  readonly #stdout = new HeadCut(this.#mark);
  readonly #stderr = new HeadCut(this.#mark);
  /** Once the channel is over: nothing of the command is left there, or the connection is. */
  readonly #closed: Promise<void>;
  readonly #exited: Promise<End>;
  readonly #stopped: Promise<undefined>;
  #lost: { readonly error: unknown } | undefined;

  constructor(
    private readonly link: SshLink,
    private readonly channel: ClientChannel,
    private readonly launch: RemoteLaunch,
    private readonly stop: AbortController,
    private readonly asker: Asker,
  ) {
    this.#exited = new Promise((resolve) => {
      channel.once('exit', (code: number | null, signal?: string) =>
        resolve({ exitCode: code, signal: code === null ? signalOf(signal) : null }),
      );
    });
    this.#closed = new Promise((resolve) => {
      channel.once('close', () => resolve());
    });
    this.#stopped = new Promise((resolve) => {
      if (stop.signal.aborted) resolve(undefined);
      stop.signal.addEventListener('abort', () => resolve(undefined), { once: true });
    });
    channel.on('error', () => {}); // its close says so
    channel.stderr.on('error', () => {});
    channel.pipe(this.#stdout);
    channel.stderr.pipe(this.#stderr);
    channel.write(remoteScript(launch, this.#mark));
  }

  async follow(): Promise<Result> {
    const { give } = this.asker;
    const fail = (error: unknown) => {
      this.#lost ??= { error };
      this.stop.abort(error);
    };
    const stdout = new Output(this.#stdout, (chunk) => give('stdout', chunk), fail);
    const stderr = new Output(this.#stderr, (chunk) => give('stderr', chunk), fail);
    try {
      const head = await this.#started();
      const closed = this.#closed.then(() => undefined);
      const end = await Promise.race([this.#exited, closed, this.#stopped]);
      if (!end) await this.#breakOff(head, [stdout, stderr]);
      if (!end) throw this.stop.signal.aborted ? this.stop.signal.reason : this.#unseen();
      const read = Promise.all([this.#closed, stdout.closed, stderr.closed]);
      await Promise.race([read, this.#stopped, heldOpen([stdout, stderr])]);
      if (this.#stdout.refusal) throw this.#notStarted(this.#stdout.refusal[0] ?? '', stderr.text);
      await Promise.race([Promise.all([stdout.finish(), stderr.finish()]), this.#stopped]);
      if (this.#lost) throw this.#lost.error;
      // What it wrote last went with the connection.
      const truncated = stdout.truncated || stderr.truncated || this.link.gone.aborted;
      return { ...end, stdout: stdout.text, stderr: stderr.text, truncated };
    } finally {
      // Handed over, but not waited for: their taker may be why this ends.
      void Promise.allSettled([stdout.finish(), stderr.finish()]);
      this.#drain();
      this.channel.close();
    }
  }

  /** Waits for the command's process to be there, whatever it is that asks for its end. */
  async #started(): Promise<string | undefined> {
    const limit = new AbortController();
    const late = pause(START_LIMIT_MS, 'late' as const, { signal: limit.signal, ref: false }).catch(() => undefined);
    const head = await Promise.race([this.#stdout.head, late]);
    limit.abort();
    if (head === 'late') {
      throw this.#failed(`its account's login shell did not start /bin/sh within ${START_LIMIT_MS / 1000} s`);
    }
    if (head) return head[0];
    await this.#closed;
    if (this.link.gone.aborted) throw this.#unseen();
    const said = `${this.#stderr.before} ${this.#stdout.before}`.trim();
    const what = "its account's login shell ended before it ran /bin/sh";
    throw this.#failed(said === '' ? what : `${what}, and said: ${said.slice(0, SHOWN_CHARS)}`);
  }

  /** Has what runs ended, where it is asked for; resolves when nothing is left there. */
  async #breakOff(pid: string | undefined, outputs: readonly Output[]): Promise<void> {
    if (!this.stop.signal.aborted) return;
    this.channel.write('stop\n');
    const limit = performance.now() + STOP_LIMIT_MS;
    let over = false;
    while (!over && performance.now() < limit) {
      // A channel is over only when all of it was read, and the reason of the stop may be that nobody takes it.
      if (outputs.some((output) => output.blocked)) this.#drain();
      over = await Promise.race([this.#closed.then(() => true), pause(LOOK_MS, false, { ref: false })]);
    }
    if (this.link.gone.aborted) throw this.#unseen();
    if (!over) this.asker.unkillable(pid);
  }

  #drain(): void {
    this.channel.unpipe(this.#stdout).resume();
    this.channel.stderr.unpipe(this.#stderr).resume();
  }

  #unseen(): EndUnseen {
    const { reason } = this.link.gone;
    return new EndUnseen(reason instanceof Error ? reason.message : 'broke off the command');
  }

  #notStarted(word: string, said: string): CentreondError {
    const { cwd } = this.launch;
    switch (word) {
      case 'cwd':
        return this.#failed(`its cwd ${cwd} cannot be entered there`);
      case 'folder':
        return this.#failed('it is a folder');
      case 'missing':
        return this.#failed('there is no such file (ENOENT)');
      case 'unknown':
        return this.#failed('no folder of PATH has a program of this name there (ENOENT)');
      case 'denied':
        return this.#failed('the account there may not execute it (EACCES)');
      default:
        return this.#failed(`the shell there says: ${said.trim().slice(0, SHOWN_CHARS) || 'it cannot be executed'}`);
    }
  }

  #failed(reason: string): CentreondError {
    return failure('COMMAND_NOT_STARTED', { program: joinWords(this.launch.argv.slice(0, 1)), reason });
  }
}

/** OpenSSH names those that are its own `SIG@openssh.com`. */
function signalOf(name: string | undefined): string {
  return name === undefined || name.includes('@') ? 'unknown' : name;
}
