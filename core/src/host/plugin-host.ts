import {
  type ActionManifest,
  type CentreondError,
  failure,
  type JsonObject,
  type Manifest,
} from '@centreond/plugin-sdk';
import type { Envelope } from '../router/envelope.ts';
import type { Peer } from '../router/peer.ts';
import type { OpenRequest } from '../router/request.ts';
import { Generation, type GenerationOptions } from './generation.ts';
import { Question } from './question.ts';
import type { Exit } from './slot.ts';

/** An answer in the ACK: JSON text, and what to do once the ACK is queued. */
export class Answer {
  constructor(
    readonly data: string,
    readonly after?: () => void,
  ) {}
}

/** What is around the DATA of something that is answered in the ACK. */
export interface Asked {
  readonly token: string;
  /** The node that TARGET named; empty for this router. */
  readonly target: string;
  readonly envelope: Envelope;
}

/** A process that hears events. */
export interface Hearer {
  /** The plugin's type. */
  readonly type: string;
  /** Runs in the core's own process: nothing is on its way to it, and it does not say what it took. */
  readonly inCore?: true;
  send(message: string): void;
}

/** What runs requests. */
export interface Runner {
  /** They run on another node: they outlive this process, and end by rows from there. */
  readonly elsewhere?: true;
  /** How long an aborted request may take to end by itself, in milliseconds; 6 s when left out. */
  readonly abortGraceMs?: number;
  /** What speaks against accepting this request of `owner`, beyond its form: asked before it is recorded. */
  admit(
    action: ActionManifest,
    data: JsonObject,
    peer: Peer,
    owner: string,
  ): CentreondError | undefined | Promise<CentreondError | undefined>;
  /** Answers an action with `reply: 'ack'`. */
  ask(action: ActionManifest, data: JsonObject, peer: Peer, asked: Asked): Answer | Promise<Answer>;
  /** Takes an accepted request: it runs now, or waits. */
  submit(open: OpenRequest): void;
  /** Tells the instance that runs it to stop. */
  abort(open: OpenRequest, reason: CentreondError): void;
  /** Forgets a request that waits, or that was admitted and is not to be run. */
  withdraw(open: OpenRequest): void;
}

/** What runs the actions of one plugin: processes, or the core itself. */
export interface Executor extends Runner {
  /** Its processes that can hear an event now. */
  hearers(): readonly Hearer[];
  /** The ids of its instances. */
  ids(): string[];
  /** Ends an instance, or all for the empty id, as KILL does. Resolves when they are gone. */
  kill(id: string, progress: (step: string) => void): Promise<void>;
  status(): PluginStatus;
}

/** A plugin as `status` and INFORMATION show it. */
export interface PluginStatus {
  readonly type: string;
  readonly package: string;
  readonly version: string;
  readonly state: string;
  readonly reason?: string;
  readonly waiting: number;
  readonly instances: readonly {
    readonly id: string;
    readonly pid: number | null;
    readonly state: string;
    readonly restarts: number;
    readonly inFlight: number;
    readonly p50Ms: number | null;
    readonly p99Ms: number | null;
    readonly rss: number | null;
  }[];
}

/** One version of a plugin: what it declares and how its processes are started. */
export interface PluginVersion {
  readonly manifest: Manifest;
  readonly package: string;
  readonly version: string;
  readonly generation: Omit<GenerationOptions, keyof PluginHostOptions>;
}

export interface PluginHostOptions {
  /** Resolves when the row is on disk, or dropped; undefined where it was dropped at once. */
  row(open: OpenRequest, code: number, data: string): Promise<void> | undefined;
  fail(open: OpenRequest, error: CentreondError): void;
  message(peer: Peer, message: Buffer): void;
  /** A process is ready, and later it is gone. */
  ready(hearer: Hearer): void;
  gone(hearer: Hearer): void;
  /** An instance's session is over. */
  left(peer: Peer): void;
}

const WAITING_LIMIT = 100_000;
/** How long a version that was replaced may take to finish what it runs. */
const DRAIN_MS = 30_000;
const STOP_MS = 4000;
/** Of the versions before, as `why` shows them. */
const EXITS_KEPT = 10;

/** Hosts one plugin in processes of its own, over its versions. */
export class PluginHost implements Executor {
  #version: PluginVersion;
  #current: Generation;
  /** How instances of versions that were replaced ended. */
  #earlierExits: (Exit & { instance: string })[] = [];
  /** Versions that were replaced and still run something. */
  readonly #draining = new Set<Generation>();

  constructor(
    version: PluginVersion,
    readonly options: PluginHostOptions,
  ) {
    this.#version = version;
    this.#current = this.#generation(version);
  }

  #generation({ generation }: PluginVersion): Generation {
    return new Generation({ ...generation, ...this.options });
  }

  get manifest(): Manifest {
    return this.#version.manifest;
  }

  /** Starts its instances. Resolves when each is ready or its first start has failed, then with the cause. */
  start(): Promise<string | undefined> {
    return this.#current.start();
  }

  admit(_action: ActionManifest, data: JsonObject): CentreondError | undefined {
    if (this.#current.waitingCount >= WAITING_LIMIT) {
      return failure('BUSY', { what: `the queue of the plugin ${this.manifest.type}`, limit: WAITING_LIMIT });
    }
    return this.#current.refusal(data);
  }

  async ask(action: ActionManifest, data: JsonObject, peer: Peer, { token, target }: Asked): Promise<Answer> {
    const { clock } = this.#version.generation;
    const from = peer.identity;
    const question = new Question({ action, data: JSON.stringify(data), token, from, target, clock });
    this.#current.ask(question, data);
    return new Answer(await question.answered);
  }

  submit(open: OpenRequest): void {
    this.#current.submit(open);
  }

  abort(open: OpenRequest, reason: CentreondError): void {
    if (this.#current.abort(open, reason)) return;
    for (const generation of this.#draining) if (generation.abort(open, reason)) return;
  }

  withdraw(open: OpenRequest): void {
    this.#current.withdraw(open);
  }

  ids(): string[] {
    return this.#current.slots.map(({ id }) => id);
  }

  async kill(id: string, progress: (step: string) => void): Promise<void> {
    await Promise.all([this.#current, ...this.#draining].map((generation) => generation.kill(id, progress)));
  }

  hearers(): readonly Hearer[] {
    return this.#current.slots.flatMap(({ hearer }) => hearer ?? []);
  }

  /**
   * Replaces the running version: starts `next`, hands it what waits and all that comes, lets the old one finish, then ends
   * it. Where `next` does not start, the old one keeps serving and INVALID_PLUGIN says why.
   */
  async replace(next: PluginVersion, switched: () => void): Promise<void> {
    const successor = this.#generation(next);
    const live = this.#current.slots.filter(({ state }) => state === 'ready' || state === 'starting');
    const keyed = 'key' in next.manifest.instances;
    const cause = await successor.start(keyed ? live.map(({ id }) => id) : []);
    if (cause !== undefined) {
      await successor.stop(STOP_MS);
      const reason = `its new version does not start (${cause}); the running one keeps serving`;
      throw failure('INVALID_PLUGIN', { plugin: next.manifest.type, reason });
    }
    const old = this.#current;
    this.#earlierExits = this.exits().slice(0, EXITS_KEPT);
    this.#current = successor;
    this.#version = next;
    switched();
    for (const open of old.takeWaiting()) {
      if (next.manifest.actions.some(({ name }) => name === open.action.manifest.name)) successor.submit(open);
      else this.options.fail(open, failure('UNKNOWN_ACTION', { action: open.action.manifest.name, near: undefined }));
    }
    for (const question of old.takeQuestions()) {
      const { name } = question.options.action;
      if (!next.manifest.actions.some((action) => action.name === name)) {
        question.refuse(failure('UNKNOWN_ACTION', { action: name, near: undefined }));
      } else successor.ask(question, JSON.parse(question.options.data) as JsonObject);
    }
    this.#draining.add(old);
    await this.#drained(old);
    await old.stop(STOP_MS);
    this.#draining.delete(old);
  }

  async #drained(generation: Generation): Promise<void> {
    const limit = Date.now() + DRAIN_MS;
    while (generation.inFlight > 0 && Date.now() < limit) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  /** Lets what waits and runs finish, then ends its processes; what is not over by then ends INTERRUPTED. */
  async unload(): Promise<void> {
    const limit = Date.now() + DRAIN_MS;
    while (this.#current.inFlight + this.#current.waitingCount > 0 && Date.now() < limit) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    for (const open of this.#current.takeWaiting())
      this.options.fail(open, failure('INTERRUPTED', { token: open.token }));
    await this.stop(STOP_MS);
  }

  /** Ends its processes within `limitMs`. What still runs in them ends PLUGIN_CRASHED; drain first. */
  async stop(limitMs: number): Promise<void> {
    await Promise.all([this.#current, ...this.#draining].map((generation) => generation.stop(limitMs)));
  }

  /** Ends its processes at once. */
  killNow(): void {
    for (const generation of [this.#current, ...this.#draining]) generation.killNow();
  }

  /** How its instances ended lately, newest first. */
  exits(): (Exit & { instance: string })[] {
    return this.#current.slots
      .flatMap((slot) => slot.exits.map((exit) => ({ instance: slot.id, ...exit })))
      .concat(this.#earlierExits)
      .sort((a, b) => b.at - a.at);
  }

  status(): PluginStatus {
    const instances = this.#current.slots.map((slot) => slot.status());
    const bad = this.#current.slots.find(({ reason }) => reason !== undefined);
    return {
      type: this.manifest.type,
      package: this.#version.package,
      version: this.#version.version,
      state: stateOf(instances.map(({ state }) => state)),
      ...(bad?.reason === undefined ? {} : { reason: bad.reason }),
      waiting: this.#current.waitingCount,
      instances,
    };
  }
}

/** The state of a plugin is that of its worst instance; one on demand without instances is ready. */
function stateOf(states: readonly string[]): string {
  const worst = ['failed', 'quarantined', 'restarting', 'dying', 'starting', 'stopped'];
  return worst.find((state) => states.includes(state)) ?? 'ready';
}
