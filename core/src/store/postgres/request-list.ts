import { FAILED } from '@centreond/protocol';
import { DATA_BYTES, errorOf, listedData } from '../listed-request.ts';
import type { ListedRequest, RequestFilter } from '../token-store.ts';
import type { Cells } from './cells.ts';
import type { Session, Value } from './session.ts';

/** Characters of a failure's data that are read for its error code. */
const FAILURE_CHARACTERS = 65_536;

/** Finds requests by their filters, the newest first; one more than the limit where there is one. `node` is this router's id. */
export async function listRequests(session: Session, filter: RequestFilter, node: string): Promise<ListedRequest[]> {
  const { token, owner, mine, action, state, since, until, before, limit } = filter;
  const values: Value[] = [];
  // Tokens known from PUTLOG only, and PUTLOG itself, are no requests.
  const where = ['NOT r.log', "r.action <> 'PUTLOG'"];
  const and = (sql: string, value: Value) => {
    values.push(value);
    where.push(`${sql} $${values.length}`);
  };
  if (before !== undefined) and('r.id <', before);
  if (token !== undefined) and('r.token =', token);
  for (const one of [mine, owner]) if (one !== undefined) and('r.owner =', one);
  if (action !== undefined) and('r.action =', action);
  if (filter.node === '' || filter.node === node) {
    values.push(node);
    where.push(`r.target IN ('', $${values.length})`);
  } else if (filter.node !== undefined) and('r.target =', filter.node);
  if (state === 'open') where.push('open.id IS NOT NULL');
  if (state === 'failed') where.push('failed.id IS NOT NULL');
  if (state === 'finished') where.push('open.id IS NULL', 'failed.id IS NULL');
  if (since !== undefined) and('r.ctime >=', since);
  if (until !== undefined) and('r.ctime <=', until);
  values.push(limit + 1);
  const found = await session.rows(
    `SELECT r.id, r.token, r.owner, r.action, r.target, r.ctime, octet_length(r.data), left(r.data, ${DATA_BYTES}),
        ended.code, ended.etime, CASE ended.code WHEN ${FAILED} THEN left(ended.data, ${FAILURE_CHARACTERS}) END, n.id
      FROM (SELECT r.*, open.id IS NOT NULL AS is_open, open.router FROM centreond_request r
        LEFT JOIN centreond_open open ON open.id = r.id LEFT JOIN centreond_failed failed ON failed.id = r.id
        WHERE ${where.join(' AND ')} ORDER BY r.id DESC LIMIT $${values.length}) AS r
      LEFT JOIN LATERAL (SELECT h.code, h.etime, h.data FROM centreond_history h
        LEFT JOIN centreond_origin o ON o.id = h.id
        WHERE h.token = r.token AND h.code IN (1, 2) AND NOT coalesce(o.apart, false) AND NOT r.is_open
        ORDER BY h.id DESC LIMIT 1) AS ended ON true
      LEFT JOIN centreond_node n ON n.number = r.router
      ORDER BY r.id DESC`,
    values,
  );
  return found.map(listed);
}

function listed(cells: Cells): ListedRequest {
  const [id, token, owner, action, target] = [cells.number(), cells.text(), cells.text(), cells.text(), cells.text()];
  const [acceptedAt, bytes, text] = [cells.number(), cells.number(), cells.text()];
  const [code, endedAt, failure] = [cells.numberOrNull(), cells.numberOrNull(), cells.textOrNull()];
  const error = failure === null ? null : errorOf(failure);
  const data = listedData(text, bytes);
  const router = cells.textOrNull();
  const request = { id, token, owner, action, target, acceptedAt, endedAt, code, error, data };
  return router === null ? request : { ...request, router };
}
