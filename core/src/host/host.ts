import { createHash, randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { reasonOf } from '@centreond/protocol';
import type { Clock } from '../clock.ts';
import type { Closing } from '../closing.ts';
import type { Config } from '../config/config.ts';
import type { Chronicle } from '../log/chronicle.ts';
import type { Log } from '../log.ts';
import type { Events } from '../router/events.ts';
import type { Tickets } from '../router/instance-link.ts';
import type { Peer } from '../router/peer.ts';
import { ALONE, type Placement } from '../router/placement.ts';
import type { Registry } from '../router/registry.ts';
import type { Requests } from '../router/requests.ts';
import type { StateStore } from '../store/token-store.ts';
import { Loader } from './loader.ts';
import { reap, reapedText, startWarden } from './reaper.ts';

const STOP_MS = 2000;
/** What the daemon's death leaves to processes that notice it by themselves. */
const WARDEN_GRACE_SECONDS = 5;
const KEYS_BYTES = 4 * 1024 * 1024;

export interface HostOptions {
  readonly config: Config;
  /** The data folder, absolute. */
  readonly folder: string;
  readonly registry: Registry;
  readonly requests: Requests;
  readonly events: Events;
  readonly chronicle: Pick<Chronicle, 'tell'>;
  readonly state: StateStore;
  readonly tickets: Tickets;
  /** The internal door's endpoint, to which instances connect. */
  readonly endpoint: string;
  readonly coreActions: readonly string[];
  /** Says when the plugins run here that run on one router at a time; always, if omitted: a router by itself. */
  readonly placement?: Placement | undefined;
  /** Takes the requests of plugins, and the messages of their links. */
  receive(peer: Peer, message: Buffer): void;
  readonly clock: Clock;
  readonly log: Log;
  readonly closing: Closing;
}

/** Ends what plugins of an earlier run on this data folder left behind. Call it before another router can hear that this one runs again. */
export async function endOrphans(folder: string, log: Log): Promise<void> {
  const orphans = await reap(markOf(folder).ofFolder, await notesIn(folder));
  if (orphans.length === 0) return;
  const text = reapedText(orphans);
  log.warn(`processes of an earlier daemon on this data folder were still running; they are ended: ${text}`);
}

async function notesIn(folder: string): Promise<string> {
  const notes = path.join(folder, 'run', 'commands');
  await mkdir(notes, { recursive: true, mode: 0o700 });
  return notes;
}

/**
 * Opens the plugin host, once {@link endOrphans} has resolved: registers the plugins of the config, so that their actions are
 * known. `loader.start()` starts their processes; the internal door must serve by then.
 */
export async function openHost(options: HostOptions): Promise<Loader> {
  const { config, folder, registry, requests, events, chronicle, state, tickets, endpoint } = options;
  const { coreActions, placement = ALONE, clock, log, closing } = options;
  const mark = markOf(folder);
  const notes = await notesIn(folder);
  const warden = startWarden(mark.ofRun, notes, WARDEN_GRACE_SECONDS);
  closing.push('the warden', 100, () => warden.kill('SIGKILL'));
  const loader = new Loader(config, {
    registry,
    coreActions,
    placement,
    requests,
    chronicle,
    endpoint,
    tickets,
    mark: mark.ofRun,
    notes,
    clock,
    log,
    keys: instanceKeys(state, log),
    message: options.receive,
    ready: (hearer) => events.ready(hearer.type, hearer),
    gone: (hearer) => events.gone(hearer),
  });
  loader.addAll();
  closing.push('the plugins', STOP_MS + 300, (withinMs) => loader.stop(Math.min(STOP_MS, withinMs)));
  return loader;
}

/** The mark of one run of a daemon on a data folder: `DATA:RUN:`; the first part alone is that of all its runs. */
function markOf(dataDir: string): { ofFolder: string; ofRun: string } {
  const ofFolder = `${createHash('sha256').update(dataDir).digest('hex').slice(0, 16)}:`;
  return { ofFolder, ofRun: `${ofFolder}${randomBytes(6).toString('hex')}:` };
}

/** Remembers which eager instances a plugin has, beside its own state. */
function instanceKeys(state: StateStore, log: Log) {
  const owner = (type: string) => `@instances-of-${type}`;
  return {
    of: async (type: string) => (await state.list(owner(type), '', '', KEYS_BYTES)).entries.map(({ key }) => key),
    add: (type: string, key: string) => {
      state.set(owner(type), { key, value: 'true' }, KEYS_BYTES).catch((error: unknown) => {
        const what = `the instance ${type}/${key} will not start by itself: ${reasonOf(error)}`;
        log.warn({ err: error, plugin: type }, what);
      });
    },
  };
}
