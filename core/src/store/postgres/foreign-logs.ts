import { FAILED, isTerminal } from '@centreond/protocol';
import { ENDED, KNOWN, type PageDone } from '../batch.ts';
import type { StoredRequest } from '../questions.ts';
import type { ForeignRow, LogPage, SetAside } from '../token-store.ts';
import { bigintArray, textArray } from './arrays.ts';
import type { Changes } from './changes.ts';
import { NodeNumbers } from './node-numbers.ts';
import type { Session } from './session.ts';

/** Rows that were set aside are kept up to so many, and each up to so many characters. */
const ASIDE_ROWS = 10_000;
const ASIDE_CHARACTERS = 16_384;

/** What the group under way gives: where changes are gathered, the id of the next row, and the requests of tokens. */
export interface Transaction {
  readonly changes: Changes;
  takeId(): number;
  known(token: string): StoredRequest | undefined;
  end(request: { id: number; token: string }): void;
}

/** The part of the database that holds the logs of other nodes: their rows, each once, and how far each log is here. */
export class ForeignLogs {
  readonly #session: Session;
  readonly #now: number;
  readonly #numbers: NodeNumbers;
  /** Rows of the group under way, which are not in the database yet. */
  readonly #adopted = new Set<string>();

  constructor(session: Session, now: number) {
    this.#session = session;
    this.#numbers = new NodeNumbers(session);
    this.#now = now;
  }

  /** Stores a page. */
  async adopt(page: LogPage, transaction: Transaction): Promise<PageDone> {
    const node = await this.#numbers.of(page.node);
    const here = await this.#here(page.rows);
    const done: PageDone = { ids: [], owners: [], cursor: 0 };
    const aside: SetAside[] = [];
    for (const row of page.rows) {
      const owner = this.#adoptRow(row, here, done.ids, transaction);
      done.owners.push(owner);
      if (done.ids.at(-1) !== ENDED) continue;
      const reason = `its token ${row.token} has ended here`;
      aside.push({ originId: row.originId, reason, text: JSON.stringify(row) });
    }
    await this.#setAside(node, page.epoch, [...aside, ...page.aside]);
    done.cursor = await this.#moveCursor(node, page);
    return done;
  }

  /** The log of `to` stands where that of `from` does. */
  async inherit(from: string, to: string): Promise<void> {
    const [former, number] = [await this.#numbers.of(from), await this.#numbers.of(to)];
    const [epoch] = await this.#session.rows('SELECT epoch FROM centreond_epoch WHERE node = $1', [former]);
    if (!epoch) return;
    const name = epoch.text();
    const at = (await this.#cursor(former, name)) ?? 0;
    await this.#setEpoch(number, name);
    await this.#move(number, at);
  }

  /** Stores one row and adds its id to `ids`. Returns who owns the request that it counts for, or nothing. */
  #adoptRow(row: ForeignRow, here: ReadonlySet<string>, ids: number[], transaction: Transaction): string {
    const { changes } = transaction;
    const known = transaction.known(row.token);
    const routed = known !== undefined && known.request.state !== 'log';
    const counts = routed && (row.counts ?? known.request.target === row.node);
    const ends = counts && isTerminal(row.code);
    const { token, type, epoch, originId, code, etime, data } = row;
    const name = nameOf(row);
    const isHere = here.has(name) || this.#adopted.has(name);
    if (isHere || (ends && known.request.state === 'ended')) {
      ids.push(isHere ? KNOWN : ENDED);
      return '';
    }
    this.#adopted.add(name);
    const id = transaction.takeId();
    changes.origin(id, type, { node: this.#numbers.found(row.node), epoch, originId, apart: !counts });
    changes.row({ id, token, code, etime, data });
    if (ends) {
      transaction.end({ id: known.id, token });
      if (code === FAILED) changes.fail(known.id);
    }
    ids.push(id);
    return counts ? known.request.owner : '';
  }

  /** The names of those rows that are in the database. */
  async #here(rows: readonly ForeignRow[]): Promise<Set<string>> {
    if (rows.length === 0) return new Set();
    for (const { node } of rows) await this.#numbers.of(node);
    const found = await this.#session.rows(HERE, [
      textArray(rows.map(({ node }) => node)),
      bigintArray(rows.map(({ node }) => this.#numbers.found(node))),
      textArray(rows.map(({ epoch }) => epoch)),
      bigintArray(rows.map(({ originId }) => originId)),
    ]);
    return new Set(found.map((cells) => nameOf({ node: cells.text(), epoch: cells.text(), originId: cells.number() })));
  }

  /** Moves a node's cursor where the page follows on it. Resolves with where it stands. */
  async #moveCursor(node: number, { epoch, from, last }: LogPage): Promise<number> {
    let at = await this.#cursor(node, epoch);
    if (at === undefined) {
      await this.#setEpoch(node, epoch);
      at = await this.#move(node, 0);
    }
    return from !== undefined && from <= at && last > at ? this.#move(node, last) : at;
  }

  async #cursor(node: number, epoch: string): Promise<number | undefined> {
    const [cursor] = await this.#session.rows(
      `SELECT s.last_id FROM centreond_synchistory s JOIN centreond_epoch e ON e.node = s.id
        WHERE s.id = $1 AND e.epoch = $2`,
      [node, epoch],
    );
    return cursor?.number();
  }

  async #setEpoch(node: number, epoch: string): Promise<void> {
    await this.#session.rows(
      'INSERT INTO centreond_epoch VALUES ($1, $2) ON CONFLICT (node) DO UPDATE SET epoch = excluded.epoch',
      [node, epoch],
    );
  }

  async #move(node: number, to: number): Promise<number> {
    await this.#session.rows(
      `INSERT INTO centreond_synchistory VALUES ($1, $2, $3)
        ON CONFLICT (id) DO UPDATE SET ctime = excluded.ctime, last_id = excluded.last_id`,
      [node, this.#now, to],
    );
    return to;
  }

  async #setAside(node: number, epoch: string, aside: readonly SetAside[]): Promise<void> {
    if (aside.length === 0) return;
    await this.#session.rows(
      `INSERT INTO centreond_aside (node, epoch, origin_id, ctime, reason, "row")
        SELECT $1, $2, id, $3, reason, "row" FROM unnest($4::bigint[], $5::text[], $6::text[]) AS a (id, reason, "row")
        ON CONFLICT (node, epoch, origin_id) DO NOTHING`,
      [
        ...[node, epoch, this.#now],
        bigintArray(aside.map(({ originId }) => originId)),
        textArray(aside.map(({ reason }) => reason)),
        textArray(aside.map(({ text }) => text.slice(0, ASIDE_CHARACTERS))),
      ],
    );
    await this.#session.rows(
      'DELETE FROM centreond_aside WHERE number IN (SELECT number FROM centreond_aside ORDER BY number DESC OFFSET $1)',
      [ASIDE_ROWS],
    );
  }
}

/** Of the rows that nodes $1, with the numbers $2, wrote in their databases $3 under ids $4, those that are here. */
const HERE = {
  name: 'here',
  text: `SELECT r.node, r.epoch, r.origin_id
    FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[]) AS r (node, number, epoch, origin_id)
    JOIN centreond_origin o ON o.node = r.number AND o.epoch = r.epoch AND o.origin_id = r.origin_id`,
};

function nameOf({ node, epoch, originId }: Pick<ForeignRow, 'node' | 'epoch' | 'originId'>): string {
  return `${originId} ${epoch} ${node}`;
}
