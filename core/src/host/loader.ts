import { createHash, randomBytes } from 'node:crypto';
import { RESERVED_ACTIONS } from '@centreond/plugin-sdk/internal';
import { CentreondError, failure, type JsonObject, reasonOf } from '@centreond/protocol';
import { type Config, type PluginEntry, requestedEntry, settingsOf } from '../config/config.ts';
import { type Discovered, findPlugins } from '../config/discovery.ts';
import { fault, type Problem, placeOf, problem, sentence } from '../errors.ts';
import type { Registry } from '../router/registry.ts';
import { type CorePlugin, openCorePlugin } from './core-plugin.ts';
import { PluginHost, type PluginHostOptions } from './plugin-host.ts';
import { replace } from './replacement.ts';
import type { SharedProcess } from './shared-process.ts';
import { Versions, type VersionsOptions } from './versions.ts';

export interface LoaderOptions extends PluginHostOptions, Omit<VersionsOptions, 'maxMessage'> {
  readonly registry: Registry;
  /** The names of the core's own actions, which no plugin may declare. */
  readonly coreActions: readonly string[];
}

/** Which plugins run: from the config, and what was loaded, unloaded and reloaded since. */
export class Loader {
  readonly #hosts = new Map<string, { host: PluginHost; found: Discovered }>();
  /** Those that run in this process. */
  readonly #inCore = new Map<string, { plugin: CorePlugin; found: Discovered }>();
  readonly #versions: Versions;
  /** Where plugins with `process: shared` run. */
  #shared: SharedProcess;
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
    this.#versions = new Versions({ ...options, maxMessage: config.core.maxMessage });
    this.#shared = this.#versions.shared();
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
    for (const found of plugins) if (!this.#starting.includes(found)) this.#add(found, this.#shared);
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

  #add(found: Discovered, shared: SharedProcess): PluginHost | undefined {
    const host = new PluginHost(this.#versions.of(found, shared), this.options);
    try {
      this.options.registry.add(found.manifest, host);
    } catch (error) {
      const details = { package: found.package, file: 'plugin.manifest.json', reason: reasonOf(error) };
      this.problems = [...this.problems, problem('PLUGIN_BAD_MANIFEST', found.entry.at, details)];
      return undefined;
    }
    const { type } = found.manifest;
    this.#hosts.set(type, { host, found });
    host.shared?.add(type);
    return host;
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
      this.options.chronicle.tell('PLUGIN_LOADED', { plugin: type, version: found.version });
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

  /**
   * Registers a plugin and starts its processes. Throws if it cannot be registered; resolves with why it did not start. One that is to
   * share a process starts in another, into which those that run move once it is ready: a start that fails ends nobody else.
   */
  async #startAdded(found: Discovered): Promise<CentreondError | undefined> {
    const joins = found.entry.process === 'shared' && this.#shared.isUsed;
    const shared = joins ? this.#versions.shared() : this.#shared;
    const host = this.#add(found, shared);
    if (!host) throw refusal(this.problems.slice(-1));
    const { type } = found.manifest;
    const cause = await host.start();
    if (cause !== undefined) return fault('PLUGIN_NOT_STARTED', { type, reason: cause });
    if (joins) await this.#moveOthers(type, shared, `stay in another process than ${type}`);
    return undefined;
  }

  /** UNLOADPLUGIN: takes its actions away, lets what is accepted finish, ends it. Throws UNKNOWN_TYPE. */
  unload(type: string): Promise<{ type: string }> {
    return this.#alone(async () => {
      this.#known(type);
      await this.#remove(type);
      this.options.chronicle.tell('PLUGIN_UNLOADED', { plugin: type });
      return { type };
    });
  }

  /**
   * RELOADPLUGIN: reads manifest, package and settings again and replaces the running version, with those of the plugins that share its
   * process. Throws where it cannot.
   */
  reload(type: string): Promise<Reloaded> {
    return this.#alone(() => this.#reload(this.#known(type).entry));
  }

  async #reload(entry: PluginEntry): Promise<Reloaded> {
    const found = this.#findAgain(entry);
    const { manifest, version } = found;
    const running = this.#hosts.get(manifest.type);
    if (!running) throw fault('RELOAD_IMPOSSIBLE', { package: entry.package, type: manifest.type });
    // A process loads a module once, and ends with a start that fails: what was or will be shared needs another, for all of its plugins.
    if (running.host.shared || entry.process === 'shared') await this.#renewShared(found);
    else await this.#replace([found], this.#shared, () => {});
    const { sharedWith } = running.host;
    this.options.chronicle.tell('PLUGIN_RELOADED', { plugin: manifest.type, version });
    const actions = manifest.actions.map(({ name }) => name);
    return { type: manifest.type, version, actions, ...(sharedWith && { sharedWith: [...sharedWith] }) };
  }

  /** Reads the package of a loaded plugin again. Throws what is wrong with it. */
  #findAgain(entry: PluginEntry): Discovered {
    const others = this.#loaded.filter((found) => nameOf(found.entry) !== nameOf(entry));
    return this.#find(entry, others);
  }

  /** Moves the plugins of the shared process into another one, with what their packages hold now; `changed` is one to replace as well. */
  async #renewShared(changed?: Discovered, successor = this.#versions.shared()): Promise<void> {
    const others = [...this.#hosts.values()].filter(
      ({ host }) => host.shared && host.shared !== successor && host.manifest.type !== changed?.manifest.type,
    );
    const fresh = others.filter(({ host }) => host.serves).map(({ found }) => this.#findAgain(found.entry));
    await this.#replace(changed ? [changed, ...fresh] : fresh, successor, () => {
      // Those that an operator has to look after first.
      for (const { host } of others.filter(({ host }) => !host.serves))
        host.shared?.moveTo(successor, host.manifest.type);
      this.#shared = successor;
    });
  }

  #replace(fresh: readonly Discovered[], shared: SharedProcess, switched: () => void): Promise<void> {
    const replacements = fresh.map((found) => {
      const running = this.#hosts.get(found.manifest.type);
      if (!running) throw fault('RELOAD_IMPOSSIBLE', { package: found.package, type: found.manifest.type });
      const { host, found: before } = running;
      const become = (one: Discovered) => () => {
        this.options.registry.replace(one.manifest, host);
        this.#hosts.set(one.manifest.type, { host, found: one });
      };
      return { host, next: this.#versions.of(found, shared), switched: become(found), switchedBack: become(before) };
    });
    return replace(replacements, () => {
      switched();
      for (const { manifest, entry } of fresh) {
        if (entry.process === 'shared') shared.add(manifest.type);
        else this.#shared.remove(manifest.type);
      }
    });
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
    // The others first: however it ends, and whatever it leaves behind in its process, they are elsewhere.
    if (host?.shared) {
      host.shared.remove(type);
      await this.#moveOthers(type, this.#versions.shared(), `stay in the process in which ${type} ran`);
    }
    await host?.unload();
    await inCore?.stop();
  }

  /** Moves the plugins that share a process, but for `type`, into `successor`. If one does not start there, logs that they do what `otherwise` says. */
  async #moveOthers(type: string, successor: SharedProcess, otherwise: string): Promise<void> {
    const others = this.hosts.filter(({ shared, manifest }) => shared && manifest.type !== type);
    if (others.length === 0) return;
    await this.#renewShared(undefined, successor).catch((error: unknown) => {
      const names = others.map(({ manifest }) => manifest.type).join(', ');
      const what = `${names} ${otherwise}, since they did not start once more: ${reasonOf(error)}`;
      this.options.log.error({ err: error, plugin: type }, what);
    });
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

/** What a reload put into service. */
export interface Reloaded {
  type: string;
  version: string;
  actions: string[];
  /** The plugins that share its process, and were reloaded with it. */
  sharedWith?: string[];
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
