import { Action, Plugin } from '@centreond/plugin-sdk';
import { NOTHING, READ } from '../router/declaring.ts';
import { readLoad } from './load.ts';
import type { ClusterView } from './open-cluster.ts';

export interface ClusterActionsOptions {
  /** This router's id. */
  readonly id: string;
  readonly cluster: ClusterView;
}

/** The routers of the cluster. */
@Plugin({ type: 'core', title: 'The router itself', isolation: 'core' })
export class ClusterActions {
  constructor(private readonly options: ClusterActionsOptions) {}

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
    const routers = cluster.routers().map(({ load, ...router }) => {
      const { open, nodes, isReached } = readLoad(load);
      return { ...router, self: router.id === id, open, nodes, nats: isReached };
    });
    const { name = null } = cluster;
    return { cluster: name, natsAway: cluster.natsAway(), clockSkewSeconds: cluster.clockSkewSeconds(), routers };
  }
}
