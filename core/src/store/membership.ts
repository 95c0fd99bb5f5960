import type { RequestRecord } from './request-record.ts';

/** What the routers that share a database know of each other by it. Times are the database's. */

/** A router is silent when no heartbeat came for {@link DEAD_AFTER_SECONDS}; then another takes over what is open there. */
export const DEAD_AFTER_SECONDS = 10;

/** A lock of a router of which the database hears nothing is free after so long: what runs by it has ended by then. */
export const LOCKS_FREE_AFTER_SECONDS = 12;

/** `taken`: it was silent and another took over its requests. `stopped`: it left by itself. */
export type RouterState = 'up' | 'silent' | 'taken' | 'stopped';

const STATES: Readonly<Record<string, RouterState>> = {
  up: 'up',
  silent: 'silent',
  taken: 'taken',
  stopped: 'stopped',
};

/** The state that a text names; `stopped` for one of a later version. */
export function routerStateOf(text: string): RouterState {
  return STATES[text] ?? 'stopped';
}

/** A router of the cluster, as its last heartbeat described it. */
export interface RouterRecord {
  readonly id: string;
  readonly fingerprint: string;
  /** Where it is reached: `tcp://HOST:PORT`, or '' where it has no external door. */
  readonly endpoint: string;
  readonly version: string;
  readonly state: RouterState;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** How long ago its last heartbeat was. */
  readonly silentSeconds: number;
  /** What it said of itself: JSON text. */
  readonly load: string;
}

/** Why a router is not forgotten. */
export interface RouterStays {
  readonly state: RouterState;
  /** How long ago its last heartbeat was. */
  readonly silentSeconds: number;
  /** Requests that are open there. */
  readonly open: number;
}

/** What a heartbeat brings back. */
export interface Heartbeat {
  /** All routers of the cluster, this one included, by id. */
  readonly routers: readonly RouterRecord[];
  /** The version of the shared trust, 0 where there is none yet. */
  readonly trust: number;
  /** How far the database's clock is ahead of this machine's, in seconds. */
  readonly clockSkewSeconds: number;
}

/** A node that a router carries: what is told of it is JSON text. */
export interface CarriedNode {
  readonly router: string;
  readonly node: string;
  readonly told: string;
}

/** The router was silent for too long, or a later process of it started: nothing that it writes is stored any more. */
export class Fenced extends Error {
  constructor() {
    super(
      'another process has taken the place of this router, which was silent for too long or was started a second time',
    );
  }
}

/**
 * This router among those of its database. Everything rejects with {@link Fenced} once another process has taken its place, and with
 * a plain Error, that says why, while the database is away.
 */
export interface Membership {
  /** Says that this router lives, where it is reached and what it does. To be called every two seconds. */
  beat(endpoint: string, load: object): Promise<Heartbeat>;
  /**
   * Takes over what is open at a router of this cluster that has been silent, or has stopped, and fences it. Resolves with whose
   * requests these are and their tokens, undefined if there are none. Only a router that has been heard without a gap may ask: one
   * that just came back does not know who else did.
   */
  takeOver(): Promise<{ readonly router: string; readonly tokens: readonly string[] } | undefined>;
  /** Of these tokens the requests that are open at this router. */
  openHere(tokens: readonly string[]): Promise<RequestRecord[]>;
  /**
   * Takes the open request `token` over from the router `from`, which has agreed, and has kept it so many times. Resolves with the
   * request; with the id of the router that has it where nothing changed (this one, if it was taken over before; `from`, if that has
   * kept it since), and with undefined where it is not open.
   */
  claim(token: string, from: string, kept: number): Promise<RequestRecord | string | undefined>;
  /**
   * Keeps a request that is open at this router: who was told before that it may be taken cannot take it any more. Resolves with how
   * often it was kept, with which it can be taken from now on; with undefined where it is not open here.
   */
  keep(token: string): Promise<number | undefined>;
  /** The end of a request that this router handed over was stored by another: nothing more is kept of it here. */
  ended(token: string): void;
  /** The router at which a request is open; undefined where it is not open. */
  holderOf(token: string): Promise<string | undefined>;
  /** Of tokens with the id of the last row that was seen, those of which there are later rows, with the id of the last. */
  newsOf(seen: ReadonlyMap<string, number>): Promise<Map<string, number>>;
  /** Says what this router carries: nodes that are new or changed, and those no more. `all`: nothing else. */
  carry(nodes: readonly Omit<CarriedNode, 'router'>[], gone: readonly string[], all: boolean): Promise<void>;
  /** What the other routers of the cluster carry. */
  carried(): Promise<CarriedNode[]>;
  /**
   * Removes the router `router` of this cluster, which is gone for good, and what it carried. It stays while it is up, while nobody has
   * taken its place, and while something is open there; a router of no cluster knows no other. The history stays. A router that enters
   * with that id later is a new one.
   */
  forget(router: string): Promise<'forgotten' | 'unknown' | RouterStays>;
  /** Tries to be the only router that has the lock `name`, for as long as the session of this router lasts. */
  lock(name: string): Promise<boolean>;
  unlock(name: string): Promise<void>;
  /** Which session with the database it is: with another number every lock is lost. */
  readonly session: number;
  /** Which process of this router it is: each later one has a higher number. */
  readonly fence: number;
  /** What only the routers of this cluster know, the same for all of them: random text, made by the first that asks. It is never logged. */
  secret(): Promise<string>;
  /** What every router of the cluster knows of trust: JSON text. */
  readTrust(): Promise<{ readonly version: number; readonly record: string } | undefined>;
  /** False where the version there is another one than `over`. */
  writeTrust(record: string, over: number): Promise<boolean>;
}

/** The membership of a driver, which the store closes. */
export interface Members extends Membership {
  /** Called with each request that is taken over, before it is handed out. */
  onOpened: (token: string, open: { readonly id: number; readonly action: string }) => void;
  /** Called with each request that this router handed over and that has ended. */
  onEnded: (token: string) => void;
  /** Leaves: others may take over at once what is open. Call it when nothing is written any more. */
  leave(): Promise<void>;
  close(): Promise<void>;
}
