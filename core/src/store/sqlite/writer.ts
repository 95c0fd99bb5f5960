import { FAILED, isTerminal, reasonOf } from '@centreond/protocol';
import Database from 'better-sqlite3';
import {
  ACCEPT,
  ADOPT,
  APPEND,
  type Batch,
  type Call,
  type FullDraft,
  INHERIT,
  KEEP,
  type Outcome,
  type PageDone,
  PUT,
  RENAME,
  readCalls,
  type WriterSettings,
} from '../batch.ts';
import { FORMER_EPOCHS } from '../epoch.ts';
import { type Done, outcomeBehind, outcomeOf, refused } from '../outcome.ts';
import type { StoredRequest } from '../questions.ts';
import type { LogPage, RequestRecord } from '../token-store.ts';
import { ForeignLogs } from './foreign-logs.ts';
import { Purge } from './purge.ts';
import {
  END_REQUEST,
  FAIL_REQUEST,
  INSERT_ROW,
  LATE_REQUEST,
  LATEST_END,
  SELECT_KNOWN,
  storedRequest,
} from './records.ts';
import { forgetCopy, formerEpochs, LEAST_ID, prepareDatabase, readMeta } from './schema.ts';

/** Pages in the write-ahead log at which it is copied into the database, once the answers are out: a call may wait for that. */
const CHECKPOINT_PAGES = 500;
/** The disk's failures. Any other is one call's own: its batches are then done again call by call. */
const OF_THE_DISK = /^SQLITE_(FULL|IOERR|CORRUPT|NOTADB|READONLY|BUSY|LOCKED|NOMEM|CANTOPEN|PERM|PROTOCOL)/;

/** No request has this id. */
const NOT_ACCEPTED = -1;

function prepare(db: Database.Database) {
  return {
    begin: db.prepare('BEGIN IMMEDIATE'),
    commit: db.prepare('COMMIT'),
    rollback: db.prepare('ROLLBACK'),
    lastId: db.prepare<[], number | null>('SELECT max(id) FROM centreond_history').pluck(),
    lastCtime: db.prepare<[], number | null>('SELECT max(ctime) FROM centreond_history').pluck(),
    insertRow: db.prepare(INSERT_ROW),
    insertOrigin: db.prepare('INSERT INTO centreond_origin (id, type) VALUES (?, ?)'),
    insertRequest: db.prepare(
      `INSERT INTO centreond_request (id, token, ctime, etime, log, owner, action, target, envelope, data)
			 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (token) DO NOTHING`,
    ),
    takeOver: db.prepare(
      `UPDATE centreond_request SET ctime = ?, etime = ?, log = 0, action = ?, target = ?, envelope = ?, data = ?
			 WHERE id = ?`,
    ),
    // Rows from before keep the type that they had: without an origin of their own they would take the new one.
    keepTypes: db.prepare(
      `INSERT INTO centreond_origin (id, type) SELECT h.id, r.action FROM centreond_request r
			 JOIN centreond_history h ON h.token = r.token WHERE r.id = ? ON CONFLICT (id) DO NOTHING`,
    ),
    known: db.prepare<[string], unknown[]>(SELECT_KNOWN).raw(),
    open: db.prepare('INSERT INTO centreond_open VALUES (?)'),
    end: db.prepare(END_REQUEST),
    fail: db.prepare(FAIL_REQUEST),
    late: db.prepare(LATE_REQUEST),
    latestEnd: db.prepare<[string], [number, number, string]>(LATEST_END).raw(),
    firstRow: db.prepare<[string], number | null>('SELECT min(id) FROM centreond_history WHERE token = ?').pluck(),
    renumber: db.prepare('UPDATE centreond_request SET id = ? WHERE id = ?'),
    // Rows of the node to which a request goes that came before the request itself: they count for it.
    count: db.prepare<[string, string]>(
      `UPDATE centreond_origin SET apart = 0 WHERE apart = 1 AND node = (SELECT number FROM centreond_node WHERE id = ?)
			 AND id IN (SELECT id FROM centreond_history WHERE token = ?)`,
    ),
    pinAgain: db.prepare('UPDATE centreond_identity SET ctime = ?, key = ? WHERE identity = ?'),
    pinFirst: db.prepare('INSERT INTO centreond_identity (ctime, key, identity) VALUES (?, ?, ?)'),
    keep: db.prepare('INSERT OR REPLACE INTO centreond_state VALUES (?, ?, ?)'),
    forget: db.prepare('DELETE FROM centreond_state WHERE type = ? AND key = ?'),
    keptBytes: db
      .prepare<[string], number>(
        'SELECT coalesce(sum(octet_length(key) + octet_length(value)), 0) FROM centreond_state WHERE type = ?',
      )
      .pluck(),
    entryBytes: db
      .prepare<[string, string], number>(
        'SELECT octet_length(key) + octet_length(value) FROM centreond_state WHERE type = ? AND key = ?',
      )
      .pluck(),
    setMeta: db.prepare('INSERT OR REPLACE INTO centreond_meta VALUES (?, ?)'),
    pages: db.prepare<[], number>('PRAGMA page_count').pluck(),
    freePages: db.prepare<[], number>('PRAGMA freelist_count').pluck(),
    walPages: db.prepare<[], [number, number, number]>('PRAGMA wal_checkpoint(NOOP)').raw(),
    checkpoint: db.prepare<[], [number, number, number]>('PRAGMA wal_checkpoint(PASSIVE)').raw(),
  };
}

/** What the writer is told of its database. */
export interface SqliteWriterSettings extends WriterSettings {
  readonly file: string;
  readonly lockMs: number;
}

/** The connection that owns the database for writing. */
export class Writer {
  readonly #db: Database.Database;
  readonly #sql: ReturnType<typeof prepare>;
  readonly #maxBytes: number;
  readonly #pageSize: number;
  readonly purge: Purge;
  /** The id that the next row gets; read again for each transaction. */
  #nextId = 0;
  #leastId: number;
  /** Whole seconds of the transaction under way. */
  #now = 0;
  /** The highest ctime written, and by how many seconds the clock ever fell behind it. */
  #lastCtime: number;
  #clockBack: number;
  /** Bytes that each plugin type keeps, once asked for. */
  readonly #kept = new Map<string, number>();
  readonly #foreignLogs: ForeignLogs;
  /** The requests of accepts whose outcome may not be known yet where rows come from: their ids by the number of the accept. */
  readonly #accepted = new Map<number, number>();
  /** Of these, what the transaction under way accepted. */
  #acceptedNow: number[] = [];
  /** Bytes in use after the last transaction. */
  bytes = 0;
  readonly epoch: string;

  constructor(settings: SqliteWriterSettings) {
    const db = new Database(settings.file, { timeout: settings.lockMs });
    // For a new database only; the default of 4096 costs an eighth more time.
    db.pragma('page_size = 8192');
    db.pragma('journal_mode = WAL');
    db.pragma(`synchronous = ${settings.synchronous}`);
    db.pragma('wal_autocheckpoint = 0');
    db.pragma('journal_size_limit = 67108864');
    db.pragma('cache_size = -16384');
    db.pragma('temp_store = MEMORY');
    prepareDatabase(db);
    forgetCopy(db);
    this.#db = db;
    this.#maxBytes = settings.maxBytes;
    this.#pageSize = Number(db.pragma('page_size', { simple: true }));
    this.#sql = prepare(db);
    this.#clockBack = Number(readMeta(db, 'clock_back'));
    this.epoch = readMeta(db, 'epoch');
    this.#leastId = Number(readMeta(db, LEAST_ID));
    this.#lastCtime = this.#sql.lastCtime.get() ?? 0;
    this.#foreignLogs = new ForeignLogs(db);
    this.purge = new Purge(db, settings);
    this.measure();
  }

  /** Reads how many bytes are in use. */
  measure(): number {
    this.bytes = ((this.#sql.pages.get() ?? 0) - (this.#sql.freePages.get() ?? 0)) * this.#pageSize;
    return this.bytes;
  }

  /** Does the calls of `batches` in one transaction. Never throws. */
  write(batches: readonly Batch[]): Outcome {
    const started = performance.now();
    this.#now = batches[batches.length - 1]?.now ?? 0;
    this.#forgetUpTo(batches[0]?.settled ?? 0);
    const calls = batches.flatMap(readCalls);
    let dones: Done[] = [];
    let failed: string | undefined;
    try {
      dones = this.#transaction(() => calls.map((call) => this.#do(call)));
    } catch (error) {
      if (isOfTheDisk(error)) failed = reasonOf(error);
      else dones = calls.map((call) => this.#alone(call));
    }
    const { length } = batches;
    const ms = performance.now() - started;
    return outcomeOf(dones, { batches: length, ctime: this.#now, failed, bytes: this.bytes, ms });
  }

  /** Does nothing of what `batches` ask, since what was before them failed for `reason`. */
  refuse({ length }: readonly Batch[], reason: string): Outcome {
    return outcomeBehind({ batches: length, ctime: this.#now, bytes: this.bytes }, reason);
  }

  /** No row that comes from now on names an accept up to `number` by it. */
  #forgetUpTo(number: number): void {
    for (const accept of this.#accepted.keys()) {
      if (accept > number) break;
      this.#accepted.delete(accept);
    }
  }

  #alone(call: Call): Done {
    try {
      return this.#transaction(() => this.#do(call));
    } catch (error) {
      return refused('FAILED', reasonOf(error));
    }
  }

  #transaction<T>(work: () => T): T {
    const { begin, commit, rollback, lastId } = this.#sql;
    this.#acceptedNow = [];
    begin.run();
    try {
      this.#nextId = Math.max((lastId.get() ?? 0) + 1, this.#leastId);
      // Readers turn "ctime above" into "id above", which is exact only if they know how far ctime ever went back.
      const back = this.#lastCtime - this.#now;
      if (back > this.#clockBack) this.#sql.setMeta.run('clock_back', String(back));
      const result = work();
      this.measure();
      commit.run();
      this.#clockBack = Math.max(back, this.#clockBack);
      this.#lastCtime = Math.max(this.#now, this.#lastCtime);
      return result;
    } catch (error) {
      // After some failures SQLite has rolled back by itself.
      if (this.#db.inTransaction) rollback.run();
      this.#kept.clear();
      this.#foreignLogs.rolledBack();
      for (const accept of this.#acceptedNow) this.#accepted.delete(accept);
      throw error;
    }
  }

  #do(call: Call): Done {
    if (call.kind === ACCEPT) return this.#accept(call.request, call.rowData, call.number);
    if (call.kind === APPEND) return this.#append(call.row, call.requestId);
    if (call.kind === PUT) return this.#put(call.row, call.owner, call.anyToken, call.own);
    if (call.kind === ADOPT) return { page: this.#adopt(call) };
    if (call.kind === RENAME) {
      if (call.skipped > 0) {
        // Also after a rollback: ids may be left out, and never given twice.
        this.#nextId += call.skipped;
        this.#leastId = this.#nextId;
        this.#sql.setMeta.run(LEAST_ID, String(this.#leastId));
      }
      const former = [readMeta(this.#db, 'epoch'), ...formerEpochs(this.#db)].slice(0, FORMER_EPOCHS);
      this.#sql.setMeta.run('former_epochs', former.join(' '));
      this.#sql.setMeta.run('epoch', call.epoch);
      return 0;
    }
    if (call.kind === INHERIT) {
      this.#foreignLogs.inherit(call.from, call.to, this.#now);
      return 0;
    }
    if (call.kind === KEEP) return this.#keep(call.type, call.key, call.value, call.limit);
    if (this.#sql.pinAgain.run(this.#now, call.key, call.identity).changes === 0)
      this.#sql.pinFirst.run(this.#now, call.key, call.identity);
    return 0;
  }

  #accept(request: RequestRecord, rowData: string, number: number): Done {
    const full = this.bytes >= this.#maxBytes;
    const id = this.#nextId;
    let requestId = id;
    if (full || !this.#claim(id, request, false)) {
      const known = this.#known(request.token);
      if (known && !(known.request.state === 'log' && known.request.owner === request.owner))
        return { known: known.request };
      if (full) return refused('FULL');
      if (known) {
        requestId = known.id;
        this.#takeOver(requestId, request);
      }
    }
    if (request.target !== '') {
      requestId = this.#cameBefore(requestId, request);
      const [code] = requestId < id ? (this.#sql.latestEnd.get(request.token) ?? []) : [];
      if (code === FAILED) this.#sql.fail.run(requestId);
      const ended = code === undefined ? undefined : this.#known(request.token);
      if (ended) return { known: ended.request };
    }
    this.#sql.open.run(requestId);
    this.#sql.insertRow.run(id, request.token, 0, request.etime, this.#now, rowData);
    this.#nextId++;
    if (number > 0) {
      this.#accepted.set(number, requestId);
      this.#acceptedNow.push(number);
    }
    return requestId === id ? id : { id, requestId };
  }

  /**
   * After an older copy of the database was put back, the rows of a node's request may be here before the request is sent again.
   * They count for it then. Returns the request's id, which is never above that of its token's first row.
   */
  #cameBefore(requestId: number, { token, target }: RequestRecord): number {
    if (this.#sql.count.run(target, token).changes === 0) return requestId;
    const first = Math.min(this.#sql.firstRow.get(token) ?? requestId, requestId);
    this.#sql.renumber.run(first, requestId);
    if (first < requestId) this.#sql.late.run(first);
    return first;
  }

  #append(row: FullDraft, openId: number): Done {
    // A row whose request was not accepted has no place.
    let requestId = openId < 0 ? (this.#accepted.get(-openId) ?? NOT_ACCEPTED) : openId;
    let type = '';
    if (requestId === NOT_ACCEPTED) return refused('UNKNOWN_TOKEN');
    if (requestId === 0 && row.token !== '') {
      const known = this.#known(row.token);
      if (!known) return refused('UNKNOWN_TOKEN');
      requestId = known.id;
      type = known.request.action;
    }
    if (isTerminal(row.code) && this.#sql.end.run(requestId).changes === 0) return refused('TOKEN_ENDED');
    if (row.code === FAILED) this.#sql.fail.run(requestId);
    const id = this.#insert(row, row.type === type ? '' : row.type);
    return type === '' ? id : { id, type: row.type || type };
  }

  #put(row: FullDraft, owner: string, anyToken: boolean, own: RequestRecord | undefined): Done {
    const knownOwn = own && this.#known(own.token);
    if (knownOwn && !(knownOwn.request.state === 'log' && knownOwn.request.owner === owner))
      return { known: knownOwn.request };
    const known = this.#known(row.token)?.request;
    if (known && known.owner !== owner && !anyToken) return refused('FORBIDDEN');
    if (this.bytes >= this.#maxBytes) return refused('FULL');
    if (own) {
      if (knownOwn) this.#takeOver(knownOwn.id, own);
      else this.#claim(this.#nextId++, own, false);
    }
    const type = known?.action ?? (row.type || (own?.action ?? 'PUTLOG'));
    if (!known) {
      const { token, etime } = row;
      this.#claim(
        this.#nextId,
        {
          token,
          owner,
          action: type,
          target: '',
          data: '',
          envelope: '',
          etime,
        },
        true,
      );
    }
    const id = this.#insert(row, row.type === type ? '' : row.type);
    return { id, type: row.type || type, ...(known && { owner: known.owner }) };
  }

  #adopt(page: LogPage): PageDone {
    const transaction = { now: this.#now, nextId: this.#nextId, known: (token: string) => this.#known(token) };
    const adopted = this.#foreignLogs.adopt(page, transaction);
    this.#nextId = transaction.nextId;
    return adopted;
  }

  #keep(type: string, key: string, value: string | undefined, limit: number): Done {
    const { keep, forget, keptBytes, entryBytes } = this.#sql;
    const before = entryBytes.get(type, key) ?? 0;
    const bytes = value === undefined ? 0 : Buffer.byteLength(key) + Buffer.byteLength(value);
    const all = (this.#kept.get(type) ?? keptBytes.get(type) ?? 0) - before + bytes;
    // What makes it smaller is always taken: that is the way out.
    if (bytes > before) {
      if (all > limit) return refused('STATE_FULL', String(all));
      if (this.bytes >= this.#maxBytes) return refused('FULL');
    }
    if (value === undefined) forget.run(type, key);
    else keep.run(type, key, value);
    this.#kept.set(type, all);
    return 0;
  }

  #insert(row: FullDraft, originType: string): number {
    const id = this.#nextId++;
    this.#sql.insertRow.run(id, row.token, row.code, row.etime, this.#now, row.data);
    if (originType !== '') this.#sql.insertOrigin.run(id, originType);
    return id;
  }

  /** Enters a token that nobody has used; false where somebody has. */
  #claim(id: number, r: RequestRecord, log: boolean): boolean {
    const { insertRequest } = this.#sql;
    const flag = log ? 1 : 0;
    return (
      insertRequest.run(id, r.token, this.#now, r.etime, flag, r.owner, r.action, r.target, r.envelope, r.data)
        .changes === 1
    );
  }

  #takeOver(id: number, r: RequestRecord): void {
    this.#sql.late.run(id);
    this.#sql.keepTypes.run(id);
    this.#sql.takeOver.run(this.#now, r.etime, r.action, r.target, r.envelope, r.data, id);
  }

  #known(token: string): StoredRequest | undefined {
    const row = this.#sql.known.get(token);
    return row && storedRequest(row);
  }

  /**
   * Copies the write-ahead log into the database where it has grown long. Throws what SQLite throws; the log then grows
   * on, and the next call tries again.
   */
  checkpoint(): void {
    const [, logged, copied] = this.#sql.walPages.get() ?? [0, 0, 0];
    if (logged - copied >= CHECKPOINT_PAGES) this.#sql.checkpoint.get();
  }

  close(): void {
    this.#db.pragma('wal_checkpoint(TRUNCATE)');
    this.#db.close();
  }
}

function isOfTheDisk(error: unknown): boolean {
  return error instanceof Database.SqliteError && OF_THE_DISK.test(error.code);
}
