import type { Membership } from './membership.ts';
import type { RequestRecord } from './request-record.ts';

export type { RequestRecord } from './request-record.ts';

/** What the daemon asks of its token store. A driver (`sqlite/`, `postgres/`) is behind it; `open-store.ts` selects which. */

/** What the store knows of a token. `open`: no terminal row yet; `ended`; `log`: known from PUTLOG only, need not end. */
export interface KnownRequest extends RequestRecord {
  ctime: number;
  state: 'open' | 'ended' | 'log';
}

/** A row of the history. Times in whole seconds; `data` is JSON text. */
export interface Row {
  id: number;
  token: string;
  type: string;
  node: string;
  code: number;
  etime: number;
  ctime: number;
  data: string;
}

export interface RowDraft {
  token: string;
  code: number;
  etime: number;
  data: string;
  /** Only where it differs from the action of the token's request. */
  type?: string;
}

/**
 * `known: false`: written, this is the row; `earlier` where PUTLOG has written under the token before. `known: true`:
 * nothing was written, this is what had the token before.
 */
export type Accepted = { known: false; row: Row; earlier?: true } | { known: true; request: KnownRequest };
/** The same of a row that may stand under another's token: `owner` is whose. */
export type Put = { known: false; row: Row; owner: string } | { known: true; request: KnownRequest };

/** `=` for token and code, `>` for ctime, etime and id; all that are given must hold. */
export interface Filter {
  token?: string;
  code?: number;
  ctime?: number;
  etime?: number;
  id?: number;
  /** Only rows of tokens that this identity owns… */
  owner?: string;
  /** …or, where given beside `owner`, of tokens whose request has this target. */
  target?: string;
  /** Only rows that count for the request of their token. So it is in any case where `owner` is given. */
  counting?: boolean;
  /** The identity that asks: reads take turns between them, within a share each. '' or omitted: the router itself. */
  as?: string;
  /** A page ends after this many rows… */
  limit: number;
  /** …or before the row that would bring it above this many bytes of JSON; it has at least one row if any matches. */
  maxBytes: number;
}

export interface Page {
  rows: Row[];
  /** Whether a further row matched when the page was read. */
  more: boolean;
}

/** A page as the text of a JSON array of rows, for answers that pass on what they read. */
export interface PageText {
  text: string;
  count: number;
  /** The id of the last row, 0 where there is none. */
  last: number;
  more: boolean;
}

/** A row that another node wrote: `(node, epoch, originId)` names it, wherever it came by. `data` is JSON text. */
export interface ForeignRow {
  node: string;
  /** Which database of that node it comes from. */
  epoch: string;
  originId: number;
  token: string;
  type: string;
  code: number;
  etime: number;
  data: string;
  /** Whether it counts for the request of its token; left out: where that has the row's node as its target. */
  counts?: boolean;
}

/** A row that cannot be stored, by its id in the log that brought it; `text` is as much of it as is kept. */
export interface SetAside {
  originId: number;
  reason: string;
  text: string;
}

/** Part of the log of `node`, in ascending order: rows that it wrote itself, and those that it has from nodes behind it. */
export interface LogPage {
  node: string;
  /** Which database of `node`; with another one than before, its cursor starts at 0 again. */
  epoch: string;
  rows: readonly ForeignRow[];
  aside: readonly SetAside[];
  /** The page has all that follows this id in that log, up to `last`. Left out: nobody says so, and the cursor stays. */
  from?: number;
  last: number;
}

/** A row that is stored now; `counts`: for the request of its token, which `owner` made. Or one that is here already, or that came after the end of its token and was set aside. */
export type Adopted = { row: Row; counts: boolean; owner: string } | 'known' | 'ended';

/** How far the log of a node is here. */
export interface Cursor {
  node: string;
  epoch: string;
  last: number;
}

/** Asks for the row with the highest id, up to `upTo`, that `node` wrote itself in one of its databases. */
export interface ForeignRowFilter {
  node: string;
  epoch: string;
  upTo: number;
  /** So many characters of the row's data are read. */
  characters: number;
}

/** A row that another node wrote, by its id there. `data` is JSON text, cut. */
export interface ForeignRowHead {
  id: number;
  token: string;
  code: number;
  etime: number;
  data: string;
}

/** Rows of this router's own log, each as JSON text; `last` is the id of the last one, `after` where there is none. */
export interface OwnLog {
  rows: string[];
  last: number;
  more: boolean;
}

/** Which requests are listed: all that are given must hold. Times in whole seconds, both ends included. */
export interface RequestFilter {
  token?: string;
  owner?: string;
  action?: string;
  /** TARGET; '' or the id of this router for requests to it. */
  node?: string;
  state?: 'open' | 'finished' | 'failed';
  since?: number;
  until?: number;
  /** Only requests with an id below this: where the page before ended. */
  before?: number;
  /** Only requests of this owner, besides what `owner` says. */
  mine?: string;
  /** The identity that asks: reads take turns between them, within a share each. '' is the router itself. */
  as: string;
  limit: number;
  maxBytes: number;
}

/** A request as GETREQUESTS shows it; times in whole seconds. */
export interface ListedRequest {
  id: number;
  token: string;
  owner: string;
  action: string;
  target: string;
  acceptedAt: number;
  endedAt: number | null;
  code: number | null;
  /** The code of the error that it ended with, its first 255 characters. */
  error: string | null;
  /** JSON text of DATA; if that has more than 4 KiB, its first 4 KiB as a JSON string. */
  data: string;
  /** The router at which it is open, where several share the database. */
  router?: string;
}

export interface PutOptions {
  /** Claims an unused token; writes under a used one only if it is this identity's. */
  owner: string;
  /** The caller has made sure that the owner may write under anybody's token. */
  anyToken?: boolean;
  /** The PUTLOG itself where it bears a token: remembered (as ended), so that a repeat is known. */
  own?: RequestRecord;
}

export interface StoreLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** What a store is told, whatever its driver. */
export interface StoreSettings {
  /** This router's id: the node of what is written here. */
  node: string;
  /** `full`: resolved means fsynced. The others trade the last moments before a power cut for speed. */
  synchronous: 'extra' | 'full' | 'normal' | 'off';
  /** Rows are kept so long, and at least 24 h. */
  retentionSeconds: number;
  /** Bytes in use at which new requests are refused. */
  maxBytes: number;
  /** What may wait for the disk before calls get `BUSY`: 200,000 calls and 256 MiB if left out; twice that for appends. */
  queue?: { calls: number; bytes: number };
  /** Pages of rows that wait to be read, in all and of one identity. */
  reads: { count: number; perIdentity: { count: number } };
  clock: { now(): number; monotonic(): number };
  log: StoreLog;
  /** A thread of the store ended by itself: nothing can be stored or read any more. Called once. */
  died?(error: Error): void;
  /** A purge has ended, and removed something. */
  purged?(removed: { readonly rows: number; readonly requests: number }): void;
}

/** A store in a file of SQLite. */
export interface SqliteOptions extends StoreSettings {
  driver?: 'sqlite';
  /** The database. Its folder is made where there is none (0700), the files are 0600. */
  file: string;
  /** Milliseconds for which a write waits for another process that has the database locked: 5000 if left out. */
  lockMs?: number;
}

/** A store in a database of PostgreSQL. */
export interface PostgresOptions extends StoreSettings {
  driver: 'postgres';
  /** `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`. It is never logged. */
  url: string;
  /** What this router is among those that use the database. */
  router: {
    readonly fingerprint: string;
    readonly version: string;
    /** The name of its cluster, '' if it is by itself. */
    readonly cluster: string;
  };
}

export type StoreOptions = SqliteOptions | PostgresOptions;

/** An entry of what a plugin keeps; `value` is JSON text. */
export interface StateEntry {
  key: string;
  value: string;
}

/** What plugins keep, each under its type. Reading sees every write that has resolved. */
export interface StateStore {
  get(type: string, key: string): Promise<string | undefined>;
  /** `STATE_FULL` where all that the type keeps would come to more than `limit` bytes. */
  set(type: string, entry: StateEntry, limit: number): Promise<void>;
  delete(type: string, key: string): Promise<void>;
  /** Entries whose key starts with `prefix` and comes after `after`, by key; a page ends as one of rows does. */
  list(
    type: string,
    prefix: string,
    after: string,
    maxBytes: number,
  ): Promise<{ entries: StateEntry[]; more: boolean }>;
}

export interface WriteCounters {
  /** Rows written since the store was opened. */
  rows: number;
  /** Transactions that wrote them. */
  commits: number;
  /** Transactions that failed; nothing of them is in the store. */
  failures: number;
  /** Calls in the largest transaction. */
  largestCommit: number;
  /** How long the last transaction took, fsync included. */
  lastCommitMs: number;
  /** Calls that wait for their transaction, and the characters that they hold. */
  queued: number;
  queuedBytes: number;
  /** Bytes that rows and requests use, and the limit. SQLite: pages of the database. PostgreSQL: rows, requests and what plugins keep, index entries estimated. */
  bytes: number;
  maxBytes: number;
  /** Rows and requests purged since the store was opened. */
  purgedRows: number;
  purgedRequests: number;
}

/** The figures of a store. Times are in milliseconds since the epoch. */
export interface StoreCounters extends WriteCounters {
  /** Why the database is away, and nothing is accepted; null where it is there. */
  away: string | null;
  /** How long rows are kept, by the config. */
  retentionSeconds: number;
  /** When a purge ended last, and what it removed; null before the first. */
  lastPurge: { at: number; rows: number; requests: number } | null;
  /** When the next one begins at the latest. */
  nextPurgeAt: number;
}

/**
 * The durable record of requests and rows. Whatever writes resolves only once it is on disk (fsynced under
 * `synchronous: full`), calls resolve in the order in which they were made, and row ids ascend in that order.
 *
 * A write rejects with a CentreondError: `BUSY` (the queue is full), `STORE_FAILED` (the disk, or the size limit: nothing
 * of it was written, and the same call may be made again, which is the caller's duty for a terminal row), `STOPPING`
 * (after close). After `STORE_FAILED` the store goes on by itself as soon as the disk does.
 */
export interface TokenStore {
  /**
   * A page of the requests that the last run left open, oldest first: those after the request with the id `after`, at least one if
   * there is any. Call it before the first accept, page by page from 0 on, until it is empty.
   */
  unsettled(after: number, limit: number, maxBytes: number): Promise<{ requests: RequestRecord[]; last: number }>;
  /**
   * Records a request and its row of code 0 with `rowData` (JSON text) in one transaction. A token that exists is
   * returned as it is known and nothing is written; but one known only from PUTLOG by the same owner is taken over.
   * At the size limit: `STORE_FAILED`. The transaction of a request that `endsSoon` waits for its terminal row, 4 ms at most.
   */
  accept(request: RequestRecord, rowData: string, endsSoon?: boolean): Promise<Accepted>;
  /**
   * Appends a row; a terminal one ends the token. Works at the size limit too. `TOKEN_ENDED` for a second terminal row,
   * `UNKNOWN_TOKEN` for a token that the store does not know (the empty token, with `type`, is the daemon's own). A row `behind` an
   * accept of its token is written after that, in the same transaction or a later one, and only if the request is: else
   * `UNKNOWN_TOKEN`, or what the accept rejects with.
   */
  append(row: RowDraft, behind?: Promise<Accepted>): Promise<Row>;
  /**
   * Writes one row under `row.token`, claiming it as state `log` where it is unused, and remembers `own`: all or
   * nothing. `known: true` when `own.token` is known already. `FORBIDDEN` where the token is another's.
   */
  put(row: RowDraft, options: PutOptions): Promise<Put>;
  /**
   * Stores a page of another node's log and moves its cursor, in one transaction; works at the size limit too. A row that
   * counts and is terminal ends its token; all others end nothing. Resolves with what became of each row, and the cursor.
   */
  adopt(page: LogPage): Promise<{ rows: Adopted[]; cursor: number }>;
  /** The node `to` is the node `from` under another id: its log stands where that one's does, in the same database of it. */
  inherit(from: string, to: string): Promise<void>;
  /** Where the logs of all nodes stand. */
  cursors(): Promise<Cursor[]>;
  /** The newest row that a node wrote itself, of those that match; undefined if none is stored. */
  foreignRow(filter: ForeignRowFilter): Promise<ForeignRowHead | undefined>;
  /** This router's own log after an id, those of nodes behind it included. A page ends as one of `query` does. */
  log(after: number, limit: number, maxBytes: number, as?: string): Promise<OwnLog>;
  /** The highest id of this router's own log. */
  end(): Promise<number>;
  /** Names this database: random, new when the database is new. */
  readonly epoch: string;
  /**
   * Gives this database another name: it is an older copy of one that went on. Where `skipped` is given, so many ids are left out:
   * the rows that come now have higher ones than those that the other wrote meanwhile, up to that number.
   */
  renewEpoch(skipped?: number): Promise<void>;
  /** The names that this database had before, the newest first, 8 at most. */
  formerEpochs(): Promise<string[]>;
  /** The highest id that a purge has removed: a row up to it that is missing may have been here. */
  purgedUpTo(): Promise<number>;
  /** `listener` is called after each transaction that wrote rows, also those of other nodes. */
  onWritten(listener: () => void): void;
  /** What is known of a token. `as` is the identity that asks; omitted: the router itself. */
  find(token: string, as?: string): Promise<KnownRequest | undefined>;
  /** Rows by ascending id. */
  query(filter: Filter): Promise<Page>;
  /** The same as JSON text, rendered off the caller's thread. */
  queryText(filter: Filter): Promise<PageText>;
  /** Requests, the newest first. `more` is whether there is, or may be, a further one. */
  requests(filter: RequestFilter): Promise<{ requests: ListedRequest[]; more: boolean }>;
  /** This router among those that share the database; undefined where no other can. */
  readonly membership: Membership | undefined;
  /** What plugins keep. */
  readonly state: StateStore;
  /** Pins a key to an identity, instead of the one that it had. */
  pin(identity: string, key: string): Promise<void>;
  pinned(identity: string): Promise<string | undefined>;
  /** Removes what retention and size limit say, by the clock of now. Runs by itself too; two calls at once are one. */
  purge(): Promise<{ rows: number; requests: number }>;
  counters(): StoreCounters;
  /** Writes what is queued, then closes; what is not on disk after 10 s is rejected. New calls are refused at once. */
  close(): Promise<void>;
}
