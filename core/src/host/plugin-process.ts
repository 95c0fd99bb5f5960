import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Greeting } from '@centreond/plugin-runtime';
import { reasonOf } from '@centreond/protocol';
import type { Log } from '../log.ts';
import { logPluginLine, type SharedLine, sharedLine } from './plugin-line.ts';
import { descendants, killGroup, MARK, memoryOf, NOTES, reap, reapedText, sessionGivesWay } from './reaper.ts';
import { Redaction } from './redaction.ts';

/** What runs in each process. It comes with the core, whatever SDK a plugin was built with. */
const CHILD = fileURLToPath(new URL('./child.js', import.meta.url));
const LINE_CHARACTERS = 8192;
const BEAT_MS = 1000;
/** While it starts, and while it is stuck. */
const LAST_IN_LINE = 19;
/** A start that takes longer is held up by a busy machine, and would wait for ever there. */
const START_GIVES_WAY_MS = 3000;
const RUNNING_SHOWN = 3;

/** What one process may take. */
export interface ProcessLimits {
  /** Bytes of resident memory. */
  readonly memory?: number | undefined;
  /** From -20 to 19; 19 gives way to everybody. */
  readonly niceness?: number | undefined;
  /** Processes that it may have started, itself included. */
  readonly processes?: number | undefined;
  /** How long its event loop may be stuck, in milliseconds. */
  readonly stuckMs: number;
}

/** What is needed to start a process. */
export interface ProcessOptions {
  /** The type of its plugin, or what the process of several plugins is called. */
  readonly name: string;
  /** Whether several plugins may have seats in it. */
  readonly isShared: boolean;
  /** The folder in which it starts. */
  readonly folder: string;
  /** Its environment, without the mark. */
  readonly env: Readonly<Record<string, string>>;
  readonly limits: ProcessLimits;
  /** Starts the mark of everything this daemon's processes start. */
  readonly mark: string;
  /** The folder in which it notes the commands that it runs. */
  readonly notes: string;
  readonly log: Log;
  /** Starts a program; of `node:child_process`. */
  readonly spawn?: typeof spawn;
}

/** A plugin's place in a process, as the process sees it. */
export interface Seat {
  readonly type: string;
  readonly id: string;
  readonly state: 'starting' | 'ready' | 'stopping' | 'gone';
  /** What it runs, as `ACTION token`. */
  running(): string[];
  /** Asks the plugin to say that its event loop turns. */
  beat(): void;
  /** The plugin wrote a line, or it may have been the one of its process that did. */
  wrote(line: string): void;
  /** The process is being ended on account of another plugin, of the type `by`. */
  ending(by: string): void;
  /** The process is gone. For a bystander, another plugin was the cause. */
  exited(cause: string, isBystander: boolean): void;
  /** So is all that was started from it. */
  reaped(): void;
}

/** One child process and the plugins that have seats in it: one, or several that share it. */
export class PluginProcess {
  readonly #mark: string;
  readonly #child: ChildProcess;
  /** By the numbers that mark their lines. */
  readonly #seats = new Map<number, Seat>();
  readonly #secrets = new Set<string>();
  #redaction = new Redaction([]);
  #numbers = 0;
  #isGone = false;
  /** Why it is being killed, and for whose fault. */
  #cause: { readonly what: string; readonly by: Seat | undefined } | undefined;
  /** Who asked for its end. */
  #endedFor: Seat | undefined;
  /** What its plugin said of the end that it brought about. */
  #lastWords: { readonly what: string; readonly by: Seat } | undefined;
  #beat: NodeJS.Timeout | undefined;
  #patience: NodeJS.Timeout | undefined;
  /** Beats in a row that it did not answer, with nothing else heard from it. */
  #unanswered = 0;

  /** Starts the process. Throws what `spawn` throws, and what the system says to its niceness; then nothing runs. */
  constructor(readonly options: ProcessOptions) {
    const { name, folder, mark, notes } = options;
    this.#mark = `${mark}${name}:${randomBytes(8).toString('hex')}`;
    const env = { ...options.env, [MARK]: this.#mark, [NOTES]: notes };
    // A group of its own, so that all of it can be ended at once.
    const start = options.spawn ?? spawn;
    const child = start(process.execPath, [...flagsFor(options), CHILD], { cwd: folder, env, detached: true });
    this.#child = child;
    child.once('error', (error) => this.#exited(`it could not be started: ${error.message}`));
    child.once('exit', (code, signal) => this.#exited(signal ? `signal ${signal}` : `exit code ${code}`));
    child.stdin.on('error', () => {}); // it died before it read; `exit` says so
    this.#readLines(child.stdout);
    this.#readLines(child.stderr);
    try {
      this.#giveWay();
    } catch (error) {
      this.#signal('SIGKILL');
      throw error;
    }
  }

  #giveWay(): void {
    if (this.pid === undefined) return;
    const { niceness } = this.options.limits;
    if (niceness !== undefined) os.setPriority(this.pid, niceness);
    // Requests of other plugins want the processor more than a start does.
    sessionGivesWay(this.pid, LAST_IN_LINE);
    this.#patience = setTimeout(() => this.#inLine(), START_GIVES_WAY_MS);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }
  /** Takes the secrets of all its plugins out of what people read. */
  get redaction(): Redaction {
    return this.#redaction;
  }
  /** Whether it is being killed: what it still says no longer counts. */
  get isCondemned(): boolean {
    return this.#cause !== undefined;
  }
  /** Whether all its plugins are to stop, and with them the process. */
  get isStopping(): boolean {
    return [...this.#seats.values()].every(({ state }) => state === 'stopping');
  }
  /** Whether a further plugin may take a seat. */
  get takesSeats(): boolean {
    const isEnding = this.#isGone || (this.#cause ?? this.#endedFor ?? this.#lastWords) !== undefined;
    return !isEnding && (this.#seats.size === 0 || !this.isStopping);
  }

  /** Gives a plugin a seat. `secrets` are in nothing that people read of this process from now on. */
  join(seat: Seat, greeting: Greeting, secrets: readonly string[]): void {
    for (const secret of secrets) this.#secrets.add(secret);
    this.#redaction = new Redaction([...this.#secrets]);
    const number = ++this.#numbers;
    this.#seats.set(number, seat);
    const said = this.options.isShared ? { ...greeting, seat: number } : greeting;
    // Stays open: its end tells the child that this process is gone, however it went.
    this.#child.stdin?.write(`${JSON.stringify(said satisfies Greeting)}\n`);
  }

  /** A plugin has stopped. Returns false if it was the last one: its seat ends with the process. */
  leave(seat: Seat): boolean {
    if (this.#seats.size === 1) return false;
    for (const [number, one] of this.#seats) if (one === seat) this.#seats.delete(number);
    return true;
  }

  /** Something was heard from one of its plugins. */
  heard(): void {
    if (this.#unanswered > 1) this.#inLine();
    this.#unanswered = 0;
  }

  /** One of its plugins is ready. */
  ready(): void {
    this.#beat ??= setInterval(() => void this.#check(), BEAT_MS);
    if ([...this.#seats.values()].every(({ state }) => state !== 'starting')) this.#inLine();
  }

  /** Gives way no more than it is configured to. */
  #inLine(): void {
    clearTimeout(this.#patience);
    if (this.pid !== undefined) sessionGivesWay(this.pid, this.options.limits.niceness ?? 0);
  }

  /** Once a second: does its event loop turn, and does it keep to its limits. */
  async #check(): Promise<void> {
    const { name, limits } = this.options;
    const { memory, processes } = limits;
    // A process paused in a debugger is not stuck.
    const stuckMs = inspected(name) ? Number.POSITIVE_INFINITY : limits.stuckMs;
    const { pid } = this;
    if (pid === undefined || this.#isGone || this.#cause !== undefined) return;
    if (this.#unanswered * BEAT_MS >= stuckMs) {
      this.condemn(`its event loop was stuck for ${stuckMs / 1000} s`);
      return;
    }
    // A process that is stuck uses up what others need: it goes to the end of the line.
    if (this.#unanswered === 1) sessionGivesWay(pid, LAST_IN_LINE);
    this.#unanswered++;
    const ready = [...this.#seats.values()].find(({ state }) => state === 'ready');
    ready?.beat();
    // One that imports its modules does not answer: the limit of its start holds.
    if (!ready) this.#unanswered = 0;
    if (memory !== undefined) {
      const used = memoryOf(pid);
      if (used !== null && used > memory) {
        this.condemn(`it used ${mib(used)} MiB of memory and may use ${mib(memory)}`);
        return;
      }
    }
    if (processes === undefined) return;
    const count = await descendants(pid);
    if (count > processes) this.condemn(`it had ${count} processes and may have ${processes}`);
  }

  /** Ends the process at once for what it did, or one of its plugins. `what` and what runs are the cause of its exit. */
  condemn(what: string, by?: Seat): void {
    if (this.#isGone) return;
    this.end(`${what} (running ${runningText(by ? [by] : [...this.#seats.values()])})`, by);
  }

  /** Ends the process at once. `what` is the cause of its exit, and `by` the plugin that it is about. */
  end(what: string, by?: Seat): void {
    if (this.#cause !== undefined || this.#isGone) return;
    this.#cause = { what, by };
    this.#signal('SIGKILL');
  }

  /** Signals its whole process group, since the plugin in `seat` is to end. The others end with it. */
  kill(signal: NodeJS.Signals, seat: Seat): void {
    if (this.#endedFor === undefined && !this.#isGone) {
      this.#endedFor = seat;
      this.#tellOthers(seat);
    }
    this.#signal(signal);
  }

  #tellOthers(culprit: Seat): void {
    for (const seat of this.#seats.values()) if (seat !== culprit) seat.ending(culprit.type);
  }

  #signal(signal: NodeJS.Signals): void {
    if (!this.#isGone && this.pid !== undefined) killGroup(this.pid, signal);
  }

  #exited(how: string): void {
    if (this.#isGone) return;
    this.#isGone = true;
    clearTimeout(this.#patience);
    clearInterval(this.#beat);
    if (this.pid !== undefined && !killGroup(this.pid, 'SIGKILL')) {
      this.options.log.warn(
        this.#writer(),
        `${this.#subject} started something as another user, which is not ended with it: it may still run`,
      );
    }
    const words = this.#lastWords;
    const { what, by } = this.#cause ?? {
      what: words ? `${how}: ${words.what}` : how,
      by: words ? words.by : this.#endedFor,
    };
    const seats = [...this.#seats.values()];
    for (const seat of seats) {
      const cause = this.#redaction.text(causeFor(seat, seats, what, by));
      seat.exited(cause, by !== undefined && by !== seat);
    }
    void this.#reap().then(() => {
      for (const seat of seats) seat.reaped();
    });
  }

  /** Ends what was started outside of its process group, and says so. */
  async #reap(): Promise<void> {
    const { log, notes } = this.options;
    try {
      const reaped = await reap(this.#mark, notes);
      if (reaped.length === 0) return;
      log.warn(this.#writer(), `what ${this.#subject} still had running is ended with it: ${reapedText(reaped)}`);
    } catch (error) {
      const what = `what ${this.#subject} still had running could not be ended: ${reasonOf(error)}`;
      log.error({ err: error, ...this.#writer() }, what);
    }
  }

  get #subject(): string {
    const { isShared, name } = this.options;
    return isShared ? `the ${name} process` : `the plugin ${name}`;
  }

  #readLines(stream: NodeJS.ReadableStream | null): void {
    let rest = '';
    stream?.setEncoding('utf8');
    stream?.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = (lines.pop() ?? '').slice(0, LINE_CHARACTERS);
      for (const line of lines) this.#line(this.#redaction.text(line));
    });
  }

  #line(written: string): void {
    const { isShared, log } = this.options;
    const { seat: number, ends, line }: SharedLine = isShared ? sharedLine(written) : { line: written };
    const writer = isShared ? (number === undefined ? undefined : this.#seats.get(number)) : this.#only;
    if (ends !== undefined && writer) {
      this.#lastWords = { what: ends, by: writer };
      this.#tellOthers(writer);
    }
    // What a plugin wrote that has left since is in nobody's last lines.
    const near = writer ? [writer] : number === undefined ? this.#seats.values() : [];
    for (const seat of near) seat.wrote(line.slice(0, LINE_CHARACTERS));
    logPluginLine(log, this.#writer(writer), line);
  }

  get #only(): Seat | undefined {
    const [seat] = this.#seats.values();
    return seat;
  }

  /** Who wrote a line, for the log: the plugin in `seat`, or the process as a whole. */
  #writer(seat: Seat | undefined = this.options.isShared ? undefined : this.#only) {
    const { name } = this.options;
    return seat ? { plugin: seat.type, instance: seat.id } : { process: name };
  }
}

/** Why the plugin in `seat` ended: `what`, which was about the plugin `by`, or about nobody in particular. */
function causeFor(seat: Seat, seats: readonly Seat[], what: string, by: Seat | undefined): string {
  if (seats.length < 2 || by === seat) return what;
  const name = ({ type, id }: Seat) => (type === seat.type ? `${type}/${id}` : type);
  if (by) return `ended with ${name(by)}, which shares its process: ${what}`;
  const others = new Set(seats.filter((one) => one !== seat).map(name));
  return `the process that it shares with ${[...others].join(', ')} ended: ${what}`;
}

function runningText(seats: readonly Seat[]): string {
  const running = seats.flatMap((seat) =>
    seat.running().map((what) => (seats.length > 1 ? `${seat.type}: ${what}` : what)),
  );
  const more = running.length > RUNNING_SHOWN ? ` and ${running.length - RUNNING_SHOWN} more` : '';
  return `${running.slice(0, RUNNING_SHOWN).join(', ') || 'nothing'}${more}`;
}

function flagsFor({ limits, name }: ProcessOptions): string[] {
  const flags = ['--enable-source-maps'];
  // Collect garbage before the limit ends the process; code, stacks and buffers take the rest.
  if (limits.memory !== undefined)
    flags.push(`--max-old-space-size=${Math.max(32, Math.floor(mib(limits.memory) * 0.75))}`);
  if (inspected(name)) flags.push('--inspect=127.0.0.1:0');
  return flags;
}

/** Whether `centreond-plugin dev --inspect` has a debugger opened on the process of this name. */
function inspected(name: string): boolean {
  return process.env.CENTREOND_INSPECT === name;
}

function mib(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
