import { ROW_OVERHEAD } from '../page-bound.ts';
import type { LogRow, RawRow } from '../row-text.ts';
import type { Filter } from '../token-store.ts';
import type { Cells } from './cells.ts';
import type { Session, Value } from './session.ts';

/** The id below which nothing can come any more. Asked before the rows are read. */
export async function settledBelow(session: Session): Promise<number> {
  const [settled] = await session.rows('SELECT centreond_settled()');
  return settled?.number() ?? 0;
}

/** What a page asks for: conditions on the row h, its origin o and its request r, and where it ends. */
interface Asked {
  readonly where: readonly string[];
  readonly values: readonly Value[];
  readonly limit: number;
  readonly maxBytes: number;
}

/** Rows by ascending id, and whether there is a further one. The data of rows that do not belong to the page is not read. */
async function page<T>(
  session: Session,
  { where, values, limit, maxBytes }: Asked,
  read: (cells: Cells) => T,
): Promise<{ rows: T[]; more: boolean }> {
  const [most, bytes] = [`$${values.length + 1}::bigint`, `$${values.length + 2}::bigint`];
  const found = await session.rows(
    `SELECT fits, id, token, type, node, code, etime, ctime, CASE WHEN fits THEN data END, epoch, origin_id FROM (
        SELECT *, (place = 1 OR size <= ${bytes}) AND place <= ${most} AS fits FROM (
          SELECT *, row_number() OVER by_id AS place,
            sum(${ROW_OVERHEAD} + octet_length(token) + octet_length(data)) OVER by_id AS size
          FROM (SELECT h.id, h.token, coalesce(o.type, r.action, '') AS type, n.id AS node, h.code, h.etime, h.ctime, h.data,
              o.epoch, o.origin_id
            FROM centreond_history h
            LEFT JOIN centreond_origin o ON o.id = h.id
            LEFT JOIN centreond_node n ON n.number = coalesce(o.node, h.router)
            LEFT JOIN centreond_request r ON r.token = h.token
            WHERE ${['true', ...where].join(' AND ')} ORDER BY h.id LIMIT ${most} + 1) AS found
          WINDOW by_id AS (ORDER BY id ROWS UNBOUNDED PRECEDING)) AS placed) AS page
      ORDER BY id`,
    [...values, limit, maxBytes],
  );
  const rows: T[] = [];
  for (const cells of found) {
    if (!cells.bool()) return { rows, more: true };
    rows.push(read(cells));
  }
  return { rows, more: false };
}

function rawRow(cells: Cells): RawRow {
  const [id, token, type, node] = [cells.number(), cells.text(), cells.text(), cells.text()];
  return [id, token, type, node, cells.number(), cells.number(), cells.number(), cells.text()];
}

/** The rows of a filter. */
export async function findRows(session: Session, filter: Filter): Promise<{ rows: RawRow[]; more: boolean }> {
  const { token, code, ctime, etime, id, owner, target, counting, limit, maxBytes } = filter;
  const where: string[] = [];
  const values: Value[] = [];
  const value = (one: Value) => `$${values.push(one)}`;
  // The rows of a request are written by one router at a time: they need not wait for other writers. (A PUTLOG elsewhere may be late.)
  if (token === undefined) where.push(`h.id < ${value(await settledBelow(session))}::bigint`);
  else where.push(`h.token = ${value(token)}`);
  if (id !== undefined) where.push(`h.id > ${value(id)}::bigint`);
  if (code !== undefined) where.push(`h.code = ${value(code)}::integer`);
  if (ctime !== undefined) where.push(`h.ctime > ${value(ctime)}::bigint`);
  if (etime !== undefined) where.push(`h.etime > ${value(etime)}::bigint`);
  const isOwned = owner !== undefined || target !== undefined;
  if (isOwned && token !== undefined) {
    const routed = value(target ?? '');
    where.push(`(r.owner = ${value(owner ?? '')} OR (r.target = ${routed} AND r.target <> ''))`);
  } else if (isOwned) {
    const routed = value(target ?? '');
    where.push(`h.token IN (SELECT token FROM centreond_request WHERE owner = ${value(owner ?? '')}
      UNION SELECT token FROM centreond_request WHERE target = ${routed} AND target <> '')`);
  }
  if (isOwned || counting) where.push('NOT coalesce(o.apart, false)');
  return page(session, { where, values, limit, maxBytes }, rawRow);
}

/** This router's own log after an id. */
export async function ownLog(
  session: Session,
  after: number,
  limit: number,
  maxBytes: number,
): Promise<{ rows: LogRow[]; more: boolean }> {
  const values = [after, await settledBelow(session)];
  const where = ['h.id > $1::bigint', 'h.id < $2::bigint'];
  return page(session, { where, values, limit, maxBytes }, (cells) => {
    const [id, token, type, node, code, etime, , data] = rawRow(cells);
    return [id, token, type, node, code, etime, data, cells.textOrNull(), cells.numberOrNull()];
  });
}
