import {
  construct,
  InstanceRuntime,
  type Lifecycle,
  type LinkServices,
  LinkTransport,
  servicesOver,
  TimerClock,
} from '@centreond/plugin-runtime';
import type { Clock, Logger, PluginClass } from '@centreond/plugin-sdk';
import { declarationOf } from '@centreond/plugin-sdk/internal';
import type { Link, LinkOptions } from '@centreond/plugin-sdk/nodes';
import {
  type CentreondError,
  failure,
  formatMessage,
  type JsonObject,
  parseReply,
  reasonOf,
} from '@centreond/protocol';

const SIGTERM_MS = 3000;
const POLL_MS = 2;

/** What an instance in this process is made with. */
export interface InstanceParts {
  readonly target: PluginClass;
  readonly id: string;
  readonly config: JsonObject;
  readonly clock: Clock;
  readonly maxMessage: number;
  readonly log: Logger;
  readonly link?: ((options: LinkOptions) => Link) | undefined;
  /** Takes a message of the instance. */
  toRouter(message: string): void;
  /** A promise while the router takes no rows. */
  rowsTaken?(): Promise<void> | undefined;
}

/** The clock of one instance: its timers end with it, as those of a process do. */
class InstanceClock extends TimerClock implements Disposable {
  readonly #timers = new Set<Disposable>();
  #isOver = false;

  constructor(private readonly clock: Clock) {
    super();
  }

  now(): number {
    return this.clock.now();
  }

  protected start(ms: number, run: () => void): Disposable {
    const timer: Disposable = this.clock.after(ms, () => {
      this.#timers.delete(own);
      run();
    });
    const own = {
      [Symbol.dispose]: () => {
        this.#timers.delete(own);
        timer[Symbol.dispose]();
      },
    };
    if (this.#isOver) timer[Symbol.dispose]();
    else this.#timers.add(own);
    return own;
  }

  /** How many have neither run nor been cancelled. */
  get size(): number {
    return this.#timers.size;
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    for (const timer of [...this.#timers]) timer[Symbol.dispose]();
  }
}

/** One instance of a plugin in this process, with the runtime of a real one. Messages take a turn, as between processes. */
export class InProcessInstance {
  plugin: Lifecycle = {};
  /** What was injected; undefined before {@link start}. */
  services: LinkServices | undefined;
  readonly held = 0;
  readonly #transport: LinkTransport;
  readonly #clock: InstanceClock;
  #runtime: InstanceRuntime | undefined;
  #released: (() => void) | undefined;
  #isGone = false;

  constructor(private readonly parts: InstanceParts) {
    const { target, maxMessage, log, link } = parts;
    const plugin = declarationOf(target).options;
    this.#clock = new InstanceClock(parts.clock);
    this.#transport = new LinkTransport({ wire: this, maxMessage, log, plugin, ...(link && { link }) });
  }

  /** Makes the plugin and calls its `start()`. Rejects with what they throw. */
  async start(): Promise<void> {
    const { target, id, config, maxMessage, log } = this.parts;
    const clock = this.#clock;
    const { instances, type } = declarationOf(target).options;
    const of = instances && 'pool' in instances ? instances.pool : 1;
    this.services = servicesOver(this.#transport, log, { instance: { id, of, type }, clock });
    this.plugin = await construct(target, config, this.services);
    this.#runtime = new InstanceRuntime(this.plugin, this, log, maxMessage);
    await this.plugin.start?.();
  }

  /** Takes a message of the router. */
  receive(message: string): void {
    queueMicrotask(() => {
      if (this.#isGone || this.#runtime?.receive(message)) return;
      this.#transport.receive(parseReply(message));
    });
  }

  /** From the plugin. */
  send(message: string): void {
    queueMicrotask(() => {
      if (this.#isGone) return;
      if (message.startsWith('[RELEASED]')) this.#released?.();
      else this.parts.toRouter(message);
    });
  }

  row(message: string): void {
    this.send(message);
  }

  ready(): Promise<void> | undefined {
    return this.parts.rowsTaken?.();
  }

  /** Aborts what runs and calls the kill handler, and waits for it at most `graceMs`. Resolves with whether it kept within that. */
  release(id: string, reason: CentreondError, graceMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), graceMs);
      this.#released = () => {
        clearTimeout(timer);
        resolve(true);
      };
      this.receive(formatMessage('RELEASE', '', '', { id, ...reason.toData() }));
    });
  }

  get id(): string {
    return this.parts.id;
  }
  /** Timers of its clock that have neither run nor been cancelled. */
  get timers(): number {
    return this.#clock.size;
  }
  /** Whether it runs nothing. */
  get isIdle(): boolean {
    return (this.#runtime?.inFlight ?? 0) === 0;
  }

  /** Resolves once it runs nothing, or after `limitMs`. */
  async drain(limitMs: number): Promise<void> {
    const limit = Date.now() + limitMs;
    while (!this.isIdle && Date.now() < limit) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }

  /**
   * What SIGTERM does to a process: aborts what runs, calls `stop()` and waits for that, and until `isOver`, for `limitMs` at
   * most. Resolves with whether it had not to be cut short. Rejects with ACTION_FAILED where `stop()` throws.
   */
  async stop(limitMs: number = SIGTERM_MS, isOver: () => boolean = () => this.isIdle): Promise<boolean> {
    this.#runtime?.abortAll(failure('INTERRUPTED', { token: 'this request' }));
    const limit = Date.now() + limitMs;
    let isStopped = false;
    let thrown: unknown;
    void Promise.resolve()
      .then(() => this.plugin.stop?.())
      .catch((error: unknown) => {
        thrown = failure('ACTION_FAILED', { reason: `stop() threw: ${reasonOf(error)}` });
      })
      .then(() => {
        isStopped = true;
      });
    await turn();
    while ((!isStopped || !isOver()) && thrown === undefined && Date.now() < limit) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    await turn();
    if (thrown !== undefined) throw thrown;
    return isStopped && isOver();
  }

  /** It neither hears nor says anything from now on, and its timers are gone, as those of a process that has ended. */
  end(): void {
    this.#isGone = true;
    this.#clock[Symbol.dispose]();
    this.#transport.abandon();
  }
}

export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
