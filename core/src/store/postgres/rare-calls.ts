import { type Call, type INHERIT, type KEEP, PIN, RENAME, type Refusal } from '../batch.ts';
import { FORMER_EPOCHS } from '../epoch.ts';
import type { RequestRecord } from '../token-store.ts';
import { type Author, Overtaken, REQUEST_BYTES } from './changes.ts';
import type { ForeignLogs } from './foreign-logs.ts';
import { readMeta, writeMeta } from './schema.ts';
import type { Session } from './session.ts';

type Of<K> = Extract<Call, { kind: K }>;

/** Bytes of a request's texts. */
const REQUEST_TEXTS =
  'octet_length(token) + octet_length(owner) + octet_length(action) + octet_length(target) + octet_length(envelope) + octet_length(data)';

/**
 * A request takes over the token with the id `id`, which PUTLOG had claimed. Rows from before keep the type that they had: without
 * an origin of their own they would take the new one. Resolves with the bytes that it came to.
 */
export async function takeOver(session: Session, id: number, request: RequestRecord, now: number): Promise<number> {
  await session.rows(
    `INSERT INTO centreond_origin (id, type) SELECT h.id, r.action FROM centreond_request r
      JOIN centreond_history h ON h.token = r.token WHERE r.id = $1 ON CONFLICT DO NOTHING`,
    [id],
  );
  const { etime, action, target, envelope, data } = request;
  const [bytes] = await session.rows(
    `WITH before AS (SELECT id, ${REQUEST_TEXTS} AS bytes FROM centreond_request WHERE id = $7)
      UPDATE centreond_request r SET ctime = $1, etime = $2, log = false, action = $3, target = $4, envelope = $5, data = $6
      FROM before WHERE r.id = before.id AND r.log
      RETURNING ${REQUEST_TEXTS.replaceAll('(', '(r.')} - before.bytes`,
    [now, etime, action, target, envelope, data, id],
  );
  if (!bytes) throw new Overtaken();
  return bytes.number();
}

/**
 * After an older copy of the database was put back, the rows of a node's request may be here before the request is sent again.
 * They count for it then. Enters the request under an id that is not above that of its token's first row; where it is entered
 * already, it gets that one. Resolves with the id, the code of the row that ended it, and the bytes that it came to.
 */
export async function putBefore(
  session: Session,
  { now }: Author,
  request: RequestRecord,
  id: number,
  isEntered: boolean,
): Promise<{ id: number; code: number | undefined; bytes: number }> {
  const { token, owner, action, target, envelope, data, etime } = request;
  const counted = await session.rows(
    `UPDATE centreond_origin SET apart = false WHERE apart AND node = (SELECT number FROM centreond_node WHERE id = $1)
      AND id IN (SELECT id FROM centreond_history WHERE token = $2) RETURNING 1`,
    [target, token],
  );
  const [lowest] = await session.rows('SELECT min(id) FROM centreond_history WHERE token = $1', [token]);
  const first = counted.length === 0 ? id : Math.min(lowest?.numberOrNull() ?? id, id);
  let bytes = 0;
  if (isEntered) await session.rows('UPDATE centreond_request SET id = $1 WHERE id = $2', [first, id]);
  else {
    const [entered] = await session.rows(
      `INSERT INTO centreond_request (id, token, ctime, etime, log, owner, action, target, envelope, data)
        VALUES ($1, $2, $3, $4, false, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING RETURNING ${REQUEST_TEXTS}`,
      [first, token, now, etime, owner, action, target, envelope, data],
    );
    if (!entered) throw new Overtaken();
    bytes = REQUEST_BYTES + entered.number();
  }
  const [end] = await session.rows(
    `SELECT h.code FROM centreond_history h LEFT JOIN centreond_origin o ON o.id = h.id
      WHERE h.token = $1 AND h.code IN (1, 2) AND NOT coalesce(o.apart, false) ORDER BY h.id DESC LIMIT 1`,
    [token],
  );
  return { id: first, code: end?.number(), bytes };
}

/** Keeps or forgets an entry of a plugin. Resolves with the bytes that it came to. */
export async function keep(
  session: Session,
  { type, key, value, limit }: Of<typeof KEEP>,
  isFull: boolean,
): Promise<{ bytes: number } | { refused: Refusal; reason: string }> {
  const [sums] = await session.rows(
    `SELECT coalesce(sum(octet_length(key) + octet_length(value)), 0),
        coalesce(sum(octet_length(key) + octet_length(value)) FILTER (WHERE key = $2), 0)
      FROM centreond_state WHERE type = $1`,
    [type, key],
  );
  const [kept, before] = [sums?.number() ?? 0, sums?.number() ?? 0];
  const bytes = value === undefined ? 0 : Buffer.byteLength(key) + Buffer.byteLength(value);
  const all = kept - before + bytes;
  // What makes it smaller is always taken: that is the way out.
  if (bytes > before) {
    if (all > limit) return { refused: 'STATE_FULL', reason: String(all) };
    if (isFull) return { refused: 'FULL', reason: '' };
  }
  if (value === undefined) await session.rows('DELETE FROM centreond_state WHERE type = $1 AND key = $2', [type, key]);
  else
    await session.rows(
      `INSERT INTO centreond_state VALUES ($1, $2, $3) ON CONFLICT (type, key) DO UPDATE SET value = excluded.value`,
      [type, key, value],
    );
  return { bytes: bytes - before };
}

/**
 * Notes a key, a node's new id, or another name of the database. After the last, ids may go on higher up: resolves then with the
 * first of `needed` ones that were taken there.
 */
export async function note(
  session: Session,
  call: Of<typeof PIN> | Of<typeof RENAME> | Of<typeof INHERIT>,
  foreignLogs: ForeignLogs,
  now: number,
  needed: number,
): Promise<number | undefined> {
  if (call.kind === PIN) {
    await session.rows(
      `INSERT INTO centreond_identity (ctime, key, identity) VALUES ($1, $2, $3)
        ON CONFLICT (identity) DO UPDATE SET ctime = excluded.ctime, key = excluded.key`,
      [now, call.key, call.identity],
    );
    return undefined;
  }
  if (call.kind !== RENAME) {
    await foreignLogs.inherit(call.from, call.to);
    return undefined;
  }
  const former = `${await readMeta(session, 'epoch')} ${await readMeta(session, 'former_epochs')}`.split(' ');
  await writeMeta(session, 'former_epochs', former.filter(Boolean).slice(0, FORMER_EPOCHS).join(' '));
  await writeMeta(session, 'epoch', call.epoch);
  if (call.skipped === 0) return undefined;
  const [first] = await session.rows('SELECT centreond_take($1)', [call.skipped + needed]);
  return (first?.number() ?? 0) + call.skipped;
}
