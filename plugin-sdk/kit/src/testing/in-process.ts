import {
  construct,
  InstanceRuntime,
  type Lifecycle,
  LinkTransport,
  type PluginServices,
  servicesOver,
} from '@centreond/plugin-runtime';
import type { Logger, PluginClass } from '@centreond/plugin-sdk';
import { declarationOf, type Manifest, manifestOf, type PluginOptions } from '@centreond/plugin-sdk/internal';
import { routerSchema } from '@centreond/plugin-sdk/json-schema';
import type { NodeAnnouncement } from '@centreond/plugin-sdk/nodes';
import {
  type Ack,
  CentreondError,
  failure,
  formatMessage,
  type HistoryRow,
  type Json,
  type JsonObject,
  parseReply,
  reasonOf,
} from '@centreond/protocol';
import { type Clock, REAL_CLOCK } from './clock.ts';
import { type LateRow, type LogLine, logInto } from './log-lines.ts';
import { type Answer, type TestCall, type TestOutcome, TestRouter } from './test-router.ts';
import type { TestCarried } from './test-services.ts';

const MAX_MESSAGE = 16 * 1024 * 1024;
const STOP_LIMIT_MS = 4000;

/** What a plugin under test is given. */
export interface TestOptions {
  /** As the operator would write it; `{}` when left out. */
  readonly config?: JsonObject;
  /** What the plugin kept before: STATE starts with it. */
  readonly state?: Readonly<Record<string, Json>>;
  /** The machine's clock when left out; `new FakeClock()` to move time by hand. */
  readonly clock?: Clock;
  /** What other actions answer when the plugin calls them, by name; any other is UNKNOWN_ACTION. */
  readonly transport?: Readonly<Record<string, Answer>>;
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
  const config = options.config ?? {};
  const fault = manifest.config && routerSchema(manifest.config).check(config);
  if (fault) throw failure('INVALID_PLUGIN', { plugin: manifest.type, reason: `its config: ${fault}` });
  const wiring = new Wiring(manifest, declarationOf(target).options, options);
  const made = await construct(target, config, wiring.services);
  wiring.runtime = new InstanceRuntime(made, wiring, wiring.logger, MAX_MESSAGE);
  await made.start?.();
  return new TestedPlugin(made as P & Lifecycle, manifest, wiring);
}

/** Both ends of the link between the plugin and the router in memory. Messages take a turn, as they do between processes. */
class Wiring {
  readonly log: LogLine[] = [];
  readonly logger: Logger = logInto((line) => {
    this.log.push(line);
    if (line.rowAfterEnd) this.router.late.push(line.rowAfterEnd);
  });
  readonly router: TestRouter;
  readonly state: Map<string, Json>;
  readonly transport: LinkTransport;
  readonly held = 0;
  runtime: InstanceRuntime | undefined;
  released: (() => void) | undefined;

  constructor(
    manifest: Manifest,
    plugin: PluginOptions,
    { state = {}, clock = REAL_CLOCK, transport = {} }: TestOptions,
  ) {
    const wire = { send: (message: string) => this.send(message) };
    this.transport = new LinkTransport({ wire, maxMessage: MAX_MESSAGE, log: this.logger, plugin });
    this.state = new Map(Object.entries(structuredClone(state)));
    this.router = new TestRouter({
      manifest,
      clock,
      maxMessage: MAX_MESSAGE,
      answers: transport,
      state: this.state,
      toInstance: (message) => queueMicrotask(() => this.toPlugin(message)),
    });
  }

  get services(): PluginServices {
    return servicesOver(this.transport, this.logger);
  }

  toPlugin(message: string): void {
    if (!this.runtime?.receive(message)) this.transport.receive(parseReply(message));
  }

  /** From the plugin. */
  send(message: string): void {
    queueMicrotask(() => {
      if (message.startsWith('[RELEASED]')) this.released?.();
      else this.router.receive(message);
    });
  }

  row(message: string): void {
    this.send(message);
  }

  ready(): undefined {}
}

/** A plugin that runs in this process. After `stop()` or `kill()` calls reject with NOT_READY. */
export class TestedPlugin<P extends object> implements AsyncDisposable {
  readonly #wiring: Wiring;

  /** @internal Made by {@link testPlugin}. */
  constructor(
    /** The instance itself. */
    readonly plugin: P & Lifecycle,
    readonly manifest: Manifest,
    wiring: unknown,
  ) {
    if (!(wiring instanceof Wiring)) throw new TypeError('testPlugin() makes tested plugins');
    this.#wiring = wiring;
  }

  /** Every row that was written, ascending. */
  get rows(): readonly HistoryRow[] {
    return this.#wiring.router.history.rows;
  }
  /** Rows that the plugin wrote after the end of their token: the router drops them. */
  get lateRows(): readonly LateRow[] {
    return this.#wiring.router.late;
  }
  /** Events that the plugin emitted, in order. */
  get emitted(): readonly { readonly event: string; readonly data: JsonObject }[] {
    return this.#wiring.router.services.emitted;
  }
  /** What the plugin logged, in order. */
  get log(): readonly LogLine[] {
    return this.#wiring.log;
  }
  /** What the plugin keeps. */
  get state(): ReadonlyMap<string, Json> {
    return this.#wiring.state;
  }
  /** The router that it talks to. */
  get router(): TestRouter {
    return this.#wiring.router;
  }

  /**
   * Makes a request, by the action's name or, with its types, by the method's, and resolves with how it ended: a failure of
   * the action is an outcome, not a rejection. Rejects with what the router refuses (UNKNOWN_ACTION, FORBIDDEN, INVALID_DATA,
   * TOKEN_REUSED, NOT_READY) and with WAIT_OVER.
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
   * Ends the instance as KILL does: calls the kill handler, waits for it at most its grace, and ends what runs with
   * PLUGIN_KILLED. Resolves with whether the handler kept within its grace (true where there is none).
   */
  async kill(id = ''): Promise<boolean> {
    const { type, kill } = this.manifest;
    const killed = (token: string) => failure('PLUGIN_KILLED', { type, token });
    this.router.gone ??= this.#gone('killed');
    const within = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(kill === null), (kill?.graceSeconds ?? 0) * 1000 + 50);
      this.#wiring.released = () => {
        clearTimeout(timer);
        resolve(true);
      };
      this.#wiring.toPlugin(formatMessage('RELEASE', '', '', { id, ...killed('these requests').toData() }));
    });
    this.router.end(this.#gone('killed'), killed);
    return within;
  }

  /** Ends the plugin as the daemon's stop does: aborts what runs with INTERRUPTED and calls `stop()`. Again does nothing. */
  async stop(): Promise<void> {
    const { runtime, router } = this.#wiring;
    if (router.gone) return;
    router.gone = this.#gone('stopped');
    await turn(); // what was just sent is there by now
    runtime?.abortAll(failure('INTERRUPTED', { token: 'this request' }));
    try {
      await this.plugin.stop?.();
      const limit = Date.now() + STOP_LIMIT_MS;
      while (router.open.length > 0 && Date.now() < limit) await new Promise((resolve) => setTimeout(resolve, 2));
    } catch (error) {
      throw new CentreondError('ACTION_FAILED', `stop() threw: ${reasonOf(error)}`, { cause: error });
    } finally {
      await turn();
      router.end(router.gone, (token) => failure('INTERRUPTED', { token }));
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #gone(state: string): CentreondError {
    return failure('NOT_READY', { type: this.manifest.type, state, reason: 'the test has ended it' });
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
