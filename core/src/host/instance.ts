import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Greeting } from '@centreond/plugin-runtime';
import { API_VERSION } from '@centreond/plugin-sdk/internal';
import {
  type CentreondError,
  decodeText,
  FAILED,
  FINISHED,
  formatMessage,
  type Message,
  parseReply,
  reasonOf,
} from '@centreond/protocol';
import { z } from 'zod';
import type { Settings } from '../config/config.ts';
import type { Log } from '../log.ts';
import type { Hearer } from '../router/executor.ts';
import type { InstanceLink, InstancePeer, Tickets } from '../router/instance-link.ts';
import type { Peer } from '../router/peer.ts';
import { logPluginLine } from './plugin-line.ts';
import { descendants, killGroup, MARK, memoryOf, NOTES, reap, reapedText, sessionGivesWay } from './reaper.ts';
import { Redaction, shownOf } from './redaction.ts';
import { isReport, REPORT_HEAD } from './reports.ts';
import { ROW_BOUND, RowCredit } from './row-credit.ts';

const Ready = z.object({ hash: z.string() });
/** What runs in the process of an instance. It comes with the core, whatever SDK the plugin was built with. */
const CHILD = fileURLToPath(new URL('./child.js', import.meta.url));
const STOP_GRACE_MS = 3000;
const TAIL_LINES = 20;
const LINE_CHARACTERS = 8192;
const BEAT_MS = 1000;
/** While it starts, and while it is stuck. */
const LAST_IN_LINE = 19;
/** A start that takes longer is held up by a busy machine, and would wait for ever there. */
const START_GIVES_WAY_MS = 3000;

/** What is needed to start an instance. */
export interface InstanceOptions {
  readonly type: string;
  /** The type that the config gives the plugin, if it does; `type` then. */
  readonly as?: string | undefined;
  readonly id: string;
  /** The plugin package's folder, in which its processes start. */
  readonly folder: string;
  readonly main: string;
  /** The config for its process, with the secrets as they are now. Throws if one cannot be read; then it does not start. */
  settings(): Settings;
  /** The environment of its process, without the mark. */
  readonly env: Readonly<Record<string, string>>;
  /** The hash that READY must bear. */
  readonly hash: string;
  readonly endpoint: string;
  readonly maxMessage: number;
  readonly startLimitMs: number;
  readonly limits: InstanceLimits;
  /** Starts the mark of everything this daemon's instances start. */
  readonly mark: string;
  /** The folder in which it notes the commands that it runs. */
  readonly notes: string;
  readonly log: Log;
  readonly tickets: Tickets;
}

/** What one process of a plugin may take. */
export interface InstanceLimits {
  /** Bytes of resident memory. */
  readonly memory?: number | undefined;
  /** From -20 to 19; 19 gives way to everybody. */
  readonly niceness?: number | undefined;
  /** Processes that it may have started, itself included. */
  readonly processes?: number | undefined;
  /** How long its event loop may be stuck, in milliseconds. */
  readonly stuckMs: number;
}

/** What an instance tells its host. Exactly one `exited` ends the calls, also when it never started. */
export interface InstanceEvents {
  ready(): void;
  /**
   * Its process says `code` of what it runs under `name`: the token, or `?` and the number of what it answers in the ACK. Resolves
   * when the row is on disk, or dropped; undefined if it was dropped at once.
   */
  said(name: string, code: number, data: string): Promise<void> | undefined;
  /** It reports on itself. Returns what is wrong with that, as the end of the sentence "it sent …". */
  reported(report: Message, redacted: (text: string) => string): string | undefined;
  /** Any other message: a request of the plugin's own, or a message of its links. */
  message(peer: Peer, message: Buffer): void;
  /** What it runs, as `ACTION token`. */
  running(): string[];
  exited(cause: string): void;
}

/** A process of a plugin as its slot sees it. */
export interface InstanceProcess extends Hearer {
  readonly pid: number | undefined;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** The last lines that it wrote, newest last. */
  readonly tail: readonly string[];
  /** Whether it was ever ready. */
  readonly wasReady: boolean;
  /** Ends it at once; `what` is the cause of its exit. */
  condemn(what: string): void;
  /** Lets the plugin's kill handler release what it holds. Resolves when it has, or after `graceMs`. */
  release(id: string, reason: CentreondError, graceMs: number): Promise<void>;
  /** Asks it to stop, then SIGTERM, then SIGKILL, `limitMs` in all. Resolves when it is gone. */
  stop(limitMs: number): Promise<void>;
  kill(signal: NodeJS.Signals): void;
}

/** One process of a plugin: starting → ready → stopping → gone. */
export class Instance implements InstanceLink, InstanceProcess {
  state: 'starting' | 'ready' | 'stopping' | 'gone' = 'starting';
  readonly startedAt = Date.now();
  /** The last lines that it wrote, newest last. */
  readonly tail: string[] = [];
  readonly #mark: string;
  readonly #credit = new RowCredit((message) => this.send(message));
  /** Nothing that people read of it holds a secret of its config. */
  #redaction = new Redaction([]);
  #child: ChildProcess | undefined;
  #peer: InstancePeer | undefined;
  #ticket = '';
  #startTimer: NodeJS.Timeout | undefined;
  #patience: NodeJS.Timeout | undefined;
  #cause: string | undefined;
  #gone: (() => void)[] = [];
  #beat: NodeJS.Timeout | undefined;
  /** Beats in a row that it did not answer, with nothing else heard from it. */
  #unanswered = 0;
  #released: (() => void) | undefined;
  #wasReady = false;

  constructor(
    readonly options: InstanceOptions,
    readonly events: InstanceEvents,
  ) {
    this.#mark = `${options.mark}${options.type}:${randomBytes(8).toString('hex')}`;
    try {
      this.#start();
    } catch (error) {
      setImmediate(() => this.#exited(`it could not be started: ${reasonOf(error)}`));
    }
  }

  get type(): string {
    return this.options.type;
  }
  get pid(): number | undefined {
    return this.#child?.pid;
  }
  /** Whether it was ever ready. */
  get wasReady(): boolean {
    return this.#wasReady;
  }

  #start(): void {
    const { options } = this;
    const { config, secrets } = options.settings();
    this.#redaction = new Redaction(secrets);
    const env = { ...options.env, [MARK]: this.#mark, [NOTES]: options.notes };
    // A group of its own, so that all of it can be ended at once.
    const child = spawn(process.execPath, [...flagsFor(options), CHILD], { cwd: options.folder, env, detached: true });
    this.#child = child;
    if (child.pid !== undefined) {
      const { niceness } = options.limits;
      if (niceness !== undefined) os.setPriority(child.pid, niceness);
      // Requests of other plugins want the processor more than a start does.
      sessionGivesWay(child.pid, LAST_IN_LINE);
      this.#patience = setTimeout(() => this.#inLine(), START_GIVES_WAY_MS);
    }
    this.#startTimer = setTimeout(() => {
      this.#cause = `it was not ready within ${options.startLimitMs / 1000} s`;
      this.kill('SIGKILL');
    }, options.startLimitMs);
    child.once('error', (error) => this.#exited(`it could not be started: ${error.message}`));
    child.once('exit', (code, signal) => this.#exited(signal ? `signal ${signal}` : `exit code ${code}`));
    child.stdin.on('error', () => {}); // it died before it read; `exit` says so
    this.#readLines(child.stdout);
    this.#readLines(child.stderr);
    this.#ticket = options.tickets.issue(this);
    const greeting: Greeting = {
      api: API_VERSION,
      endpoint: options.endpoint,
      ticket: this.#ticket,
      main: options.main,
      type: options.type,
      ...(options.as !== undefined && { as: options.as }),
      instance: options.id,
      config,
      maxMessage: options.maxMessage,
      rowBound: ROW_BOUND,
    };
    // Stays open: its end tells the child that this process is gone, however it went.
    child.stdin.write(`${JSON.stringify(greeting)}\n`);
  }

  /** Gives way no more than it is configured to. */
  #inLine(): void {
    clearTimeout(this.#patience);
    if (this.pid !== undefined) sessionGivesWay(this.pid, this.options.limits.niceness ?? 0);
  }

  enter(peer: InstancePeer): void {
    this.#peer = peer;
    peer.onLeft(() => {
      this.#peer = undefined;
    });
  }

  /** Hands it a message. Only when ready. */
  send(message: string): void {
    this.#peer?.send(message);
  }

  receive(bytes: Buffer): void {
    if (this.#cause !== undefined) return;
    if (this.#unanswered > 1) this.#inLine();
    this.#unanswered = 0;
    try {
      this.#take(bytes);
    } catch (error) {
      this.condemn(`it sent a malformed message: ${reasonOf(error)}`);
    }
  }

  #take(bytes: Buffer): void {
    const { events } = this;
    // `[ROW] ` by its bytes: the most frequent message by far.
    if (bytes[1] === 0x52 && bytes[2] === 0x4f && bytes[3] === 0x57 && bytes[4] === 0x5d) {
      const text = decodeText(bytes);
      const { token, target: code, data } = parseReply(text);
      const stored = events.said(token, codeOf(code), codeOf(code) === FAILED ? this.#redaction.json(data) : data);
      if (stored) void stored.then(() => this.#credit.stored(text.length));
      else this.#credit.stored(text.length);
      return;
    }
    const head = bytes.toString('latin1', 0, REPORT_HEAD);
    if (head.startsWith('[ANSWER]')) {
      const { token: number, target, data } = parseReply(decodeText(bytes));
      const code = codeOf(target);
      // An answer is 0 or 1 there, as in the ACK; to its host it is an end like any other.
      const shown = code === FAILED ? this.#redaction.json(data) : data;
      void events.said(`?${number}`, code === 0 ? FINISHED : code === FAILED ? FAILED : Number.NaN, shown);
    } else if (head.startsWith('[READY]')) this.#ready(parseReply(decodeText(bytes)).data);
    else if (head.startsWith('[RELEASED]')) this.#released?.();
    else if (isReport(head)) {
      const fault = events.reported(parseReply(decodeText(bytes)), (text) => this.#redaction.text(text));
      if (fault !== undefined) this.condemn(`it sent ${fault}`);
    } else if ((head.startsWith('[ANNOUNCE]') || head.startsWith('[CARRIED]')) && this.#peer)
      events.message(this.#peer, Buffer.from(shownOf(decodeText(bytes), this.#redaction)));
    else if (!head.startsWith('[STOPPED]') && !head.startsWith('[BEAT]') && this.#peer)
      events.message(this.#peer, bytes);
  }

  #ready(data: string): void {
    if (this.state !== 'starting') return;
    clearTimeout(this.#startTimer);
    if (Ready.safeParse(JSON.parse(data)).data?.hash !== this.options.hash) {
      this.#cause =
        'MANIFEST_STALE: it declares something else than its manifest; run `centreond-plugin build` in its package';
      this.kill('SIGKILL');
      return;
    }
    this.state = 'ready';
    this.#wasReady = true;
    this.#inLine();
    this.#beat = setInterval(() => void this.#check(), BEAT_MS);
    this.events.ready();
  }

  /** Once a second: does its event loop turn, and does it keep to its limits. */
  async #check(): Promise<void> {
    const { memory, processes } = this.options.limits;
    // A process paused in a debugger is not stuck.
    const stuckMs = inspected(this.type) ? Number.POSITIVE_INFINITY : this.options.limits.stuckMs;
    const { pid } = this;
    if (pid === undefined || this.state === 'gone' || this.#cause !== undefined) return;
    if (this.#unanswered * BEAT_MS >= stuckMs) {
      this.condemn(`its event loop was stuck for ${stuckMs / 1000} s`);
      return;
    }
    // A process that is stuck uses up what others need: it goes to the end of the line.
    if (this.#unanswered === 1) sessionGivesWay(pid, LAST_IN_LINE);
    this.#unanswered++;
    this.send('[BEAT] [] []');
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

  /** Ends the process at once; `what` is the cause of its exit. Messages of it that are still on their way are dropped. */
  condemn(what: string): void {
    if (this.#cause !== undefined || this.state === 'gone') return;
    const running = this.events.running();
    const more = running.length > 3 ? ` and ${running.length - 3} more` : '';
    this.#cause = `${what} (running ${running.slice(0, 3).join(', ') || 'nothing'}${more})`;
    this.kill('SIGKILL');
  }

  /** Lets the plugin's kill handler release what it holds. Resolves when it has, or after `graceMs`. */
  release(id: string, reason: CentreondError, graceMs: number): Promise<void> {
    if (this.state !== 'ready') return Promise.resolve();
    this.state = 'stopping';
    this.send(formatMessage('RELEASE', '', '', { id, ...reason.toData() }));
    if (graceMs === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, graceMs);
      this.#released = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Asks it to stop, then SIGTERM, then SIGKILL, `limitMs` in all. Resolves when it is gone. Joins a stop under way. */
  async stop(limitMs: number): Promise<void> {
    if (this.state === 'gone') return;
    const gone = new Promise<void>((resolve) => this.#gone.push(resolve));
    if (this.state !== 'stopping') {
      const asked = this.state === 'ready' && this.#peer;
      this.state = 'stopping';
      const grace = Math.max(0, limitMs - STOP_GRACE_MS);
      if (asked) this.send(formatMessage('STOP', '', '', { limitMs: Math.max(500, grace) }));
      else this.kill('SIGTERM');
      const term = setTimeout(() => this.kill('SIGTERM'), grace + 500);
      const kill = setTimeout(() => this.kill('SIGKILL'), limitMs);
      void gone.then(() => {
        clearTimeout(term);
        clearTimeout(kill);
      });
    }
    return gone;
  }

  /** Signals its whole process group. */
  kill(signal: NodeJS.Signals): void {
    if (this.state !== 'gone' && this.pid !== undefined) killGroup(this.pid, signal);
  }

  #exited(how: string): void {
    if (this.state === 'gone') return;
    this.state = 'gone';
    clearTimeout(this.#startTimer);
    clearTimeout(this.#patience);
    clearInterval(this.#beat);
    if (this.pid !== undefined && !killGroup(this.pid, 'SIGKILL')) {
      const { log, type, id } = this.options;
      log.warn(
        { plugin: type, instance: id },
        `the plugin ${type} started something as another user, which is not ended with it: it may still run`,
      );
    }
    this.options.tickets.withdraw(this.#ticket);
    this.events.exited(this.#redaction.text(this.#cause ?? how));
    this.#peer?.end();
    void this.#reaped().then(() => {
      for (const resolve of this.#gone.splice(0)) resolve();
    });
  }

  /** Ends what it started outside of its process group, and says so. */
  async #reaped(): Promise<void> {
    const { log, type, id, notes } = this.options;
    try {
      const reaped = await reap(this.#mark, notes);
      if (reaped.length === 0) return;
      const what = `what the plugin ${type} still had running is ended with it: ${reapedText(reaped)}`;
      log.warn({ plugin: type, instance: id }, what);
    } catch (error) {
      const what = `what the plugin ${type} still had running could not be ended: ${reasonOf(error)}`;
      log.error({ err: error, plugin: type, instance: id }, what);
    }
  }

  #readLines(stream: NodeJS.ReadableStream | null): void {
    let rest = '';
    stream?.setEncoding('utf8');
    stream?.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = (lines.pop() ?? '').slice(0, LINE_CHARACTERS);
      for (const line of lines) this.#line(line);
    });
  }

  #line(written: string): void {
    const { log, type, id } = this.options;
    const line = this.#redaction.text(written);
    this.tail.push(line.slice(0, LINE_CHARACTERS));
    if (this.tail.length > TAIL_LINES) this.tail.shift();
    logPluginLine(log, { plugin: type, instance: id }, line);
  }
}

/** The code in the head of a row, or NaN. */
function codeOf(text: string): number {
  return /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
}

function flagsFor({ limits, type }: InstanceOptions): string[] {
  const flags: string[] = [];
  // Collect garbage before the limit ends the process; code, stacks and buffers take the rest.
  if (limits.memory !== undefined)
    flags.push(`--max-old-space-size=${Math.max(32, Math.floor(mib(limits.memory) * 0.75))}`);
  if (inspected(type)) flags.push('--inspect=127.0.0.1:0');
  return flags;
}

/** Whether `centreond-plugin dev --inspect` has a debugger opened on this type. */
function inspected(type: string): boolean {
  return process.env.CENTREOND_INSPECT === type;
}

function mib(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
