import { DEAD_AFTER_SECONDS, Fenced, type RouterStays, routerStateOf } from '../membership.ts';
import type { Entered } from './entry.ts';
import type { Session, Statement } from './session.ts';

/**
 * Removes the router `router` of `cluster`, and what it carried, if it has stopped or another has taken its place, and nothing is open
 * there. Its number and its fence stay: rows refer to the one, and a later process of it is given a higher fence than any before. `me`
 * asks. Rejects with {@link Fenced}.
 */
export async function forgetRouter(
  session: Session,
  { number, fence, cluster }: Entered & { readonly cluster: string },
  router: string,
): Promise<'forgotten' | 'unknown' | RouterStays> {
  for (;;) {
    const [found] = await session.rows(FORGET, [router, cluster, number, fence, DEAD_AFTER_SECONDS]);
    if (!found?.bool()) throw new Fenced();
    if (found.bool()) return 'forgotten';
    if (!found.bool()) return 'unknown';
    const stays = { state: routerStateOf(found.text()), silentSeconds: found.number(), open: found.number() };
    // Else it came back while this was under way, or somebody else forgot it: the next look tells.
    if (stays.state === 'up' || stays.state === 'silent' || stays.open > 0) return stays;
  }
}

/**
 * Forgets the router $1 of the cluster $2 for the router $3 with the fence $4, where a heartbeat is too old after $5 seconds. Only a
 * router whose fence was raised, or that has left, writes nothing any more: a silent one may. The fence tells whether it entered while
 * the row was waited for.
 */
const FORGET: Statement = {
  name: 'forget',
  text: `WITH me AS (SELECT 1 FROM centreond_router WHERE node = $3 AND fence = $4),
    asked AS (
      SELECT r.node, r.fence,
        CASE WHEN r.state = 'up' AND r.beat < clock_timestamp() - make_interval(secs => $5) THEN 'silent'
          ELSE r.state END AS state,
        CASE WHEN r.beat = '-infinity' THEN 0
          ELSE greatest(0, extract(epoch FROM clock_timestamp() - r.beat))::bigint END AS silent,
        (SELECT count(*) FROM centreond_open o WHERE o.router = r.node) AS open
      FROM centreond_router r JOIN centreond_node n ON n.number = r.node
      WHERE n.id = $1 AND r.cluster = $2 AND $2 <> ''),
    forgotten AS (
      DELETE FROM centreond_router r USING asked a
      WHERE r.node = a.node AND r.fence = a.fence AND r.state IN ('stopped', 'taken') AND a.open = 0
        AND EXISTS (SELECT 1 FROM me)
      RETURNING r.node),
    carried AS (DELETE FROM centreond_carried c USING forgotten f WHERE c.router = f.node)
    SELECT EXISTS (SELECT 1 FROM me), EXISTS (SELECT 1 FROM forgotten), a.node IS NOT NULL, a.state, a.silent, a.open
    FROM (SELECT 1) AS one LEFT JOIN asked a ON true`,
};
