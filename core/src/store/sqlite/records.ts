import type { StoredRequest } from '../questions.ts';

const COLUMNS =
  'r.token, r.owner, r.action, r.target, r.data, r.envelope, r.etime, r.ctime, r.log, r.id, o.id IS NOT NULL';

/** What is known of the token `?`. */
export const SELECT_KNOWN = `SELECT ${COLUMNS} FROM centreond_request r LEFT JOIN centreond_open o ON o.id = r.id WHERE r.token = ?`;

/** Open requests above an id, oldest first, so many at most. */
export const SELECT_OPEN = `SELECT ${COLUMNS} FROM centreond_open o JOIN centreond_request r ON r.id = o.id
  WHERE o.id > ? ORDER BY o.id LIMIT ?`;

/** Code and time of the row that ended the token `?`, and its data if it failed. */
export const LATEST_END = `SELECT h.code, h.etime, CASE h.code WHEN 1 THEN h.data END FROM centreond_history h
  LEFT JOIN centreond_origin o ON o.id = h.id
  WHERE h.token = ? AND +h.code IN (1, 2) AND coalesce(o.apart, 0) = 0 ORDER BY h.id DESC LIMIT 1`;

/** A row: its id, token, code, etime, ctime and data. */
export const INSERT_ROW =
  'INSERT INTO centreond_history (id, token, code, etime, ctime, data) VALUES (?, ?, ?, ?, ?, ?)';

/** Ends the request with the id `?`; changes nothing where it was not open. */
export const END_REQUEST = 'DELETE FROM centreond_open WHERE id = ?';

/** Marks the request with the id `?` as one that ended in a failure. */
export const FAIL_REQUEST = 'INSERT OR IGNORE INTO centreond_failed VALUES (?)';

/** Marks the request with the id `?` as one that is younger than its id. */
export const LATE_REQUEST = 'INSERT OR IGNORE INTO centreond_late VALUES (?)';

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
