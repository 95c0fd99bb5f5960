import { STARTED } from '@centreond/protocol';
import { CLOCK } from './clock.ts';
import { Closing } from './closing.ts';
import { clusterGround, openCluster } from './cluster/open-cluster.ts';
import type { Config } from './config/config.ts';
import { reload } from './config/reload.ts';
import { storePlaceOf } from './config/store-place.ts';
import { coreActionNames, coreActions, coreManifest } from './core-actions.ts';
import { DataFolder } from './data-folder/data-folder.ts';
import { openDoors } from './doors/doors.ts';
import { loadOrCreateKey } from './doors/keys.ts';
import { Trust } from './doors/trust.ts';
import type { Problem } from './errors.ts';
import { openFleet } from './fleet/fleet.ts';
import { CorePlugin } from './host/core-plugin.ts';
import { endOrphans, openHost } from './host/host.ts';
import { PluginState } from './host/state.ts';
import { Chronicle } from './log/chronicle.ts';
import type { Log } from './log.ts';
import { VERSION } from './own-package.ts';
import { Events } from './router/events.ts';
import { Followers } from './router/followers.ts';
import { Tickets } from './router/instance-link.ts';
import { Ladder } from './router/ladder.ts';
import { recover } from './router/recovery.ts';
import { Registry } from './router/registry.ts';
import { Requests } from './router/requests.ts';
import { Telemetry } from './router/telemetry.ts';
import { Verbs } from './router/verbs.ts';
import { openStore } from './store/open-store.ts';

/** What a stop may take in all. Each step of the closing list has a limit of its own below it. */
const STOP_MS = 9500;
const FAILED_START_MS = 900;
const DRAIN_MS = 5000;
const INTERRUPT_MS = 1000;

/** A daemon that serves. Made by {@link startDaemon}. */
export interface Daemon {
  readonly id: string;
  readonly fingerprint: string;
  /** The external door's endpoint, its port filled in; undefined if there is none. */
  readonly endpoint: string | undefined;
  readonly plugins: readonly { readonly type: string; readonly actions: readonly string[] }[];
  /** Plugins that the config names and that do not run, with why and what to do. */
  readonly problems: readonly Problem[];
  /** Reads `clients`, `plugins` and the log level again. Resolves with what only a restart can change, or what is wrong. */
  reload(): Promise<readonly string[]>;
  /** Drains and stops within 9.5 s, at once when idle. Calling it again joins. */
  stop(): Promise<void>;
  /** Ends every child at once: the process is about to exit. */
  abandon(): void;
}

/**
 * Starts a daemon: opens the rooms in order, each of which says how it is closed. Rejects if it cannot serve at all, with
 * nothing left behind; a plugin that cannot be used is a problem, and the rest runs. `died` is called if it cannot go on later:
 * the process is to exit, so that it is started again.
 */
export async function startDaemon(config: Config, log: Log, died: (cause: Error) => void): Promise<Daemon> {
  const closing = new Closing(log);
  try {
    return await openRooms(config, log, closing, died);
  } catch (error) {
    await closing.run(FAILED_START_MS);
    throw error;
  }
}

async function openRooms(config: Config, log: Log, closing: Closing, died: (cause: Error) => void): Promise<Daemon> {
  const { id, maxMessage, limits } = config.core;
  const { synchronous, retention, maxSize: maxBytes } = config.core.store;
  const clock = CLOCK;
  const folder = await DataFolder.take(config.core.dataDir);
  closing.push('the data folder', 500, () => folder.release());
  await endOrphans(folder.path, log);
  const keys = await loadOrCreateKey(folder.file('keys', 'router.pem'));
  const { thumbprint } = keys;
  const trust = new Trust({ file: folder.file('keys', 'trust.json'), clients: config.clients, clock });
  for (const warning of trust.warnings) log.warn(warning);
  const chronicle = new Chronicle(clock);
  const store = await openStore({
    ...storePlaceOf(config, folder.file('history.sdb'), process.env),
    ...{ router: { fingerprint: thumbprint, version: VERSION, cluster: config.core.cluster?.name ?? '' } },
    ...{ node: id, synchronous, retentionSeconds: retention / 1000, maxBytes },
    ...{ reads: limits.reads, clock, log, died, purged: (removed) => chronicle.tell('PURGED', removed) },
  });
  closing.push('the store', 3000, () => store.close());
  const ground = await clusterGround({ config, environment: process.env, store, trust, clock, log, closing, died });

  const base = { id, maxMessage, clock, log, closing };
  const { requests: open, follows, held } = limits;
  const telemetry = new Telemetry();
  const registry = new Registry();
  const verbs = new Verbs(log);
  const events = new Events(registry, log, verbs, chronicle);
  const watch = ground.cluster?.watches;
  const followers = new Followers({ store, log, follows, bufferBytes: follows.buffer, watch });
  const requests = new Requests({ store, followers, telemetry, open, clock, log, watch });
  const router = { store, registry, requests, followers, telemetry, verbs, events, chronicle };

  const fleet = await openFleet({ ...base, ...router, trust, held });
  const { forwarding, logs, routes } = fleet;
  const ladder = new Ladder({ ...base, ...router, elsewhere: forwarding });
  const entry = { tickets: new Tickets(), receive: ladder.receive };
  const refused = (identity: string, cause: string) => routes.refused(identity, cause);
  const doors = await openDoors({ ...base, ...entry, refused, chronicle, config: config.core, keys, trust, store });
  const { internal, external, endpoint, advertise } = doors;
  const cluster = openCluster({
    ...{ ...base, ...router, ...fleet, ground, version: VERSION, receive: ladder.receive },
    grantOf: (identity) => trust.grantOf(identity),
    endpoint: advertise ?? endpoint ?? '',
  });
  const opened = { folder: folder.path, endpoint: internal.endpoint, state: store.state, coreActions: coreActionNames };
  const loader = await openHost({ ...base, ...router, ...entry, ...opened, config, placement: cluster.placement });

  const counters = () => ({
    ...{ store: store.counters(), events: events.counters, followers: followers.counters },
    ...{ forwarding: forwarding.counters, logs: logs.counters },
    ...{ external: external?.counters ?? null, internalDropped: internal.dropped, cluster: cluster.counters() },
  });
  const about = { package: '@centreond/core', version: VERSION, labels: config.core.labels };
  const state = new PluginState(store.state, maxMessage);
  const own = { keys, thumbprint, trust, endpoint, advertise, loader, state, counters, cluster };
  const rooms = { ...base, ...about, ...router, ...fleet, ...own };
  const core = new CorePlugin(coreManifest, coreActions(rooms), { ...base, ...about, requests });
  registry.add(core.manifest, core);

  const started = JSON.stringify({ id, version: VERSION });
  await store.append({ token: '', type: 'START', code: STARTED, etime: Math.floor(clock.now() / 1000), data: started });
  await recover({ id, store, registry, requests, elsewhere: forwarding, clock });
  await loader.start();
  await cluster.enter();
  external?.serve();
  chronicle.tell('STARTED', { version: VERSION });
  closing.push('the open requests', DRAIN_MS + INTERRUPT_MS + 1500, () => {
    ladder.stop();
    cluster.drain();
    forwarding.stop();
    return requests.drain(DRAIN_MS, INTERRUPT_MS);
  });
  return {
    id,
    fingerprint: thumbprint,
    endpoint,
    plugins: loader.plugins,
    problems: loader.problems,
    reload: () => reload({ config, trust, loader, cluster, chronicle, log }),
    stop: () => closing.run(STOP_MS),
    abandon: () => loader.killNow(),
  };
}
