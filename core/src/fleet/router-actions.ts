import { Action, Plugin } from '@centreond/plugin-sdk';
import { failure } from '@centreond/protocol';
import { z } from 'zod';
import { NODE_ID, NOTHING, READ } from '../router/declaring.ts';
import type { RouterRecord, RouterStays } from '../store/membership.ts';
import { near } from '../words.ts';

const Forgetting = z.strictObject({ id: NODE_ID });
const Forgotten = z.strictObject({ id: z.string(), cluster: z.string() });

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
  /** Forgets a router that is gone for good, as `Membership` does. It is not listed here any more then. */
  forget(router: string): Promise<'forgotten' | 'unknown' | RouterStays>;
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

  @Action('FORGETROUTER', {
    title: 'Forget a router of the cluster that is gone for good',
    description:
      'It has stopped, or another one has taken its place, and nothing is open there. Its rows stay in the history. A router that starts with its id later is a new one.',
    input: Forgetting,
    output: Forgotten,
    access: 'admin',
    effects: 'destructive',
    runs: 'here',
  })
  async forgetRouter({ id: router }: z.output<typeof Forgetting>): Promise<z.input<typeof Forgotten>> {
    const { id, cluster } = this.options;
    const { name } = cluster;
    if (name === undefined) throw failure('NO_CLUSTER', { router: id });
    const done = await cluster.forget(router);
    if (done === 'forgotten') return { id: router, cluster: name };
    if (done === 'unknown') {
      const meant = near(
        router,
        cluster.routers().map((one) => one.id),
      );
      throw failure('UNKNOWN_ROUTER', { router, cluster: name, near: meant });
    }
    const { state, silentSeconds: seconds, open } = done;
    throw state === 'up'
      ? failure('ROUTER_NOT_GONE', { router, seconds })
      : failure('ROUTER_NOT_TAKEN_OVER', { router, open });
  }
}
