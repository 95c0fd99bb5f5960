import { reasonOf } from '@centreond/protocol';
import { fault } from '../../errors.ts';
import type { Address } from '../postgres/address.ts';
import { bigintArray, textArray } from '../postgres/arrays.ts';
import { REQUEST_BYTES, ROW_BYTES } from '../postgres/changes.ts';
import { type CopyMark, readMark, writeMark } from '../postgres/copy-mark.ts';
import { NodeNumbers } from '../postgres/node-numbers.ts';
import { LOCKS, PURGED, prepareDatabase, writeMeta } from '../postgres/schema.ts';
import { Session, Unfit } from '../postgres/session.ts';
import {
  BEGINNING,
  type CopiedAside,
  type CopiedEntry,
  type CopiedLog,
  type CopiedPin,
  type CopiedRequest,
  type CopiedRow,
  type Facts,
} from './history.ts';
import { PostgresHistory } from './postgres-history.ts';

/** Which history is copied: the router's, with the names that its database has had, and what names the state it is in. */
export interface Source {
  readonly node: string;
  readonly epoch: string;
  readonly formerEpochs: string;
  readonly mark: string;
}

/** How long an earlier copy, whose process was killed, may still be at its last statement. */
const LOCK_MS = 20_000;

/** What a copy fills. */
const TABLES = [
  ...['identity', 'history', 'synchistory', 'request', 'open', 'failed', 'node', 'origin', 'state', 'epoch'],
  ...['aside', 'writer'],
].map((name) => `centreond_${name}`);

/** A database of PostgreSQL that a history is copied into: a batch, a statement, and with it the bytes that the batch comes to. */
export class PostgresTarget {
  readonly #session: Session;
  readonly #source: Source;
  readonly #shown: string;
  /** The numbers of nodes in this database. */
  readonly #numbers: NodeNumbers;
  #router = 0;
  readonly history: PostgresHistory;

  private constructor(session: Session, source: Source, shown: string) {
    this.#session = session;
    this.#numbers = new NodeNumbers(session);
    this.#source = source;
    this.#shown = shown;
    this.history = new PostgresHistory(session);
  }

  /** Connects, and makes its tables. Rejects with a plain Error that says what to change. */
  static async open(url: string, address: Address, source: Source): Promise<PostgresTarget> {
    // What a crash of the server takes away is copied again: only the end of the copy waits for the disk.
    const settings = { synchronous_commit: 'off', lock_timeout: `${LOCK_MS}ms` };
    const session = await Session.open(url, address, `centreond copy of ${source.node}`.slice(0, 63), settings);
    try {
      await session.rows(`SELECT pg_advisory_lock(${LOCKS.application}, ${LOCKS.copy})`).catch((error: unknown) => {
        if (session.lost) throw error;
        throw new Unfit('another copy into it is under way; wait for its end');
      });
      await prepareDatabase(session);
      return new PostgresTarget(session, source, address.shown);
    } catch (error) {
      session.end();
      throw error instanceof Unfit ? error : new Unfit(reasonOf(error));
    }
  }

  /**
   * Begins the copy, or goes on with it where the state that it is a copy of is still the same; else it begins from the start.
   * Resolves with the ids up to which requests and rows are here. Rejects with COPY_TARGET_USED where the database holds something else.
   */
  async begin(nodes: readonly string[]): Promise<{ requests: number; rows: number }> {
    const { node, epoch, mark: source } = this.#source;
    await this.#session.transaction(async () => {
      await this.#session.rows(`SELECT pg_advisory_xact_lock(${LOCKS.application}, ${LOCKS.migration})`);
      const found = await readMark(this.#session);
      const other = found ? this.#otherIn(found) : await this.#content();
      if (other !== undefined) throw fault('COPY_TARGET_USED', { database: this.#shown, has: other });
      if (found && found.source === source && found.state !== 'unlike') return;
      if (found) await this.#empty();
      await writeMark(this.#session, { source, node, epoch, state: 'under way' });
    });
    this.#router = await this.#numbers.of(node);
    for (const one of nodes) await this.#numbers.of(one);
    await this.#session.rows(
      'INSERT INTO centreond_writer (node, groups, bytes) VALUES ($1, 0, 0) ON CONFLICT DO NOTHING',
      [this.#router],
    );
    const [at] = await this.#session.rows(
      `SELECT coalesce((SELECT max(id) FROM centreond_request), ${BEGINNING}),
        coalesce((SELECT max(id) FROM centreond_history), ${BEGINNING})`,
    );
    return { requests: at?.number() ?? BEGINNING, rows: at?.number() ?? BEGINNING };
  }

  /** What a copy of another history is; undefined for one of this history. */
  #otherIn({ node, epoch }: CopyMark): string | undefined {
    const names = [this.#source.epoch, ...this.#source.formerEpochs.split(' ')];
    return node === this.#source.node && names.includes(epoch) ? undefined : `a copy of another history, of ${node},`;
  }

  /** What the database holds that no copy put there. */
  async #content(): Promise<string | undefined> {
    const routers = await this.#session.rows(
      'SELECT n.id FROM centreond_writer w JOIN centreond_node n ON n.number = w.node ORDER BY n.id LIMIT 5',
    );
    if (routers.length > 0) return `the history of ${routers.map((cells) => cells.text()).join(', ')}`;
    for (const table of TABLES) {
      if ((await this.#session.rows(`SELECT 1 FROM ${table} LIMIT 1`)).length > 0) return `rows in ${table}`;
    }
    return undefined;
  }

  async #empty(): Promise<void> {
    await this.#session.rows(`TRUNCATE ${TABLES.join(', ')} RESTART IDENTITY`);
    await this.#session.rows("DELETE FROM centreond_meta WHERE key IN ('former_epochs', 'purge_clock')");
    await this.#session.rows("SELECT setval('centreond_id', 0)");
  }

  async requests(requests: readonly CopiedRequest[]): Promise<void> {
    const texts = (read: (one: CopiedRequest) => string) => textArray(requests.map(read));
    const numbers = (read: (one: CopiedRequest) => number) => bigintArray(requests.map(read));
    const idsOf = (which: (one: CopiedRequest) => boolean) => bigintArray(requests.filter(which).map(({ id }) => id));
    await this.#session.rows(INSERT_REQUESTS, [
      this.#router,
      ...[numbers(({ id }) => id), texts(({ token }) => token)],
      ...[numbers(({ ctime }) => ctime), numbers(({ etime }) => etime), numbers(({ log }) => (log ? 1 : 0))],
      ...[texts(({ owner }) => owner), texts(({ action }) => action), texts(({ target }) => target)],
      ...[texts(({ envelope }) => envelope), texts(({ data }) => data)],
      ...[idsOf(({ open }) => open), idsOf(({ failed }) => failed)],
    ]);
  }

  async rows(rows: readonly CopiedRow[]): Promise<void> {
    const texts = (read: (one: CopiedRow) => string) => textArray(rows.map(read));
    const numbers = (read: (one: CopiedRow) => number) => bigintArray(rows.map(read));
    const origins = rows.flatMap((one) => (one.type === null ? [] : [{ ...one, type: one.type }]));
    const nodes: number[] = [];
    for (const { node } of origins) nodes.push(node === null ? 0 : await this.#numbers.of(node));
    await this.#session.rows(INSERT_ROWS, [
      this.#router,
      ...[numbers(({ id }) => id), texts(({ token }) => token), numbers(({ code }) => code)],
      ...[numbers(({ etime }) => etime), numbers(({ ctime }) => ctime), texts(({ data }) => data)],
      ...[bigintArray(origins.map(({ id }) => id)), textArray(origins.map(({ type }) => type)), bigintArray(nodes)],
      textArray(origins.map(({ epoch }) => epoch ?? '')),
      bigintArray(origins.map(({ originId }) => originId ?? 0)),
      bigintArray(origins.map(({ apart }) => (apart ? 1 : 0))),
    ]);
  }

  async entries(entries: readonly CopiedEntry[]): Promise<void> {
    await this.#session.rows(INSERT_ENTRIES, [
      this.#router,
      textArray(entries.map(({ type }) => type)),
      textArray(entries.map(({ key }) => key)),
      textArray(entries.map(({ value }) => value)),
    ]);
  }

  async aside(aside: readonly CopiedAside[]): Promise<void> {
    const nodes: number[] = [];
    for (const { node } of aside) nodes.push(await this.#numbers.of(node));
    await this.#session.rows(INSERT_ASIDE, [
      ...[bigintArray(nodes), textArray(aside.map(({ epoch }) => epoch))],
      ...[bigintArray(aside.map(({ originId }) => originId)), bigintArray(aside.map(({ ctime }) => ctime))],
      ...[textArray(aside.map(({ reason }) => reason)), textArray(aside.map(({ row }) => row))],
    ]);
  }

  /** How far the logs of other nodes are here, which keys are pinned, and what is known of the database itself. */
  async facts(logs: readonly CopiedLog[], pins: readonly CopiedPin[], facts: Facts): Promise<void> {
    await this.#session.transaction(async () => {
      for (const { node, epoch, ctime, last } of logs) {
        const number = await this.#numbers.of(node);
        await this.#session.rows('INSERT INTO centreond_epoch VALUES ($1, $2) ON CONFLICT DO NOTHING', [number, epoch]);
        const text = 'INSERT INTO centreond_synchistory VALUES ($1, $2, $3) ON CONFLICT DO NOTHING';
        await this.#session.rows(text, [number, ctime, last]);
      }
      for (const { identity, key, ctime } of pins) {
        await this.#session.rows(
          'INSERT INTO centreond_identity (ctime, key, identity) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING',
          [ctime, key, identity],
        );
      }
      await writeMeta(this.#session, 'epoch', facts.epoch);
      await writeMeta(this.#session, PURGED, facts.purgedUpTo);
      if (facts.formerEpochs !== '') await writeMeta(this.#session, 'former_epochs', facts.formerEpochs);
      if (facts.purgeClock !== '') await writeMeta(this.#session, 'purge_clock', facts.purgeClock);
      await this.#session.rows("SELECT setval('centreond_id', $1)", [facts.lastId]);
    });
    // Else the server would not know yet how much there is when it is read again.
    await this.#session.rows(`ANALYZE ${TABLES.join(', ')}`);
  }

  /** Says that the copy is whole, or that it is not what its source is. All of it is on disk then. */
  async end(state: 'done' | 'unlike'): Promise<void> {
    const { mark: source, node, epoch } = this.#source;
    await this.#session.transaction(async () => {
      await this.#session.rows('SET LOCAL synchronous_commit = on');
      await writeMark(this.#session, { source, node, epoch, state });
    });
  }

  async close(): Promise<void> {
    if (!this.#session.lost) await this.#session.close();
  }
}

/** Requests of the router $1, of which those with the ids $12 are open and those with $13 failed. */
const INSERT_REQUESTS = {
  name: 'copy requests',
  text: `WITH request AS (
      INSERT INTO centreond_request (id, token, ctime, etime, log, owner, action, target, envelope, data)
      SELECT id, token, ctime, etime, log = 1, owner, action, target, envelope, data
      FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::text[],
        $10::text[], $11::text[]) AS r (id, token, ctime, etime, log, owner, action, target, envelope, data)
      RETURNING ${REQUEST_BYTES} + octet_length(token) + octet_length(owner) + octet_length(action) + octet_length(target)
        + octet_length(envelope) + octet_length(data) AS bytes),
    opened AS (INSERT INTO centreond_open SELECT id, $1::integer FROM unnest($12::bigint[]) AS o (id)),
    failed AS (INSERT INTO centreond_failed SELECT id FROM unnest($13::bigint[]) AS f (id))
    UPDATE centreond_writer SET bytes = bytes + (SELECT coalesce(sum(bytes), 0) FROM request) WHERE node = $1::integer`,
};

/** Rows of the router $1, and the origins of those that have one. */
const INSERT_ROWS = {
  name: 'copy rows',
  text: `WITH history AS (
      INSERT INTO centreond_history (id, token, code, etime, ctime, data, router)
      SELECT id, token, code, etime, ctime, data, $1::integer
      FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[])
        AS h (id, token, code, etime, ctime, data)
      RETURNING ${ROW_BYTES} + octet_length(token) + octet_length(data) AS bytes),
    origin AS (
      INSERT INTO centreond_origin (id, type, node, epoch, origin_id, apart)
      SELECT id, type, nullif(node, 0), CASE WHEN node > 0 THEN epoch END, CASE WHEN node > 0 THEN origin_id END, apart = 1
      FROM unnest($8::bigint[], $9::text[], $10::bigint[], $11::text[], $12::bigint[], $13::bigint[])
        AS o (id, type, node, epoch, origin_id, apart))
    UPDATE centreond_writer SET bytes = bytes + (SELECT coalesce(sum(bytes), 0) FROM history) WHERE node = $1::integer`,
};

const INSERT_ENTRIES = {
  name: 'copy entries',
  text: `WITH state AS (
      INSERT INTO centreond_state SELECT * FROM unnest($2::text[], $3::text[], $4::text[]) ON CONFLICT DO NOTHING
      RETURNING octet_length(key) + octet_length(value) AS bytes)
    UPDATE centreond_writer SET bytes = bytes + (SELECT coalesce(sum(bytes), 0) FROM state) WHERE node = $1::integer`,
};

const INSERT_ASIDE = {
  name: 'copy aside',
  text: `INSERT INTO centreond_aside (node, epoch, origin_id, ctime, reason, "row")
    SELECT node, epoch, origin_id, ctime, reason, "row"
    FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[])
      WITH ORDINALITY AS a (node, epoch, origin_id, ctime, reason, "row", place)
    ORDER BY place ON CONFLICT DO NOTHING`,
};
