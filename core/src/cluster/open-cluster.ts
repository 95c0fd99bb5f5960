import { dirname, resolve } from 'node:path';
import { reasonOf } from '@centreond/protocol';
import type { Config } from '../config/config.ts';
import { type Environment, isReference, readSecret } from '../config/secret.ts';
import { fault } from '../errors.ts';
import type { Log } from '../log.ts';
import type { RouterRecord } from '../store/membership.ts';
import type { TokenStore } from '../store/token-store.ts';
import { Bus } from './bus.ts';
import { Cluster, type ClusterOptions } from './cluster.ts';
import { Heartbeat } from './heartbeat.ts';
import { Watches } from './watches.ts';

/** What the other rooms see of the cluster. */
export interface ClusterView {
  /** Its name, undefined for a router by itself. */
  readonly name: string | undefined;
  /** The routers that share the database, this one included; none where no other can. */
  routers(): readonly RouterRecord[];
  /** How far the database's clock is ahead of this machine's, in seconds. */
  clockSkewSeconds(): number;
  /** Why NATS is away; null where it is there, or not needed. */
  natsAway(): string | null;
  /** Ends a request that is open at another router. Resolves with whether it was. */
  cancelElsewhere(token: string, by: string): Promise<boolean>;
  /**
   * Takes part: others may hand requests to this router, and it takes over what is open at those that are gone. Call it once what the last
   * run left open is settled. Rejects with CLUSTER_UNUSABLE where NATS refuses this router.
   */
  enter(): Promise<void>;
}

/** What of the cluster is there before this router enters it. */
export interface ClusterGround {
  readonly name: string;
  readonly bus: Bus;
  readonly watches: Watches;
}

/** Reads what the config says of the cluster; undefined for a router by itself. Throws SECRET_UNUSABLE. */
export function clusterGround(config: Config, environment: Environment, log: Log): ClusterGround | undefined {
  const { cluster, id } = config.core;
  if (!cluster) return undefined;
  const { name, nats: servers } = cluster;
  const credentials = credentialsOf(config, environment);
  const bus = new Bus({ cluster: name, id, place: { servers, credentials }, log });
  return { name, bus, watches: new Watches(bus) };
}

function credentialsOf({ file: from, core }: Config, environment: Environment): string | undefined {
  const credentials = core.cluster?.credentials;
  if (credentials === undefined || !isReference(credentials)) return undefined;
  const name = /^file:(.*)$/s.exec(credentials)?.[1];
  // Relative to the config file, as other paths are.
  const reference = name === undefined ? credentials : `file:${resolve(dirname(from), name)}`;
  const read = readSecret(reference, environment);
  if ('reason' in read) {
    throw fault('SECRET_UNUSABLE', { where: 'core.cluster.credentials', reference, reason: read.reason });
  }
  return read.value;
}

export interface OpenClusterOptions extends Omit<ClusterOptions, 'membership' | 'bus' | 'watches'> {
  readonly ground: ClusterGround | undefined;
  readonly store: TokenStore;
}

/** Says in a shared database, from here on, that this router lives. Rejects with STORE_UNUSABLE where that does not get through. */
export async function openCluster(options: OpenClusterOptions): Promise<ClusterView> {
  const { ground, store, closing, died: fenced } = options;
  const { membership } = store;
  if (!membership) return ALONE;
  if (!ground) {
    const heartbeat = new Heartbeat({ ...options, membership, load: () => ({}), heard: async () => {}, fenced });
    closing.push('the heartbeat', 500, () => heartbeat.stop());
    await heartbeat.start();
    return { ...ALONE, routers: () => heartbeat.last.routers };
  }
  const { name, bus } = ground;
  const cluster = await Cluster.open({ ...options, ...ground, membership });
  return {
    name,
    routers: () => cluster.routers,
    clockSkewSeconds: () => cluster.clockSkewSeconds,
    natsAway: () => bus.away ?? null,
    cancelElsewhere: (token, by) => cluster.cancel(token, by),
    enter: async () => {
      await cluster.enter().catch((error: unknown) => {
        throw fault('CLUSTER_UNUSABLE', { name, reason: reasonOf(error) });
      });
    },
  };
}

const ALONE: ClusterView = {
  name: undefined,
  routers: () => [],
  clockSkewSeconds: () => 0,
  natsAway: () => null,
  cancelElsewhere: async () => false,
  enter: async () => {},
};
