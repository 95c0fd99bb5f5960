BEGIN;
CREATE TABLE centreond_aside (
    node INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    origin_id INTEGER NOT NULL,
    ctime INTEGER NOT NULL,
    reason TEXT NOT NULL,
    row TEXT NOT NULL,
    UNIQUE (node, epoch, origin_id)
);
CREATE TABLE centreond_epoch (node INTEGER PRIMARY KEY, epoch TEXT NOT NULL);
INSERT INTO "centreond_epoch" VALUES (1, 'e-of-paris');
CREATE TABLE centreond_failed (id INTEGER PRIMARY KEY);
INSERT INTO "centreond_failed" VALUES (15);
CREATE TABLE `centreond_history` (
    `id` INTEGER PRIMARY KEY,
    `token` varchar(255) DEFAULT NULL,
    `code` int(11) DEFAULT NULL,
    `etime` int(11) DEFAULT NULL,
    `ctime` int(11) DEFAULT NULL,
    `data` varchar(2048) DEFAULT NULL
);
INSERT INTO "centreond_history" VALUES (1, '', 3, 1795948212, 1795948212, '{"id":"central","version":"0.1.0"}');
INSERT INTO "centreond_history" VALUES (2, '01a226db-0d69-74b3-bb20-9122b4e2bc9f', 0, 1795948219, 1795948219, '{"owner":"@local","target":""}');
INSERT INTO "centreond_history" VALUES (3, '01a226db-0d69-74b3-bb20-9122b4e2bc9f', 2, 1795948219, 1795948219, '{"fingerprint":"CAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","identity":"bob","roles":["client"]}');
INSERT INTO "centreond_history" VALUES (4, '01a226db-0e06-758d-8ee9-53c717e5f3da', 0, 1795948219, 1795948219, '{"owner":"@local","target":""}');
INSERT INTO "centreond_history" VALUES (5, '01a226db-0e06-758d-8ee9-53c717e5f3da', 2, 1795948219, 1795948219, '{"fingerprint":"DAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","identity":"carol","roles":["client","admin"]}');
INSERT INTO "centreond_history" VALUES (6, '01a226db-0e47-7886-bd89-a20d56a82201', 0, 1795948219, 1795948219, '{"owner":"@local","target":""}');
INSERT INTO "centreond_history" VALUES (7, '01a226db-0e47-7886-bd89-a20d56a82201', 2, 1795948220, 1795948220, '{"fingerprint":"EAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","identity":"rome","roles":["node"]}');
INSERT INTO "centreond_history" VALUES (8, '01a226db-0e79-74e5-b445-e913df3fd6d0', 0, 1795948220, 1795948220, '{"owner":"@local","target":""}');
INSERT INTO "centreond_history" VALUES (9, '01a226db-0e79-74e5-b445-e913df3fd6d0', 2, 1795948220, 1795948220, '{"fingerprint":"FAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","identity":"mallory","roles":["client"]}');
INSERT INTO "centreond_history" VALUES (10, '01a226db-0e9d-70c0-8cf9-f4ecc2e1ba84', 0, 1795948220, 1795948220, '{"owner":"@local","target":""}');
INSERT INTO "centreond_history" VALUES (11, '01a226db-0e9d-70c0-8cf9-f4ecc2e1ba84', 2, 1795948220, 1795948220, '{"revoked":{"fingerprint":"FAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","identity":"mallory"}}');
INSERT INTO "centreond_history" VALUES (12, 'finished', 0, 1795948220, 1795948220, '{"owner":"@local","target":""}');
INSERT INTO "centreond_history" VALUES (13, 'finished', 100, 1795948220, 1795948220, '{"stream":"stdout","chunk":"one\n"}');
INSERT INTO "centreond_history" VALUES (14, 'finished', 2, 1795948220, 1795948220, '{"exitCode":0,"signal":null,"stdout":"one\n","stderr":"","truncated":false}');
INSERT INTO "centreond_history" VALUES (15, 'failed', 0, 1795948220, 1795948220, '{"owner":"@local","target":""}');
INSERT INTO "centreond_history" VALUES (16, 'failed', 1, 1795948221, 1795948221, '{"error":"COMMAND_NOT_STARTED","message":"The command no-such-program could not be started: no folder of PATH has a program of this name (ENOENT)."}');
INSERT INTO "centreond_history" VALUES (17, 'with-rows', 0, 1795948221, 1795948221, '{"owner":"@local","target":""}');
INSERT INTO "centreond_history" VALUES (18, 'with-rows', 100, 1795948221, 1795948221, '{"stream":"stdout","chunk":"out\n"}');
INSERT INTO "centreond_history" VALUES (19, 'with-rows', 100, 1795948221, 1795948221, '{"stream":"stderr","chunk":"err\n"}');
INSERT INTO "centreond_history" VALUES (20, 'with-rows', 2, 1795948221, 1795948221, '{"exitCode":3,"signal":null,"stdout":"out\n","stderr":"err\n","truncated":false}');
INSERT INTO "centreond_history" VALUES (22, 'noted', 50, 1795948221, 1795948221, '{"text":"ünïcode, and a \"quote\""}');
INSERT INTO "centreond_history" VALUES (23, 'open', 0, 1795948221, 1795948221, '{"owner":"@local","target":""}');
INSERT INTO "centreond_history" VALUES (24, 'held', 0, 1795948221, 1795948221, '{"owner":"@local","target":"rome"}');
INSERT INTO "centreond_history" VALUES (25, '01a226db-13ea-7d41-b84d-818c75c8f7fa', 0, 1795948221, 1795948221, '{"owner":"@local","target":""}');
INSERT INTO "centreond_history" VALUES (26, '01a226db-13ea-7d41-b84d-818c75c8f7fa', 2, 1795948221, 1795948221, '{"id":"nightly","schedule":"0 3 * * *","timeZone":"UTC","action":"COMMAND","data":{"command":"true"},"overlap":false,"missed":"skip","enabled":true,"source":"state","nextRun":"2026-11-30T03:00:00.000Z","lastRun":null,"running":[],"waiting":0,"counts":{"fired":0,"finished":0,"failed":0,"refused":0,"unknown":0,"skipped":0,"missed":0}}');
INSERT INTO "centreond_history" VALUES (27, '01a226db-14ec-7680-9dcb-113a99fc1b9f', 0, 1795948221, 1795948221, '{"owner":"@local","target":""}');
INSERT INTO "centreond_history" VALUES (28, '01a226db-14ec-7680-9dcb-113a99fc1b9f', 2, 1795948221, 1795948221, '{"id":"off","schedule":"@weekly","timeZone":"UTC","action":"COMMAND","data":{},"overlap":false,"missed":"skip","enabled":false,"source":"state","nextRun":null,"lastRun":null,"running":[],"waiting":0,"counts":{"fired":0,"finished":0,"failed":0,"refused":0,"unknown":0,"skipped":0,"missed":0}}');
INSERT INTO "centreond_history" VALUES (29, 'of-paris', 0, 1790000000, 1795948221, '{"n":1}');
INSERT INTO "centreond_history" VALUES (30, 'of-paris', 2, 1790000000, 1795948221, '{"n":1}');
INSERT INTO "centreond_history" VALUES (31, 'of-paris', 0, 1790000000, 1795948221, '{"n":1}');
INSERT INTO "centreond_history" VALUES (32, '01a226db-1554-7bb0-89e9-2a76b29e1d23', 0, 1795948221, 1795948221, '{"owner":"@local","target":""}');
INSERT INTO "centreond_history" VALUES (33, '01a226db-1554-7bb0-89e9-2a76b29e1d23', 2, 1795948221, 1795948221, '{"definitions":[{"id":"nightly","schedule":"0 3 * * *","timeZone":"UTC","action":"COMMAND","data":{"command":"true"},"overlap":false,"missed":"skip","enabled":true,"source":"state","nextRun":"2026-11-30T03:00:00.000Z","lastRun":null,"running":[],"waiting":0,"counts":{"fired":0,"finished":0,"failed":0,"refused":0,"unknown":0,"skipped":0,"missed":0}},{"id":"off","schedule":"@weekly","timeZone":"UTC","action":"COMMAND","data":{},"overlap":false,"missed":"skip","enabled":false,"source":"state","nextRun":null,"lastRun":null,"running":[],"waiting":0,"counts":{"fired":0,"finished":0,"failed":0,"refused":0,"unknown":0,"skipped":0,"missed":0}}]}');
CREATE TABLE `centreond_identity` (
    `id` INTEGER PRIMARY KEY,
    `ctime` int(11) DEFAULT NULL,
    `identity` varchar(2048) DEFAULT NULL,
    `key` varchar(4096) DEFAULT NULL
);
CREATE TABLE centreond_late (id INTEGER PRIMARY KEY);
CREATE TABLE centreond_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "centreond_meta" VALUES ('epoch', '628a3c88399dbd56ad520f3a24418b50');
INSERT INTO "centreond_meta" VALUES ('purge_clock', '1795948209');
INSERT INTO "centreond_meta" VALUES ('purged_up_to', '0');
INSERT INTO "centreond_meta" VALUES ('schema', '1');
CREATE TABLE centreond_node (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
INSERT INTO "centreond_node" VALUES (1, 'paris');
INSERT INTO "centreond_node" VALUES (2, 'nobody');
CREATE TABLE centreond_open (id INTEGER PRIMARY KEY);
INSERT INTO "centreond_open" VALUES (23);
INSERT INTO "centreond_open" VALUES (24);
CREATE TABLE centreond_origin (
    id INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    node INTEGER REFERENCES centreond_node (number),
    epoch TEXT,
    origin_id INTEGER, apart INTEGER NOT NULL DEFAULT 0,
    UNIQUE (node, epoch, origin_id)
);
INSERT INTO "centreond_origin" VALUES (1, 'START', NULL, NULL, NULL, 0);
INSERT INTO "centreond_origin" VALUES (29, 'COMMAND', 1, 'e-of-paris', 4, 1);
INSERT INTO "centreond_origin" VALUES (30, 'COMMAND', 1, 'e-of-paris', 5, 1);
INSERT INTO "centreond_origin" VALUES (31, 'COMMAND', 2, 'e-of-paris', 6, 1);
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
INSERT INTO "centreond_request" VALUES (2, '01a226db-0d69-74b3-bb20-9122b4e2bc9f', 1795948219, 1795948219, 0, '@local', 'ACCEPTKEY', '', '', '{"fingerprint":"CAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","identity":"bob","roles":["client"]}');
INSERT INTO "centreond_request" VALUES (4, '01a226db-0e06-758d-8ee9-53c717e5f3da', 1795948219, 1795948219, 0, '@local', 'ACCEPTKEY', '', '', '{"fingerprint":"DAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","identity":"carol","roles":["client","admin"]}');
INSERT INTO "centreond_request" VALUES (6, '01a226db-0e47-7886-bd89-a20d56a82201', 1795948219, 1795948219, 0, '@local', 'ACCEPTKEY', '', '', '{"fingerprint":"EAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","identity":"rome","roles":["node"]}');
INSERT INTO "centreond_request" VALUES (8, '01a226db-0e79-74e5-b445-e913df3fd6d0', 1795948220, 1795948220, 0, '@local', 'ACCEPTKEY', '', '', '{"fingerprint":"FAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","identity":"mallory","roles":["client"]}');
INSERT INTO "centreond_request" VALUES (10, '01a226db-0e9d-70c0-8cf9-f4ecc2e1ba84', 1795948220, 1795948220, 0, '@local', 'REVOKEKEY', '', '', '{"key":"mallory"}');
INSERT INTO "centreond_request" VALUES (12, 'finished', 1795948220, 1795948220, 0, '@local', 'COMMAND', '', '', '{"command":"echo one"}');
INSERT INTO "centreond_request" VALUES (15, 'failed', 1795948220, 1795948220, 0, '@local', 'COMMAND', '', '', '{"command":"no-such-program"}');
INSERT INTO "centreond_request" VALUES (17, 'with-rows', 1795948221, 1795948221, 0, '@local', 'SHELL_COMMAND', '', '', '{"command":["sh","-c","echo out; echo err >&2; exit 3"]}');
INSERT INTO "centreond_request" VALUES (21, '01a226db-13c0-7ecf-8558-a3fea8092749', 1795948221, 1795948221, 0, '@local', 'PUTLOG', '', '', '{"token":"noted","code":50,"data":{"text":"ünïcode, and a \"quote\""}}');
INSERT INTO "centreond_request" VALUES (22, 'noted', 1795948221, 1795948221, 1, '@local', 'PUTLOG', '', '', '');
INSERT INTO "centreond_request" VALUES (23, 'open', 1795948221, 1795948221, 0, '@local', 'COMMAND', '', '', '{"command":"sleep 600"}');
INSERT INTO "centreond_request" VALUES (24, 'held', 1795948221, 1795948221, 0, '@local', 'COMMAND', 'rome', '{"hold":true,"deadline":4102444800}', '{"command":"date"}');
INSERT INTO "centreond_request" VALUES (25, '01a226db-13ea-7d41-b84d-818c75c8f7fa', 1795948221, 1795948221, 0, '@local', 'ADDCRON', '', '', '{"id":"nightly","schedule":"0 3 * * *","action":"COMMAND","data":{"command":"true"}}');
INSERT INTO "centreond_request" VALUES (27, '01a226db-14ec-7680-9dcb-113a99fc1b9f', 1795948221, 1795948221, 0, '@local', 'ADDCRON', '', '', '{"id":"off","schedule":"@weekly","action":"COMMAND","enabled":false}');
INSERT INTO "centreond_request" VALUES (32, '01a226db-1554-7bb0-89e9-2a76b29e1d23', 1795948221, 1795948221, 0, '@local', 'GETCRON', '', '', '{}');
CREATE TABLE centreond_state (
    type TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (type, key)
) WITHOUT ROWID;
INSERT INTO "centreond_state" VALUES ('cron', 'definition:nightly', '{"id":"nightly","schedule":"0 3 * * *","action":"COMMAND","data":{"command":"true"},"overlap":false,"missed":"skip","enabled":true}');
INSERT INTO "centreond_state" VALUES ('cron', 'definition:off', '{"id":"off","schedule":"@weekly","action":"COMMAND","data":{},"overlap":false,"missed":"skip","enabled":false}');
INSERT INTO "centreond_state" VALUES ('cron', 'run:nightly', '{"plan":"[\"0 3 * * *\",\"UTC\",true]","through":1795948221581,"open":[],"counts":{"fired":0,"finished":0,"failed":0,"refused":0,"unknown":0,"skipped":0,"missed":0}}');
INSERT INTO "centreond_state" VALUES ('cron', 'run:off', '{"plan":"[\"@weekly\",\"UTC\",false]","through":1795948221705,"open":[],"counts":{"fired":0,"finished":0,"failed":0,"refused":0,"unknown":0,"skipped":0,"missed":0}}');
CREATE TABLE `centreond_synchistory` (
    `id` int(11) DEFAULT NULL,
    `ctime` int(11) DEFAULT NULL,
    `last_id` int(11) DEFAULT NULL
);
INSERT INTO "centreond_synchistory" VALUES (1, 1795948221, 0);
CREATE INDEX centreond_request_by_action ON centreond_request (action, id, target, log);
CREATE INDEX centreond_request_by_owner ON centreond_request (owner, id, action, target, log);
CREATE INDEX centreond_request_by_target ON centreond_request (target, id, action, log);
CREATE INDEX idx_centreond_history_code ON centreond_history (code);
CREATE INDEX idx_centreond_history_ctime ON centreond_history (ctime);
CREATE INDEX idx_centreond_history_etime ON centreond_history (etime);
CREATE INDEX idx_centreond_history_id ON centreond_history (id);
CREATE INDEX idx_centreond_history_token ON centreond_history (token);
CREATE INDEX idx_centreond_identity_identity ON centreond_identity (identity);
CREATE INDEX idx_centreond_synchistory_id ON centreond_synchistory (id);
COMMIT;
