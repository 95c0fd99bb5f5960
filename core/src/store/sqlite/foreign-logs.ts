import { FAILED, isTerminal } from '@centreond/protocol';
import type Database from 'better-sqlite3';
import { ENDED, KNOWN, type PageDone } from '../batch.ts';
import type { StoredRequest } from '../questions.ts';
import type { ForeignRow, LogPage, SetAside } from '../token-store.ts';
import { END_REQUEST, FAIL_REQUEST, INSERT_ROW } from './records.ts';

/** Rows that were set aside are kept up to so many, and each up to so many characters. */
const ASIDE_ROWS = 10_000;
const ASIDE_CHARACTERS = 16_384;

function prepare(db: Database.Database) {
  return {
    insertRow: db.prepare(INSERT_ROW),
    end: db.prepare(END_REQUEST),
    fail: db.prepare(FAIL_REQUEST),
    insertOrigin: db.prepare(
      `INSERT INTO centreond_origin (id, type, node, epoch, origin_id, apart) VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT (node, epoch, origin_id) DO NOTHING`,
    ),
    origin: db
      .prepare<[number, string, number], number>(
        'SELECT id FROM centreond_origin WHERE node = ? AND epoch = ? AND origin_id = ?',
      )
      .pluck(),
    cursor: db
      .prepare<[number, string], number>(
        `SELECT s.last_id FROM centreond_synchistory s JOIN centreond_epoch e ON e.node = s.id
          WHERE s.id = ? AND e.epoch = ?`,
      )
      .pluck(),
    epoch: db.prepare<[number], string>('SELECT epoch FROM centreond_epoch WHERE node = ?').pluck(),
    setEpoch: db.prepare('INSERT OR REPLACE INTO centreond_epoch VALUES (?, ?)'),
    moveCursor: db.prepare('UPDATE centreond_synchistory SET ctime = ?, last_id = ? WHERE id = ?'),
    addCursor: db.prepare('INSERT INTO centreond_synchistory (ctime, last_id, id) VALUES (?, ?, ?)'),
    setAside: db.prepare(
      `INSERT INTO centreond_aside (node, epoch, origin_id, ctime, reason, row) VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT (node, epoch, origin_id) DO NOTHING`,
    ),
    countAside: db.prepare<[], number>('SELECT count(*) FROM centreond_aside').pluck(),
    forgetAside: db.prepare('DELETE FROM centreond_aside WHERE rowid = (SELECT min(rowid) FROM centreond_aside)'),
    nodeNumber: db.prepare<[string], number>('SELECT number FROM centreond_node WHERE id = ?').pluck(),
    addNode: db.prepare('INSERT INTO centreond_node (id) VALUES (?)'),
  };
}

/** What the transaction under way gives: its time in whole seconds, the id of the next row, and the request of a token. */
export interface Transaction {
  readonly now: number;
  nextId: number;
  known(token: string): StoredRequest | undefined;
}

/** The part of the database that holds the logs of other nodes: their rows, each once, and how far each log is here. */
export class ForeignLogs {
  readonly #sql: ReturnType<typeof prepare>;
  /** What stands for each node's id. */
  readonly #numbers = new Map<string, number>();

  constructor(db: Database.Database) {
    this.#sql = prepare(db);
  }

  /** The transaction under way came to nothing. */
  rolledBack(): void {
    this.#numbers.clear();
  }

  /** Stores a page, within a transaction. Throws what SQLite throws. */
  adopt(page: LogPage, transaction: Transaction): PageDone {
    const node = this.#numberOf(page.node);
    const ids: number[] = [];
    const owners: string[] = [];
    const tokens = new Map<string, StoredRequest | undefined>();
    for (const row of page.rows) {
      let known = tokens.get(row.token);
      if (known === undefined && !tokens.has(row.token)) {
        known = transaction.known(row.token);
        tokens.set(row.token, known);
      }
      owners.push(this.#adoptRow(row, known, ids, transaction));
      if (ids.at(-1) === ENDED) {
        const reason = `its token ${row.token} has ended here`;
        const aside = { originId: row.originId, reason, text: JSON.stringify(row) };
        this.#setAside(node, page.epoch, aside, transaction.now);
      }
    }
    for (const aside of page.aside) this.#setAside(node, page.epoch, aside, transaction.now);
    return { ids, owners, cursor: this.#moveCursor(node, page, transaction.now) };
  }

  /** The log of `to` stands where that of `from` does, within a transaction. Throws what SQLite throws. */
  inherit(from: string, to: string, now: number): void {
    const [former, number] = [this.#numberOf(from), this.#numberOf(to)];
    const epoch = this.#sql.epoch.get(former);
    if (epoch === undefined) return;
    this.#sql.setEpoch.run(number, epoch);
    this.#move(number, this.#sql.cursor.get(former, epoch) ?? 0, now);
  }

  /** Stores one row and adds its id to `ids`. Returns who owns the request that it counts for, or nothing. */
  #adoptRow(row: ForeignRow, known: StoredRequest | undefined, ids: number[], transaction: Transaction): string {
    const { end, insertRow, insertOrigin } = this.#sql;
    const routed = known !== undefined && known.request.state !== 'log';
    const counts = routed && (row.counts ?? known.request.target === row.node);
    const ends = counts && isTerminal(row.code);
    const id = transaction.nextId;
    const { type, node, epoch, originId } = row;
    if (ends && known.request.state === 'ended') {
      ids.push(this.#isHere(row) ? KNOWN : ENDED);
      return '';
    }
    if (insertOrigin.run(id, type, this.#numberOf(node), epoch, originId, counts ? 0 : 1).changes === 0) {
      ids.push(KNOWN);
      return '';
    }
    transaction.nextId++;
    insertRow.run(id, row.token, row.code, row.etime, transaction.now, row.data);
    if (ends) {
      end.run(known.id);
      if (row.code === FAILED) this.#sql.fail.run(known.id);
      known.request = { ...known.request, state: 'ended' };
    }
    ids.push(id);
    return counts ? known.request.owner : '';
  }

  #isHere({ node, epoch, originId }: ForeignRow): boolean {
    return this.#sql.origin.get(this.#numberOf(node), epoch, originId) !== undefined;
  }

  /** Moves a node's cursor where the page follows on it. Returns where it stands. */
  #moveCursor(node: number, { epoch, from, last }: LogPage, now: number): number {
    const { cursor, setEpoch } = this.#sql;
    let at = cursor.get(node, epoch);
    if (at === undefined) {
      setEpoch.run(node, epoch);
      at = this.#move(node, 0, now);
    }
    return from !== undefined && from <= at && last > at ? this.#move(node, last, now) : at;
  }

  #move(node: number, to: number, now: number): number {
    const { moveCursor, addCursor } = this.#sql;
    if (moveCursor.run(now, to, node).changes === 0) addCursor.run(now, to, node);
    return to;
  }

  #setAside(node: number, epoch: string, { originId, reason, text }: SetAside, now: number): void {
    const { setAside, countAside, forgetAside } = this.#sql;
    const kept = text.slice(0, ASIDE_CHARACTERS);
    if (setAside.run(node, epoch, originId, now, reason, kept).changes === 0) return;
    if ((countAside.get() ?? 0) > ASIDE_ROWS) forgetAside.run();
  }

  #numberOf(node: string): number {
    let number = this.#numbers.get(node);
    if (number === undefined) {
      const { nodeNumber, addNode } = this.#sql;
      number = nodeNumber.get(node) ?? Number(addNode.run(node).lastInsertRowid);
      this.#numbers.set(node, number);
    }
    return number;
  }
}
