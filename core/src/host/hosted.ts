import { type CentreondError, reasonOf } from '@centreond/protocol';
import type { Discovered } from '../config/discovery.ts';
import { fault } from '../errors.ts';
import type { Registry } from '../router/registry.ts';
import { PluginHost, type PluginHostOptions } from './plugin-host.ts';
import { replace } from './replacement.ts';
import type { SharedProcess } from './shared-process.ts';
import { Versions, type VersionsOptions } from './versions.ts';

export interface HostedOptions extends PluginHostOptions, VersionsOptions {
  readonly registry: Registry;
  /** Reads the package of a plugin again. Throws what is wrong with it. */
  again(found: Discovered): Discovered;
}

/** A plugin that runs, and what was found of it. */
export interface HostedPlugin {
  readonly host: PluginHost;
  readonly found: Discovered;
}

/** The plugins that run in processes: in their own, or in the one that some of them share. */
export class Hosted {
  readonly #hosts = new Map<string, HostedPlugin>();
  /** Those that are being ended. */
  readonly #leaving = new Map<string, PluginHost>();
  readonly #versions: Versions;
  /** Where plugins with `process: shared` run. */
  #shared: SharedProcess;

  constructor(private readonly options: HostedOptions) {
    this.#versions = new Versions(options);
    this.#shared = this.#versions.shared();
  }

  get all(): PluginHost[] {
    return [...this.#hosts.values()].map(({ host }) => host);
  }
  get found(): Discovered[] {
    return [...this.#hosts.values()].map(({ found }) => found);
  }
  get(type: string): HostedPlugin | undefined {
    return this.#hosts.get(type);
  }

  /** Registers a plugin, so that its actions are known, in place of what is registered of its type. Throws if a schema does not compile. */
  add(found: Discovered, shared = this.#shared): PluginHost {
    const host = new PluginHost(this.#versions.of(found, shared), this.options);
    this.options.registry.replace(found.manifest, host);
    const { type } = found.manifest;
    this.#hosts.set(type, { host, found });
    host.shared?.add(type);
    return host;
  }

  /**
   * Registers a plugin and starts its processes. Throws if it cannot be registered; resolves with why it did not start. One that is to
   * share a process starts in another, into which those that run move once it is ready: a start that fails ends nobody else.
   */
  async start(found: Discovered): Promise<CentreondError | undefined> {
    const joins = found.entry.process === 'shared' && this.#shared.isUsed;
    const shared = joins ? this.#versions.shared() : this.#shared;
    const host = this.add(found, shared);
    const { type } = found.manifest;
    const cause = await host.start();
    if (cause !== undefined) return fault('PLUGIN_NOT_STARTED', { type, reason: cause });
    if (joins) await this.#moveOthers(type, shared, `stay in another process than ${type}`);
    return undefined;
  }

  /**
   * Replaces the version of a plugin that runs by another one, with those of the plugins that share its process. Throws where
   * it cannot; then nothing has changed. Resolves with the plugins that share its process.
   */
  async reload(found: Discovered): Promise<readonly string[] | undefined> {
    const { host } = this.#running(found);
    // A process loads a module once, and ends with a start that fails: what was or will be shared needs another, for all of its plugins.
    if (host.shared || found.entry.process === 'shared') await this.#renewShared(found);
    else await this.#replace([found], this.#shared, () => {});
    return host.sharedWith;
  }

  #running(found: Discovered): HostedPlugin {
    const running = this.#hosts.get(found.manifest.type);
    if (!running) throw fault('RELOAD_IMPOSSIBLE', { package: found.package, type: found.manifest.type });
    return running;
  }

  /** Moves the plugins of the shared process into another one, with what their packages hold now; `changed` is one to replace as well. */
  async #renewShared(changed?: Discovered, successor = this.#versions.shared()): Promise<void> {
    const others = [...this.#hosts.values()].filter(
      ({ host }) => host.shared && host.shared !== successor && host.manifest.type !== changed?.manifest.type,
    );
    const fresh = others.filter(({ host }) => host.serves).map(({ found }) => this.options.again(found));
    await this.#replace(changed ? [changed, ...fresh] : fresh, successor, () => {
      // Those that an operator has to look after first.
      for (const { host } of others.filter(({ host }) => !host.serves))
        host.shared?.moveTo(successor, host.manifest.type);
      this.#shared = successor;
    });
  }

  #replace(fresh: readonly Discovered[], shared: SharedProcess, switched: () => void): Promise<void> {
    // One may be ended while its next version starts.
    const isHere = (type: string, host: PluginHost) => this.#hosts.get(type)?.host === host;
    const replacements = fresh.map((found) => {
      const { host, found: before } = this.#running(found);
      const become = (one: Discovered) => () => {
        const { type } = one.manifest;
        if (!isHere(type, host)) return;
        this.options.registry.replace(one.manifest, host);
        this.#hosts.set(type, { host, found: one });
      };
      return { host, next: this.#versions.of(found, shared), switched: become(found), switchedBack: become(before) };
    });
    return replace(replacements, () => {
      switched();
      for (const { host, next } of replacements) {
        const { type } = next.manifest;
        if (next.shared && isHere(type, host)) shared.add(type);
        else if (!next.shared) this.#shared.remove(type);
      }
    });
  }

  /** Lets what a plugin accepted finish, and ends it. The caller takes it out of the registry first. */
  async remove(type: string): Promise<void> {
    const host = this.#takeOut(type);
    if (!host) return;
    // The others first: however it ends, and whatever it leaves behind in its process, they are elsewhere.
    if (host.shared) await this.#moveOthers(type, this.#versions.shared(), `stay in the process in which ${type} ran`);
    await this.#unloaded(type, host);
  }

  /** The same within `drainMs` and 4 s, whatever its process is. One that is being removed already is to be gone by then as well. */
  async end(type: string, drainMs: number): Promise<void> {
    const host = this.#takeOut(type) ?? this.#leaving.get(type);
    if (host) await this.#unloaded(type, host, drainMs);
  }

  #takeOut(type: string): PluginHost | undefined {
    const host = this.#hosts.get(type)?.host;
    if (!host) return undefined;
    this.#hosts.delete(type);
    this.#leaving.set(type, host);
    host.shared?.remove(type);
    return host;
  }

  async #unloaded(type: string, host: PluginHost, drainMs?: number): Promise<void> {
    await host.unload(drainMs);
    if (this.#leaving.get(type) === host) this.#leaving.delete(type);
  }

  /** Moves the plugins that share a process, but for `type`, into `successor`. If one does not start there, logs that they do what `otherwise` says. */
  async #moveOthers(type: string, successor: SharedProcess, otherwise: string): Promise<void> {
    const others = this.all.filter(({ shared, manifest }) => shared && manifest.type !== type);
    if (others.length === 0) return;
    await this.#renewShared(undefined, successor).catch((error: unknown) => {
      const names = others.map(({ manifest }) => manifest.type).join(', ');
      const what = `${names} ${otherwise}, since they did not start once more: ${reasonOf(error)}`;
      this.options.log.error({ err: error, plugin: type }, what);
    });
  }

  /** Ends every plugin within `limitMs`. */
  async stop(limitMs: number): Promise<void> {
    await Promise.all([...this.all, ...this.#leaving.values()].map((host) => host.stop(limitMs)));
  }

  /** Ends every plugin at once. */
  killNow(): void {
    for (const host of [...this.all, ...this.#leaving.values()]) host.killNow();
  }
}
