import { reasonOf } from '@centreond/protocol';
import type { Clock } from '../clock.ts';
import type { Closing } from '../closing.ts';
import type { Config } from '../config/config.ts';
import { coreSecretOf } from '../config/core-secrets.ts';
import type { Environment } from '../config/secret.ts';
import { SharedTrust } from '../doors/shared-trust.ts';
import type { Trust } from '../doors/trust.ts';
import { fault } from '../errors.ts';
import type { RouterList } from '../fleet/router-actions.ts';
import type { Log } from '../log.ts';
import { ALONE, type Placement } from '../router/placement.ts';
import type { TokenStore } from '../store/token-store.ts';
import { Bus } from './bus.ts';
import { Cluster, type ClusterOptions } from './cluster.ts';
import { Heartbeat } from './heartbeat.ts';
import { listed } from './load.ts';
import { exposureOf } from './nats-credentials.ts';
import { Watches } from './watches.ts';

/** What the other rooms see of the cluster. */
export interface ClusterView extends RouterList {
  /** The other routers that are up, as machines reach them. */
  others(): readonly { readonly address: string; readonly fingerprint: string }[];
  /** Ends a request that is open at another router. Resolves with whether it was. */
  cancelElsewhere(token: string, by: string): Promise<boolean>;
  /**
   * Takes part: others may hand requests to this router, and it takes over what is open at those that are gone. Call it once what the last
   * run left open is settled. Rejects with CLUSTER_UNUSABLE where NATS refuses this router.
   */
  enter(): Promise<void>;
  /** Takes no request of another router any more: this one stops. */
  drain(): void;
  /** Which plugins run here of those that run on one router at a time. */
  readonly placement: Placement;
  /** Reads the trust file again, which another process may have written, and shares what it says. */
  rereadTrust(): void;
  /** The cluster in few words; null for a router by itself. */
  summary(): ClusterSummary | null;
  /** The figures of the cluster as INFORMATION shows them; null for a router by itself. */
  counters(): object | null;
}

/** The cluster as INFORMATION shows it. */
export interface ClusterSummary {
  readonly name: string;
  readonly natsAway: string | null;
  readonly clockSkewSeconds: number;
  /** The state of each router, by its id. */
  readonly routers: Readonly<Record<string, string>>;
}

/** What of the cluster is there before this router enters it. */
export interface ClusterGround {
  /** Says in the database that this router lives; undefined where no other router can know. */
  readonly heartbeat: Heartbeat | undefined;
  /** Undefined for a router by itself. */
  readonly cluster:
    | { readonly name: string; readonly bus: Bus; readonly watches: Watches; readonly sharedTrust: SharedTrust }
    | undefined;
}

export interface GroundOptions {
  readonly config: Config;
  readonly environment: Environment;
  readonly store: TokenStore;
  readonly trust: Trust;
  readonly clock: Clock;
  readonly log: Log;
  readonly closing: Closing;
  /** This process cannot go on: another one has the place of this router. */
  died(error: Error): void;
}

/**
 * Reads what the config says of the cluster, has this router be heard of, so that nobody takes it for dead while it starts, and brings
 * trust up to what all of its routers know. Rejects with SECRET_UNUSABLE or TRUST_TABLE, and with what the database says.
 */
export async function clusterGround(options: GroundOptions): Promise<ClusterGround> {
  const { config, environment, store, trust, clock, log, closing, died: fenced } = options;
  const { cluster, id } = config.core;
  const credentials = coreSecretOf(config, 'core.cluster.credentials', environment);
  const { membership } = store;
  if (!membership) return { heartbeat: undefined, cluster: undefined };
  const heartbeat = new Heartbeat({ membership, clock, log, fenced });
  closing.push('the heartbeat', 500, () => heartbeat.stop());
  await heartbeat.start();
  if (!cluster) return { heartbeat, cluster: undefined };
  const { name, nats: servers } = cluster;
  const place = { servers, credentials };
  const exposure = exposureOf(place);
  if (exposure !== undefined) log.warn(exposure);
  const bus = new Bus({
    ...{ cluster: name, id, process: membership.fence, secret: await membership.secret(), place, log },
    now: () => clock.now() + heartbeat.last.clockSkewSeconds * 1000,
  });
  const written = (version: number) => bus.tell('*', 'trust', String(version));
  const sharedTrust = await SharedTrust.open({ trust, table: membership, clock, log, written });
  closing.push('the shared trust', 1000, (withinMs) => sharedTrust.close(withinMs));
  return { heartbeat, cluster: { name, bus, watches: new Watches(bus), sharedTrust } };
}

export interface OpenClusterOptions
  extends Omit<ClusterOptions, 'membership' | 'bus' | 'watches' | 'heartbeat' | 'sharedTrust'> {
  readonly ground: ClusterGround;
}

/** Prepares that this router enters its cluster, if it is to be in one. */
export function openCluster(options: OpenClusterOptions): ClusterView {
  const { ground, store } = options;
  const { heartbeat, cluster } = ground;
  const { membership } = store;
  if (!membership || !heartbeat) return BY_ITSELF;
  if (!cluster) return { ...BY_ITSELF, routers: () => heartbeat.last.routers.map(listed) };
  const { name, bus } = cluster;
  const entered = new Cluster({ ...options, ...cluster, heartbeat, membership });
  return {
    name,
    routers: () => heartbeat.last.routers.map(listed),
    clockSkewSeconds: () => heartbeat.last.clockSkewSeconds,
    natsAway: () => bus.away ?? null,
    forget: (router) => entered.forget(router),
    placement: entered.placements,
    rereadTrust: () => cluster.sharedTrust.changed(),
    summary: () => ({
      ...{ name, natsAway: bus.away ?? null, clockSkewSeconds: heartbeat.last.clockSkewSeconds },
      routers: Object.fromEntries(heartbeat.last.routers.map(({ id, state }) => [id, state])),
    }),
    counters: () => ({ ...cluster.watches.counters, bus: bus.counters, trust: cluster.sharedTrust.counters }),
    others: () =>
      heartbeat.last.routers.flatMap(({ id, state, endpoint: address, fingerprint }) =>
        id === options.id || state !== 'up' || address === '' ? [] : [{ address, fingerprint }],
      ),
    cancelElsewhere: (token, by) => entered.cancel(token, by),
    drain: () => entered.drain(),
    enter: async () => {
      await entered.enter().catch((error: unknown) => {
        throw fault('CLUSTER_UNUSABLE', { name, reason: reasonOf(error) });
      });
    },
  };
}

const BY_ITSELF: ClusterView = {
  placement: ALONE,
  rereadTrust: () => {},
  summary: () => null,
  counters: () => null,
  name: undefined,
  routers: () => [],
  clockSkewSeconds: () => 0,
  natsAway: () => null,
  forget: async () => 'unknown',
  others: () => [],
  cancelElsewhere: async () => false,
  enter: async () => {},
  drain: () => {},
};
