import { MIN_AGE, paced, START_AT, STOP_AT } from '../purge-pace.ts';
import { EMPTY_BYTES, REQUEST_BYTES, ROW_BYTES } from './changes.ts';
import type { Link } from './link.ts';
import { LOCKS, PURGED, readMeta, writeMeta } from './schema.ts';
import type { Session } from './session.ts';

/** What a chunk may take, so that a commit that waits for it does not notice. */
const CHUNK_MS = 8;
const SMALLEST_CHUNK = 50;
const LARGEST_CHUNK = 2000;
const CLOCK = 'purge_clock';

interface Limits {
  readonly retentionSeconds: number;
  readonly maxBytes: number;
  /** What this process was let in by. */
  readonly fence: number;
  /** When the store was opened, in seconds by the wall clock and by the monotonic one. */
  readonly wall: number;
  readonly monotonic: number;
}

/**
 * Removes old rows, then the requests that have none left, a chunk at a time: what is older than the retention, and at
 * the size limit the oldest; but never the highest id, an open token's rows, or anything younger than 24 h. One router at a time.
 */
export class Purge {
  readonly #link: Link;
  readonly #limits: Limits;
  readonly #node: number;
  /** The clock by which age is counted: it moves towards the wall clock, see {@link paced}. Kept in the database. */
  #seconds: number;
  #readAt: number;
  #size = SMALLEST_CHUNK;
  #phase: 'rows' | 'requests' = 'rows';
  #now = 0;
  /** Where the pass stands: rows by (ctime, id), requests by id. */
  #ctime = -1;
  #id = 0;
  /** Rows with a ctime below this are gone: only requests below it can have lost their last one. */
  #reached = 0;
  #bySize = false;
  #rows = 0;
  #requests = 0;

  private constructor(link: Link, limits: Limits, node: number, seconds: number) {
    this.#link = link;
    this.#limits = limits;
    this.#node = node;
    this.#seconds = seconds;
    this.#readAt = limits.monotonic;
  }

  /** `node` is the number of this router's id. */
  static async open(link: Link, limits: Limits, node: number): Promise<Purge> {
    const kept = await readMeta(link.session, CLOCK);
    const purge = new Purge(link, limits, node, kept === '' ? limits.wall : Number(kept));
    await purge.#tick(limits.wall, limits.monotonic);
    return purge;
  }

  /** Starts a pass, or starts over. `wall` in whole seconds by the wall clock, `monotonic` in seconds of this process. */
  async start(wall: number, monotonic: number): Promise<void> {
    this.#now = await this.#tick(wall, monotonic);
    this.#phase = 'rows';
    this.#ctime = -1;
    this.#id = 0;
    this.#reached = 0;
    this.#bySize = false;
  }

  async #tick(wall: number, monotonic: number): Promise<number> {
    this.#seconds = paced(this.#seconds, wall, Math.max(0, monotonic - this.#readAt));
    this.#readAt = monotonic;
    await writeMeta(this.#link.session, CLOCK, String(this.#seconds));
    return Math.floor(this.#seconds);
  }

  /** What was removed since this was last asked. */
  done(): { rows: number; requests: number } {
    const done = { rows: this.#rows, requests: this.#requests };
    this.#rows = 0;
    this.#requests = 0;
    return done;
  }

  /** Does the next chunk, given the bytes in use. Resolves with what is in use then, and whether the pass goes on. */
  async chunk(bytes: number): Promise<{ bytes: number; goesOn: boolean }> {
    const { session } = this.#link;
    const started = performance.now();
    // What a crash brings back is purged again.
    const begin = 'BEGIN; SET LOCAL synchronous_commit = off';
    const { chunk, left } = await session.transaction(async () => {
      const [turn] = await session.rows(
        `SELECT pg_try_advisory_xact_lock(${LOCKS.application}, ${LOCKS.purge})
          AND EXISTS (SELECT 1 FROM centreond_writer WHERE node = $1 AND fence = $2)`,
        [this.#node, this.#limits.fence],
      );
      const chunk = turn?.bool()
        ? await (this.#phase === 'rows' ? this.#someRows(session, bytes) : this.#someRequests(session))
        : { ...NOTHING, goesOn: false };
      return { chunk, left: await this.#note(session, chunk.bytes, bytes) };
    }, begin);
    this.#rows += chunk.rows;
    this.#requests += chunk.requests;
    const rate = CHUNK_MS / Math.max(performance.now() - started, 0.1);
    this.#size = Math.min(LARGEST_CHUNK, Math.max(SMALLEST_CHUNK, Math.floor(this.#size * Math.min(rate, 2))));
    return { bytes: left, goesOn: chunk.goesOn };
  }

  async #note(session: Session, removed: number, before: number): Promise<number> {
    if (removed === 0) return before;
    await session.rows('UPDATE centreond_writer SET bytes = bytes - $1 WHERE node = $2', [removed, this.#node]);
    const [sum] = await session.rows('SELECT sum(bytes) FROM centreond_writer');
    return sum ? EMPTY_BYTES + sum.number() : before;
  }

  async #someRows(session: Session, bytes: number): Promise<Chunk> {
    const { retentionSeconds, maxBytes } = this.#limits;
    this.#bySize = bytes > maxBytes * (this.#bySize ? STOP_AT : START_AT);
    const byAge = this.#now - Math.max(retentionSeconds, MIN_AGE);
    const before = this.#bySize ? this.#now - MIN_AGE : byAge;
    const [found] = await session.rows(OLD_ROWS, [this.#ctime, this.#id, before, this.#size]);
    if (!found || found.number() === 0) {
      this.#phase = 'requests';
      this.#id = 0;
      this.#reached = Math.max(byAge, this.#ctime + 1);
      await session.rows('DELETE FROM centreond_aside WHERE ctime < $1', [byAge]);
      return { ...NOTHING, goesOn: true };
    }
    this.#ctime = found.number();
    this.#id = found.number();
    const [rows, highest, removed] = [found.number(), found.number(), found.number()];
    if (highest > Number(await readMeta(session, PURGED))) await writeMeta(session, PURGED, String(highest));
    return { rows, requests: 0, bytes: removed, goesOn: true };
  }

  async #someRequests(session: Session): Promise<Chunk> {
    const [found] = await session.rows(OLD_REQUESTS, [this.#id, this.#size, this.#reached]);
    if (!found) return { ...NOTHING, goesOn: false };
    this.#id = found.number();
    const [old, requests, bytes] = [found.number(), found.number(), found.number()];
    return { rows: 0, requests, bytes, goesOn: old > 0 };
  }
}

interface Chunk {
  readonly rows: number;
  readonly requests: number;
  /** What was removed. */
  readonly bytes: number;
  readonly goesOn: boolean;
}

const NOTHING = { rows: 0, requests: 0, bytes: 0 } as const;

/** Of the rows after the time $1 and the id $2, and before the time $3, the next $4: how many, up to where, and what was removed. */
const OLD_ROWS = {
  name: 'old rows',
  text: `WITH old AS MATERIALIZED (
      SELECT id, ctime FROM centreond_history WHERE (ctime, id) > ($1::bigint, $2::bigint) AND ctime < $3::bigint
      ORDER BY ctime, id LIMIT $4::bigint),
    gone AS (
      DELETE FROM centreond_history h USING old
      WHERE h.id = old.id AND h.id <> (SELECT max(id) FROM centreond_history) AND NOT EXISTS (
        SELECT 1 FROM centreond_request r JOIN centreond_open o ON o.id = r.id WHERE r.token = h.token)
      RETURNING h.id, ${ROW_BYTES} + octet_length(h.token) + octet_length(h.data) AS bytes),
    origin AS (DELETE FROM centreond_origin WHERE id IN (SELECT id FROM gone))
    SELECT (SELECT count(*) FROM old), last.ctime, last.id, (SELECT count(*) FROM gone),
      (SELECT coalesce(max(id), 0) FROM gone), (SELECT coalesce(sum(bytes), 0) FROM gone)
    FROM (SELECT ctime, id FROM old ORDER BY ctime DESC, id DESC LIMIT 1) AS last`,
};

/** Of the requests above the id $1, the next $2: up to where, how many are older than $3, and what was removed of those. */
const OLD_REQUESTS = {
  name: 'old requests',
  text: `WITH next AS MATERIALIZED (
      SELECT id, ctime FROM centreond_request WHERE id > $1::bigint ORDER BY id LIMIT $2::bigint),
    gone AS (
      DELETE FROM centreond_request r USING next
      WHERE r.id = next.id AND next.ctime < $3::bigint
        AND NOT EXISTS (SELECT 1 FROM centreond_history h WHERE h.token = r.token)
        AND NOT EXISTS (SELECT 1 FROM centreond_open o WHERE o.id = r.id)
      RETURNING r.id, ${REQUEST_BYTES} + octet_length(token) + octet_length(owner) + octet_length(action)
        + octet_length(target) + octet_length(envelope) + octet_length(data) AS bytes),
    failed AS (DELETE FROM centreond_failed WHERE id IN (SELECT id FROM gone))
    SELECT coalesce(max(id), 0), count(*) FILTER (WHERE ctime < $3::bigint), (SELECT count(*) FROM gone),
      (SELECT coalesce(sum(bytes), 0) FROM gone) FROM next`,
};
