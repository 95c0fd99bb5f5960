import type { Statement } from './session.ts';

/** Writes the heartbeat of the router $1 with the fence $2. Nothing comes back where that is no longer its own. */
export const BEAT: Statement = {
  name: 'beat',
  text: `WITH me AS (
      UPDATE centreond_router SET beat = clock_timestamp(), endpoint = $3, load = $4 WHERE node = $1 AND fence = $2
      RETURNING node, beat, endpoint, load)
    SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
      coalesce((SELECT version FROM centreond_trust WHERE cluster = $5), 0),
      n.id, r.fingerprint, coalesce(m.endpoint, r.endpoint), r.version,
      CASE WHEN r.state = 'up' AND coalesce(m.beat, r.beat) < clock_timestamp() - make_interval(secs => $6) THEN 'silent'
        ELSE r.state END,
      (extract(epoch FROM r.started) * 1000)::bigint,
      CASE WHEN r.beat = '-infinity' THEN 0
        ELSE greatest(0, extract(epoch FROM clock_timestamp() - coalesce(m.beat, r.beat)))::bigint END,
      coalesce(m.load, r.load)
    FROM centreond_router r JOIN centreond_node n ON n.number = r.node LEFT JOIN me m ON m.node = r.node
    WHERE (r.cluster = $5 AND $5 <> '' OR r.node = $1) AND EXISTS (SELECT 1 FROM me) ORDER BY n.id`,
};

/** A router of the cluster $1, other than $2, that has been silent for $3 seconds or has left, and of which something is open or that nobody has fenced yet. */
export const GONE: Statement = {
  name: 'gone',
  text: `SELECT r.node, n.id FROM centreond_router r JOIN centreond_node n ON n.number = r.node
    WHERE r.cluster = $1 AND $1 <> '' AND r.node <> $2 AND r.beat < clock_timestamp() - make_interval(secs => $3)
      AND (r.state = 'up' OR EXISTS (SELECT 1 FROM centreond_open o WHERE o.router = r.node))
    ORDER BY r.beat LIMIT 1 FOR UPDATE OF r SKIP LOCKED`,
};

/** Whether the router has its fence still, until the statement is over: who raises it waits for that. */
const me = (node: string, fence: string) =>
  `me AS MATERIALIZED (SELECT 1 FROM centreond_router WHERE node = ${node} AND fence = ${fence} FOR SHARE)`;

export const LOCK: Statement = {
  name: 'lock',
  text: 'SELECT pg_try_advisory_lock($1, hashtext($2)) FROM centreond_router WHERE node = $3 AND fence = $4',
};

export const CLAIM: Statement = {
  name: 'claim',
  text: `WITH ${me('$3', '$4')}
    UPDATE centreond_open SET router = $3, started = true
    WHERE EXISTS (SELECT 1 FROM me) AND id = (SELECT id FROM centreond_request WHERE token = $1)
      AND router = (SELECT number FROM centreond_node WHERE id = $2) AND kept = $5
    RETURNING 1`,
};

export const KEEP: Statement = {
  name: 'keep',
  text: `WITH ${me('$2', '$3')}
    UPDATE centreond_open SET kept = kept + 1
    WHERE EXISTS (SELECT 1 FROM me) AND id = (SELECT id FROM centreond_request WHERE token = $1) AND router = $2
    RETURNING kept`,
};

export const HOLDER: Statement = {
  name: 'holder',
  text: `SELECT n.id FROM centreond_request r JOIN centreond_open o ON o.id = r.id
    JOIN centreond_node n ON n.number = o.router WHERE r.token = $1`,
};

/** Of the tokens $1 those with a row above the ids $2, and the highest id. */
export const NEWS: Statement = {
  name: 'news',
  text: `SELECT token, newest FROM (
      SELECT t.token, t.last, (SELECT max(id) FROM centreond_history h WHERE h.token = t.token) AS newest
      FROM unnest($1::text[], $2::bigint[]) AS t (token, last)) AS found
    WHERE newest > last`,
};

export const CARRY: Statement = {
  name: 'carry',
  text: `WITH ${me('$1', '$2')},
    gone AS (
      DELETE FROM centreond_carried WHERE router = $1 AND EXISTS (SELECT 1 FROM me)
        AND (node = ANY ($5::text[]) OR ($6::boolean AND node <> ALL ($3::text[]))))
    INSERT INTO centreond_carried (router, node, told)
    SELECT $1, node, told FROM unnest($3::text[], $4::text[]) AS c (node, told) WHERE EXISTS (SELECT 1 FROM me)
    ON CONFLICT (router, node) DO UPDATE SET told = excluded.told`,
};

export const CARRIED: Statement = {
  name: 'carried',
  text: `SELECT n.id, c.node, c.told FROM centreond_carried c JOIN centreond_router r ON r.node = c.router
    JOIN centreond_node n ON n.number = c.router WHERE r.cluster = $1 AND c.router <> $2`,
};

/** Writes the record $2 over the version $3, which is 0 where there is none. */
export const WRITE_TRUST: Statement = {
  name: 'write trust',
  text: `WITH ${me('$4', '$5')},
    changed AS (
      UPDATE centreond_trust SET version = version + 1, record = $2
      WHERE cluster = $1 AND version = $3 AND EXISTS (SELECT 1 FROM me) RETURNING version),
    added AS (
      INSERT INTO centreond_trust (cluster, version, record)
      SELECT $1, 1, $2 WHERE $3::bigint = 0 AND EXISTS (SELECT 1 FROM me)
      ON CONFLICT (cluster) DO NOTHING RETURNING version)
    SELECT version FROM changed UNION ALL SELECT version FROM added`,
};
