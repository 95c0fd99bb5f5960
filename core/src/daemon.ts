import { CLOCK } from './clock.ts';
import { Closing } from './closing.ts';
import { type Config, loadConfig } from './config/config.ts';
import { CoreActions, coreManifest } from './core-actions.ts';
import { DataFolder } from './data-folder.ts';
import { openDoors } from './doors/doors.ts';
import { loadOrCreateKey } from './doors/keys.ts';
import { Trust } from './doors/trust.ts';
import { type Problem, placeOf } from './errors.ts';
import { openFleet } from './fleet/fleet.ts';
import { CorePlugin } from './host/core-plugin.ts';
import { openHost } from './host/host.ts';
import type { Loader } from './host/loader.ts';
import { PluginState } from './host/state.ts';
import type { Log } from './log.ts';
import { Events } from './router/events.ts';
import { Followers } from './router/followers.ts';
import { Tickets } from './router/instance-link.ts';
import { Ladder } from './router/ladder.ts';
import { recover } from './router/recovery.ts';
import { Registry } from './router/registry.ts';
import { Requests } from './router/requests.ts';
import { Telemetry } from './router/telemetry.ts';
import { Verbs } from './router/verbs.ts';
import { openStore } from './store/sqlite-store.ts';
import { VERSION } from './version.ts';

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
 * nothing left behind; a plugin that cannot be used is a problem, and the rest runs.
 */
export async function startDaemon(config: Config, log: Log): Promise<Daemon> {
  const closing = new Closing(log);
  try {
    return await openRooms(config, log, closing);
  } catch (error) {
    await closing.run(FAILED_START_MS);
    throw error;
  }
}

async function openRooms(config: Config, log: Log, closing: Closing): Promise<Daemon> {
  const { id, maxMessage, limits, store: history } = config.core;
  const clock = CLOCK;
  const startedAt = clock.now();
  const folder = await DataFolder.take(config.core.dataDir);
  closing.push('the data folder', 500, () => folder.release());
  const keys = await loadOrCreateKey(folder.file('keys', 'router.pem'));
  const trust = new Trust({ file: folder.file('keys', 'trust.json'), clients: config.clients, clock });
  for (const warning of trust.warnings) log.warn(warning);
  const store = await openStore({
    file: folder.file('history.sdb'),
    node: id,
    synchronous: 'full',
    retentionSeconds: history.retention / 1000,
    maxBytes: history.maxSize,
    clock,
    log,
  });
  closing.push('the store', 3000, () => store.close());

  const telemetry = new Telemetry();
  const registry = new Registry();
  const verbs = new Verbs(log);
  const events = new Events(registry, log, verbs);
  const { requests: open, follows, held } = limits;
  const followers = new Followers({ store, log, follows, bufferBytes: follows.buffer });
  const requests = new Requests({ store, followers, telemetry, open, clock, log });
  const fleet = await openFleet({
    id,
    maxMessage,
    store,
    registry,
    requests,
    verbs,
    events,
    trust,
    held,
    clock,
    log,
    closing,
  });
  const { elsewhere, forwarding, logs } = fleet;
  const ladder = new Ladder({
    id,
    maxMessage,
    store,
    registry,
    requests,
    followers,
    elsewhere,
    verbs,
    telemetry,
    clock,
    log,
  });
  const { receive } = ladder;
  const tickets = new Tickets();
  const doors = await openDoors({
    config: config.core,
    keys,
    trust,
    tickets,
    receive,
    pin: (identity, key) => store.pin(identity, key),
    clock,
    log,
    closing,
  });
  const { internal, external, endpoint } = doors;
  const loader = await openHost({
    config,
    folder: folder.path,
    registry,
    requests,
    events,
    state: store.state,
    tickets,
    endpoint: internal.endpoint,
    coreActions: coreManifest.actions.map(({ name }) => name),
    receive,
    clock,
    log,
    closing,
  });
  const state = new PluginState(store.state, maxMessage);
  const counters = () => ({
    store: store.counters(),
    events: events.counters,
    forwarding: forwarding.counters,
    logs: logs.counters,
    external: external?.counters ?? null,
    internalDropped: internal.dropped,
  });
  const core = new CorePlugin(
    new CoreActions({
      ...fleet,
      id,
      version: VERSION,
      thumbprint: keys.thumbprint,
      maxMessage,
      startedAt,
      store,
      registry,
      requests,
      followers,
      telemetry,
      trust,
      endpoint,
      loader,
      clock,
      state,
      events,
      keys,
      log,
      counters,
    }),
    { package: '@centreond/core', version: VERSION, maxMessage, log, clock, requests },
  );
  registry.add(core.manifest, core);

  await store.append({
    token: '',
    type: 'START',
    code: 3,
    etime: Math.floor(startedAt / 1000),
    data: JSON.stringify({ id, version: VERSION }),
  });
  await recover({ id, store, registry, requests, elsewhere, clock });
  await loader.start();
  external?.serve();
  closing.push('the open requests', DRAIN_MS + INTERRUPT_MS + 1500, () => {
    ladder.stop();
    forwarding.stop();
    return requests.drain(DRAIN_MS, INTERRUPT_MS);
  });
  return {
    id,
    fingerprint: keys.thumbprint,
    endpoint,
    plugins: loader.hosts.map(({ manifest }) => ({
      type: manifest.type,
      actions: manifest.actions.map(({ name }) => name),
    })),
    problems: loader.problems,
    reload: () => reload(config, trust, loader, log),
    stop: () => closing.run(STOP_MS),
    abandon: () => loader.killNow(),
  };
}

async function reload(config: Config, trust: Trust, loader: Loader, log: Log): Promise<readonly string[]> {
  const { config: fresh, problems } = await loadConfig({ file: config.file, cwd: process.cwd() });
  if (!fresh) return problems.map((problem) => `${placeOf(problem)} ${problem.code} ${problem.message}`);
  trust.configure(fresh.clients);
  for (const warning of trust.warnings) log.warn(warning);
  log.level = fresh.core.log.level;
  const remarks = await loader.apply(fresh);
  const { log: _, ...before } = config.core;
  const { log: __, ...after } = fresh.core;
  for (const key of Object.keys({ ...before, ...after }) as (keyof typeof after)[]) {
    if (JSON.stringify(before[key]) !== JSON.stringify(after[key]))
      remarks.push(`core.${key}: only a restart changes that`);
  }
  return remarks;
}
