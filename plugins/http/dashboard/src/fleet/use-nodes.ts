import { Nodes } from '../api/shapes.ts';
import { usePolled } from '../state/polled.ts';
import { useSession } from '../state/session.ts';

const NODES_MS = 4000;

/** The nodes of the router, asked for while the page is shown. */
export function useNodes() {
  const { api } = useSession();
  return usePolled('nodes', (signal) => api.ask('nodes', Nodes, { signal }), NODES_MS);
}
