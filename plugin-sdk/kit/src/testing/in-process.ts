import { type Lifecycle, MACHINE_CLOCK, type ReportedHealth } from '@centreond/plugin-runtime';
import type { Clock, PluginClass } from '@centreond/plugin-sdk';
import { type Manifest, manifestOf } from '@centreond/plugin-sdk/internal';
import { routerSchema } from '@centreond/plugin-sdk/json-schema';
import type { Link, LinkOptions, NodeAnnouncement } from '@centreond/plugin-sdk/nodes';
import {
  type Ack,
  type CentreondError,
  failure,
  type HistoryRow,
  type Json,
  type JsonObject,
} from '@centreond/protocol';
import type { Answer, TestAction } from './answers.ts';
import type { InstanceHost } from './crew.ts';
import type { TestFaults } from './faults.ts';
import { InProcessInstance, turn } from './instance.ts';
import { type LateRow, type LogLine, logInto } from './log-lines.ts';
import { type TestCall, type TestOutcome, TestRouter } from './test-router.ts';
import type { TestCarried } from './test-services.ts';

const MAX_MESSAGE = 16 * 1024 * 1024;
const STOP_LIMIT_MS = 4000;
/** A kill handler that keeps within its grace is told so a little later. */
const RELEASE_MS = 50;

/** What a plugin under test is given. */
export interface TestOptions {
  /** As the operator would write it; `{}` when left out. */
  readonly config?: JsonObject;
  /** What the plugin kept before: STATE starts with it. */
  readonly state?: Readonly<Record<string, Json>>;
  /** The machine's clock if omitted; `new FakeClock()` to move time by hand. The plugin's `CLOCK` is the same. */
  readonly clock?: Clock;
  /**
   * What other actions answer when they are called, by name, here and on nodes that `router.nodes` does not link; any other is
   * UNKNOWN_ACTION, or with a TARGET UNKNOWN_TARGET.
   */
  readonly transport?: Readonly<Record<string, Answer | TestAction>>;
  /** Of a keyed plugin: the keys whose instances run from the start. Others start with their first request. */
  readonly keys?: readonly string[];
  /** Opens the plugin's links: `(options) => new FakeLink(options)`, say. If omitted, they lead to real routers. */
  readonly link?: (options: LinkOptions) => Link;
  /** How many requests one identity may have open before BUSY; 100,000 if omitted. */
  readonly maxRequests?: number;
}

type AnyMethod = (...args: never[]) => unknown;
/** The methods of a plugin that can be actions. */
export type MethodOf<P> = { [K in keyof P]: P[K] extends AnyMethod ? K : never }[keyof P] & string;
type InputOfMethod<F> = F extends (input: infer I, ...rest: never[]) => unknown ? Partial<I> : object;
type OutputOfMethod<F> = F extends (...args: never[]) => infer O ? Awaited<O> : Json;

/**
 * Runs a plugin in this process, as its host would: checks its declaration and config, makes it with every service that a
 * constructor may ask for, and calls `start()`. Its requests go through the schemas of its manifest, its own schemas and the
 * runtime that a real instance has; history, state and other actions are in memory and behave like the router's.
 *
 * Rejects with INVALID_PLUGIN where the declaration or the config does not hold, and with what `start()` throws.
 * Whoever calls this must end it with `stop()` or `kill()`, or declare it with `await using`.
 */
export async function testPlugin<P extends object>(
  plugin: new (...args: never[]) => P,
  options: TestOptions = {},
): Promise<TestedPlugin<P>> {
  const target: PluginClass = plugin as unknown as PluginClass;
  const manifest = manifestOf(target);
  const processes = new Processes(target, manifest, options);
  await processes.router.crew.start(options.keys);
  return new TestedPlugin<P>(manifest, processes);
}

/** The config, checked by the router's schema. Throws INVALID_PLUGIN. */
function configOf(manifest: Manifest, config: JsonObject = {}): JsonObject {
  const fault = manifest.config && routerSchema(manifest.config).check(config);
  if (fault) throw failure('INVALID_PLUGIN', { plugin: manifest.type, reason: `its config: ${fault}` });
  return config;
}

/** The instances of a plugin in this process, and the router that they talk to. */
class Processes implements InstanceHost {
  readonly log: LogLine[] = [];
  readonly logger = logInto((line) => {
    this.log.push(line);
    if (line.rowAfterEnd) this.router.late.push(line.rowAfterEnd);
  });
  readonly state: Map<string, Json>;
  readonly router: TestRouter;
  /** By address. */
  readonly running = new Map<string, InProcessInstance>();
  /** Those that a reload has replaced. */
  readonly leaving = new Map<string, InProcessInstance>();
  /** Timers of instances that have stopped. */
  timersLeft = 0;

  #config: JsonObject;

  constructor(
    private readonly target: PluginClass,
    private readonly manifest: Manifest,
    private readonly options: TestOptions,
  ) {
    this.#config = configOf(manifest, options.config);
    const { state = {}, clock = MACHINE_CLOCK, transport = {}, maxRequests } = options;
    this.state = new Map(Object.entries(structuredClone(state)));
    const shared = { manifest, clock, maxMessage: MAX_MESSAGE, state: this.state, maxRequests };
    this.router = new TestRouter({ ...shared, answers: transport, instances: this, crash: () => this.crash() });
  }

  get all(): readonly InProcessInstance[] {
    return [...this.leaving.values(), ...this.running.values()];
  }

  async start(address: string, id: string): Promise<void> {
    const { target } = this;
    const { link, clock = MACHINE_CLOCK } = this.options;
    const config = this.#config;
    const toRouter = (message: string) => this.router.receive(address, message);
    const rowsTaken = () => this.router.faults.rowsTaken;
    const parts = { target, id, config, clock, maxMessage: MAX_MESSAGE, log: this.logger, link, toRouter, rowsTaken };
    const instance = new InProcessInstance(parts);
    this.running.set(address, instance);
    try {
      await instance.start();
    } catch (error) {
      this.running.delete(address);
      instance.end();
      throw error;
    }
  }

  send(address: string, message: string): void {
    (this.running.get(address) ?? this.leaving.get(address))?.receive(message);
  }

  async kill(address: string, reason: CentreondError, progress: (step: string) => void): Promise<void> {
    const { kill } = this.manifest;
    const instance = this.running.get(address);
    if (!instance) return;
    const { id } = instance;
    const graceSeconds = kill?.graceSeconds ?? 0;
    if (kill) progress(`instance ${id}: released by the plugin within ${graceSeconds} s`);
    await instance.release(id, reason, graceSeconds * 1000);
    progress(`instance ${id}: SIGTERM`);
    if (!(await instance.stop())) progress(`instance ${id}: SIGKILL`);
    instance.end();
  }

  /** Starts every instance again, with `config` or as before. */
  async restart(config: JsonObject = this.#config): Promise<void> {
    this.#config = configOf(this.manifest, config);
    await this.router.crew.restart();
  }

  /** Starts a successor of every instance, with `config` or as before. The result ends those before. */
  async reload(config: JsonObject = this.#config): Promise<() => Promise<void>> {
    const before = this.#config;
    this.#config = configOf(this.manifest, config);
    const addresses = await this.router.crew.reload().catch((error: unknown) => {
      this.#config = before;
      throw error;
    });
    for (const address of addresses) {
      const instance = this.running.get(address);
      if (instance) this.leaving.set(address, instance);
      this.running.delete(address);
    }
    return async () => {
      await Promise.all(addresses.map((address) => this.#leave(address)));
    };
  }

  async #leave(address: string): Promise<void> {
    const instance = this.leaving.get(address);
    if (!instance) return;
    await instance.drain(STOP_LIMIT_MS);
    try {
      await this.stop(instance);
    } finally {
      this.leaving.delete(address);
      this.router.crew.left(address);
    }
  }

  /** Stops an instance, as SIGTERM does a process, and ends it. Rejects with what its `stop()` throws. */
  async stop(instance: InProcessInstance, isOver?: () => boolean): Promise<void> {
    try {
      await instance.stop(STOP_LIMIT_MS, isOver);
    } finally {
      this.timersLeft += instance.timers;
      instance.end();
    }
  }

  /** Ends every instance as the death of its process does. */
  crash(): void {
    const { type } = this.manifest;
    for (const instance of this.all) instance.end();
    this.leaving.clear();
    const reason = (token: string) => failure('PLUGIN_CRASHED', { type, token, cause: 'the test' });
    this.router.end(this.gone('crashed'), reason);
  }

  gone(state: string): CentreondError {
    return failure('NOT_READY', { type: this.manifest.type, state, reason: 'the test has ended it' });
  }

  /** Ends every instance for good as KILL does. Resolves with whether each kill handler kept within its grace. */
  async killAll(id: string, reason: CentreondError): Promise<boolean> {
    const { kill } = this.manifest;
    const graceMs = (kill?.graceSeconds ?? 0) * 1000 + RELEASE_MS;
    const released = await Promise.all(this.all.map((one) => one.release(id, reason, graceMs)));
    for (const instance of this.all) instance.end();
    return kill === null || released.every((within) => within);
  }
}

/** A plugin that runs in this process. After `stop()` or `kill()` calls reject with NOT_READY. */
export class TestedPlugin<P extends object> implements AsyncDisposable {
  readonly #processes: Processes;

  /** @internal Made by {@link testPlugin}. */
  constructor(
    readonly manifest: Manifest,
    processes: unknown,
  ) {
    if (!(processes instanceof Processes)) throw new TypeError('testPlugin() makes tested plugins');
    this.#processes = processes;
  }

  /**
   * The plugin itself: its first instance, after a KILL the one that replaced it. Throws INVALID_PLUGIN for a keyed plugin of which
   * none has started.
   */
  get plugin(): P & Lifecycle {
    if (this.#first) return this.#first.plugin as P & Lifecycle;
    const reason = 'no instance has started; name its key in the option keys, or make a request';
    throw failure('INVALID_PLUGIN', { plugin: this.manifest.type, reason });
  }
  /** The instance `id`: a key, or `1` to the size of the pool. Throws UNKNOWN_INSTANCE. */
  instance(id: string): P & Lifecycle {
    const instance = [...this.#processes.running.values()].find((one) => one.id === id);
    if (instance) return instance.plugin as P & Lifecycle;
    const { type } = this.manifest;
    throw failure('UNKNOWN_INSTANCE', { type, id, known: this.instances.map((one) => `${type}/${one}`) });
  }
  /** The ids of the instances that have started. */
  get instances(): readonly string[] {
    return [...this.#processes.running.values()].map(({ id }) => id);
  }
  /** How the plugin's first instance said last that it fares; undefined before its first report. */
  get health(): ReportedHealth | undefined {
    return this.#first?.services?.health.said;
  }
  /** The values of the metrics of the plugin's first instance, by name. */
  get metrics(): Readonly<Record<string, number>> {
    return this.#first?.services?.metrics.values() ?? {};
  }
  get #first(): InProcessInstance | undefined {
    return this.#processes.running.values().next().value;
  }
  /** Every row that was written, ascending. */
  get rows(): readonly HistoryRow[] {
    return this.#processes.router.history.rows;
  }
  /** Rows that the plugin wrote after the end of their token: the router drops them. */
  get lateRows(): readonly LateRow[] {
    return this.#processes.router.late;
  }
  /** Events that the plugin emitted, in order. */
  get emitted(): readonly { readonly event: string; readonly data: JsonObject }[] {
    return this.#processes.router.services.emitted;
  }
  /** What the plugin logged, in order. */
  get log(): readonly LogLine[] {
    return this.#processes.log;
  }
  /** How many timers of its `CLOCK` the plugin had left behind whenever it was stopped: a process would wait for them to end. */
  get timersLeft(): number {
    return this.#processes.timersLeft;
  }
  /** What goes wrong between the plugin and the router, when a test wants it to. */
  get faults(): TestFaults {
    return this.#processes.router.faults;
  }
  /** What the plugin keeps. */
  get state(): ReadonlyMap<string, Json> {
    return this.#processes.state;
  }
  /** The router that it talks to. */
  get router(): TestRouter {
    return this.#processes.router;
  }

  /**
   * Makes a request, by the action's name or, with its types, by the method's, and resolves with how it ended: a failure of
   * the action is an outcome, not a rejection. Rejects with what the router refuses (UNKNOWN_ACTION, FORBIDDEN, INVALID_DATA,
   * TOKEN_REUSED, NOT_READY …) and with WAIT_OVER.
   */
  call<M extends MethodOf<P>>(
    method: M,
    input: InputOfMethod<P[M]>,
    options?: TestCall,
  ): Promise<TestOutcome<OutputOfMethod<P[M]>>>;
  call(action: Uppercase<string>, input: object, options?: TestCall): Promise<TestOutcome<JsonObject>>;
  async call(name: string, input: object, options: TestCall = {}): Promise<TestOutcome<never>> {
    const action = this.manifest.actions.find((each) => each.method === name)?.name ?? name;
    return (await this.router.call(action, input, options)) as TestOutcome<never>;
  }

  /** Makes a request and returns its token at once; rejects and refuses as `call` does. */
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

  /** Tells the plugin's listeners of an event, and resolves once what they do at once is done. */
  async emit(event: string, data: JsonObject): Promise<void> {
    await this.router.services.tell(event, data);
    await turn();
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
   * Ends the plugin for good as KILL ends an instance: calls the kill handler, waits for it at most its grace, and ends what runs
   * with PLUGIN_KILLED. Resolves with whether the handler kept within its grace (true where there is none). A request for KILL, by
   * `call('KILL', { type })`, starts the instance again.
   */
  async kill(id = ''): Promise<boolean> {
    const { type } = this.manifest;
    const { router } = this.#processes;
    const killed = (token: string) => failure('PLUGIN_KILLED', { type, token });
    router.gone ??= this.#processes.gone('killed');
    const within = await this.#processes.killAll(id, killed('these requests'));
    router.end(this.#processes.gone('killed'), killed);
    return within;
  }

  /**
   * Ends the plugin as the daemon's stop does: aborts what runs with INTERRUPTED and calls `stop()`. Again does nothing. Rejects
   * with ACTION_FAILED where `stop()` throws.
   */
  async stop(): Promise<void> {
    const { router, all } = this.#processes;
    if (router.gone) return;
    const why = this.#processes.gone('stopped');
    router.gone = why;
    await turn(); // what was just sent is there by now
    try {
      await Promise.all(all.map((instance) => this.#processes.stop(instance, () => router.crew.isIdle)));
    } finally {
      this.#processes.leaving.clear();
      router.end(why, (token) => failure('INTERRUPTED', { token }));
    }
  }

  /**
   * Ends the plugin as the death of its process does: nothing of it is called, its timers are gone, and what ran ends
   * PLUGIN_CRASHED. {@link restart} starts it again.
   */
  crash(): void {
    this.#processes.crash();
  }

  /**
   * Stops the plugin, unless it has ended, and starts it again as a restart of the daemon does, with `config` if given: its history,
   * its state, its tokens and the nodes are still there. Rejects as {@link testPlugin} does.
   */
  async restart(options: { readonly config?: JsonObject } = {}): Promise<void> {
    await this.stop();
    await this.#processes.restart(options.config);
  }

  /**
   * Starts the plugin beside itself, with `config` if given, as RELOADPLUGIN does: requests and events go to the new instances, and the
   * old ones go on with what they have until the returned function is called, which waits for their requests and stops them. Rejects
   * as {@link testPlugin} does; then the old ones stay.
   */
  reload(options: { readonly config?: JsonObject } = {}): Promise<() => Promise<void>> {
    return this.#processes.reload(options.config);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
