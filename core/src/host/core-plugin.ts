import { pathToFileURL } from 'node:url';
import {
  construct,
  InstanceRuntime,
  type Lifecycle,
  LinkTransport,
  lineLogger,
  loadOneCopy,
  pluginOf,
  RowWindow,
  servicesOver,
} from '@centreond/plugin-runtime';
import type { PluginClass } from '@centreond/plugin-sdk';
import {
  type ActionManifest,
  declarationOf,
  type Manifest,
  manifestAs,
  manifestOf,
} from '@centreond/plugin-sdk/internal';
import {
  CallRefusal,
  CentreondError,
  FAILED,
  failure,
  formatMessage,
  isCentreondError,
  type JsonObject,
  parseData,
  parseReply,
  reasonOf,
} from '@centreond/protocol';
import type { Settings } from '../config/config.ts';
import type { Log } from '../log.ts';
import type { Chronicle } from '../router/chronicle.ts';
import type { AskContext } from '../router/declaring.ts';
import type { Executor, Hearer, PluginStatus } from '../router/executor.ts';
import { type Grant, Leaving, type Peer, type PeerRole } from '../router/peer.ts';
import { Answer, type Asked, type OpenRequest } from '../router/request.ts';
import type { Requests } from '../router/requests.ts';
import { PluginMetrics } from './metrics.ts';
import { logPluginLine } from './plugin-line.ts';
import { Redaction, shownOf } from './redaction.ts';
import { InstanceReports, isReport } from './reports.ts';
import { ROW_BOUND } from './row-credit.ts';

const STOP_LIMIT_MS = 2000;

type Methods = Record<string, ((input: unknown, context: AskContext) => unknown) | undefined>;

/** What a plugin in the core's process may say before one of its requests is recorded. */
interface Admits {
  admit?(
    action: string,
    data: JsonObject,
    peer: Peer,
    owner: string,
  ): CentreondError | undefined | Promise<CentreondError | undefined>;
}

export interface CorePluginOptions {
  readonly package: string;
  readonly version: string;
  /** The type that the config gives it, if it does. */
  readonly as?: string | undefined;
  /** Takes the secrets of its config out of what people read of it. */
  readonly redaction?: Redaction;
  readonly maxMessage: number;
  readonly log: Log;
  readonly requests: Pick<Requests, 'row'>;
  readonly clock: { now(): number };
  /** What the plugin reports on itself, and the metrics in that. */
  readonly reports?: { readonly instance: InstanceReports; readonly metrics: PluginMetrics };
  /** It was stopped. */
  stopped?(): void;
}

/** One object with actions, and what runs them. */
interface Part {
  readonly methods: Methods & Admits & Lifecycle;
  readonly runtime: InstanceRuntime;
}

/**
 * Runs a plugin in the core's own process: the same runtime as in a child, without process and socket. The core itself consists
 * of several objects, each with some of its actions.
 */
export class CorePlugin implements Executor {
  readonly #parts: readonly Part[];
  readonly #partOf = new Map<string, Part>();
  readonly #rows: RowWindow;
  readonly #running = new Map<string, OpenRequest>();
  readonly #redaction: Redaction;
  #released: (() => void) | undefined;

  /** `manifest` declares the actions of all `objects`. */
  constructor(
    readonly manifest: Manifest,
    objects: readonly object[],
    readonly options: CorePluginOptions,
  ) {
    const redaction = options.redaction ?? new Redaction([]);
    this.#redaction = redaction;
    const log = lineLogger((line) => logPluginLine(options.log, { plugin: manifest.type }, redaction.text(line)));
    this.#rows = new RowWindow({ send: (message) => this.#fromPlugin(message) }, ROW_BOUND);
    this.#parts = objects.map((object) => {
      const runtime = new InstanceRuntime(object, this.#rows, log, options.maxMessage, options.as);
      const part = { methods: object as Part['methods'], runtime };
      const declared = manifestAs(manifestOf(object.constructor as PluginClass), options.as);
      for (const { name } of declared.actions) this.#partOf.set(name, part);
      return part;
    });
  }

  #part(action: string): Part {
    const part = this.#partOf.get(action);
    if (!part) throw new Error(`${this.manifest.type} has no action ${action}`);
    return part;
  }

  admit({ action, owner }: OpenRequest, data: JsonObject, peer: Peer) {
    const { name } = action.manifest;
    return this.#part(name).methods.admit?.(name, data, peer, owner);
  }

  ask(
    { name, method, timeoutSeconds }: ActionManifest,
    data: JsonObject,
    peer: Peer,
    asked: Asked,
  ): Answer | Promise<Answer> {
    const { token, target, envelope } = asked;
    const context: AskContext = {
      token,
      target,
      envelope,
      caller: peer,
      identity: peer.identity,
      deadline: Math.ceil(Date.now() / 1000 + timeoutSeconds),
      signal: NEVER,
      progress: async () => {},
    };
    const { redaction } = this.options;
    const answer = () => {
      const output = this.#part(name).methods[method]?.(data, context);
      return output instanceof Promise ? output.then(answerOf) : answerOf(output);
    };
    return redaction ? redacted(redaction, answer) : answer();
  }

  submit(open: OpenRequest): void {
    const { name, timeoutSeconds } = open.action.manifest;
    const now = this.options.clock.now();
    open.started(now, Math.min(now + timeoutSeconds * 1000, open.wantedUntil));
    this.#running.set(open.token, open);
    const $ = { from: open.owner, deadline: open.deadline, ...(open.workedOn !== '' && { target: open.workedOn }) };
    this.#part(name).runtime.receive(formatMessage(name, open.token, '', { ...parseData(open.data), $ }));
  }

  #fromPlugin(message: string): void {
    const row = parseReply(message);
    if (row.action === 'RELEASED') this.#released?.();
    // Only processes say that they heard an event.
    if (row.action !== 'ROW') return;
    const open = this.#running.get(row.token);
    const code = Number(row.target);
    const data = code === FAILED ? this.#redaction.json(row.data) : row.data;
    const stored = open && this.options.requests.row(open, code, data);
    void Promise.resolve(stored).then(() => this.#rows.stored(1, message.length));
    if (open?.state === 'ended') this.#running.delete(row.token);
  }

  abort(open: OpenRequest, reason: CentreondError): void {
    this.#part(open.action.manifest.name).runtime.receive(formatMessage('ABORT', open.token, '', reason.toData()));
  }

  withdraw(): void {}

  hearers(): readonly Hearer[] {
    return this.#parts.map(({ runtime }) => ({
      type: this.manifest.type,
      inCore: true,
      send: (message: string) => void runtime.receive(message),
    }));
  }

  ids(): string[] {
    return ['1'];
  }

  /** Aborts what runs and calls the plugin's kill handler, within its grace; there is no process to end. */
  async kill(_id: string, progress: (step: string) => void): Promise<void> {
    const { type, kill } = this.manifest;
    progress('it runs in the daemon: what it runs is aborted, and it releases what it holds');
    const released = new Promise<void>((resolve) => {
      this.#released = resolve;
      setTimeout(resolve, (kill?.graceSeconds ?? 0) * 1000 + 100);
    });
    const error = failure('PLUGIN_KILLED', { type, token: 'these requests' });
    const release = formatMessage('RELEASE', '', '', { id: '1', ...error.toData() });
    for (const { runtime } of this.#parts) runtime.receive(release);
    await released;
  }

  /** Aborts what it runs and calls its stop(), within a limit. */
  async stop(): Promise<void> {
    const limit = new Promise<void>((resolve) => setTimeout(resolve, STOP_LIMIT_MS).unref());
    const stopping = this.#parts.map(async ({ runtime, methods }) => {
      runtime.abortAll(failure('INTERRUPTED', { token: 'this request' }));
      await methods.stop?.();
    });
    await Promise.race([Promise.all(stopping), limit]);
    this.options.stopped?.();
  }

  status(): PluginStatus {
    const { type } = this.manifest;
    const { reports } = this.options;
    const health = reports?.instance.health ?? null;
    const instance = { id: '1', pid: process.pid, state: 'ready', restarts: 0, inFlight: this.#running.size };
    const figures = { p50Ms: null, p99Ms: null, rss: process.memoryUsage.rss() };
    return {
      type,
      package: this.options.package,
      version: this.options.version,
      state: 'ready',
      health: health && { instance: instance.id, ...health },
      metrics: reports?.metrics.status() ?? [],
      waiting: 0,
      instances: [{ ...instance, ...figures, health, metrics: reports?.instance.metrics ?? {} }],
    };
  }
}

/** Imports and makes a plugin that runs in this process, with the services of any other. Throws what it throws. */
export async function openCorePlugin(
  found: { main: string; package: string; version: string; type: string; as?: string | undefined } & Settings,
  options: Pick<CorePluginOptions, 'maxMessage' | 'log' | 'requests' | 'clock'> & {
    chronicle: Pick<Chronicle, 'tell'>;
    message(peer: Peer, message: Buffer): void;
  },
): Promise<CorePlugin> {
  const redaction = new Redaction(found.secrets);
  const log = lineLogger((line) => logPluginLine(options.log, { plugin: found.type }, redaction.text(line)));
  const peer = new InProcessPeer(found.type, (message) => transport.receive(parseReply(message)));
  const metrics = new PluginMetrics(found.type, options.log);
  const { clock, chronicle } = options;
  const about = { label: found.type, clock, log: options.log, chronicle };
  const reports = new InstanceReports({ ...about, metrics: metrics.open() });
  const wire = {
    send: (message: string) => {
      // The SDK of this very process makes the reports: there is nobody to end for a wrong one.
      if (isReport(message)) reports.take(parseReply(message), (text) => redaction.text(text));
      else {
        const isOnNodes = message.startsWith('[ANNOUNCE]') || message.startsWith('[CARRIED]');
        options.message(peer, Buffer.from(isOnNodes ? shownOf(message, redaction) : message));
      }
    },
  };
  loadOneCopy();
  const target = pluginOf(await import(pathToFileURL(found.main).href), found.main);
  const declared = declarationOf(target).options;
  const transport = new LinkTransport({
    wire,
    maxMessage: options.maxMessage,
    log,
    plugin: { ...declared, type: found.type },
  });
  const instance = { id: '1', of: 1, type: found.type };
  const plugin = await redacted(redaction, async () => {
    const made = await construct(target, found.config, servicesOver(transport, log, { instance }));
    await made.start?.();
    return made;
  });
  const stopped = () => peer.end();
  return new CorePlugin(manifestAs(manifestOf(target), found.as), [plugin], {
    ...options,
    reports: { instance: reports, metrics },
    as: found.as,
    redaction,
    package: found.package,
    version: found.version,
    stopped,
  });
}

/** Does `work`. What it throws is without the secrets. */
async function redacted<T>(redaction: Redaction, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw without(redaction, error);
  }
}

/** An error with its message and its stack, without the secrets. */
function without(redaction: Redaction, error: unknown): Error {
  const message = redaction.text(reasonOf(error));
  const clean =
    error instanceof CallRefusal
      ? new CallRefusal(error.action, error.code, message)
      : isCentreondError(error)
        ? new CentreondError(error.code, message)
        : new Error(message);
  if (error instanceof Error && error.stack !== undefined) clean.stack = redaction.text(error.stack);
  return clean;
}

/** A plugin in this process, as a peer of the router. */
class InProcessPeer implements Peer {
  readonly grant: Grant;
  readonly roles: ReadonlySet<PeerRole> = new Set<PeerRole>(['plugin']);
  open = true;
  readonly backlog = 0;
  readonly #leaving = new Leaving();

  constructor(
    type: string,
    private readonly deliver: (message: string) => void,
  ) {
    this.grant = { identity: `@${type}`, fingerprint: '', roles: [] };
  }

  get identity(): string {
    return this.grant.identity;
  }

  // Not in the caller's turn: a plugin must not run inside the router.
  send(message: string): void {
    if (this.open) setImmediate(() => this.deliver(message));
  }

  onLeft(listener: () => void): void {
    this.#leaving.add(listener);
  }

  end(): void {
    this.open = false;
    this.#leaving.over();
  }
}

function answerOf(output: unknown): Answer {
  return output instanceof Answer ? output : new Answer(JSON.stringify(output ?? {}));
}

const NEVER = new AbortController().signal;
