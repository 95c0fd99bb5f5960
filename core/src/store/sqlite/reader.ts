/** The worker thread that reads: a large page stalls neither the router nor the writer. */
import { parentPort } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { ENTRY_OVERHEAD, ownTurn, PageBound, ROW_OVERHEAD } from '../page-bound.ts';
import { type Answering, serveQuestions } from '../question-port.ts';
import type { Answers, Columns, Question, StoredRequest } from '../questions.ts';
import { type LogRow, logText, type RawRow, rowText } from '../row-text.ts';
import type {
  Cursor,
  Filter,
  ForeignRowHead,
  ListedRequest,
  OwnLog,
  PageText,
  RequestFilter,
  StateEntry,
} from '../token-store.ts';
import { SELECT_KNOWN, SELECT_OPEN, storedRequest } from './records.ts';
import { RequestList } from './request-list.ts';
import { Scan } from './scan.ts';
import { formerEpochs, purgedUpTo } from './schema.ts';

/** The first message to the reader. */
export interface ReaderSettings {
  file: string;
  /** This router's id: the node of rows that were written here. */
  node: string;
}

class Reader implements Answering {
  readonly #db: Database.Database;
  readonly #node: string;
  readonly #scan: Scan;
  readonly #requests: RequestList;
  readonly #sql;

  constructor(settings: ReaderSettings) {
    const db = new Database(settings.file, { readonly: true, timeout: 5000 });
    db.pragma('cache_size = -8192');
    this.#db = db;
    this.#node = settings.node;
    this.#scan = new Scan(db);
    this.#requests = new RequestList(db, settings.node);
    const entries = (from: '>=' | '>') =>
      db.prepare<[string, string], StateEntry>(
        `SELECT key, value FROM centreond_state WHERE type = ? AND key ${from} ? ORDER BY key`,
      );
    this.#sql = {
      known: db.prepare<[string], unknown[]>(SELECT_KNOWN).raw(),
      open: db.prepare<[number, number], unknown[]>(SELECT_OPEN).raw(),
      pinned: db.prepare<[string], string>('SELECT key FROM centreond_identity WHERE identity = ?').pluck(),
      kept: db
        .prepare<[string, string], string>('SELECT value FROM centreond_state WHERE type = ? AND key = ?')
        .pluck(),
      entriesFrom: entries('>='),
      entriesAfter: entries('>'),
      end: db.prepare<[], number | null>('SELECT max(id) FROM centreond_history').pluck(),
      cursors: db.prepare<[], Cursor>(
        `SELECT n.id AS node, e.epoch AS epoch, s.last_id AS last FROM centreond_synchistory s
          JOIN centreond_epoch e ON e.node = s.id JOIN centreond_node n ON n.number = s.id`,
      ),
      foreign: db.prepare<[number, string, string, number], ForeignRowHead>(
        `SELECT o.origin_id AS id, coalesce(h.token, '') AS token, h.code AS code, h.etime AS etime,
            coalesce(substr(h.data, 1, ?), 'null') AS data
          FROM centreond_node n JOIN centreond_origin o ON o.node = n.number JOIN centreond_history h ON h.id = o.id
          WHERE n.id = ? AND o.epoch = ? AND o.origin_id <= ? ORDER BY o.origin_id DESC LIMIT 1`,
      ),
      log: db
        .prepare<[number, number], LogRow>(
          `SELECT h.id, h.token, coalesce(o.type, r.action, ''), n.id, h.code, h.etime, h.data, o.epoch, o.origin_id
            FROM centreond_history h
            LEFT JOIN centreond_origin o ON o.id = h.id
            LEFT JOIN centreond_node n ON n.number = o.node
            LEFT JOIN centreond_request r ON r.token = h.token
            WHERE h.id > ? ORDER BY h.id LIMIT ?`,
        )
        .raw(),
    };
  }

  answer(question: Question): Answers[keyof Answers] | Promise<Answers[keyof Answers]> {
    if (question.kind === 'page') return this.#page(question.filter);
    if (question.kind === 'text') return this.#text(question.filter);
    if (question.kind === 'pinned') return this.#sql.pinned.get(question.identity);
    if (question.kind === 'kept') return this.#sql.kept.get(question.type, question.key);
    if (question.kind === 'entries') return this.#entries(question);
    if (question.kind === 'cursors') return this.#sql.cursors.all();
    if (question.kind === 'end') return this.#sql.end.get() ?? 0;
    if (question.kind === 'formerEpochs') return formerEpochs(this.#db);
    if (question.kind === 'purgedUpTo') return purgedUpTo(this.#db);
    if (question.kind === 'foreign') return this.#foreign(question);
    if (question.kind === 'log') return this.#log(question);
    if (question.kind === 'unsettled') return this.#unsettled(question);
    if (question.kind === 'requests') return this.#list(question.filter);
    const row = this.#sql.known.get(question.token);
    return row && storedRequest(row);
  }

  #foreign({ characters, node, epoch, upTo }: Question & { kind: 'foreign' }): ForeignRowHead | undefined {
    return this.#sql.foreign.get(characters, node, epoch, upTo);
  }

  #unsettled({ after, limit, maxBytes }: Question & { kind: 'unsettled' }): StoredRequest[] {
    const requests: StoredRequest[] = [];
    let size = 0;
    for (const raw of this.#sql.open.iterate(after, limit)) {
      const stored = storedRequest(raw);
      size += ROW_OVERHEAD + stored.request.data.length;
      if (requests.length > 0 && size > maxBytes) break;
      requests.push(stored);
    }
    return requests;
  }

  async #list({ limit, maxBytes, ...filter }: RequestFilter): Promise<Answers['requests']> {
    const requests: ListedRequest[] = [];
    const page = new PageBound(limit, maxBytes);
    const take = (request: ListedRequest) => {
      const { data, ...others } = request;
      if (!page.takes(Buffer.byteLength(JSON.stringify(others)) + Buffer.byteLength(data))) return false;
      requests.push(request);
      return true;
    };
    await ownTurn();
    await this.#requests.each({ limit, maxBytes, ...filter }, take, () => page.pause());
    return { requests, more: page.more };
  }

  #entries({ type, prefix, after, maxBytes }: Question & { kind: 'entries' }): Answers['entries'] {
    const entries: StateEntry[] = [];
    let size = 0;
    const { entriesFrom, entriesAfter } = this.#sql;
    const found = after === '' ? entriesFrom.iterate(type, prefix) : entriesAfter.iterate(type, after);
    for (const entry of found) {
      if (!entry.key.startsWith(prefix)) break;
      size += ENTRY_OVERHEAD + Buffer.byteLength(entry.key) + Buffer.byteLength(entry.value);
      if (entries.length > 0 && size > maxBytes) return { entries, more: true };
      entries.push(entry);
    }
    return { entries, more: false };
  }

  #log({ after, limit, maxBytes }: Question & { kind: 'log' }): OwnLog {
    const rows: string[] = [];
    let last = after;
    let size = 0;
    for (const row of this.#sql.log.iterate(after, limit + 1)) {
      size += ROW_OVERHEAD + Buffer.byteLength(row[6] ?? '');
      if (rows.length === limit || (rows.length > 0 && size > maxBytes)) return { rows, last, more: true };
      rows.push(logText(row, this.#node));
      last = row[0];
    }
    return { rows, last, more: false };
  }

  async #page(filter: Filter): Promise<Columns> {
    const numbers: number[] = [];
    const texts: string[] = [];
    const more = await this.#each(filter, (row) => {
      numbers.push(row[0], row[4], row[5], row[6]);
      texts.push(row[1] ?? '', row[2], row[3] ?? this.#node, row[7] ?? 'null');
    });
    return { numbers, texts, more };
  }

  async #text(filter: Filter): Promise<PageText> {
    const parts: string[] = [];
    let last = 0;
    const more = await this.#each(filter, (row) => {
      last = row[0];
      parts.push(rowText(row, this.#node));
    });
    return { text: `[${parts.join(',')}]`, count: parts.length, last, more };
  }

  /** Calls `use` with each row of the page, and says whether there is, or may be, a further one. */
  async #each({ limit, maxBytes, ...filter }: Filter, use: (row: RawRow) => void): Promise<boolean> {
    const page = new PageBound(limit, maxBytes);
    const take = (row: RawRow) => {
      if (!page.takes((row[1]?.length ?? 0) + Buffer.byteLength(row[7] ?? ''))) return false;
      use(row);
      return true;
    };
    await ownTurn();
    await this.#scan.each({ limit, maxBytes, ...filter }, take, () => page.pause());
    return page.more;
  }

  close(): void {
    this.#db.close();
  }
}

// The first message names the database, once the writer has prepared it.
const port = parentPort;
port?.once('message', (settings: ReaderSettings) => void serveQuestions(port, () => new Reader(settings)));
