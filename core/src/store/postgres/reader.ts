import { ENTRY_OVERHEAD, PageBound, ROW_OVERHEAD } from '../page-bound.ts';
import type { Answering } from '../question-port.ts';
import type { Answers, Question, StoredRequest } from '../questions.ts';
import { logText, type RawRow, rowText } from '../row-text.ts';
import type { Filter, ForeignRowHead, ListedRequest, RequestFilter } from '../token-store.ts';
import type { Address } from './address.ts';
import { textArray } from './arrays.ts';
import { findRows, ownLog, settledBelow } from './pages.ts';
import { Pool } from './pool.ts';
import { openRequest, SELECT_KNOWN, SELECT_OPEN, storedRequest } from './records.ts';
import { listRequests } from './request-list.ts';
import { numberOf, PURGED, readMeta } from './schema.ts';
import type { Session } from './session.ts';

/** Sessions for pages, and for questions about one entry: no page holds up an entry. */
const PAGE_SESSIONS = 2;
const ENTRY_SESSIONS = 2;
/** Entries of a plugin's state in a page at most. */
const ENTRIES = 1000;

/** The first message to the reader. */
export interface PostgresReaderSettings {
  readonly url: string;
  readonly address: Address;
  /** This router's id. */
  readonly node: string;
}

/** Answers questions about the history. */
export class PostgresReader implements Answering {
  readonly #node: string;
  /** The number of this router's id. */
  readonly #number: number;
  readonly #pages: Pool;
  readonly #entries: Pool;

  private constructor(node: string, number: number, pages: Pool, entries: Pool) {
    this.#node = node;
    this.#number = number;
    this.#pages = pages;
    this.#entries = entries;
  }

  /** Opens a database that the writer has prepared. Rejects with a plain Error. */
  static async open({ url, address, node }: PostgresReaderSettings): Promise<PostgresReader> {
    const pool = (most: number) => new Pool({ url, address, name: `centreond reader ${node}`.slice(0, 63), most });
    const [pages, entries] = [pool(PAGE_SESSIONS), pool(ENTRY_SESSIONS)];
    const number = await entries.read((session) => numberOf(session, node));
    return new PostgresReader(node, number, pages, entries);
  }

  answer(question: Question): Promise<Answers[keyof Answers]> {
    switch (question.kind) {
      case 'page':
        return this.#page(question.filter);
      case 'text':
        return this.#text(question.filter);
      case 'requests':
        return this.#list(question.filter);
      case 'log':
        return this.#log(question);
      case 'entries':
        return this.#state(question);
      case 'unsettled':
        return this.#unsettled(question);
      case 'foreign':
        return this.#foreign(question);
      case 'cursors':
        return this.#cursors();
      case 'find':
        return this.#find(question.token);
      default:
        return this.#entries.read((session) => this.#fact(session, question));
    }
  }

  async #fact(
    session: Session,
    question: Question & { kind: 'pinned' | 'kept' | 'end' | 'formerEpochs' | 'purgedUpTo' },
  ): Promise<Answers[keyof Answers]> {
    if (question.kind === 'formerEpochs') return (await readMeta(session, 'former_epochs')).split(' ').filter(Boolean);
    if (question.kind === 'purgedUpTo') return Number(await readMeta(session, PURGED));
    if (question.kind === 'end') {
      const below = await settledBelow(session);
      const [end] = await session.rows('SELECT coalesce(max(id), 0) FROM centreond_history WHERE id < $1', [below]);
      return end?.number() ?? 0;
    }
    const [found] =
      question.kind === 'pinned'
        ? await session.rows('SELECT key FROM centreond_identity WHERE identity = $1', [question.identity])
        : await session.rows('SELECT value FROM centreond_state WHERE type = $1 AND key = $2', [
            question.type,
            question.key,
          ]);
    return found?.text();
  }

  async #find(token: string): Promise<StoredRequest | undefined> {
    const [found] = await this.#entries.read((session) => session.rows(SELECT_KNOWN, [textArray([token])]));
    return found && storedRequest(found);
  }

  async #cursors(): Promise<Answers['cursors']> {
    const found = await this.#entries.read((session) =>
      session.rows(`SELECT n.id, e.epoch, s.last_id FROM centreond_synchistory s
        JOIN centreond_epoch e ON e.node = s.id JOIN centreond_node n ON n.number = s.id ORDER BY n.number`),
    );
    return found.map((cells) => ({ node: cells.text(), epoch: cells.text(), last: cells.number() }));
  }

  async #foreign({
    characters,
    node,
    epoch,
    upTo,
  }: Question & { kind: 'foreign' }): Promise<ForeignRowHead | undefined> {
    const [found] = await this.#entries.read((session) =>
      session.rows(
        `SELECT o.origin_id, h.token, h.code, h.etime, left(h.data, $1) FROM centreond_node n
          JOIN centreond_origin o ON o.node = n.number JOIN centreond_history h ON h.id = o.id
          WHERE n.id = $2 AND o.epoch = $3 AND o.origin_id <= $4 ORDER BY o.origin_id DESC LIMIT 1`,
        [characters, node, epoch, upTo],
      ),
    );
    if (!found) return undefined;
    const [id, token, code] = [found.number(), found.text(), found.number()];
    return { id, token, code, etime: found.number(), data: found.text() };
  }

  async #unsettled({ after, limit, maxBytes }: Question & { kind: 'unsettled' }): Promise<StoredRequest[]> {
    const found = await this.#pages.read((session) =>
      session.rows(SELECT_OPEN, [after, this.#number, limit, ROW_OVERHEAD, maxBytes]),
    );
    return found.map(openRequest);
  }

  async #state({ type, prefix, after, maxBytes }: Question & { kind: 'entries' }): Promise<Answers['entries']> {
    const found = await this.#pages.read((session) =>
      session.rows(
        `SELECT key, value FROM (
            SELECT key, value, row_number() OVER entries AS place,
              sum($5 + octet_length(key) + octet_length(value)) OVER entries AS size
            FROM (SELECT key, value FROM centreond_state
              WHERE type = $1 AND starts_with(key, $2) AND key COLLATE "C" > $3 ORDER BY key LIMIT $6) AS next
            WINDOW entries AS (ORDER BY key ROWS UNBOUNDED PRECEDING)) AS page
          WHERE place = 1 OR size <= $4 ORDER BY key`,
        [type, prefix, after, maxBytes, ENTRY_OVERHEAD, ENTRIES],
      ),
    );
    const entries = found.map((cells) => ({ key: cells.text(), value: cells.text() }));
    return { entries, more: await this.#hasAfter(type, prefix, entries.at(-1)?.key) };
  }

  async #hasAfter(type: string, prefix: string, key: string | undefined): Promise<boolean> {
    if (key === undefined) return false;
    const found = await this.#pages.read((session) =>
      session.rows(
        'SELECT 1 FROM centreond_state WHERE type = $1 AND starts_with(key, $2) AND key COLLATE "C" > $3 LIMIT 1',
        [type, prefix, key],
      ),
    );
    return found.length > 0;
  }

  async #list({ limit, maxBytes, ...filter }: RequestFilter): Promise<Answers['requests']> {
    const page = new PageBound(limit, maxBytes);
    const found = await this.#pages.read((session) =>
      listRequests(session, { limit, maxBytes, ...filter }, this.#node),
    );
    const requests: ListedRequest[] = [];
    for (const request of found) {
      const { data, ...others } = request;
      if (!page.takes(Buffer.byteLength(JSON.stringify(others)) + Buffer.byteLength(data))) break;
      requests.push(request);
    }
    return { requests, more: page.more };
  }

  async #log({ after, limit, maxBytes }: Question & { kind: 'log' }): Promise<Answers['log']> {
    const { rows, more } = await this.#pages.read((session) => ownLog(session, after, limit, maxBytes));
    return { rows: rows.map((row) => logText(row, this.#node)), last: rows.at(-1)?.[0] ?? after, more };
  }

  async #page(filter: Filter): Promise<Answers['page']> {
    const { rows, more } = await this.#rows(filter);
    return {
      numbers: rows.flatMap(([id, , , , code, etime, ctime]) => [id, code, etime, ctime]),
      texts: rows.flatMap(([, token, type, node, , , , data]) => [
        token ?? '',
        type,
        node ?? this.#node,
        data ?? 'null',
      ]),
      more,
    };
  }

  async #text(filter: Filter): Promise<Answers['text']> {
    const { rows, more } = await this.#rows(filter);
    const text = `[${rows.map((row) => rowText(row, this.#node)).join(',')}]`;
    return { text, count: rows.length, last: rows.at(-1)?.[0] ?? 0, more };
  }

  #rows(filter: Filter): Promise<{ rows: RawRow[]; more: boolean }> {
    return this.#pages.read((session) => findRows(session, filter));
  }

  async close(): Promise<void> {
    await Promise.all([this.#pages.close(), this.#entries.close()]);
  }
}
