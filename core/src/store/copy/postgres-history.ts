import { PURGED, readMeta } from '../postgres/schema.ts';
import type { Session } from '../postgres/session.ts';
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

/** A page of what `from` selects, in the order of `by`, with the `columns` of it; `size` is what a record takes. */
function pageOf(columns: string, by: string, size: string, from: string): string {
  return `SELECT ${columns} FROM (
      SELECT *, row_number() OVER next AS nth, sum(${size}) OVER next AS size
      FROM (${from} ORDER BY ${by} LIMIT ${PAGE_RECORDS}) AS found
      WINDOW next AS (ORDER BY ${by} ROWS UNBOUNDED PRECEDING)) AS page
    WHERE nth = 1 OR size <= ${PAGE_SIZE} ORDER BY ${by}`;
}

const REQUESTS = pageOf(
  COLUMNS.requests,
  'id',
  'octet_length(data) + octet_length(envelope)',
  `SELECT r.*, EXISTS (SELECT 1 FROM centreond_open o WHERE o.id = r.id) AS is_open,
      EXISTS (SELECT 1 FROM centreond_failed f WHERE f.id = r.id) AS is_failed
    FROM centreond_request r WHERE id > $1::bigint`,
);

const ROWS = pageOf(
  COLUMNS.rows,
  'id',
  'octet_length(data)',
  `SELECT h.*, o.type, n.id AS node, o.epoch, o.origin_id, coalesce(o.apart, false) AS apart
    FROM centreond_history h
    LEFT JOIN centreond_origin o ON o.id = h.id LEFT JOIN centreond_node n ON n.number = o.node
    WHERE h.id > $1::bigint`,
);

const ENTRIES = pageOf(
  COLUMNS.entries,
  'type, key',
  'octet_length(key) + octet_length(value)',
  'SELECT * FROM centreond_state WHERE (type, key) > ($1, $2)',
);

const ASIDE = pageOf(
  COLUMNS.aside,
  'place',
  'octet_length("row")',
  `SELECT a.number AS place, n.id AS node, a.epoch, a.origin_id, a.ctime, a.reason, a."row"
    FROM centreond_aside a JOIN centreond_node n ON n.number = a.node WHERE a.number > $1::bigint`,
);

/** A history in a database of PostgreSQL that no router has open. */
export class PostgresHistory implements History {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  async requests(after: number): Promise<CopiedRequest[]> {
    return this.#all({ name: 'requests', text: REQUESTS }, [after], readRequest);
  }

  async rows(after: number): Promise<CopiedRow[]> {
    return this.#all({ name: 'rows', text: ROWS }, [after], readRow);
  }

  async entries({ type, key }: Pick<CopiedEntry, 'type' | 'key'>): Promise<CopiedEntry[]> {
    return this.#all({ name: 'entries', text: ENTRIES }, [type, key], readEntry);
  }

  async aside(after: number): Promise<CopiedAside[]> {
    return this.#all({ name: 'aside', text: ASIDE }, [after], readAside);
  }

  async logs(): Promise<CopiedLog[]> {
    const text = `SELECT ${COLUMNS.logs} FROM (SELECT n.id AS node, e.epoch, s.ctime, s.last_id FROM centreond_epoch e
      JOIN centreond_node n ON n.number = e.node JOIN centreond_synchistory s ON s.id = e.node) AS logs ORDER BY node`;
    return this.#all({ name: 'logs', text }, [], readLog);
  }

  async pins(): Promise<CopiedPin[]> {
    const text = `SELECT ${COLUMNS.pins} FROM centreond_identity ORDER BY identity`;
    return this.#all({ name: 'pins', text }, [], readPin);
  }

  async facts(): Promise<Facts> {
    const meta = (key: string) => readMeta(this.#session, key);
    const [given] = await this.#session.rows('SELECT last_value FROM centreond_id');
    return {
      ...{ epoch: await meta('epoch'), formerEpochs: await meta('former_epochs'), purgedUpTo: await meta(PURGED) },
      ...{ purgeClock: await meta('purge_clock'), lastId: given?.number() ?? 0 },
    };
  }

  async #all<T>(
    statement: { name: string; text: string },
    values: readonly (string | number)[],
    read: (cells: CellReader) => T,
  ): Promise<T[]> {
    return (await this.#session.rows(statement, values)).map(read);
  }
}
