import { DEAD_AFTER_SECONDS } from '../membership.ts';
import { endCopying } from './copy-mark.ts';
import { numberOf, prepareDatabase } from './schema.ts';
import { type Session, Unfit } from './session.ts';

/** What a router is among those of its database. */
export interface RouterSelf {
  /** This router's id. */
  readonly node: string;
  /** The name of its cluster, '' if it is by itself. */
  readonly cluster: string;
  readonly fingerprint: string;
  readonly version: string;
}

/** What a router is let in by. */
export interface Entered {
  /** The number of its id. */
  readonly number: number;
  readonly fence: number;
}

/**
 * Prepares the database and enters a router into it: an earlier process of it writes nothing from here on. What that left under way is
 * waited for. Rejects with {@link Unfit} where another router with the same id is up, which another key tells from a restart, or
 * where a history is being copied into the database.
 */
export async function enterRouter(session: Session, self: RouterSelf): Promise<Entered> {
  const { node, cluster, fingerprint, version } = self;
  await prepareDatabase(session);
  await endCopying(session);
  const number = await numberOf(session, node);
  await session.rows('INSERT INTO centreond_writer (node, groups, bytes) VALUES ($1, 0, 0) ON CONFLICT DO NOTHING', [
    number,
  ]);
  return session.transaction(async () => {
    const [before] = await session.rows(
      `SELECT fingerprint, state = 'up' AND beat > clock_timestamp() - make_interval(secs => $2)
        FROM centreond_router WHERE node = $1 FOR UPDATE`,
      [number, DEAD_AFTER_SECONDS],
    );
    if (before && before.text() !== fingerprint && before.bool())
      throw new Unfit(
        `a router ${node} with another key is up on it; give one of the two another core.id, or, if it is gone for good, start again in ${DEAD_AFTER_SECONDS} s`,
      );
    const [raised] = await session.rows(
      'UPDATE centreond_writer SET fence = fence + 1 WHERE node = $1 RETURNING fence',
      [number],
    );
    const fence = raised?.number() ?? 0;
    await session.rows(
      `INSERT INTO centreond_router (node, cluster, fence, fingerprint, endpoint, version, state, started, beat, load)
        VALUES ($1, $2, $3, $4, '', $5, 'up', clock_timestamp(), clock_timestamp(), '{}')
        ON CONFLICT (node) DO UPDATE SET cluster = excluded.cluster, fence = excluded.fence, fingerprint = excluded.fingerprint,
          endpoint = excluded.endpoint, version = excluded.version, state = excluded.state, started = excluded.started,
          beat = excluded.beat, load = excluded.load`,
      [number, cluster, fence, fingerprint, version],
    );
    await session.rows('DELETE FROM centreond_carried WHERE router = $1', [number]);
    return { number, fence };
  });
}
