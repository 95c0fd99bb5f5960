/**
 * The tables, step by step: a database of version N has had the first N. A step that was released is never changed.
 *
 * An id names a row and gives its place. Routers take ids in blocks and commit side by side, so a row may come after one with a
 * higher id: while a transaction holds ids, it holds a lock that names the first of them, and readers stop below the lowest. (The
 * order of transaction numbers is not that of ids, and any transaction on the server, of any database, would hold readers up.)
 */
export const STEPS: readonly string[] = [
  `
-- The first three tables are the original's, with its columns. The router is the node that wrote the row here.
CREATE TABLE centreond_identity (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ctime bigint,
    identity text COLLATE "C" UNIQUE,
    key text
);
CREATE TABLE centreond_history (
    id bigint PRIMARY KEY,
    token text COLLATE "C",
    code integer,
    etime bigint,
    ctime bigint,
    data text,
    router integer NOT NULL
);
CREATE INDEX centreond_history_token ON centreond_history (token, id);
CREATE INDEX centreond_history_code ON centreond_history (code, id);
CREATE INDEX centreond_history_ctime ON centreond_history (ctime, id);
-- Rows come in the order of their times, or nearly: a summary of each range of pages is enough.
CREATE INDEX centreond_history_etime ON centreond_history USING brin (etime);
CREATE TABLE centreond_synchistory (
    id integer PRIMARY KEY,
    ctime bigint,
    last_id bigint
);

-- Facts about the database itself: schema, epoch, former_epochs, purged_up_to, purge_clock.
CREATE TABLE centreond_meta (key text PRIMARY KEY, value text NOT NULL);

-- Who first used a token, and for what. log: known from PUTLOG only. The id is one of the history's numbering, never above the
-- token's first row.
CREATE TABLE centreond_request (
    id bigint PRIMARY KEY,
    token text COLLATE "C" NOT NULL UNIQUE,
    ctime bigint NOT NULL,
    etime bigint NOT NULL,
    log boolean NOT NULL,
    owner text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL,
    envelope text NOT NULL,
    data text NOT NULL
);
CREATE INDEX centreond_request_owner ON centreond_request (owner, id);
CREATE INDEX centreond_request_action ON centreond_request (action, id);
CREATE INDEX centreond_request_target ON centreond_request (target, id);
-- Requests without a terminal row, each with the router that has it.
CREATE TABLE centreond_open (id bigint PRIMARY KEY, router integer NOT NULL);
-- Requests that ended in a failure.
CREATE TABLE centreond_failed (id bigint PRIMARY KEY);

-- A number for each node id.
CREATE TABLE centreond_node (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE
);
-- Rows that differ from "the action of its token's request, written by a router of this database". node NULL: written by one.
-- apart: a row of another node that counts for no request made here.
CREATE TABLE centreond_origin (
    id bigint PRIMARY KEY,
    type text NOT NULL,
    node integer,
    epoch text COLLATE "C",
    origin_id bigint,
    apart boolean NOT NULL DEFAULT false,
    UNIQUE (node, epoch, origin_id)
);
-- What plugins keep, by their type. Values are JSON text.
CREATE TABLE centreond_state (
    type text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (type, key)
);
-- Of which database of a node the cursor in centreond_synchistory speaks.
CREATE TABLE centreond_epoch (node integer PRIMARY KEY, epoch text NOT NULL);
-- Rows of other nodes that could not be stored, and why.
CREATE TABLE centreond_aside (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node integer NOT NULL,
    epoch text COLLATE "C" NOT NULL,
    origin_id bigint NOT NULL,
    ctime bigint NOT NULL,
    reason text NOT NULL,
    "row" text NOT NULL,
    UNIQUE (node, epoch, origin_id)
);
-- How many groups of calls each router has committed, and the bytes that these came to, less what it purged.
CREATE TABLE centreond_writer (
    node integer PRIMARY KEY,
    groups bigint NOT NULL,
    bytes bigint NOT NULL
) WITH (fillfactor = 50);

CREATE SEQUENCE centreond_id MINVALUE 0 START 0;
-- Takes so many ids for the transaction. The lock is there before the ids are: who reads last_value first and the locks then
-- misses neither.
CREATE FUNCTION centreond_take(amount bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  first bigint;
BEGIN
  PERFORM pg_advisory_lock(1667591796, 0);
  SELECT last_value + 1 INTO first FROM centreond_id;
  PERFORM pg_advisory_xact_lock_shared(4611686018427387904 + first);
  PERFORM setval('centreond_id', first + amount - 1);
  PERFORM pg_advisory_unlock(1667591796, 0);
  RETURN first;
END $$;
-- Gives back the end of a block, in the transaction that took it, where nobody took a later one.
CREATE FUNCTION centreond_give(taken bigint, used bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_lock(1667591796, 0);
  PERFORM setval('centreond_id', used) FROM centreond_id WHERE last_value = taken;
  PERFORM pg_advisory_unlock(1667591796, 0);
END $$;
-- To be called once after an older copy of the database was put back: another name, and ids that were not given since that copy.
CREATE FUNCTION centreond_restored() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  former text;
BEGIN
  PERFORM setval('centreond_id', last_value + 10000000) FROM centreond_id;
  SELECT array_to_string((array_agg(epoch ORDER BY place))[1:8], ' ') INTO former FROM (
    SELECT 0 AS place, value AS epoch FROM centreond_meta WHERE key = 'epoch'
    UNION ALL SELECT place, epoch FROM centreond_meta, string_to_table(value, ' ') WITH ORDINALITY AS f (epoch, place)
      WHERE key = 'former_epochs') AS names;
  INSERT INTO centreond_meta VALUES ('former_epochs', former) ON CONFLICT (key) DO UPDATE SET value = excluded.value;
  UPDATE centreond_meta SET value = replace(gen_random_uuid()::text, '-', '') WHERE key = 'epoch';
END $$;
-- All ids below this are settled: what is not there now never comes. The rows have to be read by a later statement.
CREATE FUNCTION centreond_settled() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  newest bigint;
  held bigint;
BEGIN
  SELECT last_value INTO newest FROM centreond_id;
  SELECT min(((classid::bigint - 1073741824) << 32) + objid::bigint) INTO held FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND classid::bigint >= 1073741824
      AND classid::bigint < 1073741824 + 2097152
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
  RETURN least(newest + 1, held);
END $$;
`,
  `
-- Raised by each start of a router, and by who takes over what is open there: what an earlier process of it still writes is refused.
ALTER TABLE centreond_writer ADD COLUMN fence bigint NOT NULL DEFAULT 0;
-- The routers of this database. cluster: '' for one by itself. beat: when it was last heard of, by this server's clock.
CREATE TABLE centreond_router (
    node integer PRIMARY KEY,
    cluster text COLLATE "C" NOT NULL,
    fence bigint NOT NULL,
    fingerprint text NOT NULL,
    endpoint text NOT NULL,
    version text NOT NULL,
    state text NOT NULL,
    started timestamptz NOT NULL,
    beat timestamptz NOT NULL,
    load text NOT NULL
) WITH (fillfactor = 50);
-- Which router carries which node, and what it says of that node: JSON text.
CREATE TABLE centreond_carried (
    router integer NOT NULL,
    node text COLLATE "C" NOT NULL,
    told text NOT NULL,
    PRIMARY KEY (router, node)
);
-- Who may connect to the routers of a cluster: what the operators decided, as JSON text.
CREATE TABLE centreond_trust (
    cluster text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    record text NOT NULL
);
`,
  `
-- started: a router took it from another one to run it, or was sent it and is gone: it may have run. kept: raised where the router that
-- has it decides what becomes of it, so that who was to take it before cannot any more.
ALTER TABLE centreond_open ADD COLUMN started boolean NOT NULL DEFAULT false, ADD COLUMN kept integer NOT NULL DEFAULT 0;
`,
];
