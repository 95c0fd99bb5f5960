import Database from 'better-sqlite3';

/** Thrown out of a statement whose task is no longer wanted. */
export class NoLongerWanted extends Error {}

/** How long SQLite itself waits for a lock before we look whether the task is still wanted. */
const LOCK_MS = 200;
const CACHE_KIB = 4096;

export interface OpenOptions {
  readonly file: string;
  readonly busyMs: number;
  /** Throws NoLongerWanted once that is so. */
  check(): void;
  warn(text: string): void;
}

/**
 * A connection for one task. SQL can call `wanted(x)`: it throws where the task is no longer wanted, so a statement that calls
 * it for its rows can be left in its middle.
 */
export class GrantDatabase implements Disposable {
  readonly db: Database.Database;

  /** Throws where the file is missing, is no database, or stays locked. */
  constructor(private readonly options: OpenOptions) {
    this.db = new Database(options.file, { fileMustExist: true, timeout: LOCK_MS });
    try {
      this.db.function('wanted', { deterministic: false, directOnly: true }, (_row: unknown) => {
        options.check();
        return 1;
      });
      // A million pairs go through temporary tables: on disk, not in memory.
      this.db.pragma('temp_store = FILE');
      this.db.pragma(`cache_size = -${CACHE_KIB}`);
      this.db.pragma('synchronous = FULL');
      this.#patiently(() => {
        const mode = this.db.pragma('journal_mode = WAL', { simple: true });
        if (mode !== 'wal') {
          options.warn(`${options.file} cannot be put in WAL mode (it is in ${mode}): a resync holds off its readers`);
        }
      });
    } catch (error) {
      this.db.close();
      throw error;
    }
  }

  /** Runs `work` in one transaction that nobody else writes beside. What it throws undoes it all. */
  write<T>(work: () => T): T {
    this.#patiently(() => this.db.exec('BEGIN IMMEDIATE'));
    try {
      const result = work();
      this.options.check();
      this.#patiently(() => this.db.exec('COMMIT'));
      return result;
    } catch (error) {
      if (this.db.inTransaction) this.db.exec('ROLLBACK');
      throw error;
    }
  }

  /** Whether the table exists. */
  has(table: string): boolean {
    return this.db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?").get(table) !== undefined;
  }

  /** Whether an index of the table, or its primary key, begins with these columns, and they hold integers. */
  leads(table: string, ...columns: string[]): boolean {
    const { db } = this;
    const declared = db
      .prepare<[string], [string, string, number]>('SELECT name, type, pk FROM pragma_table_info(?)')
      .raw()
      .all(table);
    // Compared with an integer, a column of another affinity cannot be found by its index.
    const integers = declared.filter(([, type]) => /int/i.test(type)).map(([name]) => name);
    if (!columns.every((column) => integers.includes(column))) return false;
    const key = declared.filter(([, , pk]) => pk > 0).sort(([, , a], [, , b]) => a - b);
    const indexes = db
      .prepare<[string], string>('SELECT name FROM pragma_index_list(?) WHERE partial = 0')
      .pluck()
      .all(table)
      .map((index) => db.prepare<[string], string | null>('SELECT name FROM pragma_index_info(?)').pluck().all(index));
    return [key.map(([name]) => name), ...indexes].some((one) => columns.every((column, i) => one[i] === column));
  }

  // Another process may hold the lock for longer than SQLite is told to wait: we may be wanted no more meanwhile.
  #patiently(step: () => void): void {
    const until = performance.now() + this.options.busyMs;
    for (;;) {
      try {
        step();
        return;
      } catch (error) {
        const busy = error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY');
        if (!busy || performance.now() > until) throw error;
        this.options.check();
      }
    }
  }

  /** Closes it; what is not committed is undone. */
  [Symbol.dispose](): void {
    this.db.close();
  }
}
