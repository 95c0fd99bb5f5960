import { createHash, randomBytes } from 'node:crypto';
import { RESERVED_ACTIONS } from '@centreond/plugin-sdk/internal';
import { CentreondError, failure, type JsonObject, reasonOf } from '@centreond/protocol';
import { type Config, type PluginEntry, requestedEntry, secretVariables, settingsOf } from '../config/config.ts';
import { type Discovered, findPlugins } from '../config/discovery.ts';
import { fault, type Problem, placeOf, problem, sentence } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Tickets } from '../router/instance-link.ts';
import type { Registry } from '../router/registry.ts';
import { TurnGate } from '../turns.ts';
import { type CorePlugin, openCorePlugin } from './core-plugin.ts';
import { pluginEnvironment } from './environment.ts';
import type { GenerationOptions } from './generation.ts';
import { Instance } from './instance.ts';
import { PluginHost, type PluginHostOptions, type PluginVersion } from './plugin-host.ts';
import { memoryOf } from './reaper.ts';

/** Processes of a keyed plugin that may run at once, if neither its manifest nor the config says how many. */
const MOST_INSTANCES = 64;
/** Processes that start at once. */
const STARTS_AT_ONCE = 2;

export interface LoaderOptions extends PluginHostOptions {
  readonly registry: Registry;
  /** The names of the core's own actions, which no plugin may declare. */
  readonly coreActions: readonly string[];
  /** The internal door's endpoint. */
  readonly endpoint: string;
  readonly tickets: Tickets;
  /** Starts the mark of everything that instances of this run start. */
  readonly mark: string;
  /** The folder in which instances note the commands that they run. */
  readonly notes: string;
  readonly clock: { now(): number };
  readonly log: Log;
  readonly keys: GenerationOptions['keys'];
}

/** Which plugins run: from the config, and what was loaded, unloaded and reloaded since. */
export class Loader {
  readonly #hosts = new Map<string, { host: PluginHost; found: Discovered }>();
  /** Those that run in this process. */
  readonly #inCore = new Map<string, { plugin: CorePlugin; found: Discovered }>();
  readonly #gate = new TurnGate(STARTS_AT_ONCE);
  readonly #coreActions: readonly string[];
  #config: Config;
  #starting: Discovered[] = [];
  #busy: Promise<unknown> = Promise.resolve();
  /** What the config names and does not run, with why and what to do. */
  problems: readonly Problem[] = [];

  constructor(
    config: Config,
    readonly options: LoaderOptions,
  ) {
    this.#config = config;
    this.#coreActions = [...options.coreActions, ...RESERVED_ACTIONS];
  }

  get hosts(): PluginHost[] {
    return [...this.#hosts.values()].map(({ host }) => host);
  }
  get #loaded(): Discovered[] {
    return [...this.#hosts.values(), ...this.#inCore.values()].map(({ found }) => found);
  }
  /** The plugins that run in processes of their own, with the names of their actions. */
  get plugins(): { readonly type: string; readonly actions: readonly string[] }[] {
    return this.hosts.map(({ manifest }) => ({
      type: manifest.type,
      actions: manifest.actions.map(({ name }) => name),
    }));
  }
  host(type: string): PluginHost | undefined {
    return this.#hosts.get(type)?.host;
  }

  /** Registers the config's plugins, so that their actions are known. Call once, before {@link start}. */
  addAll(): void {
    const { plugins, problems } = findPlugins(this.#config, this.#coreActions, [], undefined, 'error');
    this.problems = problems;
    this.#starting = plugins.filter(({ manifest }) => manifest.isolation === 'core');
    for (const found of plugins) if (!this.#starting.includes(found)) this.#add(found);
    for (const one of this.problems) this.options.log.error(`${placeOf(one)} ${one.code} ${one.message}`);
  }

  /** Starts every plugin. Resolves when those without keys are ready or have failed once; what failed is tried again. */
  async start(): Promise<void> {
    const keyed = ({ manifest }: PluginHost) => 'key' in manifest.instances;
    // There may be hundreds of those, and requests wait for theirs.
    for (const host of this.hosts.filter(keyed)) void host.start();
    await Promise.all(this.hosts.filter((host) => !keyed(host)).map((host) => host.start()));
    for (const found of this.#starting.splice(0)) {
      await this.#addToCore(found).catch((error: unknown) => {
        const details = { type: found.manifest.type, reason: reasonOf(error) };
        this.problems = [...this.problems, problem('PLUGIN_NOT_STARTED', found.entry.at, details)];
        this.options.log.error(
          `${placeOf(found.entry.at)} PLUGIN_NOT_STARTED ${sentence('PLUGIN_NOT_STARTED', details)}`,
        );
      });
    }
  }

  async #addToCore(found: Discovered): Promise<void> {
    const { entry, main, manifest, version } = found;
    const { type } = manifest;
    const settings = {
      main,
      package: found.package,
      version,
      type,
      as: entry.as,
      ...settingsOf(entry, manifest, process.env),
    };
    const plugin = await openCorePlugin(settings, { ...this.options, maxMessage: this.#config.core.maxMessage });
    if (plugin.manifest.hash !== manifest.hash) {
      await plugin.stop();
      throw failure('MANIFEST_STALE', { plugin: type });
    }
    this.options.registry.add(manifest, plugin);
    this.#inCore.set(type, { plugin, found });
  }

  #add(found: Discovered): PluginHost | undefined {
    const host = new PluginHost(this.#version(found), this.options);
    try {
      this.options.registry.add(found.manifest, host);
    } catch (error) {
      const details = { package: found.package, file: 'plugin.manifest.json', reason: reasonOf(error) };
      this.problems = [...this.problems, problem('PLUGIN_BAD_MANIFEST', found.entry.at, details)];
      return undefined;
    }
    this.#hosts.set(found.manifest.type, { host, found });
    return host;
  }

  #version({ entry, manifest, folder, main, package: name, version }: Discovered): PluginVersion {
    const { endpoint, mark, notes, clock, log, keys, tickets } = this.options;
    const { memory, niceness, processes, stuck: stuckMs, instances } = entry.limits;
    const declared = 'key' in manifest.instances ? manifest.instances.max : undefined;
    return {
      manifest,
      package: name,
      version,
      generation: {
        manifest,
        restart: { max: entry.restart.max, withinMs: entry.restart.within },
        clock,
        log,
        keys,
        startTurn: () => this.#gate.turn(),
        memoryOf,
        launch: (options, events) => new Instance(options, events),
        maxInstances: instances ?? declared ?? MOST_INSTANCES,
        instance: {
          type: manifest.type,
          as: entry.as,
          folder,
          main,
          settings: () => settingsOf(entry, manifest, process.env),
          env: pluginEnvironment(process.env, secretVariables(entry, manifest), entry.env),
          hash: manifest.hash,
          endpoint,
          maxMessage: this.#config.core.maxMessage,
          startLimitMs: entry.startTimeout,
          limits: { memory, niceness, processes, stuckMs },
          mark,
          notes,
          log,
          tickets,
        },
      },
    };
  }

  /** LOADPLUGIN: finds, checks, starts and registers a package. Throws what is wrong with it; then nothing has changed. */
  load(request: { package: string; as?: string; config?: JsonObject }): Promise<{ type: string; actions: string[] }> {
    return this.#alone(async () => {
      const entry = requestedEntry(this.#config, request);
      if (Array.isArray(entry)) throw refusal(entry);
      const found = this.#find(entry, this.#loaded);
      const { type, actions } = found.manifest;
      const error = await this.#startAdded(found);
      if (error) {
        await this.#remove(type);
        throw error;
      }
      return { type, actions: actions.map(({ name }) => name) };
    });
  }

  /** Finds the package of `entry` beside `loaded`. Throws what is wrong with it. */
  #find(entry: PluginEntry, loaded: readonly Discovered[]): Discovered {
    const { plugins, problems } = findPlugins(
      { ...this.#config, plugins: [entry] },
      this.#coreActions,
      loaded,
      undefined,
      'error',
    );
    const [found] = plugins;
    if (!found || problems.length > 0) throw refusal(problems);
    return found;
  }

  /** Registers a plugin and starts its processes. Throws if it cannot be registered; resolves with why it did not start. */
  async #startAdded(found: Discovered): Promise<CentreondError | undefined> {
    const host = this.#add(found);
    if (!host) throw refusal(this.problems.slice(-1));
    const cause = await host.start();
    return cause === undefined ? undefined : fault('PLUGIN_NOT_STARTED', { type: found.manifest.type, reason: cause });
  }

  /** UNLOADPLUGIN: takes its actions away, lets what is accepted finish, ends it. Throws UNKNOWN_TYPE. */
  unload(type: string): Promise<{ type: string }> {
    return this.#alone(async () => {
      this.#known(type);
      await this.#remove(type);
      return { type };
    });
  }

  /** RELOADPLUGIN: reads manifest, package and settings again and replaces the running version. Throws where it cannot. */
  reload(type: string): Promise<{ type: string; version: string; actions: string[] }> {
    return this.#alone(() => this.#reload(this.#known(type).entry));
  }

  async #reload(entry: PluginEntry): Promise<{ type: string; version: string; actions: string[] }> {
    const others = this.#loaded.filter((found) => nameOf(found.entry) !== nameOf(entry));
    const found = this.#find(entry, others);
    const { manifest, version } = found;
    const { host } = this.#hosts.get(manifest.type) ?? {};
    if (!host) throw fault('RELOAD_IMPOSSIBLE', { package: entry.package, type: manifest.type });
    await host.replace(this.#version(found), () => {
      this.options.registry.replace(manifest, host);
      this.#hosts.set(manifest.type, { host, found });
    });
    return { type: manifest.type, version, actions: manifest.actions.map(({ name }) => name) };
  }

  #known(type: string): Discovered {
    const known = this.#hosts.get(type) ?? this.#inCore.get(type);
    if (known) return known.found;
    const there = [...this.#hosts.keys(), ...this.#inCore.keys()].join(', ') || 'none';
    throw fault('UNKNOWN_TYPE', { type, where: 'loaded', there });
  }

  async #remove(type: string): Promise<void> {
    const host = this.host(type);
    const inCore = this.#inCore.get(type)?.plugin;
    this.options.registry.remove(type);
    this.#hosts.delete(type);
    this.#inCore.delete(type);
    await host?.unload();
    await inCore?.stop();
  }

  /** SIGHUP: plugins that the fresh config adds, drops or changes are loaded, unloaded and reloaded. Resolves with remarks. */
  apply(fresh: Config): Promise<string[]> {
    return this.#alone(async () => {
      const before = new Set(this.#config.plugins.filter(({ enable }) => enable).map(nameOf));
      const after = new Map(fresh.plugins.filter(({ enable }) => enable).map((entry) => [nameOf(entry), entry]));
      const { core } = this.#config;
      this.#config = { ...fresh, core };
      const remarks: string[] = [];
      const tried = async (what: string, work: () => Promise<unknown>) => {
        await work().then(
          () => remarks.push(what),
          (error: unknown) => remarks.push(`not ${what}: ${reasonOf(error)}`),
        );
      };
      for (const name of before) {
        const type = this.#loaded.find((found) => nameOf(found.entry) === name)?.manifest.type;
        if (!after.has(name) && type !== undefined) await tried(`unloaded ${name}`, () => this.#remove(type));
      }
      for (const [name, entry] of after) {
        // Not the entry of the config before: the version that runs may be an older one, whose reload failed.
        const running = this.#loaded.find((found) => nameOf(found.entry) === name);
        if (running && contentOf(running.entry) === contentOf(entry)) continue;
        if (running) await tried(`reloaded ${name}`, () => this.#reload(entry));
        else await tried(`loaded ${name}`, () => this.#loadEntry(entry));
      }
      return remarks;
    });
  }

  async #loadEntry(entry: PluginEntry): Promise<void> {
    const found = this.#find(entry, this.#loaded);
    if (found.manifest.isolation === 'core') return this.#addToCore(found);
    const error = await this.#startAdded(found);
    if (error) throw error;
  }

  /** One change at a time: the next waits for the last. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#busy.then(work);
    this.#busy = done.catch(() => {});
    return done;
  }

  /** Ends every plugin within `limitMs`. */
  async stop(limitMs: number): Promise<void> {
    const inCore = [...this.#inCore.values()].map(({ plugin }) => plugin.stop());
    await Promise.all([...inCore, ...this.hosts.map((host) => host.stop(limitMs))]);
  }

  /** Ends every plugin at once. */
  killNow(): void {
    for (const host of this.hosts) host.killNow();
  }
}

/** The mark of one run of a daemon on a data folder: `DATA:RUN:`; the first part alone is that of all its runs. */
export function markOf(dataDir: string): { ofFolder: string; ofRun: string } {
  const ofFolder = `${createHash('sha256').update(dataDir).digest('hex').slice(0, 16)}:`;
  return { ofFolder, ofRun: `${ofFolder}${randomBytes(6).toString('hex')}:` };
}

/** What an entry is known by over changes of the config: the type that it gives its plugin, else its package. */
function nameOf({ package: name, as }: PluginEntry): string {
  return as === undefined ? name : `as ${as}`;
}

function contentOf({ at: _, source: __, path: ___, ...settings }: PluginEntry): string {
  return JSON.stringify(settings);
}

function refusal(problems: readonly Problem[]): CentreondError {
  const [first] = problems;
  return new CentreondError(first?.code ?? 'PLUGIN_NOT_FOUND', problems.map(({ message }) => message).join(' '));
}
