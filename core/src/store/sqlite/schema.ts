import type { Database } from 'better-sqlite3';
import { newEpoch } from '../epoch.ts';

/** The version of the tables below. A database of a higher one is not opened. */
export const SCHEMA_VERSION = 1;
/** The fact that says up to which id the purge has removed rows. */
const PURGED = 'purged_up_to';
/** The fact that says which id a row gets at the least. */
export const LEAST_ID = 'least_id';
/** The fact that names a copy that was made of the database as it is. */
export const COPY = 'copy';

// The first three tables and their indexes are the original's, column for column.
const TABLES = `
CREATE TABLE IF NOT EXISTS \`centreond_identity\` (
    \`id\` INTEGER PRIMARY KEY,
    \`ctime\` int(11) DEFAULT NULL,
    \`identity\` varchar(2048) DEFAULT NULL,
    \`key\` varchar(4096) DEFAULT NULL
);
CREATE INDEX IF NOT EXISTS idx_centreond_identity_identity ON centreond_identity (identity);

CREATE TABLE IF NOT EXISTS \`centreond_history\` (
    \`id\` INTEGER PRIMARY KEY,
    \`token\` varchar(255) DEFAULT NULL,
    \`code\` int(11) DEFAULT NULL,
    \`etime\` int(11) DEFAULT NULL,
    \`ctime\` int(11) DEFAULT NULL,
    \`data\` varchar(2048) DEFAULT NULL
);
CREATE INDEX IF NOT EXISTS idx_centreond_history_id ON centreond_history (id);
CREATE INDEX IF NOT EXISTS idx_centreond_history_token ON centreond_history (token);
CREATE INDEX IF NOT EXISTS idx_centreond_history_etime ON centreond_history (etime);
CREATE INDEX IF NOT EXISTS idx_centreond_history_code ON centreond_history (code);
CREATE INDEX IF NOT EXISTS idx_centreond_history_ctime ON centreond_history (ctime);

CREATE TABLE IF NOT EXISTS \`centreond_synchistory\` (
    \`id\` int(11) DEFAULT NULL,
    \`ctime\` int(11) DEFAULT NULL,
    \`last_id\` int(11) DEFAULT NULL
);
CREATE INDEX IF NOT EXISTS idx_centreond_synchistory_id ON centreond_synchistory (id);

-- Facts about the database itself: schema, epoch, former_epochs, clock_back, purged_up_to, purge_clock, least_id,
-- copy.
CREATE TABLE centreond_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- Who first used a token, and for what. log = 1: known from PUTLOG only. The id is one of the history's numbering, never
-- above the token's first row. The long column is last: nothing that reads the others has to walk over it.
CREATE TABLE centreond_request (
    id INTEGER PRIMARY KEY,
    token TEXT NOT NULL UNIQUE,
    ctime INTEGER NOT NULL,
    etime INTEGER NOT NULL,
    log INTEGER NOT NULL,
    owner TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    envelope TEXT NOT NULL,
    data TEXT NOT NULL
);
-- Requests without a terminal row. A table of its own: ending a request then never rewrites its data.
CREATE TABLE centreond_open (id INTEGER PRIMARY KEY);

-- A number for each node id, since an integer column would turn '007' into 7.
CREATE TABLE centreond_node (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
-- Rows that differ from "the action of its token's request, written here". node NULL: written here.
CREATE TABLE centreond_origin (
    id INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    node INTEGER REFERENCES centreond_node (number),
    epoch TEXT,
    origin_id INTEGER,
    UNIQUE (node, epoch, origin_id)
);
`;

// Tables added since: an older centreond does not look at them, so the version stays.
const ADDED = `
-- What plugins keep, by their type. Values are JSON text.
CREATE TABLE IF NOT EXISTS centreond_state (
    type TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (type, key)
) WITHOUT ROWID;
-- Of which database of a node the cursor in centreond_synchistory speaks.
CREATE TABLE IF NOT EXISTS centreond_epoch (node INTEGER PRIMARY KEY, epoch TEXT NOT NULL);
-- Rows of other nodes that could not be stored, and why.
CREATE TABLE IF NOT EXISTS centreond_aside (
    node INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    origin_id INTEGER NOT NULL,
    ctime INTEGER NOT NULL,
    reason TEXT NOT NULL,
    row TEXT NOT NULL,
    UNIQUE (node, epoch, origin_id)
);
`;

// What GETREQUESTS searches by. An older centreond ignores the tables, and keeps the indexes.
const FAILED = `
CREATE TABLE centreond_failed (id INTEGER PRIMARY KEY);
INSERT INTO centreond_failed
  SELECT DISTINCT r.id FROM centreond_history h JOIN centreond_request r ON r.token = h.token
  LEFT JOIN centreond_origin o ON o.id = h.id WHERE h.code = 1 AND r.log = 0 AND coalesce(o.apart, 0) = 0;
`;
// Requests that are younger than their ids: PUTLOG, or a row of their node, had the token before. A request's own first row has no
// origin; of one whose first row is purged nobody knows.
const LATE = `
CREATE TABLE centreond_late (id INTEGER PRIMARY KEY);
INSERT INTO centreond_late
  SELECT r.id FROM centreond_request r WHERE r.log = 0 AND (EXISTS (SELECT 1 FROM centreond_origin o WHERE o.id = r.id)
    OR (r.action <> 'PUTLOG' AND NOT EXISTS (SELECT 1 FROM centreond_history h WHERE h.id = r.id)));
`;
// Each holds all columns that filters compare: what does not match is passed over without reading the request.
const INDEXES = `
DROP INDEX IF EXISTS centreond_request_owner;
DROP INDEX IF EXISTS centreond_request_action;
DROP INDEX IF EXISTS centreond_request_target;
CREATE INDEX IF NOT EXISTS centreond_request_by_owner ON centreond_request (owner, id, action, target, log);
CREATE INDEX IF NOT EXISTS centreond_request_by_action ON centreond_request (action, id, target, log);
CREATE INDEX IF NOT EXISTS centreond_request_by_target ON centreond_request (target, id, action, log);
`;

/** apart = 1: a row of another node that counts for no request made here. */
const APART = 'ALTER TABLE centreond_origin ADD COLUMN apart INTEGER NOT NULL DEFAULT 0;';

/** Sets up the connection and makes the tables where there are none. Throws a plain Error that says what is wrong. */
export function prepareDatabase(db: Database): void {
  const exists = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'centreond_meta'").get();
  if (exists === undefined) {
    db.transaction(() => {
      db.exec(TABLES + ADDED);
      db.exec(APART + FAILED + LATE + INDEXES);
      const put = db.prepare('INSERT INTO centreond_meta VALUES (?, ?)');
      put.run('schema', String(SCHEMA_VERSION));
      put.run('epoch', newEpoch());
      put.run(PURGED, '0');
    }).immediate();
    return;
  }
  const version = Number(readMeta(db, 'schema'));
  if (version > SCHEMA_VERSION)
    throw new Error(
      `it was written by a newer centreond (schema ${version}, this one knows ${SCHEMA_VERSION}); run that one, or point core.dataDir elsewhere`,
    );
  if (version !== SCHEMA_VERSION) throw new Error('it does not say which schema it has; restore it from a backup');
  db.exec(ADDED);
  const columns = db.pragma('table_info(centreond_origin)') as { name: string }[];
  if (!columns.some(({ name }) => name === 'apart')) db.exec(APART);
  const has = db.prepare('SELECT 1 FROM sqlite_schema WHERE name = ?');
  db.transaction(() => {
    if (has.get('centreond_failed') === undefined) db.exec(FAILED);
    if (has.get('centreond_late') === undefined) db.exec(LATE);
    db.exec(INDEXES);
    assumePurged(db);
  }).immediate();
}

/** A fact about the database, `''` where it is not known. */
export function readMeta(db: Database, key: string): string {
  const value: unknown = db.prepare('SELECT value FROM centreond_meta WHERE key = ?').pluck().get(key);
  return typeof value === 'string' ? value : '';
}

/** The highest id that the purge may have removed; 0 if it has removed none. */
export function purgedUpTo(db: Database): number {
  return Number(readMeta(db, PURGED));
}

/** Notes that the purge removed rows up to `id`. */
export function notePurged(db: Database, id: number): void {
  if (id > purgedUpTo(db)) db.prepare('INSERT OR REPLACE INTO centreond_meta VALUES (?, ?)').run(PURGED, String(id));
}

/** A router opens the database: what was copied of it is not what it holds any more. */
export function forgetCopy(db: Database): void {
  db.prepare('DELETE FROM centreond_meta WHERE key = ?').run(COPY);
}

/** What an older centreond purged was not noted: whatever is missing up to now may have been purged. */
function assumePurged(db: Database): void {
  const upTo = 'SELECT coalesce(max(id), 0) FROM centreond_history';
  db.prepare(`INSERT OR IGNORE INTO centreond_meta VALUES (?, CAST((${upTo}) AS TEXT))`).run(PURGED);
}

/** The names that the database had before, the newest first. */
export function formerEpochs(db: Database): string[] {
  return readMeta(db, 'former_epochs').split(' ').filter(Boolean);
}
