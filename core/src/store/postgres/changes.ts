import { Fenced } from '../membership.ts';
import type { RequestRecord } from '../token-store.ts';
import { bigintArray, textArray, textBytes } from './arrays.ts';
import type { Session, Statement } from './session.ts';

/** What a row and a request take beside their texts, with their entries in the indexes: an estimate, and the same wherever it counts. */
export const ROW_BYTES = 280;
export const REQUEST_BYTES = 420;

/**
 * Writes what a group of calls comes to. Answers how many requests were entered, ended and marked with an origin, how many
 * routers noted the group, and the bytes that all came to.
 */
const APPLY: Statement = {
  name: 'apply',
  text: `WITH request AS (
      INSERT INTO centreond_request (id, token, ctime, etime, log, owner, action, target, envelope, data)
      SELECT id, token, $1::bigint, etime, log = 1, owner, action, target, envelope, data
      FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
        AS r (id, token, etime, log, owner, action, target, envelope, data)
      ON CONFLICT DO NOTHING RETURNING 1),
    opened AS (INSERT INTO centreond_open SELECT id, $11::integer FROM unnest($12::bigint[]) AS o (id)),
    ended AS (DELETE FROM centreond_open WHERE id = ANY ($13::bigint[]) RETURNING 1),
    failed AS (INSERT INTO centreond_failed SELECT id FROM unnest($14::bigint[]) AS f (id) ON CONFLICT DO NOTHING),
    history AS (
      INSERT INTO centreond_history (id, token, code, etime, ctime, data, router)
      SELECT id, token, code, etime, $1::bigint, data, $11::integer
      FROM unnest($15::bigint[], $16::text[], $17::bigint[], $18::bigint[], $19::text[]) AS h (id, token, code, etime, data)),
    origin AS (
      INSERT INTO centreond_origin (id, type, node, epoch, origin_id, apart)
      SELECT id, type, nullif(node, 0), CASE WHEN node > 0 THEN epoch END, CASE WHEN node > 0 THEN origin_id END, apart = 1
      FROM unnest($20::bigint[], $21::text[], $22::bigint[], $23::text[], $24::bigint[], $25::bigint[])
        AS o (id, type, node, epoch, origin_id, apart)
      ON CONFLICT DO NOTHING RETURNING 1),
    writer AS (
      UPDATE centreond_writer SET groups = groups + $26::bigint, bytes = bytes + $27::bigint
      WHERE node = $11::integer AND groups = $28::bigint AND fence = $29::bigint RETURNING bytes)
    SELECT (SELECT count(*) FROM request), (SELECT count(*) FROM ended), (SELECT count(*) FROM origin),
      (SELECT count(*) FROM writer),
      coalesce((SELECT sum(bytes) FROM writer), 0) +
        coalesce((SELECT sum(bytes) FROM centreond_writer WHERE node <> $11::integer), 0)`,
};

/** What a database without rows takes. */
export const EMPTY_BYTES = 256 * 1024;

/** Somebody else wrote at the same time what this group was about to: it has to look again. */
export class Overtaken extends Error {}

/** A row to write, where another node wrote it with what names it there. */
export interface NewRow {
  readonly id: number;
  readonly token: string;
  readonly code: number;
  readonly etime: number;
  readonly data: string;
}

export interface Origin {
  readonly node: number;
  readonly epoch: string;
  readonly originId: number;
  readonly apart: boolean;
}

const HERE: Origin = { node: 0, epoch: '', originId: 0, apart: false };

/** Which router's group is written. */
export interface Author {
  /** The number of its node id. */
  readonly node: number;
  /** What its process was let in by. */
  readonly fence: number;
  /** Groups that it has committed. */
  readonly groups: number;
  /** Whole seconds: the `ctime` of what is written. */
  readonly now: number;
}

/** What the calls of a group change, gathered so that one statement writes it. */
export class Changes {
  #requests: { id: number; log: boolean; record: RequestRecord }[] = [];
  readonly #opens = new Set<number>();
  #ends: number[] = [];
  #fails: number[] = [];
  #rows: NewRow[] = [];
  #origins: { id: number; type: string; origin: Origin }[] = [];
  /** Bytes that change where no statement below writes them. */
  moreBytes = 0;

  request(id: number, record: RequestRecord, log: boolean): void {
    this.#requests.push({ id, log, record });
  }

  open(id: number): void {
    this.#opens.add(id);
  }

  /** Ends a request that is open, in the database or here. */
  end(id: number): void {
    if (!this.#opens.delete(id)) this.#ends.push(id);
  }

  fail(id: number): void {
    this.#fails.push(id);
  }

  row(row: NewRow): void {
    this.#rows.push(row);
  }

  origin(id: number, type: string, origin = HERE): void {
    this.#origins.push({ id, type, origin });
  }

  /**
   * Writes what was gathered, and with `isLast` that the group is whole. Resolves with the bytes in use. Rejects with
   * {@link Overtaken}.
   */
  async apply(session: Session, { node, fence, groups, now }: Author, isLast: boolean): Promise<number> {
    const [requests, ends, rows, origins] = [this.#requests, this.#ends, this.#rows, this.#origins];
    const records = requests.map(({ record }) => record);
    const texts = [
      textArray(records.map(({ owner }) => owner)),
      textArray(records.map(({ action }) => action)),
      textArray(records.map(({ target }) => target)),
      textArray(records.map(({ envelope }) => envelope)),
      textArray(records.map(({ data }) => data)),
    ];
    const requestTokens = textArray(records.map(({ token }) => token));
    const rowTokens = textArray(rows.map(({ token }) => token));
    const rowData = textArray(rows.map(({ data }) => data));
    const bytes =
      [requestTokens, ...texts].reduce((sum, array) => sum + textBytes(array, records.length), 0) +
      REQUEST_BYTES * records.length +
      textBytes(rowTokens, rows.length) +
      textBytes(rowData, rows.length) +
      ROW_BYTES * rows.length +
      this.moreBytes;
    const [answer] = await session.rows(APPLY, [
      now,
      bigintArray(requests.map(({ id }) => id)),
      requestTokens,
      bigintArray(records.map(({ etime }) => etime)),
      bigintArray(requests.map(({ log }) => (log ? 1 : 0))),
      ...texts,
      node,
      bigintArray([...this.#opens]),
      bigintArray(ends),
      bigintArray(this.#fails),
      bigintArray(rows.map(({ id }) => id)),
      rowTokens,
      bigintArray(rows.map(({ code }) => code)),
      bigintArray(rows.map(({ etime }) => etime)),
      rowData,
      bigintArray(origins.map(({ id }) => id)),
      textArray(origins.map(({ type }) => type)),
      bigintArray(origins.map(({ origin }) => origin.node)),
      textArray(origins.map(({ origin }) => origin.epoch)),
      bigintArray(origins.map(({ origin }) => origin.originId)),
      bigintArray(origins.map(({ origin }) => (origin.apart ? 1 : 0))),
      isLast ? 1 : 0,
      bytes,
      groups,
      fence,
    ]);
    if (!answer) throw new Error('the server did not answer what was written');
    const [entered, ended, marked, noted] = [answer.number(), answer.number(), answer.number(), answer.number()];
    if (noted !== 1) throw new Fenced();
    if (entered !== requests.length || ended !== ends.length || marked !== origins.length) throw new Overtaken();
    this.#clear();
    return EMPTY_BYTES + answer.number();
  }

  #clear(): void {
    this.#requests = [];
    this.#opens.clear();
    this.#ends = [];
    this.#fails = [];
    this.#rows = [];
    this.#origins = [];
    this.moreBytes = 0;
  }
}
