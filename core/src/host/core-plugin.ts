import { pathToFileURL } from 'node:url';
import {
  type ActionContext,
  type ActionManifest,
  type CentreondError,
  declarationOf,
  failure,
  formatMessage,
  type JsonObject,
  lineLogger,
  type Manifest,
  manifestOf,
  type PluginClass,
  parseReply,
} from '@centreond/plugin-sdk';
import { construct, type Lifecycle, pluginOf, servicesOver } from '@centreond/plugin-sdk/construct';
import { RowWindow } from '@centreond/plugin-sdk/row-window';
import { InstanceRuntime } from '@centreond/plugin-sdk/runtime';
import { LinkTransport } from '@centreond/plugin-sdk/services';
import type { Log } from '../log.ts';
import type { Envelope } from '../router/envelope.ts';
import { Answer, type Asked, type Executor, type Hearer, type PluginStatus } from '../router/executor.ts';
import { type Grant, Leaving, type Peer, type PeerRole } from '../router/peer.ts';
import type { OpenRequest } from '../router/request.ts';
import type { Requests } from '../router/requests.ts';
import { ROW_BOUND } from './row-credit.ts';

/** What an action that answers in the ACK is told besides: who asks, and over which routers. */
export interface AskContext extends ActionContext {
  readonly caller: Peer;
  readonly envelope: Envelope;
}

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
  readonly maxMessage: number;
  readonly log: Log;
  readonly requests: Pick<Requests, 'row'>;
  readonly clock: { now(): number };
  /** It was stopped. */
  stopped?(): void;
}

/** Runs a plugin in the core's own process: the same runtime as in a child, without process and socket. */
export class CorePlugin implements Executor {
  readonly manifest: Manifest;
  readonly #rows: RowWindow;
  readonly #runtime: InstanceRuntime;
  readonly #methods: Methods;
  readonly #running = new Map<string, OpenRequest>();
  #released: (() => void) | undefined;

  constructor(
    readonly plugin: object,
    readonly options: CorePluginOptions,
  ) {
    this.manifest = manifestOf(plugin.constructor as PluginClass);
    this.#methods = plugin as Methods;
    const log = lineLogger((line) => options.log.info({ plugin: this.manifest.type, ...JSON.parse(line) }));
    this.#rows = new RowWindow({ send: (message) => this.#fromPlugin(message) }, ROW_BOUND);
    this.#runtime = new InstanceRuntime(plugin, this.#rows, log, options.maxMessage);
  }

  admit({ action, owner }: OpenRequest, data: JsonObject, peer: Peer) {
    return (this.plugin as Admits).admit?.(action.manifest.name, data, peer, owner);
  }

  ask(action: ActionManifest, data: JsonObject, peer: Peer, asked: Asked): Answer | Promise<Answer> {
    const context = new Asking(asked, peer, action.timeoutSeconds);
    const output = this.#methods[action.method]?.(data, context);
    return output instanceof Promise ? output.then(answerOf) : answerOf(output);
  }

  submit(open: OpenRequest): void {
    const { name, timeoutSeconds } = open.action.manifest;
    const now = this.options.clock.now();
    open.started(now, Math.min(now + timeoutSeconds * 1000, open.wantedUntil));
    this.#running.set(open.token, open);
    const $ = { from: open.owner, deadline: open.deadline, ...(open.workedOn !== '' && { target: open.workedOn }) };
    this.#runtime.receive(formatMessage(name, open.token, '', { ...JSON.parse(open.data), $ }));
  }

  #fromPlugin(message: string): void {
    const row = parseReply(message);
    if (row.action === 'RELEASED') this.#released?.();
    // Only processes are to say that they heard an event.
    if (row.action !== 'ROW') return;
    const open = this.#running.get(row.token);
    const stored = open && this.options.requests.row(open, Number(row.target), row.data);
    void Promise.resolve(stored).then(() => this.#rows.stored(1, message.length));
    if (!open) return;
    if (open.state === 'ended') this.#running.delete(row.token);
  }

  abort(open: OpenRequest, reason: CentreondError): void {
    this.#runtime.receive(formatMessage('ABORT', open.token, '', reason.toData()));
  }

  withdraw(): void {}

  hearers(): readonly Hearer[] {
    const send = (message: string) => void this.#runtime.receive(message);
    return [{ type: this.manifest.type, inCore: true, send }];
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
    this.#runtime.receive(formatMessage('RELEASE', '', '', { id: '1', ...error.toData() }));
    await released;
  }

  /** Aborts what it runs and calls its stop(), within a limit. */
  async stop(): Promise<void> {
    this.#runtime.abortAll(failure('INTERRUPTED', { token: 'this request' }));
    const limit = new Promise<void>((resolve) => setTimeout(resolve, STOP_LIMIT_MS).unref());
    await Promise.race([(async () => (this.plugin as Lifecycle).stop?.())(), limit]);
    this.options.stopped?.();
  }

  status(): PluginStatus {
    const { type } = this.manifest;
    const instance = { id: '1', pid: process.pid, state: 'ready', restarts: 0, inFlight: this.#running.size };
    return {
      type,
      package: this.options.package,
      version: this.options.version,
      state: 'ready',
      waiting: 0,
      instances: [{ ...instance, p50Ms: null, p99Ms: null, rss: process.memoryUsage.rss() }],
    };
  }
}

/** Imports and makes a plugin that runs in this process, with the services of any other. Throws what it throws. */
export async function openCorePlugin(
  found: { main: string; package: string; version: string; config: JsonObject; type: string },
  options: Pick<CorePluginOptions, 'maxMessage' | 'log' | 'requests' | 'clock'> & {
    message(peer: Peer, message: Buffer): void;
  },
): Promise<CorePlugin> {
  const log = lineLogger((line) => options.log.info({ plugin: found.type, ...JSON.parse(line) }));
  const peer = new InProcessPeer(found.type, (message) => transport.receive(parseReply(message)));
  const wire = { send: (message: string) => options.message(peer, Buffer.from(message)) };
  const target = pluginOf(await import(pathToFileURL(found.main).href), found.main);
  const declared = declarationOf(target).options;
  const transport = new LinkTransport({ wire, maxMessage: options.maxMessage, log, plugin: declared });
  const plugin = await construct(target, found.config, servicesOver(transport, log));
  await plugin.start?.();
  const stopped = () => peer.end();
  return new CorePlugin(plugin, { ...options, package: found.package, version: found.version, stopped });
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

class Asking implements AskContext {
  readonly identity: string;
  readonly deadline: number;
  readonly signal: AbortSignal;

  readonly token: string;
  readonly target: string;
  readonly envelope: Envelope;

  constructor(
    { token, target, envelope }: Asked,
    readonly caller: Peer,
    seconds: number,
  ) {
    this.token = token;
    this.target = target;
    this.envelope = envelope;
    this.identity = caller.identity;
    this.deadline = Date.now() + seconds * 1000;
    this.signal = NEVER;
  }

  async progress(): Promise<void> {}
}

const NEVER = new AbortController().signal;
