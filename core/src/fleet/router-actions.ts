import { Action, Plugin } from '@centreond/plugin-sdk';
import { NOTHING, READ } from '../router/declaring.ts';
import type { RouterRecord } from '../store/membership.ts';

/** A router of the cluster as its last heartbeat described it, with what it said of itself. */
export interface ListedRouter extends Omit<RouterRecord, 'load'> {
  /** Open requests. */
  readonly open: number;
  /** Nodes that it carries. */
  readonly nodes: number;
  /** Whether NATS reaches it. */
  readonly nats: boolean;
}

/** The routers of this router's cluster. The room cluster implements it. */
export interface RouterList {
  /** The name of the cluster, undefined for a router by itself. */
  readonly name: string | undefined;
  /** The routers that share the database, this one included; none where no other can. */
  routers(): readonly ListedRouter[];
  /** Why NATS is away; null where it is there, or not needed. */
  natsAway(): string | null;
  /** How far the database's clock is ahead of this machine's, in seconds. */
  clockSkewSeconds(): number;
}

export interface RouterActionsOptions {
  /** This router's id. */
  readonly id: string;
  readonly cluster: RouterList;
}

/** Which routers there are. */
@Plugin({ type: 'core', title: 'The router itself', isolation: 'core' })
export class RouterActions {
  constructor(private readonly options: RouterActionsOptions) {}

  @Action('GETROUTERS', {
    ...READ,
    title: 'Ask which routers share the history, and how they are',
    description:
      'cluster is null, and routers empty, where this router keeps its history by itself. natsAway says why the routers do not hear each other, null where they do.',
    input: NOTHING,
    access: 'client',
  })
  getRouters() {
    const { id, cluster } = this.options;
    const routers = cluster.routers().map((router) => ({ ...router, self: router.id === id }));
    const { name = null } = cluster;
    return { cluster: name, natsAway: cluster.natsAway(), clockSkewSeconds: cluster.clockSkewSeconds(), routers };
  }
}
