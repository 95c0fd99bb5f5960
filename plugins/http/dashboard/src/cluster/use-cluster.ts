import { ApiError } from '../api/http.ts';
import { type Cluster, NO_CLUSTER, Routers } from '../api/shapes.ts';
import { type Polled, usePolled } from '../state/polled.ts';
import { useSession } from '../state/session.ts';

const ROUTERS_MS = 4000;

/** The routers of the cluster, asked for while the tab is shown; none where the caller may not ask. */
export function useCluster(): Polled<Cluster> {
  const { api } = useSession();
  const ask = async (signal: AbortSignal): Promise<Cluster> => {
    try {
      return await api.ask('routers', Routers, { signal });
    } catch (error) {
      if (error instanceof ApiError && error.status === 403) return NO_CLUSTER;
      throw error;
    }
  };
  return usePolled('routers', ask, ROUTERS_MS);
}
