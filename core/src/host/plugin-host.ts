import type { Manifest } from '@centreond/plugin-sdk/internal';
import { type CentreondError, failure, type JsonObject } from '@centreond/protocol';
import type { Executor, Hearer, PluginStatus } from '../router/executor.ts';
import type { OpenRequest } from '../router/request.ts';
import { Generation, type GenerationOptions } from './generation.ts';
import { PluginMetrics } from './metrics.ts';
import type { SharedProcess } from './shared-process.ts';
import type { Exit, SlotOptions } from './slot.ts';

/** One version of a plugin: what it declares and how its processes are started. */
export interface PluginVersion {
  readonly manifest: Manifest;
  readonly package: string;
  readonly version: string;
  /** The process that it shares with other plugins, if it does. */
  readonly shared?: SharedProcess | undefined;
  /** Whether the operator lets it call for callers of its own. */
  readonly allowsCallers: boolean;
  readonly generation: Omit<GenerationOptions, keyof PluginHostOptions | 'requeue' | 'version' | 'metrics'>;
}

/** A version that has started beside the running one. Exactly one of the two is called. */
export interface Prepared {
  /** Requests go to it from now on. Resolves when the version before has finished what it ran, and is ended. */
  takeOver(): Promise<void>;
  /** Ends it. */
  abandon(): Promise<void>;
}

/** What all versions of a plugin are given. */
export interface PluginHostOptions extends Pick<SlotOptions, 'requests' | 'message' | 'ready' | 'gone' | 'chronicle'> {
  /** None of the processes of the plugin `type` starts again by itself, and it serves nothing. */
  setAside?(type: string): void;
}

/** How long a version that was replaced may take to finish what it runs. */
const DRAIN_MS = 30_000;
const STOP_MS = 4000;
/** Of the versions before, as `why` shows them. */
const EXITS_KEPT = 10;

/** How one of a plugin's instances ended. */
export type InstanceExit = Exit & { readonly instance: string };

/** Hosts one plugin over its versions, in processes of its own or in one that it shares. */
export class PluginHost implements Executor {
  readonly early = true;
  readonly #metrics: PluginMetrics;
  #version: PluginVersion;
  #current: Generation;
  /** How instances ended of versions that were replaced, or did not start in a reload. */
  #earlierExits: InstanceExit[] = [];
  /** Versions that were replaced and still run something. */
  readonly #draining = new Set<Generation>();
  /** Versions that start beside the running one. */
  readonly #preparing = new Set<Generation>();
  /** It is to end, or has: no other version takes over. */
  #isEnding = false;

  constructor(
    version: PluginVersion,
    readonly options: PluginHostOptions,
  ) {
    this.#version = version;
    this.#metrics = new PluginMetrics(version.manifest.type, version.generation.log);
    this.#current = this.#generation(version);
  }

  #generation({ generation, version }: PluginVersion, tried = false): Generation {
    const requeue = (open: OpenRequest) => this.submit(open);
    const setAside = () => this.options.setAside?.(this.manifest.type);
    const hooks = { ...this.options, requeue, setAside };
    return new Generation({ ...generation, ...hooks, version, metrics: this.#metrics }, tried);
  }

  get manifest(): Manifest {
    return this.#version.manifest;
  }

  get allowsCallers(): boolean {
    return this.#version.allowsCallers;
  }
  /** The process that it shares with other plugins, if it does. */
  get shared(): SharedProcess | undefined {
    return this.#version.shared;
  }
  /** The types of the plugins that share its process; undefined if the process is its own. */
  get sharedWith(): readonly string[] | undefined {
    return this.shared?.othersThan(this.manifest.type);
  }
  /** Whether it takes requests, now or once its processes have started. */
  get serves(): boolean {
    return this.#current.serves;
  }

  /** Starts its instances. Resolves when each is ready or its first start has failed, then with the cause. */
  start(): Promise<string | undefined> {
    return this.#current.start();
  }

  admit(open: OpenRequest, data: JsonObject): CentreondError | undefined {
    return this.#current.refusal(open.action.manifest.name, data);
  }

  /** Runs a request on the running version. One whose action that version does not have ends UNKNOWN_ACTION. */
  submit(open: OpenRequest): void {
    const { name } = open.action.manifest;
    const action = this.manifest.actions.find((one) => one.name === name);
    if (!action) this.options.requests.fail(open, failure('UNKNOWN_ACTION', { action: name, near: undefined }));
    else if (action.idempotent || !open.isRecording) this.#current.submit(open);
    // It came early, and the version that now runs does not allow that.
    else
      open.whenRecorded(() => {
        if (open.state === 'waiting') this.submit(open);
      });
  }

  abort(open: OpenRequest, reason: CentreondError): void {
    if (this.#current.abort(open, reason)) return;
    for (const generation of this.#draining) if (generation.abort(open, reason)) return;
  }

  withdraw(open: OpenRequest): void {
    for (const generation of [this.#current, ...this.#draining]) if (generation.withdraw(open)) return;
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
   * Starts `next` beside the running version. Throws INVALID_PLUGIN if it does not start, which says why and whether the running version
   * serves; then nothing has changed.
   */
  async prepare(next: PluginVersion): Promise<Prepared> {
    const successor = this.#generation(next, true);
    const live = this.#current.slots.filter(({ state }) => state === 'ready' || state === 'starting');
    const keyed = 'key' in next.manifest.instances;
    this.#preparing.add(successor);
    const failed = await successor.start(keyed ? live.map(({ id }) => id) : []);
    const cause = failed ?? (this.#isEnding ? 'the plugin is to end here' : undefined);
    if (cause === undefined)
      return { takeOver: () => this.#takeOver(next, successor), abandon: () => this.#abandon(successor) };
    await this.#abandon(successor);
    this.#earlierExits = newestFirst([...exitsOf(successor), ...this.#earlierExits]).slice(0, EXITS_KEPT);
    const reason = `version ${next.version} did not start (${cause}); ${this.whatServes()}`;
    throw failure('INVALID_PLUGIN', { plugin: next.manifest.type, reason });
  }

  async #abandon(successor: Generation): Promise<void> {
    await successor.stop(STOP_MS);
    this.#preparing.delete(successor);
  }

  async #takeOver(next: PluginVersion, successor: Generation): Promise<void> {
    if (this.#isEnding) return this.#abandon(successor);
    this.#preparing.delete(successor);
    successor.inService();
    const old = this.#current;
    this.#earlierExits = this.exits().slice(0, EXITS_KEPT);
    this.#current = successor;
    this.#version = next;
    for (const open of old.takeWaiting()) this.submit(open);
    this.#draining.add(old);
    await this.#drained(old);
    await old.stop(STOP_MS);
    this.#draining.delete(old);
  }

  /** What a reload that failed leaves behind, as a part of a sentence. */
  whatServes(): string {
    const { version } = this.#version;
    if (this.serves) return `version ${version}, which was loaded before, keeps serving`;
    const { state, reason } = this.status();
    return `version ${version}, which was loaded before, is still ${state}, so nothing serves its actions (${reason})`;
  }

  async #drained(generation: Generation, limitMs = DRAIN_MS): Promise<void> {
    const limit = Date.now() + limitMs;
    while (generation.inFlight + generation.waitingCount > 0 && Date.now() < limit) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Lets what waits and runs finish within `drainMs`, then ends its processes; what is not over by then ends INTERRUPTED. */
  async unload(drainMs = DRAIN_MS): Promise<void> {
    this.#isEnding = true;
    await this.#drained(this.#current, drainMs);
    await this.stop(STOP_MS);
  }

  /** Ends its processes within `limitMs`. What still waits for them or runs in them ends INTERRUPTED. */
  async stop(limitMs: number): Promise<void> {
    this.#isEnding = true;
    await Promise.all(this.#generations.map((generation) => generation.stop(limitMs)));
  }

  /** Ends its processes at once. */
  killNow(): void {
    this.#isEnding = true;
    for (const generation of this.#generations) generation.killNow();
  }

  get #generations(): Generation[] {
    return [this.#current, ...this.#draining, ...this.#preparing];
  }

  /** How its instances ended lately, newest first. */
  exits(): InstanceExit[] {
    return newestFirst([...exitsOf(this.#current), ...this.#earlierExits]);
  }

  status(): PluginStatus {
    const instances = this.#current.slots.map((slot) => slot.status());
    const { sharedWith } = this;
    const bad = this.#current.slots.find(({ reason }) => reason !== undefined);
    return {
      type: this.manifest.type,
      package: this.#version.package,
      version: this.#version.version,
      state: stateOf(instances.map(({ state }) => state)),
      ...(bad?.reason === undefined ? {} : { reason: bad.reason }),
      ...(sharedWith && { sharedWith }),
      health: worstHealth(instances),
      metrics: this.#metrics.status(),
      waiting: this.#current.waitingCount,
      instances,
    };
  }
}

/** The health of the instance that has been degraded for the longest, else of one that is ok. */
function worstHealth(instances: PluginStatus['instances']): PluginStatus['health'] {
  let worst: PluginStatus['health'] = null;
  for (const { id, health } of instances) {
    if (!health) continue;
    const isWorse =
      worst === null || (worst.state === health.state ? health.since < worst.since : health.state === 'degraded');
    if (isWorse) worst = { instance: id, ...health };
  }
  return worst;
}

/** The state of a plugin is that of its worst instance; one on demand without instances is ready. */
function stateOf(states: readonly string[]): string {
  const worst = ['failed', 'quarantined', 'restarting', 'dying', 'starting', 'stopped'];
  return worst.find((state) => states.includes(state)) ?? 'ready';
}

function exitsOf({ slots }: Generation): InstanceExit[] {
  return slots.flatMap(({ id, exits }) => exits.map((exit) => ({ instance: id, ...exit })));
}

function newestFirst(exits: InstanceExit[]): InstanceExit[] {
  return exits.sort((a, b) => b.at - a.at);
}
