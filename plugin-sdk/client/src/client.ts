import type { Ack, Call, HistoryFilter, HistoryRow, Message, Outcome, Send } from '@centreond/protocol';
import type { Cipher, KeyPair, Signer } from '@centreond/protocol/channel';
import type { Timing } from './connection.ts';
import { RouterClient } from './router-client.ts';

export {
  type Ack,
  CentreondError,
  type HistoryFilter,
  type HistoryRow,
  isCentreondError,
  type Outcome,
} from '@centreond/protocol';
// Not by name: the file of `centreond-plugin types` adds to these through this module.
export * from '@centreond/protocol/names';
export type { Timing } from './connection.ts';

/** Who connects, and how. */
export interface SessionOptions {
  /** The identity that the router has bound to the key. Needed for `tcp://`, as is `key`. */
  identity?: string;
  /** The client's private key: a PEM text, a key pair to share among clients, or who signs with a key that stays elsewhere. */
  key?: string | KeyPair | Signer;
  /**
   * A join token, where the router does not know the key yet: it enrols the key under `identity`, which the token was
   * made for, and works once. The router has to show that it knows the token, so with `'first-use'` the pin is
   * as good as a given one. Once used it does no harm: the key is known then. `connect` rejects with HANDSHAKE_REFUSED
   * as soon as each router refuses the key both with the token and without.
   */
  join?: string;
  /** The record ciphers to offer, in this order. Default both, AES first. */
  ciphers?: readonly Cipher[];
  /** How long the first session may take, in milliseconds. Default 10,000, and 5,000 more for each further router. */
  timeoutMs?: number;
  /** Gives up waiting for the first session. */
  signal?: AbortSignal;
  /** Requests, calls and follows not ended at a time; more are refused with BUSY. Default 100,000. */
  maxPending?: number;
  /** Bytes of requests that wait for their ACK; more are refused with BUSY. Default 256 MiB. */
  maxPendingBytes?: number;
  /** Whether a request refused with STOPPING is sent again to the router's successor. Default true. */
  retryStopping?: boolean;
  /** Called with the router's fingerprint when `'first-use'` pinned it: keep it and give it next time. */
  onPinned?(fingerprint: string, address: string): void;
  /** A request that comes from the router, as it does to a node; `reply` sends the answer, as a message. */
  onRequest?(request: Message, reply: (message: string) => void): void;
  /** An answer to nothing that was asked here, or no more: the whole message. */
  onStray?(message: string): void;
  /** Milliseconds since the epoch; for tests. */
  clock?: { now(): number };
  /** The protocol's waits; for tests. */
  timing?: Partial<Timing>;
}

/** Where to connect and as whom. */
export interface ConnectOptions extends SessionOptions {
  /** `tcp://host:port`; or `ipc://path` for the internal door, in clear: then what is said on keys is not used. */
  address: string;
  /**
   * The fingerprint the router's key must have, or `'first-use'` to pin the first one that completes a handshake. Needed for `tcp://`.
   */
  router?: string;
}

/** A router: where it is, and which key it has. */
export interface RouterAddress {
  /** `tcp://host:port`. */
  readonly address: string;
  /** The fingerprint its key must have, or `'first-use'` to pin the first one that completes a handshake. */
  readonly fingerprint: string;
}

/** To which routers of one cluster to connect, and as whom. */
export interface ClusterOptions extends SessionOptions {
  /**
   * At least one. The session is with one of them at a time, the first to begin with. Where that is lost, since its session ends, it
   * takes no connection, refuses the key, or answers no PING for 7 s, the next has the session within 10 s. What was not acknowledged is sent there
   * again under its token, and follows go on after the last row seen: all of them have one history. The session stays where it is when
   * an earlier one is back.
   */
  routers: readonly RouterAddress[];
}

/** DATA's `$`. `deadline` is in seconds since the epoch. */
export interface EnvelopeOptions {
  hold?: boolean;
  deadline?: number;
  traceparent?: string;
  /** For whom a router asks, and through which routers it came: from nobody else. */
  from?: string;
  hops?: readonly string[];
}

export interface SendOptions {
  /** A token of one's own; default a new UUIDv7. The same token with the same content never runs twice. */
  token?: string;
  /** The node to run on; default the router itself. */
  target?: string;
  /** How long to wait, in milliseconds. Default 60,000 for `send`, 3,600,000 for `call`. */
  timeoutMs?: number;
  /** Ends the wait, not the request; see {@link Client.cancel}. */
  signal?: AbortSignal;
  envelope?: EnvelopeOptions;
}

export interface CallOptions extends SendOptions {
  /** Each row of the token as it comes, the terminal one too. What it throws rejects the call. */
  onRow?(row: HistoryRow): void;
}

export interface Pong {
  id: string;
  hostname: string;
  version: string;
  roundTripMs: number;
}

export interface ClientEvents {
  /** The session is gone, and why. A new one is being made; requests wait for it. */
  lost: [reason: string];
  /** There is a session again, with another router where several were named: see {@link Client.address}. */
  restored: [];
  /** A new session took the place of one that was a day old: nothing was lost by it. */
  renewed: [];
  /** Another process took the identity: everything pending was rejected, and nothing is tried for 60 s. */
  replaced: [];
}

/**
 * A session with a router, or with one of several, that is kept up: it reconnects by itself, sends again what was not acknowledged (same token,
 * same bytes, so nothing runs twice) and goes on with each follow from the last row seen.
 */
export interface Client extends AsyncDisposable {
  /** The router's node id; of several, that of the one that the session is with, or was last. */
  readonly id: string;
  /** The address of that router. */
  readonly address: string;
  readonly identity: string;
  readonly roles: readonly string[];
  /** The largest message in bytes; a larger one is refused here with TOO_LARGE. */
  readonly maxMessage: number;
  /** Undefined on the internal door. */
  readonly routerFingerprint: string | undefined;
  readonly connected: boolean;
  /**
   * Sends a request; resolves once it is on disk at the router. Rejects with the router's refusal (`code` says which);
   * with NOT_ACKNOWLEDGED after `timeoutMs`, or NOT_CONNECTED if it was never sent; with CLIENT_CLOSED, CLIENT_REPLACED or KEY_REVOKED; with BUSY when
   * too much is pending here. After a rejection by time, whether it was accepted is told by sending it again with its token.
   */
  readonly send: Send<SendOptions, Ack, true>;
  /**
   * Sends a request and follows it to its end, also when that is a failure. Rejects as `send` does; once it is accepted, with
   * WAIT_OVER after `timeoutMs`, or NOT_FOLLOWED if its rows cannot be followed: the request goes on.
   */
  readonly call: Call<CallOptions, Outcome, true>;
  /**
   * The rows of `token` after row `afterId`, each once and in order, over any number of reconnects; ends after the
   * terminal row. Throws the router's refusal, KEY_REVOKED, CLIENT_REPLACED, and the signal's reason. Leaving the loop ends it.
   */
  follow(token: string, options?: { afterId?: number; signal?: AbortSignal }): AsyncIterable<HistoryRow>;
  /** Has the request of `token` stopped; it ends CANCELLED unless it was faster. */
  cancel(token: string, options?: SendOptions): Promise<Ack>;
  /** The rows that match, ascending, page after page. */
  query(filter: HistoryFilter, options?: SendOptions): Promise<HistoryRow[]>;
  ping(options?: SendOptions): Promise<Pong>;
  /** Ends the session; whatever is pending rejects with CLIENT_CLOSED. May be called again. */
  close(): Promise<void>;
  on<E extends keyof ClientEvents>(event: E, listener: (...args: ClientEvents[E]) => void): this;
  once<E extends keyof ClientEvents>(event: E, listener: (...args: ClientEvents[E]) => void): this;
  off<E extends keyof ClientEvents>(event: E, listener: (...args: ClientEvents[E]) => void): this;
}

/**
 * Connects to a router, or to one of several, and resolves with the first session. Rejects with NOT_CONNECTED, which names the last reason,
 * after `timeoutMs`; with BROKEN_KEY or BROKEN_HANDSHAKE at once where the options cannot work; with HANDSHAKE_REFUSED
 * where `join` is of no use, or once a router has refused every handshake for `timing.refusals`.
 */
export async function connect(options: ConnectOptions | ClusterOptions): Promise<Client> {
  const client = new RouterClient(options);
  try {
    await client.whenUp();
    return client;
  } catch (error) {
    await client.close();
    throw error;
  }
}
