import type { StoredRequest } from '../questions.ts';
import type { Cells } from './cells.ts';

const COLUMNS =
  'r.token, r.owner, r.action, r.target, r.data, r.envelope, r.etime, r.ctime, r.log, r.id, o.id IS NOT NULL';

/** What is known of the tokens $1. */
export const SELECT_KNOWN = {
  name: 'known',
  text: `SELECT ${COLUMNS} FROM centreond_request r LEFT JOIN centreond_open o ON o.id = r.id WHERE r.token = ANY ($1::text[])`,
};

/** Of the tokens $1 the requests that are open at the router $2. */
export const SELECT_OPEN_HERE = {
  name: 'open here',
  text: `SELECT ${COLUMNS}, o.started FROM centreond_request r JOIN centreond_open o ON o.id = r.id
    WHERE r.token = ANY ($1::text[]) AND o.router = $2::integer`,
};

/** Open requests of the router $2 above the id $1, oldest first: $3 at most, and $5 bytes, at $4 for each beside its DATA. */
export const SELECT_OPEN = {
  name: 'open',
  text: `SELECT token, owner, action, target, data, envelope, etime, ctime, log, id, is_open, started FROM (
      SELECT *, row_number() OVER by_id AS place, sum($4::bigint + octet_length(data)) OVER by_id AS size
      FROM (SELECT r.*, true AS is_open, o.started FROM centreond_open o JOIN centreond_request r ON r.id = o.id
        WHERE o.id > $1::bigint AND o.router = $2::integer ORDER BY o.id LIMIT $3::bigint) AS open
      WINDOW by_id AS (ORDER BY id ROWS UNBOUNDED PRECEDING)) AS page
    WHERE place = 1 OR size <= $5::bigint ORDER BY id`,
};

/** A row of the two statements above. */
export function openRequest(cells: Cells): StoredRequest {
  const { id, request } = storedRequest(cells);
  return { id, request: cells.bool() ? { ...request, hasStarted: true } : request };
}

/** A row of {@link SELECT_KNOWN}. */
export function storedRequest(cells: Cells): StoredRequest {
  const [token, owner, action, target, data, envelope] = [
    cells.text(),
    cells.text(),
    cells.text(),
    cells.text(),
    cells.text(),
    cells.text(),
  ];
  const [etime, ctime, log, id, open] = [cells.number(), cells.number(), cells.bool(), cells.number(), cells.bool()];
  const state = log ? 'log' : open ? 'open' : 'ended';
  return { id, request: { token, owner, action, target, data, envelope, etime, ctime, state } };
}
