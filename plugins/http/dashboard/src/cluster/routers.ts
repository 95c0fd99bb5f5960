import type { Cluster, Router } from '../api/shapes.ts';

/** What a state means, for who does not know; empty where the word says it. */
export function stateReason({ state, id }: Pick<Router, 'state' | 'id'>): string {
  if (state === 'silent') return 'it is not heard; another takes over what is open there';
  if (state === 'taken') return `another took over what was open there; start ${id} again`;
  return '';
}

/** Whether a router should be up and is not, or does not reach NATS. */
function isInTrouble({ state, nats }: Pick<Router, 'state' | 'nats'>): boolean {
  return state === 'silent' || state === 'taken' || (state === 'up' && !nats);
}

/** The routers of a cluster that somebody should look at, with this one among them where it does not reach NATS. */
export function inTrouble({ routers, natsAway }: Pick<Cluster, 'routers' | 'natsAway'>): Router[] {
  return routers.filter((router) => isInTrouble(router) || (router.self && natsAway !== null));
}
