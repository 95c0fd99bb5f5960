import type {
  Ack,
  Call,
  CentreondError,
  Emit,
  Envelope,
  HistoryFilter,
  HistoryRow,
  Json,
  JsonObject,
  Mistake,
  Outcome,
  Send,
} from '@centreond/protocol';

/** A code of a plugin's rows, and what such a row says, in a few words: `centreond log` shows them beside the code. */
export interface TitledCode {
  readonly code: number;
  /** 1 to 100 characters. */
  readonly title: string;
}

/** What `@Plugin({ codes })` takes: codes by name, each with or without a title. */
export type DeclaredCodes = Readonly<Record<string, number | TitledCode>>;

/** The codes in the record that `@Plugin({ codes })` takes, as a type: `CodesOf<typeof CODES>`. Declare `CODES` `as const`. */
export type CodesOf<Declared extends DeclaredCodes> = {
  [Name in keyof Declared]: Declared[Name] extends { readonly code: infer Code extends number } ? Code : Declared[Name];
}[keyof Declared] &
  number;

type UndeclaredCode =
  'The code of this row is not declared. Add it to @Plugin({ codes }) and name it in the type: ActionContext<typeof CODE>, TokenStore<typeof CODE>.';

/** A code that a row may have: 0, or one of the declared codes `C`. */
export type RowCode<C extends number> = 0 | C | (number & Mistake<UndeclaredCode>);

/** A row to append: code 0, or one that the plugin declares. `etime` is now if omitted. */
export interface NewRow<out C extends number = never> {
  token: string;
  // Not `RowCode<C>`: of an alias the compiler prints only the name.
  code: 0 | C | (number & Mistake<UndeclaredCode>);
  data: Json;
  etime?: number;
}

/**
 * A plugin's view of the history. It cannot end a token, nor write under one that is not its own or running in it. `C` names the
 * codes of the rows that it appends; without it they have code 0.
 */
export interface TokenStore<in C extends number = never> {
  /** Resolves when every row is on disk; rejects with the refusal of the first that was not taken. */
  append(rows: readonly NewRow<C>[]): Promise<void>;
  /** The rows that match, ascending by id. */
  query(filter: HistoryFilter): Promise<HistoryRow[]>;
  /** Each row after `afterId`, live, until the terminal one or until `signal` aborts. */
  follow(token: string, options: { afterId?: number; signal: AbortSignal }): AsyncIterable<HistoryRow>;
}

/** How to make a request. */
export interface CallOptions extends Envelope {
  /** The token to use; a new one when left out. */
  token?: string;
  /** The node to run it on; this router when left out. */
  target?: string;
  /**
   * Milliseconds to wait; an accepted request goes on. Omitted: 30,000 for the ACK of `send` (then NOT_ACKNOWLEDGED), no limit for
   * `call` (else WAIT_OVER once it is accepted).
   */
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Called for each row of the token, in order, the terminal one included. */
  onRow?: (row: HistoryRow) => void;
}

/** The plugin's way to every action, here and on other nodes. Requests made with it belong to `@TYPE`. */
export interface Transport {
  /** Sends and waits for the terminal row. Rejects with the refusal, NOT_ACKNOWLEDGED or WAIT_OVER, or with NOT_FOLLOWED once it is accepted. */
  readonly call: Call<CallOptions, Outcome>;
  /** Sends and waits for the ACK: accepted and on disk. Rejects with the refusal, or NOT_ACKNOWLEDGED. */
  readonly send: Send<CallOptions, Ack>;
  /**
   * Tells every plugin that listens to one of this plugin's declared `events`. Resolves when the router has taken it, however its
   * listeners fare; rejects with INVALID_EVENT where it is not declared or `data` does not fit the schema declared for it.
   */
  readonly emit: Emit;
  /** Opens an encrypted link to another router, as this router. The core signs; its key never leaves it. */
  link(options: LinkOptions): Link;
  /**
   * Makes this instance the way to `nodes`: requests with such a TARGET come to `deliver`, which resolves with the node's ACK
   * or rejects with its refusal, within 60 s. NODE_UNREACHABLE, BUSY and STOPPING mean that it did not go now: it comes again,
   * perhaps by another way. So does one whose outcome is not known: a node runs a token once. Announcing again replaces
   * list and `deliver`; disposing it makes the nodes unreachable. Throws INVALID_DATA for an id that can be none.
   */
  carry(nodes: readonly NodeAnnouncement[], deliver: (request: CarriedRequest) => Promise<Ack>): Disposable;
  /**
   * Lets `caller` in: what is asked of the session is asked in its name. The plugin has made sure who it is. The operator allows a
   * plugin to do so with `allowCallers: true`; a plugin in the core's process cannot. An instance has 10,000 callers at most.
   */
  callAs(caller: Caller): CallerSession;
}

/** Somebody for whom a plugin calls that is a door of its own: an HTTP API, a chat bot. */
export interface Caller {
  /** 1 to 64 of `A-Z a-z 0-9 . _ -`. Its identity is `TYPE/NAME`, with the plugin's type here. */
  readonly name: string;
  readonly roles: readonly ('client' | 'admin')[];
  /** The actions that it may call, besides those that every client may; all that its roles allow if omitted. */
  readonly actions?: readonly string[] | undefined;
  /** The nodes that it may reach; all if omitted. */
  readonly targets?: readonly string[] | undefined;
  /** Where it comes from, for the log: `host:port`. */
  readonly address?: string | undefined;
}

/**
 * Requests of one {@link Caller}. They belong to its identity: roles, shares and limits hold for it as for a client with a key. Once
 * the router has refused the caller, everything rejects with that refusal.
 */
export interface CallerSession {
  readonly identity: string;
  /** As `Transport.call`. */
  call(action: string, data: object, options?: CallOptions): Promise<Outcome>;
  /** As `Transport.send`: its ACK bears the answer of an action that is answered there. */
  send(action: string, data: object, options?: CallOptions): Promise<Ack>;
  /** The rows that match and that the caller may read, ascending by id. */
  query(filter: HistoryFilter): Promise<HistoryRow[]>;
  /** Each row after `afterId`, live, until the terminal one or until `signal` aborts. Rejects where the caller may not read it. */
  follow(token: string, options: { afterId?: number; signal: AbortSignal }): AsyncIterable<HistoryRow>;
  /** What is pending rejects; what was accepted goes on. Calling it again does nothing. */
  close(): void;
}

/** A node that a plugin is the way to. */
export interface NodeAnnouncement {
  id: string;
  name?: string;
  /** The actions that it has; a request for another is refused before it is sent. Left out: unknown, all are sent. */
  actions?: readonly string[];
  /** Nodes behind it. The carrier has made sure that this node may announce them. */
  subnodes?: readonly (string | Subnode)[];
  /** The state that CONSTATUS shows. Requests are handed over only while it is `up`. */
  state: NodeState;
  /** How it is reached; `push` when left out. */
  kind?: 'push' | 'pull' | 'ssh';
  /** Where it is reached, or came from: "tcp://10.0.0.7:5557", "[fd00::7]:41522". */
  address?: string;
  /** What a way over it costs; 1 when left out. Of several ways to a node the cheapest is taken, the direct one first. */
  score?: number;
  version?: string;
  /** When it was last pinged and last answered: whole seconds since the epoch. */
  lastPing?: number;
  lastPong?: number;
  roundTripMs?: number;
  /** How far its clock is ahead of this router's. */
  clockSkewSeconds?: number;
  /** Why it is not up, as a clause: "its link has ended". At most 1024 characters. */
  reason?: string;
  /** What people call it by, beside its name. */
  labels?: Readonly<Record<string, string>>;
}

export type NodeState = 'up' | 'connecting' | 'unreachable';

/** A node that is reached over another. */
export interface Subnode {
  id: string;
  /** What the way from that other node costs; 1 when left out. */
  score?: number;
  /** The actions that it has; left out: unknown. */
  actions?: readonly string[];
  /** As seen from that other node; `up` when left out. */
  state?: NodeState;
}

/** A request that is to go to another node, under its own token. */
export interface CarriedRequest {
  action: string;
  token: string;
  target: string;
  data: JsonObject;
  /** For whom, and through which nodes it came. */
  envelope: Envelope & { from: string; hops: readonly string[] };
}

/** Where a link goes. */
export interface LinkOptions {
  /** `tcp://host:port` of the other router's external door. */
  address: string;
  /** The other router's key, as `centreond keys show` prints it there. */
  fingerprint: string;
  /** More routers of its cluster. The link leads to one at a time; where that is lost, to the next within 10 s. */
  others?: readonly { readonly address: string; readonly fingerprint: string }[];
  /** A request that comes down the link; resolves with the ACK's data, rejects with the refusal. */
  onRequest?: (request: CarriedRequest) => Promise<JsonObject>;
  /**
   * What comes down the link is this router's to answer, as if the other router had connected to it with the role `router`;
   * `onRequest` is not called then.
   */
  serve?: boolean;
  /**
   * Hears of each new state. While the link is unreachable it also hears of each new reason, every 15 s at most. `address` is that of
   * the router that the link leads to, or led to last.
   */
  onState?: (state: NodeState, reason: string, address: string) => void;
}

/** An encrypted session with another router, kept up. Requests made with it belong to this router. */
export interface Link {
  /**
   * Sends a carried request on, for whom and with the hops that it bears. Resolves with the ACK; rejects with the refusal, with
   * NODE_UNREACHABLE where the link is down, and with what means that nobody knows after 50 s: then it may be sent again.
   */
  forward(request: CarriedRequest): Promise<Ack>;
  /** The other router's id, hostname, version, and how long it took to answer. Rejects with NODE_UNREACHABLE after 15 s. */
  ping(): Promise<{ id: string; hostname: string; version: string; roundTripMs: number }>;
  call(action: string, data: object, options?: CallOptions): Promise<Outcome>;
  send(action: string, data: object, options?: CallOptions): Promise<Ack>;
  follow(token: string, options: { afterId?: number; signal: AbortSignal }): AsyncIterable<HistoryRow>;
  /**
   * Has this router's log streamed to the other one, from where that stands, for as long as the present session lasts: to be
   * asked for on each. For a link that was opened with `serve`; does nothing on another, and while the link is down.
   */
  streamLogs(): void;
  /** Calling it again does nothing. */
  close(): Promise<void>;
}

/**
 * What a plugin keeps: durable, of its own, shared by its instances; it survives reload, restart and unloading. Keys have 1 to
 * 255 characters, values up to 1 MiB of JSON (else INVALID_DATA), a plugin up to 64 MiB (else STATE_FULL). What was set is
 * read by every instance once `set` has resolved.
 */
export interface State {
  get(key: string): Promise<Json | undefined>;
  /** Resolves when it is on disk. */
  set(key: string, value: Json): Promise<void>;
  delete(key: string): Promise<void>;
  /** The entries whose key starts with `prefix`, by key. */
  list(prefix: string): Promise<{ key: string; value: Json }[]>;
}

/** Time, as a plugin sees it: the machine's, or in a test that of a `FakeClock`, which moves when the test says so. */
export interface Clock {
  /** Milliseconds since the epoch. It follows the machine's clock, which an operator may set: it can jump, and go back. */
  now(): number;
  /** Calls `run` once, `ms` from now, however long that is. Disposing the result cancels it, and so does `signal`. */
  after(ms: number, run: () => void, options?: { readonly signal?: AbortSignal }): Disposable;
  /** Resolves `ms` from now. Rejects with the reason of `signal` as soon as that aborts. */
  sleep(ms: number, options?: { readonly signal?: AbortSignal }): Promise<void>;
}

/**
 * How an instance fares while it serves. `ok`: it does all that it is for. `degraded`: it takes requests, and some fail, are slow or
 * are incomplete. What cannot serve at all ends its process: then the core says how it is (restarting, quarantined …).
 */
export type HealthState = 'ok' | 'degraded';

/** The health of an instance as INFORMATION shows it. */
export interface HealthStatus {
  readonly state: HealthState;
  /** Why it is degraded. */
  readonly why?: string;
  /** Since when it has been in this state: milliseconds since the epoch. */
  readonly since: number;
}

/** Says how this instance of the plugin fares: to `centreond status`, to INFORMATION, and to the daemon's log at each change. */
export interface Health {
  /**
   * From now on the instance is in `state`, until it reports another or its process ends; before its first report nothing is
   * known of it. It is a state of the instance, not of a request: a plugin of several parts reports the worst of them. `why`
   * is a sentence for the operator, cut at 1,024 bytes. Call it as often as you like: the same report again is no change, and
   * of changes within 5 s the last one counts. Throws INVALID_REPORT for another state, and for `degraded` without `why`.
   */
  report(state: 'ok'): void;
  report(state: 'degraded', why: string): void;
}

/** What a metric counts: a counter only goes up, a gauge goes up and down. */
export type MetricKind = 'counter' | 'gauge';

/** A metric of a plugin as INFORMATION shows it. */
export interface MetricStatus {
  readonly name: string;
  readonly kind: MetricKind;
  readonly title: string;
  /**
   * Of a counter the sum over all processes of the plugin since it was loaded, those that have ended included: it falls to 0 only
   * with the daemon, or when the plugin is loaded again. Of a gauge the sum over the processes that run.
   */
  readonly value: number;
}

/** A number that only goes up. */
export interface Counter {
  /** Adds `by`, 1 if omitted. Throws INVALID_REPORT for a negative or infinite number, and for one that is none. */
  add(by?: number): void;
}

/** A number that goes up and down. */
export interface Gauge {
  /** Throws INVALID_REPORT for what is no finite number. */
  set(value: number): void;
}

/**
 * The plugin's own figures. `centreond plugins TYPE` and INFORMATION show them. The router is told of what changed at most every
 * 5 s, in one message, and at the plugin's stop: a process that is killed loses what it had not told.
 *
 * A name is `[a-z][a-z0-9_]{0,63}`; the title says in at most 256 bytes what is counted, with its unit. An instance has at most 64
 * metrics, the instances of a plugin 256 names together (further ones are dropped, and logged once), so a name must not hold a
 * value. Asking again for a name returns the same metric. Throws INVALID_REPORT for another name or title, for one metric too many, and for a
 * counter that is a gauge already.
 */
export interface Metrics {
  /** Starts at 0 with each process. */
  counter(name: string, title: string): Counter;
  /** Starts at 0 with each process. */
  gauge(name: string, title: string): Gauge;
}

/** pino's shape. Goes to the daemon's log with the plugin's type and instance. */
export interface Logger {
  debug(fields: object, message?: string): void;
  debug(message: string): void;
  info(fields: object, message?: string): void;
  info(message: string): void;
  warn(fields: object, message?: string): void;
  warn(message: string): void;
  error(fields: object, message?: string): void;
  error(message: string): void;
}

/**
 * What an action's method is told of the request that it runs. `C` names the codes of the rows that it writes
 * (`ActionContext<typeof CODE>`, or `ActionContext<CodesOf<typeof CODES>>`); without it `progress` takes code 0 alone.
 */
export interface ActionContext<in C extends number = never> {
  readonly token: string;
  /** Who asked: the identity that the handshake bound, `@local`, or `@TYPE`. */
  readonly identity: string;
  /** The node that TARGET named, for an action that runs `here`; empty where it named none, or this router. */
  readonly target: string;
  /** When the request is stopped, at the latest: whole seconds since the epoch, as a call's own `deadline`. */
  readonly deadline: number;
  /** Aborts on timeout, cancel and kill; its `reason` is a CentreondError that says which. */
  readonly signal: AbortSignal;
  /**
   * Writes a row of progress. `code` is 0 or one declared in `codes`; any other rejects with INVALID_OUTPUT, which lists them. Rows
   * are stored in the order of the calls. Resolves at once while few of this process's rows are on their way to the disk,
   * else when there is room again or the signal aborts: await it, so that a writer of many rows is as fast as the disk and
   * needs no memory. Rejects with BUSY where 100,000 rows of this process wait. Does nothing after the end.
   */
  // Not `RowCode<C>`: of an alias the compiler prints only the name.
  readonly progress: (code: 0 | C | (number & Mistake<UndeclaredCode>), data: Json) => Promise<void>;
}

/** What a kill handler is told: which instance ends and why. */
export interface KillRequest {
  /** The instance as the plugin defines it; empty for all. */
  readonly id: string;
  readonly reason: CentreondError;
}

/** Who may call an action, admins besides: client = C R P, node = N R P, router = R, admin = nobody else, internal = P. */
export type Access = 'client' | 'node' | 'router' | 'admin' | 'internal';
/** What an action does to the world. */
export type Effects = 'read' | 'write' | 'destructive';

/** Which of a plugin's instances a process is. */
export interface Instance {
  /** As KILL names it: `1` to `of` in a pool, the key of a keyed plugin, else `1`. */
  readonly id: string;
  /** How many the pool has; 1 where there is none. */
  readonly of: number;
  /** The plugin's type here: its own, or the one that the config gives it (`as`). Its requests belong to `@TYPE`. */
  readonly type: string;
}

/** The version of the contract between core and plugins. */
export const API_VERSION = 1;
