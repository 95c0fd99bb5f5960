import type { Database } from 'better-sqlite3';
import { MIN_AGE, START_AT, STOP_AT } from '../purge-pace.ts';
import { PurgeClock } from './purge-clock.ts';
import { notePurged } from './schema.ts';

/** What a chunk may take, so that a commit that waits for it does not notice. */
const CHUNK_MS = 3;
const SMALLEST_CHUNK = 50;
const LARGEST_CHUNK = 1000;

interface Limits {
  retentionSeconds: number;
  maxBytes: number;
  /** When the store was opened, in seconds by the wall clock and by the monotonic one. */
  wall: number;
  monotonic: number;
}

function prepare(db: Database) {
  return {
    // Two statements, since only so the ctime index gives both the range and the order.
    sameSecond: db.prepare<[number, number, number], { id: number; ctime: number; token: string }>(
      `SELECT id, ctime, token FROM centreond_history WHERE ctime = ? AND id > ? ORDER BY id LIMIT ?`,
    ),
    laterSeconds: db.prepare<[number, number, number], { id: number; ctime: number; token: string }>(
      `SELECT id, ctime, token FROM centreond_history WHERE ctime > ? AND ctime < ? ORDER BY ctime, id LIMIT ?`,
    ),
    lastId: db.prepare<[], number>('SELECT max(id) FROM centreond_history').pluck(),
    isOpen: db
      .prepare<[string], number>(
        'SELECT 1 FROM centreond_request r JOIN centreond_open o ON o.id = r.id WHERE r.token = ?',
      )
      .pluck(),
    removeRow: db.prepare<[number]>('DELETE FROM centreond_history WHERE id = ?'),
    removeOrigin: db.prepare<[number]>('DELETE FROM centreond_origin WHERE id = ?'),
    requests: db.prepare<[number, number], { id: number; ctime: number; token: string }>(
      'SELECT id, ctime, token FROM centreond_request WHERE id > ? ORDER BY id LIMIT ?',
    ),
    hasRows: db.prepare<[string], number>('SELECT 1 FROM centreond_history WHERE token = ? LIMIT 1').pluck(),
    removeAside: db.prepare<[number]>('DELETE FROM centreond_aside WHERE ctime < ?'),
    removeFailed: db.prepare<[number]>('DELETE FROM centreond_failed WHERE id = ?'),
    removeLate: db.prepare<[number]>('DELETE FROM centreond_late WHERE id = ?'),
    removeRequest: db.prepare<[number]>(
      'DELETE FROM centreond_request WHERE id = ? AND id NOT IN (SELECT id FROM centreond_open)',
    ),
  };
}

/**
 * Removes old rows, then the requests that have none left, a chunk at a time: what is older than the retention, and at
 * the size limit the oldest; but never the highest id, an open token's rows, or anything younger than 24 h.
 */
export class Purge {
  readonly #db: Database;
  readonly #limits: Limits;
  readonly #sql: ReturnType<typeof prepare>;
  readonly #clock: PurgeClock;
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

  constructor(db: Database, limits: Limits) {
    this.#db = db;
    this.#limits = limits;
    this.#sql = prepare(db);
    this.#clock = new PurgeClock(db);
    this.#clock.tick(limits.wall, limits.monotonic);
  }

  /** Starts a pass, or starts over. `wall` in whole seconds by the wall clock, `monotonic` in seconds of this process. */
  start(wall: number, monotonic: number): void {
    this.#now = this.#clock.tick(wall, monotonic);
    this.#phase = 'rows';
    this.#ctime = -1;
    this.#id = 0;
    this.#reached = 0;
    this.#bySize = false;
  }

  /** What was removed since this was last asked. */
  done(): { rows: number; requests: number } {
    const done = { rows: this.#rows, requests: this.#requests };
    this.#rows = 0;
    this.#requests = 0;
    return done;
  }

  /** Does the next chunk, given the bytes in use; false when the pass is over. Throws what SQLite throws. */
  chunk(bytes: number): boolean {
    const started = performance.now();
    const [rows, requests] = [this.#rows, this.#requests];
    let goesOn = false;
    try {
      goesOn = this.#db
        .transaction(() => (this.#phase === 'rows' ? this.#someRows(bytes) : this.#someRequests()))
        .immediate();
    } catch (error) {
      [this.#rows, this.#requests] = [rows, requests];
      throw error;
    }
    const rate = CHUNK_MS / Math.max(performance.now() - started, 0.1);
    this.#size = Math.min(LARGEST_CHUNK, Math.max(SMALLEST_CHUNK, Math.floor(this.#size * Math.min(rate, 2))));
    return goesOn;
  }

  #someRows(bytes: number): boolean {
    const { retentionSeconds, maxBytes } = this.#limits;
    this.#bySize = bytes > maxBytes * (this.#bySize ? STOP_AT : START_AT);
    const byAge = this.#now - Math.max(retentionSeconds, MIN_AGE);
    const before = this.#bySize ? this.#now - MIN_AGE : byAge;
    let rows = this.#ctime < before ? this.#sql.sameSecond.all(this.#ctime, this.#id, this.#size) : [];
    if (rows.length === 0) rows = this.#sql.laterSeconds.all(this.#ctime, before, this.#size);
    if (rows.length === 0) {
      this.#phase = 'requests';
      this.#id = 0;
      this.#reached = Math.max(byAge, this.#ctime + 1);
      this.#sql.removeAside.run(byAge);
      return true;
    }
    const lastId = this.#sql.lastId.get();
    let highest = 0;
    for (const { id, ctime, token } of rows) {
      this.#ctime = ctime;
      this.#id = id;
      if (id === lastId || this.#sql.isOpen.get(token)) continue;
      this.#sql.removeRow.run(id);
      this.#sql.removeOrigin.run(id);
      this.#rows++;
      highest = Math.max(highest, id);
    }
    notePurged(this.#db, highest);
    return true;
  }

  #someRequests(): boolean {
    const rows = this.#sql.requests.all(this.#id, this.#size);
    let old = 0;
    for (const { id, ctime, token } of rows) {
      this.#id = id;
      if (ctime >= this.#reached) continue;
      old++;
      if (this.#sql.hasRows.get(token) || this.#sql.removeRequest.run(id).changes === 0) continue;
      this.#sql.removeFailed.run(id);
      this.#sql.removeLate.run(id);
      this.#requests++;
    }
    return old > 0;
  }
}
