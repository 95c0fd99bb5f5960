import { RESERVED_ACTIONS } from '@centreond/plugin-sdk/internal';
import { CentreondError, failure, type JsonObject, reasonOf } from '@centreond/protocol';
import { type Config, type PluginEntry, requestedEntry, settingsOf } from '../config/config.ts';
import { type Discovered, findPlugins } from '../config/discovery.ts';
import { fault, type Problem, placeOf, problem, sentence } from '../errors.ts';
import type { Placement } from '../router/placement.ts';
import { Contests } from './contests.ts';
import { type CorePlugin, openCorePlugin } from './core-plugin.ts';
import { Hosted, type HostedOptions } from './hosted.ts';
import type { PluginHost } from './plugin-host.ts';
import type { Standby } from './standby.ts';

export interface LoaderOptions extends Omit<HostedOptions, 'maxMessage' | 'again' | 'setAside'> {
  /** The names of the core's own actions, which no plugin may declare. */
  readonly coreActions: readonly string[];
  /** Says when the plugins run here that run on one router at a time. */
  readonly placement: Placement;
}

/** Which plugins run: from the config, and what was loaded, unloaded and reloaded since. */
export class Loader {
  readonly #hosted: Hosted;
  /** Those that run in this process. */
  readonly #inCore = new Map<string, { plugin: CorePlugin; found: Discovered }>();
  /** Those that run on one router at a time, here or elsewhere. */
  readonly #contests: Contests;
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
    const again = ({ entry }: Discovered) => this.#findAgain(entry);
    const setAside = (type: string) => this.#contests.failed(type);
    const hosted = new Hosted({ ...options, maxMessage: config.core.maxMessage, again, setAside });
    this.#hosted = hosted;
    this.#contests = new Contests({ ...options, hosted, again, alone: (work) => this.#alone(work) });
    this.#coreActions = [...options.coreActions, ...RESERVED_ACTIONS];
  }

  get hosts(): PluginHost[] {
    return this.#hosted.all;
  }
  get #loaded(): Discovered[] {
    return [...this.#hosted.found, ...this.#contests.standing, ...[...this.#inCore.values()].map(({ found }) => found)];
  }
  /** The plugins that run in processes of their own, here or on another router, with the names of their actions. */
  get plugins(): { readonly type: string; readonly actions: readonly string[] }[] {
    return [...this.#hosted.found, ...this.#contests.standing].map(({ manifest }) => ({
      type: manifest.type,
      actions: manifest.actions.map(({ name }) => name),
    }));
  }
  host(type: string): PluginHost | undefined {
    return this.#hosted.get(type)?.host;
  }
  /** A plugin that stands by: another router runs it. */
  standby(type: string): Standby | undefined {
    return this.#contests.standby(type);
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
    this.#contests.begin();
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

  #add(found: Discovered): void {
    try {
      if (this.#runsHere(found)) this.#hosted.add(found);
    } catch (error) {
      this.problems = [...this.problems, this.#unusable(found, error)];
    }
  }

  /** Whether a new plugin is to start here. If it is another router's turn to run it, it is registered as standing by. */
  #runsHere(found: Discovered): boolean {
    return found.manifest.placement !== 'one' || this.#contests.enter(found);
  }

  /** LOADPLUGIN: finds, checks, starts and registers a package. Throws what is wrong with it; then nothing has changed. */
  load(request: { package: string; as?: string; config?: JsonObject }): Promise<Loaded> {
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
      return { type, actions: actions.map(({ name }) => name), ...this.#standingBy(type) };
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

  /** Registers a plugin and starts it if it is to run here. Throws if it cannot be registered; resolves with why it did not start. */
  async #startAdded(found: Discovered): Promise<CentreondError | undefined> {
    try {
      return this.#runsHere(found) ? await this.#hosted.start(found) : undefined;
    } catch (error) {
      throw refusal([this.#unusable(found, error)]);
    }
  }

  /** That a plugin cannot be registered. It competes for nothing then. */
  #unusable(found: Discovered, error: unknown): Problem {
    void this.#contests.leaving(found.manifest.type)();
    const details = { package: found.package, file: 'plugin.manifest.json', reason: reasonOf(error) };
    return problem('PLUGIN_BAD_MANIFEST', found.entry.at, details);
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
    const { type } = manifest;
    // One that stands by starts as what its package holds when its turn comes.
    const sharedWith = this.standby(type) ? undefined : await this.#hosted.reload(found);
    await this.#place(found);
    this.options.chronicle.tell('PLUGIN_RELOADED', { plugin: type, version });
    const actions = manifest.actions.map(({ name }) => name);
    const shared = sharedWith && { sharedWith: [...sharedWith] };
    return { type, version, actions, ...shared, ...this.#standingBy(type) };
  }

  #standingBy(type: string): { standby: string } | undefined {
    const standby = this.standby(type)?.reason;
    return standby === undefined ? undefined : { standby };
  }

  /** Brings where a plugin runs in line with what its new version declares. */
  async #place(found: Discovered): Promise<void> {
    const { type, placement } = found.manifest;
    if (placement === 'one') {
      if (this.#contests.has(type)) this.#contests.renew(found);
      else this.#contests.enter(found);
    } else if (this.#contests.has(type)) {
      await this.#contests.leaving(type)();
      const error = this.host(type) ? undefined : await this.#hosted.start(found);
      if (error) throw error;
    }
  }

  /** Reads the package of a loaded plugin again. Throws what is wrong with it. */
  #findAgain(entry: PluginEntry): Discovered {
    const others = this.#loaded.filter((found) => nameOf(found.entry) !== nameOf(entry));
    return this.#find(entry, others);
  }

  #known(type: string): Discovered {
    const known = this.#loaded.find(({ manifest }) => manifest.type === type);
    if (known) return known;
    const there = this.#loaded.map(({ manifest }) => manifest.type).join(', ') || 'none';
    throw fault('UNKNOWN_TYPE', { type, where: 'loaded', there });
  }

  async #remove(type: string): Promise<void> {
    const inCore = this.#inCore.get(type)?.plugin;
    const left = this.#contests.leaving(type);
    this.options.registry.remove(type);
    this.#inCore.delete(type);
    await this.#hosted.remove(type);
    await inCore?.stop();
    // Not before: another router starts it then.
    await left();
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
    this.#contests.over();
    const inCore = [...this.#inCore.values()].map(({ plugin }) => plugin.stop());
    await Promise.all([...inCore, this.#hosted.stop(limitMs)]);
    this.#contests.withdraw();
  }

  /** Ends every plugin at once. */
  killNow(): void {
    this.#hosted.killNow();
  }
}

/** What a load put into service. */
export interface Loaded {
  type: string;
  actions: string[];
  /** Why it does not run here, if another router is to run it. */
  standby?: string;
}

/** What a reload put into service. */
export interface Reloaded extends Loaded {
  version: string;
  /** The plugins that share its process, and were reloaded with it. */
  sharedWith?: string[];
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
