import type { Database } from 'better-sqlite3';
import { paced } from '../purge-pace.ts';
import { readMeta } from './schema.ts';

const KEY = 'purge_clock';

/**
 * The clock by which the purge counts age. It moves towards the wall clock, but never faster than 24 times the monotonic one,
 * also over restarts: a wall clock that is wrong for an hour costs no row, and one that is right again is soon caught up with.
 * Kept in the database.
 */
export class PurgeClock {
  readonly #db: Database;
  #seconds: number | undefined;
  /** When it was last read, in monotonic seconds of this process. */
  #readAt: number | undefined;

  constructor(db: Database) {
    this.#db = db;
    const kept = readMeta(db, KEY);
    this.#seconds = kept === '' ? undefined : Number(kept);
  }

  /** Advances it and returns the time in whole seconds. Both arguments are in seconds. Throws what SQLite throws. */
  tick(wall: number, monotonic: number): number {
    const passed = this.#readAt === undefined ? 0 : Math.max(0, monotonic - this.#readAt);
    const before = this.#seconds ?? this.#newestRow() ?? wall;
    const seconds = paced(before, wall, passed);
    this.#readAt = monotonic;
    this.#seconds = seconds;
    this.#db.prepare('INSERT OR REPLACE INTO centreond_meta VALUES (?, ?)').run(KEY, String(seconds));
    return Math.floor(seconds);
  }

  /** When an older centreond last wrote to the database. */
  #newestRow(): number | undefined {
    return this.#db.prepare<[], number | null>('SELECT max(ctime) FROM centreond_history').pluck().get() ?? undefined;
  }
}
