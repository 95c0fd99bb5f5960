import { performance } from 'node:perf_hooks';
import { reasonOf } from '@centreond/plugin-sdk';
import { type Config, loadConfig } from './config/config.ts';
import { CoreActions } from './core-actions.ts';
import { DataFolder } from './data-folder.ts';
import { ExternalDoor } from './doors/external.ts';
import { InternalDoor } from './doors/internal.ts';
import { loadOrCreateKey } from './doors/keys.ts';
import { Trust } from './doors/trust.ts';
import { type Problem, placeOf } from './errors.ts';
import { Carriers } from './fleet/carriers.ts';
import { unknownHere } from './fleet/departure.ts';
import { rowFault, toldRows } from './fleet/fleet-actions.ts';
import { Forwarding } from './fleet/forwarding.ts';
import { LogStreams } from './fleet/log-streams.ts';
import { LogSync } from './fleet/log-sync.ts';
import { Logs } from './fleet/logs.ts';
import { LostRequests } from './fleet/lost-requests.ts';
import { NodeSessions } from './fleet/node-sessions.ts';
import { PeerRequests } from './fleet/peer-requests.ts';
import { Routes } from './fleet/routes.ts';
import { ServedLinks } from './fleet/served-links.ts';
import { CorePlugin } from './host/core-plugin.ts';
import { Loader, markOf } from './host/loader.ts';
import { reap, startWarden } from './host/reaper.ts';
import { PluginState } from './host/state.ts';
import type { Log } from './log.ts';
import { stillRefused } from './router/authorize.ts';
import type { Envelope } from './router/envelope.ts';
import { Events } from './router/events.ts';
import { Followers } from './router/followers.ts';
import type { Peer } from './router/peer.ts';
import { Registry } from './router/registry.ts';
import { Router } from './router/requests.ts';
import { Telemetry } from './router/telemetry.ts';
import { openStore } from './store/sqlite-store.ts';
import type { StateStore } from './store/token-store.ts';
import { VERSION } from './version.ts';

const DRAIN_MS = 5000;
const INTERRUPT_MS = 1500;
/** How long the routers above may take to have the last rows. */
const FLUSH_MS = 500;
const PLUGIN_STOP_MS = 2000;
/** What the daemon's death leaves to those that notice it by themselves. */
const WARDEN_GRACE_SECONDS = 5;
const CLOCK = { now: () => Date.now(), monotonic: () => performance.now() };

/** A daemon that serves. Made by {@link startDaemon}. */
export interface Daemon {
  readonly id: string;
  readonly fingerprint: string;
  /** The external door's endpoint, its port filled in; undefined where there is none. */
  readonly endpoint: string | undefined;
  readonly plugins: readonly { readonly type: string; readonly actions: readonly string[] }[];
  /** Plugins that the config names and that do not run, with why and what to do. */
  readonly problems: readonly Problem[];
  /** Reads `clients` and the log level again. Resolves with what only a restart can change, or what is wrong. */
  reload(): Promise<readonly string[]>;
  /** Drains and stops within 10 s, at once when idle. Calling it again joins. */
  stop(): Promise<void>;
  /** Ends every child at once: the process is about to exit. */
  abandon(): void;
}

/**
 * Starts a daemon: data folder → keys → store → registry → doors → children → what the last run left open → external door.
 * Rejects where it cannot serve at all; a plugin that cannot be used is a problem and the rest runs.
 */
export async function startDaemon(config: Config, log: Log): Promise<Daemon> {
  const folder = await DataFolder.take(config.core.dataDir);
  const closers: (() => unknown)[] = [() => folder.release()];
  try {
    return await serve(config, log, folder, closers);
  } catch (error) {
    for (const close of closers.reverse()) await close();
    throw error;
  }
}

async function serve(config: Config, log: Log, folder: DataFolder, closers: (() => unknown)[]): Promise<Daemon> {
  const { id, maxMessage } = config.core;
  const startedAt = CLOCK.now();
  const mark = markOf(folder.path);
  const orphans = await reap(mark.ofFolder);
  if (orphans > 0) log.warn(`${orphans} processes of a daemon that was killed here were still there; they are ended`);
  const warden = startWarden(mark.ofRun, WARDEN_GRACE_SECONDS);
  closers.push(() => warden.kill('SIGKILL'));

  const keys = await loadOrCreateKey(folder.file('keys', 'router.pem'));
  const trust = new Trust({ file: folder.file('keys', 'trust.json'), clients: config.clients, clock: CLOCK });
  for (const warning of trust.warnings) log.warn(warning);
  const store = await openStore({
    file: folder.file('history.sdb'),
    node: id,
    synchronous: 'full',
    retentionSeconds: config.core.store.retention / 1000,
    maxBytes: config.core.store.maxSize,
    clock: CLOCK,
    log,
  });
  closers.push(() => store.close());

  const registry = new Registry();
  const telemetry = new Telemetry();
  const followers = new Followers(store, log);
  const events = new Events(registry, log);
  const routes = new Routes({
    id,
    log,
    expected: (node) => trust.expects(node),
    cursorOf: (node) => logs.cursorOf(node),
  });
  const carriers = new Carriers(routes);
  const forwarding = new Forwarding({
    id,
    routes,
    clock: CLOCK,
    log,
    fail: (open, error) => router.fail(open, error),
    mayStill: (owner, action, node) => stillRefused(trust, owner, registry.get(action) ?? unknownHere(action), node),
  });
  const router: Router = new Router({
    id,
    maxMessage,
    store,
    registry,
    followers,
    forwarding,
    telemetry,
    clock: CLOCK,
    log,
  });
  const peerRequests = new PeerRequests();
  const logStreams = new LogStreams({ store, requests: peerRequests, log });
  const logs: Logs = new Logs({
    id,
    store,
    clock: CLOCK,
    log,
    fault: (text, data) => rowFault(text, data, maxMessage),
    renewed: (node) => {
      log.warn({ node }, `the database of ${node} is another one than before`);
      void lostRequests.check(node);
    },
    adopt: (page, reaches) => router.adopt(page, reaches),
  });
  const askNode = (action: string, target: string, data: object, envelope: Envelope = { text: '' }) =>
    forwarding.ask({ action, token: '', target, data: JSON.stringify(data) }, '@core', envelope);
  const lostRequests = new LostRequests({
    log,
    delivered: (node) => router.openAt(node).filter((open) => !forwarding.has(open)),
    ask: askNode,
    fail: (open, error) => router.fail(open, error),
  });
  const logSync = new LogSync({
    logs,
    log,
    pick: (node) => routes.pick(node),
    nodes: () => routes.status(),
    ask: askNode,
    tellerOf: ({ carrier, via }) => ({ node: via, speaksFor: (other) => routes.leads(carrier, via, other) }),
    rowsOf: toldRows,
  });
  closers.push(() => logSync.stop());
  const nodeSessions = new NodeSessions({ id, routes, requests: peerRequests, events, clock: CLOCK, log });
  const left = (peer: Peer) => {
    nodeSessions.left(peer);
    servedLinks.left(peer);
    logStreams.left(peer);
    logs.left(peer);
    peerRequests.left(peer);
    router.left(peer);
    carriers.left(peer);
  };
  const servedLinks: ServedLinks = new ServedLinks({
    requests: peerRequests,
    receive: (peer, message) => router.receive(peer, message),
    streamLogs: (peer) => logStreams.serve(peer),
    left,
  });
  const door = new InternalDoor({
    file: config.core.socket,
    maxMessage,
    log,
    receive: (peer, message) => router.receive(peer, message),
    left,
    redeem: (ticket, peer) => loader.redeem(ticket, peer),
  });

  let external: ExternalDoor | undefined;
  let endpoint: string | undefined;
  const coreActions = new CoreActions({
    id,
    version: VERSION,
    thumbprint: keys.thumbprint,
    maxMessage,
    startedAt,
    store,
    registry,
    router,
    followers,
    telemetry,
    trust,
    endpoint: () => endpoint,
    loader: () => loader,
    clock: CLOCK,
    state: new PluginState(store.state, maxMessage),
    events,
    routes,
    carriers,
    nodeSessions,
    logs,
    logStreams,
    logSync,
    keys,
    log,
    counters: () => ({
      store: store.counters(),
      events: events.counters,
      forwarding: forwarding.counters,
      logs: logs.counters,
      external: external?.counters ?? null,
      internalDropped: door.dropped,
    }),
  });
  const core = new CorePlugin(coreActions, {
    package: '@centreond/core',
    version: VERSION,
    maxMessage,
    log,
    row: (open, code, data) => router.row(open, code, data),
  });
  registry.add(core.manifest, core);

  const loader = new Loader(config, {
    registry,
    endpoint: door.endpoint,
    mark: mark.ofRun,
    clock: CLOCK,
    log,
    keys: instanceKeys(store.state, log),
    row: (open, code, data) => router.row(open, code, data),
    fail: (open, error) => router.fail(open, error),
    message: (peer, message) => {
      const taken = events.receive(peer, message) || carriers.receive(peer, message);
      if (!taken && !servedLinks.receive(peer, message)) router.receive(peer, message);
    },
    ready: (hearer) => events.ready(hearer.type, hearer),
    gone: (hearer) => events.gone(hearer),
    left,
  });
  loader.addAll();

  await door.start();
  closers.push(() => door.stop());
  closers.push(() => loader.stop(PLUGIN_STOP_MS));
  await store.append({
    token: '',
    type: 'START',
    code: 3,
    etime: Math.floor(startedAt / 1000),
    data: JSON.stringify({ id, version: VERSION }),
  });
  await logs.start();
  logSync.start();
  await router.start();
  await loader.start();
  external = config.core.external && makeExternalDoor(config, config.core.external.listen);
  endpoint = await external?.start();

  function makeExternalDoor(config: Config, listen: string): ExternalDoor {
    return new ExternalDoor({
      listen,
      routerKeys: keys,
      trust,
      id,
      version: VERSION,
      maxMessage,
      idleMs: config.core.session.idle,
      clock: CLOCK,
      log,
      receive: (peer, message) => {
        nodeSessions.heard(peer);
        if (!peerRequests.receive(peer, message)) router.receive(peer, message);
      },
      left,
      pinned: (identity, jwk) => {
        store
          .pin(identity, JSON.stringify(jwk))
          .catch((error) => log.error({ err: error }, `the key of ${identity} is not pinned: ${reasonOf(error)}`));
      },
    });
  }

  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    await router.drain(DRAIN_MS, INTERRUPT_MS);
    logSync.stop();
    await logStreams.flush(FLUSH_MS);
    nodeSessions.stop();
    await external?.stop();
    await loader.stop(PLUGIN_STOP_MS);
    await door.stop();
    warden.kill('SIGKILL');
    await store.close();
    await folder.release();
  };
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
    stop: () => (stopping ??= stop()),
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

const KEYS_BYTES = 4 * 1024 * 1024;

/** Remembers which eager instances a plugin has, beside its own state. */
function instanceKeys(state: StateStore, log: Log) {
  const owner = (type: string) => `@instances-of-${type}`;
  return {
    of: async (type: string) => (await state.list(owner(type), '', '', KEYS_BYTES)).entries.map(({ key }) => key),
    add: (type: string, key: string) => {
      state.set(owner(type), { key, value: 'true' }, KEYS_BYTES).catch((error: unknown) => {
        log.warn(
          { err: error, plugin: type },
          `the instance ${type}/${key} will not start by itself: ${reasonOf(error)}`,
        );
      });
    },
  };
}
