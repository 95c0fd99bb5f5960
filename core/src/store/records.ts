import type { KnownRequest } from './token-store.ts';

const COLUMNS =
  'r.token, r.owner, r.action, r.target, r.data, r.envelope, r.etime, r.ctime, r.log, r.id, o.id IS NOT NULL';

/** What is known of the token `?`. */
export const SELECT_KNOWN = `SELECT ${COLUMNS} FROM centreond_request r LEFT JOIN centreond_open o ON o.id = r.id WHERE r.token = ?`;

/** All open requests, oldest first. */
export const SELECT_OPEN = `SELECT ${COLUMNS} FROM centreond_open o JOIN centreond_request r ON r.id = o.id ORDER BY o.id`;

/** A row: its id, token, code, etime, ctime and data. */
export const INSERT_ROW =
  'INSERT INTO centreond_history (id, token, code, etime, ctime, data) VALUES (?, ?, ?, ?, ?, ?)';

/** Ends the request with the id `?`; changes nothing where it was not open. */
export const END_REQUEST = 'DELETE FROM centreond_open WHERE id = ?';

export interface StoredRequest {
  id: number;
  request: KnownRequest;
}

/** A row of the two statements above, read as an array. */
export function storedRequest(row: readonly unknown[]): StoredRequest {
  const [token, owner, action, target, data, envelope, etime, ctime, log, id, open] = row;
  return {
    id: Number(id),
    request: {
      token: String(token),
      owner: String(owner),
      action: String(action),
      target: String(target),
      data: String(data),
      envelope: String(envelope),
      etime: Number(etime),
      ctime: Number(ctime),
      state: log === 1 ? 'log' : open === 1 ? 'open' : 'ended',
    },
  };
}
