import { defaultPluginLimits, secretVariables, settingsOf } from '../config/config.ts';
import type { Discovered } from '../config/discovery.ts';
import type { Log } from '../log.ts';
import type { Tickets } from '../router/instance-link.ts';
import { TurnGate } from '../turns.ts';
import { pluginEnvironment } from './environment.ts';
import type { GenerationOptions } from './generation.ts';
import { Instance, type InstanceEvents, type InstanceOptions, type InstanceProcess } from './instance.ts';
import type { PluginVersion } from './plugin-host.ts';
import { PluginProcess, type ProcessOptions } from './plugin-process.ts';
import { memoryOf } from './reaper.ts';
import { SharedProcess } from './shared-process.ts';

/** Processes of a keyed plugin that may run at once, if neither its manifest nor the config says how many. */
const MOST_INSTANCES = 64;
/** Processes that start at once. */
const STARTS_AT_ONCE = 2;
/** What the process is called in which plugins with `process: shared` run. */
const SHARED = 'shared';

const REAL: Exclude<VersionsOptions['launch'], undefined> = (options, events, open) =>
  new Instance(options, events, open);

export interface VersionsOptions {
  /** The internal door's endpoint. */
  readonly endpoint: string;
  readonly tickets: Tickets;
  /** Starts the mark of everything that processes of this run start. */
  readonly mark: string;
  /** The folder in which processes note the commands that they run. */
  readonly notes: string;
  readonly clock: { now(): number };
  readonly log: Log;
  readonly keys: GenerationOptions['keys'];
  readonly maxMessage: number;
  /** Starts an instance; a real one, in the process that `open` gives it, if omitted. */
  readonly launch?: (options: InstanceOptions, events: InstanceEvents, open: () => PluginProcess) => InstanceProcess;
}

/** Says how the processes of each version of a plugin are started. */
export class Versions {
  readonly #gate = new TurnGate(STARTS_AT_ONCE);

  constructor(private readonly options: VersionsOptions) {}

  /** The version of a plugin that was found. If its entry says so, it starts in `shared`. */
  of({ entry, manifest, folder, main, package: name, version }: Discovered, shared: SharedProcess): PluginVersion {
    const { endpoint, clock, log, keys, tickets, maxMessage, launch = REAL } = this.options;
    const { memory, niceness, processes, stuck: stuckMs, instances } = entry.limits;
    const { type } = manifest;
    const declared = 'key' in manifest.instances ? manifest.instances.max : undefined;
    const isShared = entry.process === 'shared';
    const own = {
      name: type,
      folder,
      env: pluginEnvironment(process.env, secretVariables(entry, manifest), entry.env),
      limits: { memory, niceness, processes, stuckMs },
    };
    const open = isShared ? () => shared.processFor(type) : () => this.#process(own, false);
    return {
      manifest,
      package: name,
      version,
      shared: isShared ? shared : undefined,
      allowsCallers: entry.allowCallers,
      generation: {
        manifest,
        restart: { max: entry.restart.max, withinMs: entry.restart.within },
        clock,
        log,
        keys,
        // A seat in a process that runs costs little.
        startTurn: isShared ? async () => () => {} : () => this.#gate.turn(),
        memoryOf,
        launch: (options, events) => launch(options, events, open),
        maxInstances: instances ?? declared ?? MOST_INSTANCES,
        instance: {
          type,
          as: entry.as,
          main,
          settings: () => settingsOf(entry, manifest, process.env),
          allowsCallers: entry.allowCallers,
          hash: manifest.hash,
          endpoint,
          maxMessage,
          startLimitMs: entry.startTimeout,
          tickets,
        },
      },
    };
  }

  /** A process to share, which starts once a plugin starts in it. It is no plugin's own, so its limits are the defaults. */
  shared(): SharedProcess {
    const { memory, stuck: stuckMs } = defaultPluginLimits();
    const env = pluginEnvironment(process.env, [], {});
    const own = { name: SHARED, folder: '/', env, limits: { memory, stuckMs } };
    return new SharedProcess(() => this.#process(own, true));
  }

  #process(own: Pick<ProcessOptions, 'name' | 'folder' | 'env' | 'limits'>, isShared: boolean): PluginProcess {
    const { mark, notes, log } = this.options;
    return new PluginProcess({ ...own, isShared, mark, notes, log });
  }
}
