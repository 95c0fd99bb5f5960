import Database from 'better-sqlite3';
import { newEpoch } from '../epoch.ts';
import { ownTurn } from '../page-bound.ts';
import { COPY, LEAST_ID, prepareDatabase, readMeta } from '../sqlite/schema.ts';
import {
  type CellReader,
  COLUMNS,
  type CopiedAside,
  type CopiedEntry,
  type CopiedLog,
  type CopiedPin,
  type CopiedRequest,
  type CopiedRow,
  type Facts,
  type History,
  PAGE_RECORDS,
  PAGE_SIZE,
  readAside,
  readEntry,
  readLog,
  readPin,
  readRequest,
  readRow,
} from './history.ts';

// The first three tables may be the original's, whose columns may be null: what a reader takes a null for is copied.
const ROWS = `SELECT ${COLUMNS.rows} FROM (
    SELECT h.id, coalesce(h.token, '') AS token, coalesce(h.code, 0) AS code, coalesce(h.etime, 0) AS etime,
      coalesce(h.ctime, 0) AS ctime, coalesce(h.data, 'null') AS data,
      o.type, n.id AS node, o.epoch, o.origin_id, coalesce(o.apart, 0) AS apart
    FROM centreond_history h
    LEFT JOIN centreond_origin o ON o.id = h.id LEFT JOIN centreond_node n ON n.number = o.node)
  WHERE id > ? ORDER BY id LIMIT ${PAGE_RECORDS}`;

const REQUESTS = `SELECT ${COLUMNS.requests} FROM (
    SELECT r.*, o.id IS NOT NULL AS is_open, f.id IS NOT NULL AS is_failed FROM centreond_request r
    LEFT JOIN centreond_open o ON o.id = r.id LEFT JOIN centreond_failed f ON f.id = r.id)
  WHERE id > ? ORDER BY id LIMIT ${PAGE_RECORDS}`;

const ENTRIES = `SELECT ${COLUMNS.entries} FROM centreond_state WHERE (type, key) > (?, ?)
  ORDER BY type, key LIMIT ${PAGE_RECORDS}`;

const ASIDE = `SELECT ${COLUMNS.aside} FROM (
    SELECT a.rowid AS place, n.id AS node, a.epoch, a.origin_id, a.ctime, a.reason, a."row"
    FROM centreond_aside a JOIN centreond_node n ON n.number = a.node)
  WHERE place > ? ORDER BY place LIMIT ${PAGE_RECORDS}`;

// Of several that the original's tables may have, the one that a reader finds.
const LOGS = `SELECT ${COLUMNS.logs} FROM (
    SELECT n.id AS node, e.epoch, coalesce(s.ctime, 0) AS ctime, coalesce(s.last_id, 0) AS last_id
    FROM centreond_epoch e JOIN centreond_node n ON n.number = e.node
    JOIN centreond_synchistory s ON s.rowid = (SELECT min(rowid) FROM centreond_synchistory WHERE id = e.node))
  ORDER BY node`;

const PINS = `SELECT ${COLUMNS.pins} FROM (SELECT id, identity, key, coalesce(ctime, 0) AS ctime FROM centreond_identity)
  WHERE id IN (SELECT min(id) FROM centreond_identity WHERE identity IS NOT NULL AND key IS NOT NULL GROUP BY identity)
  ORDER BY identity`;

type Read = Database.Statement<(number | string)[], unknown[]>;

/** A history in a file of SQLite that no daemon has open. */
export class SqliteHistory implements History {
  readonly #db: Database.Database;
  readonly #sql: Record<'requests' | 'rows' | 'entries' | 'aside' | 'logs' | 'pins', Read>;

  /** Opens it, and brings its tables up to date. Throws a plain Error that says what is wrong. */
  constructor(file: string) {
    const db = new Database(file, { fileMustExist: true, timeout: 5000 });
    try {
      prepareDatabase(db);
      const read = (sql: string) => db.prepare<(number | string)[], unknown[]>(sql).raw();
      this.#sql = {
        ...{ requests: read(REQUESTS), rows: read(ROWS), entries: read(ENTRIES) },
        ...{ aside: read(ASIDE), logs: read(LOGS), pins: read(PINS) },
      };
    } catch (error) {
      db.close();
      throw error;
    }
    this.#db = db;
  }

  /** Names this state of the database: as long as no router has opened it, the same again. */
  mark(): string {
    const found = readMeta(this.#db, COPY);
    if (found !== '') return found;
    const made = newEpoch();
    this.#db.prepare('INSERT OR REPLACE INTO centreond_meta VALUES (?, ?)').run(COPY, made);
    return made;
  }

  /** The ids of all nodes that have a number. */
  nodes(): string[] {
    return this.#db.prepare<[], string>('SELECT id FROM centreond_node ORDER BY number').pluck().all();
  }

  /** How many requests and rows there are, up to these ids. */
  size({ requests, rows }: { readonly requests: number; readonly rows: number }): number {
    const count = (table: string, upTo: number) =>
      this.#db.prepare<[number], number>(`SELECT count(*) FROM ${table} WHERE id <= ?`).pluck().get(upTo) ?? 0;
    return count('centreond_request', requests) + count('centreond_history', rows);
  }

  async requests(after: number): Promise<CopiedRequest[]> {
    return page(this.#sql.requests, [after], readRequest);
  }

  async rows(after: number): Promise<CopiedRow[]> {
    return page(this.#sql.rows, [after], readRow);
  }

  async entries({ type, key }: Pick<CopiedEntry, 'type' | 'key'>): Promise<CopiedEntry[]> {
    return page(this.#sql.entries, [type, key], readEntry);
  }

  async aside(after: number): Promise<CopiedAside[]> {
    return page(this.#sql.aside, [after], readAside);
  }

  async logs(): Promise<CopiedLog[]> {
    return this.#sql.logs.all().map((row) => readLog(new SqliteCells(row)));
  }

  async pins(): Promise<CopiedPin[]> {
    return this.#sql.pins.all().map((row) => readPin(new SqliteCells(row)));
  }

  async facts(): Promise<Facts> {
    const highest = (table: string) =>
      this.#db.prepare<[], number | null>(`SELECT max(id) FROM ${table}`).pluck().get() ?? 0;
    const meta = (key: string) => readMeta(this.#db, key);
    const given = [highest('centreond_history'), highest('centreond_request'), Number(meta(LEAST_ID)) - 1];
    return {
      ...{ epoch: meta('epoch'), formerEpochs: meta('former_epochs'), purgedUpTo: meta('purged_up_to') },
      ...{ purgeClock: meta('purge_clock'), lastId: Math.max(0, ...given) },
    };
  }

  close(): void {
    this.#db.close();
  }
}

async function page<T>(statement: Read, from: (number | string)[], read: (cells: CellReader) => T): Promise<T[]> {
  // A progress line is drawn between two pages.
  await ownTurn();
  const records: T[] = [];
  let size = 0;
  for (const row of statement.iterate(...from)) {
    records.push(read(new SqliteCells(row)));
    for (const cell of row) if (typeof cell === 'string') size += cell.length;
    if (size >= PAGE_SIZE) break;
  }
  return records;
}

class SqliteCells implements CellReader {
  #at = 0;

  constructor(private readonly row: readonly unknown[]) {}

  text(): string {
    return this.#some(this.textOrNull());
  }

  textOrNull(): string | null {
    const cell = this.row[this.#at++] ?? null;
    if (cell !== null && typeof cell !== 'string') throw this.#wrong('is no text');
    return cell;
  }

  number(): number {
    return this.#some(this.numberOrNull());
  }

  numberOrNull(): number | null {
    const cell = this.row[this.#at++] ?? null;
    if (cell === null) return null;
    if (typeof cell !== 'number' || !Number.isSafeInteger(cell)) throw this.#wrong('is no whole number');
    return cell;
  }

  bool(): boolean {
    return this.number() === 1;
  }

  #some<T>(cell: T | null): T {
    if (cell === null) throw this.#wrong('is missing');
    return cell;
  }

  #wrong(what: string): Error {
    return new Error(`value ${this.#at} of the record ${String(this.row[0])} in history.sdb ${what}`);
  }
}
