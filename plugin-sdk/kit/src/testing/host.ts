import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Greeting, MACHINE_CLOCK, type ReportedHealth } from '@centreond/plugin-runtime';
import { API_VERSION, MANIFEST_FILE, type Manifest } from '@centreond/plugin-sdk/internal';
import type { NodeAnnouncement } from '@centreond/plugin-sdk/nodes';
import {
  type Ack,
  type CentreondError,
  decodePack,
  decodeText,
  failure,
  formatMessage,
  type HistoryRow,
  type Json,
  type JsonObject,
  parseReply,
  reasonOf,
} from '@centreond/protocol';
import { Router as RouterSocket } from 'zeromq';
import { packageOf } from '../build/package.ts';
import type { Answer, TestAction } from './answers.ts';
import type { InstanceHost } from './crew.ts';
import { type LateRow, type LogLine, readLine } from './log-lines.ts';
import { type Found, MARK, markedProcesses, signal } from './processes.ts';
import { type TestCall, type TestOutcome, TestRouter } from './test-router.ts';
import type { TestCarried } from './test-services.ts';

const CHILD = fileURLToPath(import.meta.resolve('@centreond/plugin-runtime/child'));
const MAX_MESSAGE = 16 * 1024 * 1024;
const START_LIMIT_MS = 20_000;
const STOP_LIMIT_MS = 7000;
const SIGTERM_MS = 3000;
/** What a process sent just before its end is still on its way for so long. */
const LAST_WORDS_MS = 50;
const SHOWN_LINES = 20;

/** What a plugin's process is given. */
export interface HostOptions {
  /** As the operator would write it; `{}` when left out. */
  readonly config?: JsonObject;
  /** What the plugin kept before: STATE starts with it. */
  readonly state?: Readonly<Record<string, Json>>;
  /** What other actions answer when they are called, as for `testPlugin`. */
  readonly transport?: Readonly<Record<string, Answer | TestAction>>;
  /** Environment variables over this process's. */
  readonly env?: Readonly<Record<string, string>>;
  /** How long the start may take; 20,000 ms when left out. */
  readonly startLimitMs?: number;
}

/** What an instance left behind. */
export interface Leftovers {
  /** Live processes that it started, itself not counted. */
  readonly processes: readonly Found[];
  /** Files in its temporary folder. */
  readonly files: readonly string[];
}

/**
 * Starts the built plugin of the package in `folder` in a process of its own, exactly as the daemon does: the greeting, the
 * ticket, the socket, the environment mark, its own process group; its TMPDIR is a folder of its own. Resolves when it is ready.
 *
 * Rejects with INVALID_PLUGIN where there is no manifest or the process does not get ready (with its last log lines), and with
 * MANIFEST_STALE where it declares something else than the manifest. Whoever calls this must end it with `dispose()`, or
 * declare it with `await using`: that kills what is left and removes every file.
 */
export async function startHost(folder: string, options: HostOptions = {}): Promise<TestHost> {
  const refuse = (reason: string) => failure('INVALID_PLUGIN', { plugin: folder, reason });
  const { main } = await packageOf(folder);
  const file = path.join(folder, MANIFEST_FILE);
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw refuse(`its manifest cannot be read: ${reasonOf(error)}; run \`centreond-plugin build\` there`);
  });
  const host = new TestHost(
    JSON.parse(text) as Manifest,
    await mkdtemp(path.join(os.tmpdir(), 'centreond-host-')),
    options,
  );
  try {
    await host.start(path.resolve(folder), main);
    return host;
  } catch (error) {
    await host.dispose();
    throw error;
  }
}

/**
 * A plugin in a process of its own, and the router that it talks to. Made by {@link startHost}. The one process takes the requests of
 * every key, whatever the manifest says of instances. One that ends by itself is not started again: calls then reject with
 * NOT_READY.
 */
export class TestHost implements AsyncDisposable {
  /** What the plugin logged and printed, in order. */
  readonly log: LogLine[] = [];
  /** What the plugin keeps. */
  readonly state: Map<string, Json>;
  /** The router that it talks to. */
  readonly router: TestRouter;
  /** How the process ended, once it has: `exit code 1`, `signal SIGKILL`. */
  cause: string | undefined;
  /** The folder that the process is told is for temporary files. */
  readonly temporary: string;
  readonly #mark = `test:${randomBytes(12).toString('hex')}`;
  readonly #socket = new RouterSocket({ mandatory: true, linger: 0, maxMessageSize: MAX_MESSAGE + 64 * 1024 });
  readonly #outbox: string[] = [];
  #sending = false;
  #child: ChildProcess | undefined;
  #peer: Buffer | undefined;
  #ready: ((hash: string) => void) | undefined;
  #released: (() => void) | undefined;
  #killed = false;
  /** A KILL ends the process, and another follows. */
  #restarting = false;
  #package = { folder: '', main: '' };
  #gone: Promise<void> = Promise.resolve();

  /** @internal */
  constructor(
    readonly manifest: Manifest,
    private readonly folder: string,
    private readonly options: HostOptions,
  ) {
    this.temporary = path.join(folder, 'tmp');
    this.state = new Map(Object.entries(structuredClone(options.state ?? {})));
    this.router = new TestRouter({
      manifest,
      clock: MACHINE_CLOCK,
      maxMessage: MAX_MESSAGE,
      answers: options.transport ?? {},
      state: this.state,
      only: this.#instance,
      instances: this.#instances,
      crash: () => void this.#child?.kill('SIGKILL'),
    });
  }

  get #instance(): string {
    return 'key' in this.manifest.instances ? 'test' : '1';
  }

  /** The process's id. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }
  /** Every row that was written, ascending. */
  get rows(): readonly HistoryRow[] {
    return this.router.history.rows;
  }
  /** Rows that the plugin wrote after the end of their token: the router drops them. */
  get lateRows(): readonly LateRow[] {
    return this.router.late;
  }
  /** Events that the plugin emitted, in order. */
  get emitted(): readonly { readonly event: string; readonly data: JsonObject }[] {
    return this.router.services.emitted;
  }
  /** How the instance told last that it fares; undefined before it did. */
  get health(): ReportedHealth | undefined {
    return this.router.services.health;
  }
  /** The values of the instance's metrics as it told them last, by name. */
  get metrics(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.router.services.metrics].map(([name, { value }]) => [name, value]));
  }
  /** Resolves when the process is gone and what ran in it has its terminal row. */
  get gone(): Promise<void> {
    return this.#gone;
  }

  /** @internal */
  async start(folder: string, main: string): Promise<void> {
    await mkdir(this.temporary);
    this.#package = { folder, main };
    await this.#socket.bind(this.#endpoint);
    void this.#pump();
    await this.router.crew.start();
  }

  get #endpoint(): string {
    return `ipc://${path.join(this.folder, 'router.ipc')}`;
  }

  readonly #instances: InstanceHost = {
    start: () => this.#startProcess(),
    send: (_, message) => this.#send(message),
    kill: async (id, reason, progress) => {
      this.#restarting = true;
      const graceSeconds = this.manifest.kill?.graceSeconds ?? 0;
      if (this.manifest.kill) progress(`instance ${id}: released by the plugin within ${graceSeconds} s`);
      await this.#release(id, reason, graceSeconds * 1000);
      progress(`instance ${id}: SIGTERM`);
      await this.#terminate(() => progress(`instance ${id}: SIGKILL`));
      this.#restarting = false;
    },
  };

  async #startProcess(): Promise<void> {
    const { folder, main } = this.#package;
    const endpoint = this.#endpoint;
    this.#peer = undefined;
    this.#outbox.length = 0;
    this.cause = undefined;
    const { type } = this.manifest;
    const { config = {}, env, startLimitMs = START_LIMIT_MS } = this.options;
    const child = spawn(process.execPath, ['--enable-source-maps', CHILD], {
      cwd: folder,
      env: { ...process.env, ...env, [MARK]: this.#mark, TMPDIR: this.temporary },
      detached: true,
    });
    this.#child = child;
    child.stdin.on('error', () => {}); // it died before it read; `exit` says so
    this.#readLines(child.stdout);
    this.#readLines(child.stderr);
    this.#gone = once(child, 'exit').then(([code, name]) =>
      this.#exited(name === null ? `exit code ${code}` : `signal ${name}`),
    );
    const hash = new Promise<string>((tell) => {
      this.#ready = tell;
    });
    const instance = this.#instance;
    const common = {
      api: API_VERSION,
      endpoint,
      ticket: this.#mark,
      main,
      type,
      instance,
      config,
      maxMessage: MAX_MESSAGE,
    };
    child.stdin.write(`${JSON.stringify(common satisfies Greeting)}\n`);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((tell) => {
      timer = setTimeout(() => tell('late'), startLimitMs);
    });
    const first = await Promise.race([hash, this.#gone, late]);
    clearTimeout(timer);
    const lines = this.log.slice(-SHOWN_LINES).map(({ msg }) => msg);
    const said = lines.length > 0 ? `; it said: ${lines.join(' | ').replace(/\.$/, '')}` : '';
    const refuse = (reason: string) => failure('INVALID_PLUGIN', { plugin: type, reason: `${reason}${said}` });
    if (first === 'late') throw refuse(`it was not ready within ${startLimitMs / 1000} s`);
    if (first === undefined) throw refuse(`it did not start (${this.cause})`);
    if (first !== this.manifest.hash) throw failure('MANIFEST_STALE', { plugin: type });
  }

  /**
   * Makes a request and resolves with how it ended: a failure of the action is an outcome, not a rejection. Rejects with what
   * the router refuses (UNKNOWN_ACTION, FORBIDDEN, INVALID_DATA, TOKEN_REUSED, NOT_READY) and with WAIT_OVER.
   */
  call(action: string, input: object, options: TestCall = {}): Promise<TestOutcome<JsonObject>> {
    return this.router.call(action, input, options) as Promise<TestOutcome<JsonObject>>;
  }

  /** Makes a request and returns its token at once; refuses as `call` does. */
  send(action: string, input: object, options: TestCall = {}): string {
    return this.router.send(action, input, options);
  }

  /** Asks an action that answers in the ACK and resolves with its answer; rejects with the refusal. */
  ask(action: string, input: object, options: TestCall = {}): Promise<JsonObject> {
    return this.router.ask(action, input, options);
  }

  /** Ends a request as CANCEL does: its signal aborts with CANCELLED. Returns whether it was open. */
  abort(token: string, reason: CentreondError = failure('CANCELLED', { token, by: '@local' })): boolean {
    return this.router.abort(token, reason);
  }

  /** Tells the plugin's listeners of an event, and resolves once its process has taken it. */
  emit(event: string, data: JsonObject): Promise<void> {
    return this.router.services.tell(event, data);
  }

  /** The nodes that the plugin carries, by id. */
  get carried(): ReadonlyMap<string, NodeAnnouncement> {
    return this.router.services.carried;
  }

  /** Sends a request to a node that the plugin carries: resolves with the ACK, rejects with the refusal. */
  carry(target: string, action: string, data: JsonObject, options: TestCarried = {}): Promise<Ack> {
    return this.router.services.carry(target, action, data, options);
  }

  /**
   * With a signal: sends it to the whole process group, as a host does. Without: ends the instance as KILL does, that is the
   * kill handler within its grace, SIGTERM, 3 s, SIGKILL. What runs ends PLUGIN_KILLED. Resolves when the process is gone, with
   * whether the handler kept within its grace.
   */
  async kill(name?: NodeJS.Signals): Promise<boolean> {
    this.#killed = true;
    if (name !== undefined) {
      this.signal(name);
      await this.#gone;
      return true;
    }
    const { type, kill } = this.manifest;
    this.router.gone ??= failure('NOT_READY', { type, state: 'dying', reason: 'the test has killed it' });
    const reason = failure('PLUGIN_KILLED', { type, token: 'these requests' });
    const within = await this.#release('', reason, (kill?.graceSeconds ?? 0) * 1000 + 500);
    await this.#terminate(() => {});
    return within;
  }

  /** Calls the kill handler. Resolves with whether it is over within `graceMs`, or the process is. */
  #release(id: string, reason: CentreondError, graceMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), graceMs);
      this.#released = () => {
        clearTimeout(timer);
        resolve(true);
      };
      void this.#gone.then(this.#released);
      this.#send(formatMessage('RELEASE', '', '', { id, ...reason.toData() }));
    });
  }

  /** SIGTERM, and after 3 s SIGKILL. Resolves when the process is gone. */
  async #terminate(forced: () => void): Promise<void> {
    this.signal('SIGTERM');
    const timer = setTimeout(() => {
      forced();
      this.signal('SIGKILL');
    }, SIGTERM_MS);
    await this.#gone;
    clearTimeout(timer);
  }

  /** Sends a signal to the whole process group and waits for nothing. */
  signal(name: NodeJS.Signals): void {
    if (this.cause === undefined && this.pid > 0) signal(-this.pid, name);
  }

  /**
   * Ends the process as the daemon's stop does: asks it, then SIGTERM, then SIGKILL at `limitMs`. Resolves with whether it
   * ended by itself.
   */
  async stop(limitMs: number = STOP_LIMIT_MS): Promise<boolean> {
    this.#send(formatMessage('STOP', '', '', { limitMs: Math.max(500, limitMs - SIGTERM_MS) }));
    let forced = false;
    const timers = [
      setTimeout(
        () => {
          forced = true;
          this.signal('SIGTERM');
        },
        Math.max(1000, limitMs - SIGTERM_MS + 500),
      ),
      setTimeout(() => this.signal('SIGKILL'), limitMs),
    ];
    await this.#gone;
    for (const timer of timers) clearTimeout(timer);
    return !forced;
  }

  /** The processes and files that the instance has made and that are still there. */
  async leftovers(): Promise<Leftovers> {
    const found = await markedProcesses(this.#mark);
    const files = await readdir(this.temporary, { recursive: true }).catch(() => []);
    return { processes: found.filter(({ pid }) => pid !== this.pid || this.cause !== undefined), files };
  }

  /** Kills whatever is left of the instance, as a host does. Resolves with what it killed besides the process itself. */
  async reap(): Promise<readonly Found[]> {
    this.signal('SIGKILL');
    await this.#gone;
    const { processes } = await this.leftovers();
    for (const { pid } of processes) signal(pid, 'SIGKILL');
    return processes;
  }

  /** Kills what is left and removes every file. Calling it again does nothing. */
  async dispose(): Promise<void> {
    await this.reap();
    this.#socket.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  async #exited(cause: string): Promise<void> {
    this.cause = cause;
    if (this.pid > 0) signal(-this.pid, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, LAST_WORDS_MS));
    if (this.#restarting) return;
    const { type } = this.manifest;
    this.router.end(failure('NOT_READY', { type, state: 'gone', reason: cause }), (token) =>
      this.#killed ? failure('PLUGIN_KILLED', { type, token }) : failure('PLUGIN_CRASHED', { type, token, cause }),
    );
  }

  async #pump(): Promise<void> {
    while (!this.#socket.closed) {
      try {
        const [peer, frame] = await this.#socket.receive();
        if (peer && frame) for (const message of decodePack(frame)) this.#receive(peer, decodeText(message));
      } catch (error) {
        if (this.#socket.closed) return;
        this.log.push({ level: 'error', msg: `the test's router: ${reasonOf(error)}` });
      }
    }
  }

  #receive(peer: Buffer, message: string): void {
    if (message.startsWith('[HELLO]')) {
      const { ticket } = JSON.parse(parseReply(message).data) as { ticket: string };
      if (ticket === this.#mark) this.#peer = peer;
      void this.#flush();
    } else if (message.startsWith('[READY]')) {
      this.#ready?.((JSON.parse(parseReply(message).data) as { hash: string }).hash);
    } else if (message.startsWith('[RELEASED]')) this.#released?.();
    else if (!message.startsWith('[STOPPED]') && !message.startsWith('[BEAT]'))
      this.router.receive(this.#instance, message);
  }

  #send(message: string): void {
    this.#outbox.push(message);
    void this.#flush();
  }

  async #flush(): Promise<void> {
    if (this.#sending || !this.#peer) return;
    this.#sending = true;
    for (let message = this.#outbox.shift(); message !== undefined; message = this.#outbox.shift()) {
      try {
        await this.#socket.send([this.#peer, message]);
      } catch {
        this.#outbox.length = 0; // it is gone, or its test is over: `exit` says so
      }
    }
    this.#sending = false;
  }

  #readLines(stream: NodeJS.ReadableStream): void {
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const text of lines) {
        const line = readLine(text);
        this.log.push(line);
        if (line.rowAfterEnd) this.router.late.push(line.rowAfterEnd);
      }
    });
  }
}
