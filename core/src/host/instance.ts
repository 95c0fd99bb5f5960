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
import type { Hearer } from '../router/executor.ts';
import type { InstanceLink, InstancePeer, Tickets } from '../router/instance-link.ts';
import type { Peer } from '../router/peer.ts';
import type { PluginProcess, Seat } from './plugin-process.ts';
import { shownOf } from './redaction.ts';
import { isReport, REPORT_HEAD } from './reports.ts';
import { ROW_BOUND, RowCredit } from './row-credit.ts';

const Ready = z.object({ hash: z.string() });
const STOP_GRACE_MS = 3000;
const TAIL_LINES = 20;

/** What is needed to start an instance. */
export interface InstanceOptions {
  readonly type: string;
  /** The type that the config gives the plugin, if it does; `type` then. */
  readonly as?: string | undefined;
  readonly id: string;
  readonly main: string;
  /** Its config, with the secrets as they are now. Throws if one cannot be read; then it does not start. */
  settings(): Settings;
  readonly allowsCallers: boolean;
  /** The hash that READY must bear. */
  readonly hash: string;
  readonly endpoint: string;
  readonly maxMessage: number;
  readonly startLimitMs: number;
  readonly tickets: Tickets;
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
  /** Its process is being ended on account of the plugin `by`, which shares it. */
  ending(by: string): void;
  /** For a bystander, another plugin that shares its process was the cause. */
  exited(cause: string, isBystander: boolean): void;
}

/** A running instance of a plugin as its slot sees it. */
export interface InstanceProcess extends Hearer {
  readonly pid: number | undefined;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** The last lines that it wrote, newest last. */
  readonly tail: readonly string[];
  /** Whether it was ever ready. */
  readonly wasReady: boolean;
  /** Ends its process at once; `what` is the cause of its exit. */
  condemn(what: string): void;
  /** Lets the plugin's kill handler release what it holds. Resolves when it has, or after `graceMs`. */
  release(id: string, reason: CentreondError, graceMs: number): Promise<void>;
  /** Asks it to stop, and ends its process if it has not after `limitMs`. Resolves when it is gone. */
  stop(limitMs: number): Promise<void>;
  /** Signals its process, with all that shares it. */
  kill(signal: NodeJS.Signals): void;
}

/** One instance of a plugin in a process: starting → ready → stopping → gone. */
export class Instance implements InstanceLink, InstanceProcess, Seat {
  state: 'starting' | 'ready' | 'stopping' | 'gone' = 'starting';
  readonly startedAt = Date.now();
  /** The last lines that it wrote, newest last. */
  readonly tail: string[] = [];
  readonly #credit = new RowCredit((message) => this.send(message));
  #process: PluginProcess | undefined;
  #peer: InstancePeer | undefined;
  #ticket = '';
  #startTimer: NodeJS.Timeout | undefined;
  #gone: (() => void)[] = [];
  #released: (() => void) | undefined;
  #wasReady = false;
  #hasStopped = false;

  /** `open` gives it the process in which it takes a seat. */
  constructor(
    readonly options: InstanceOptions,
    readonly events: InstanceEvents,
    open: () => PluginProcess,
  ) {
    try {
      this.#start(open);
    } catch (error) {
      setImmediate(() => {
        this.exited(`it could not be started: ${reasonOf(error)}`, false);
        this.reaped();
      });
    }
  }

  get type(): string {
    return this.options.type;
  }
  get allowsCallers(): boolean {
    return this.options.allowsCallers;
  }
  get id(): string {
    return this.options.id;
  }
  get pid(): number | undefined {
    return this.#process?.pid;
  }
  /** Whether it was ever ready. */
  get wasReady(): boolean {
    return this.#wasReady;
  }

  #start(open: () => PluginProcess): void {
    const { options } = this;
    const { config, secrets } = options.settings();
    const process = open();
    this.#process = process;
    this.#startTimer = setTimeout(
      () => process.end(`it was not ready within ${options.startLimitMs / 1000} s`, this),
      options.startLimitMs,
    );
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
    process.join(this, greeting, secrets);
  }

  enter(peer: InstancePeer): void {
    this.#peer = peer;
    peer.onLeft(() => {
      this.#peer = undefined;
      if (!this.#hasStopped || !this.#process?.leave(this)) return;
      this.exited('it was stopped', false);
      this.reaped();
    });
  }

  /** Hands it a message. Only when ready. */
  send(message: string): void {
    this.#peer?.send(message);
  }

  beat(): void {
    this.send('[BEAT] [] []');
  }

  receive(bytes: Buffer): void {
    const process = this.#process;
    if (!process || process.isCondemned) return;
    process.heard();
    try {
      this.#take(process, bytes);
    } catch (error) {
      this.condemn(`it sent a malformed message: ${reasonOf(error)}`);
    }
  }

  #take(process: PluginProcess, bytes: Buffer): void {
    const { events } = this;
    const { redaction } = process;
    // `[ROW] ` by its bytes: the most frequent message by far.
    if (bytes[1] === 0x52 && bytes[2] === 0x4f && bytes[3] === 0x57 && bytes[4] === 0x5d) {
      const text = decodeText(bytes);
      const { token, target: code, data } = parseReply(text);
      const stored = events.said(token, codeOf(code), codeOf(code) === FAILED ? redaction.json(data) : data);
      if (stored) void stored.then(() => this.#credit.stored(text.length));
      else this.#credit.stored(text.length);
      return;
    }
    const head = bytes.toString('latin1', 0, REPORT_HEAD);
    if (head.startsWith('[ANSWER]')) {
      const { token: number, target, data } = parseReply(decodeText(bytes));
      const code = codeOf(target);
      // An answer is 0 or 1 there, as in the ACK; to its host it is an end like any other.
      const shown = code === FAILED ? redaction.json(data) : data;
      void events.said(`?${number}`, code === 0 ? FINISHED : code === FAILED ? FAILED : Number.NaN, shown);
    } else if (head.startsWith('[READY]')) this.#ready(process, parseReply(decodeText(bytes)).data);
    else if (head.startsWith('[RELEASED]')) this.#released?.();
    else if (head.startsWith('[STOPPED]')) this.#hasStopped = true;
    else if (isReport(head)) {
      const fault = events.reported(parseReply(decodeText(bytes)), (text) => redaction.text(text));
      if (fault !== undefined) this.condemn(`it sent ${fault}`);
    } else if ((head.startsWith('[ANNOUNCE]') || head.startsWith('[CARRIED]')) && this.#peer)
      events.message(this.#peer, Buffer.from(shownOf(decodeText(bytes), redaction)));
    else if (!head.startsWith('[BEAT]') && this.#peer) events.message(this.#peer, bytes);
  }

  #ready(process: PluginProcess, data: string): void {
    if (this.state !== 'starting') return;
    clearTimeout(this.#startTimer);
    if (Ready.safeParse(JSON.parse(data)).data?.hash !== this.options.hash) {
      const stale = 'it declares something else than its manifest; run `centreond-plugin build` in its package';
      process.end(`MANIFEST_STALE: ${stale}`, this);
      return;
    }
    this.state = 'ready';
    this.#wasReady = true;
    process.ready();
    this.events.ready();
  }

  running(): string[] {
    return this.events.running();
  }

  wrote(line: string): void {
    this.tail.push(line);
    if (this.tail.length > TAIL_LINES) this.tail.shift();
  }

  /** Ends its process at once; `what` is the cause of its exit. Messages of it that are still on their way are dropped. */
  condemn(what: string): void {
    if (this.state !== 'gone') this.#process?.condemn(what, this);
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

  /**
   * Asks it to stop. One that has not stopped after `limitMs` ends its process, by SIGTERM shortly before if nothing else of the process
   * is to go on. Resolves when it is gone. Joins a stop under way.
   */
  async stop(limitMs: number): Promise<void> {
    const process = this.#process;
    if (this.state === 'gone' || !process) return;
    const gone = new Promise<void>((resolve) => this.#gone.push(resolve));
    if (this.state !== 'stopping') {
      const asked = this.state === 'ready' && this.#peer;
      this.state = 'stopping';
      const grace = Math.max(0, limitMs - STOP_GRACE_MS);
      if (asked) this.send(formatMessage('STOP', '', '', { limitMs: Math.max(500, grace) }));
      else process.kill('SIGTERM', this);
      const term = setTimeout(() => process.isStopping && process.kill('SIGTERM', this), grace + 500);
      const kill = setTimeout(() => process.end(`it did not stop within ${limitMs / 1000} s`, this), limitMs);
      void gone.then(() => {
        clearTimeout(term);
        clearTimeout(kill);
      });
    }
    return gone;
  }

  kill(signal: NodeJS.Signals): void {
    if (this.state !== 'gone') this.#process?.kill(signal, this);
  }

  ending(by: string): void {
    if (this.state !== 'gone') this.events.ending(by);
  }

  exited(cause: string, isBystander: boolean): void {
    if (this.state === 'gone') return;
    this.state = 'gone';
    clearTimeout(this.#startTimer);
    this.options.tickets.withdraw(this.#ticket);
    this.events.exited(cause, isBystander);
    this.#peer?.end();
  }

  reaped(): void {
    for (const resolve of this.#gone.splice(0)) resolve();
  }
}

/** The code in the head of a row, or NaN. */
function codeOf(text: string): number {
  return /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
}
