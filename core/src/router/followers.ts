import { isCentreondError, isTerminal, reasonOf } from '@centreond/protocol';
import type { Log } from '../log.ts';
import { type Bounds, Shares } from '../shares.ts';
import type { Page, Row, TokenStore } from '../store/token-store.ts';
import { seesAll } from './authorize.ts';
import type { Peer } from './peer.ts';
import { SlowPeers } from './slow-peers.ts';

const CATCH_UP_ROWS = 1000;
const CATCH_UP_BYTES = 4 * 1024 * 1024;
/** The store cannot be read now: it is asked again after so long. */
const AGAIN_MS = 1000;
const NOT_NOW: ReadonlySet<string> = new Set(['BUSY', 'HISTORY_UNREADABLE', 'STORE_FAILED']);

/** A row as the JSON text in which it travels. Its data is JSON text already, its other strings need no escapes. */
export function rowText(row: Row): string {
  return `{"id":${row.id},"token":"${row.token}","type":"${row.type}","node":"${row.node}","code":${row.code},"etime":${row.etime},"ctime":${row.ctime},"data":${row.data}}`;
}

/** A row that was published while older ones are being read, with the identity that owns its token. */
interface Buffered {
  readonly row: Row;
  readonly owner: string;
}

/** One peer that follows one token. */
export interface Follower {
  readonly peer: Peer;
  readonly token: string;
  lastId: number;
  /** Rows that came while older ones are being read; undefined once it is live. */
  buffer: Buffered[] | undefined;
  overflowed: boolean;
  /** Its peer does not read what it has: its rows are read from the store once it does. */
  lagging: boolean;
  gone: boolean;
  /** How many followers were attached before it. */
  readonly number: number;
  /** Rows of its token may be written by another router. */
  readonly elsewhere: boolean;
}

/** Tokens whose rows other routers may write, and what they are told of rows that are written here. */
export interface Watch {
  add(token: string): void;
  remove(token: string): void;
  /** A row was stored here. */
  written(row: Row): void;
  /** The node to which another router had the request `token` handed over here; undefined where none did. */
  targetOf(token: string): string | undefined;
}

export interface FollowersOptions {
  readonly store: Pick<TokenStore, 'query'>;
  readonly log: Log;
  /** Tokens that are followed, in all and by one identity. */
  readonly follows: Bounds;
  /** Bytes of rows that all followers together may hold while they catch up. What does not fit is read again. */
  readonly bufferBytes: number;
  /** Undefined for a router by itself. */
  readonly watch?: Watch | undefined;
}

/** Which peers follow which token. Rows are delivered once each, ascending, until the terminal one. */
export class Followers {
  readonly #byToken = new Map<string, Follower[]>();
  readonly #byPeer = new Map<Peer, Set<Follower>>();
  readonly #shares: Shares;
  readonly #slow = new SlowPeers();
  readonly #options: FollowersOptions;
  #buffered = 0;
  #attached = 0;
  /** The tokens of requests that were refused in this turn of the event loop: no peer has heard of that yet. */
  readonly #refused = new Map<Peer, Set<string>>();

  constructor(options: FollowersOptions) {
    this.#options = options;
    this.#shares = new Shares('followed tokens', options.follows);
  }

  /** Tokens that are followed, and the bytes of rows that wait for followers that catch up. */
  get counters(): { followed: number; bufferedBytes: number } {
    return { followed: this.#shares.used().count, bufferedBytes: this.#buffered };
  }

  /** How many followers were attached so far: the time of a request, for {@link refused}. */
  get attached(): number {
    return this.#attached;
  }

  /**
   * A request of `peer` under `token`, which came when `since` followers were attached, was refused. The FOLLOW that came with it
   * follows nothing: it is detached, or will be found by {@link isOfRefused}.
   */
  refused(peer: Peer, token: string, since: number): void {
    if (token === '') return;
    const came = (this.#byToken.get(token) ?? []).filter((one) => one.peer === peer && one.number >= since);
    for (const follower of came) this.detach(follower);
    if (came.length > 0) return;
    if (this.#refused.size === 0) setImmediate(() => this.#refused.clear());
    const tokens = this.#refused.get(peer);
    if (tokens) tokens.add(token);
    else this.#refused.set(peer, new Set([token]));
  }

  /** Whether this FOLLOW of a token that names no request came with one that was refused. True once for each refusal. */
  isOfRefused({ peer, token }: Follower): boolean {
    return this.#refused.get(peer)?.delete(token) ?? false;
  }

  /**
   * Follows `token` after the row `afterId`; `elsewhere` where other routers may write its rows. Throws BUSY beyond the share of the
   * peer's identity.
   */
  attach(peer: Peer, token: string, afterId: number, elsewhere = false): Follower {
    const refusal = this.#shares.refusal(peer.identity, 0);
    if (refusal) throw refusal;
    this.#shares.take(peer.identity, 0);
    const number = this.#attached++;
    const follower: Follower = {
      peer,
      token,
      lastId: afterId,
      buffer: [],
      overflowed: false,
      lagging: false,
      gone: false,
      number,
      elsewhere,
    };
    if (elsewhere) this.#options.watch?.add(token);
    const ofPeer = this.#byPeer.get(peer);
    if (ofPeer) ofPeer.add(follower);
    else {
      this.#byPeer.set(peer, new Set([follower]));
      peer.onLeft(() => this.#left(peer));
    }
    const ofToken = this.#byToken.get(token);
    if (ofToken) ofToken.push(follower);
    else this.#byToken.set(token, [follower]);
    return follower;
  }

  /** Ends a follower. Calling it again does nothing. */
  detach(follower: Follower): void {
    if (follower.gone) return;
    follower.gone = true;
    this.#clear(follower);
    if (follower.elsewhere) this.#options.watch?.remove(follower.token);
    this.#shares.give(follower.peer.identity, 0);
    this.#byPeer.get(follower.peer)?.delete(follower);
    const ofToken = this.#byToken.get(follower.token) ?? [];
    if (ofToken.length === 1) this.#byToken.delete(follower.token);
    else ofToken.splice(ofToken.indexOf(follower), 1);
  }

  #left(peer: Peer): void {
    const all = this.#byPeer.get(peer) ?? [];
    this.#byPeer.delete(peer);
    for (const follower of [...all]) this.detach(follower);
  }

  /** The store has more of the token than was delivered: those that follow it get that. */
  reassess(token: string, owner: string): void {
    for (const follower of this.#byToken.get(token)?.slice() ?? []) this.#reassess(follower, owner);
  }

  #reassess(follower: Follower, owner: string): void {
    if (follower.buffer) {
      // What is being read may have been read before.
      follower.overflowed = true;
      return;
    }
    follower.buffer = [];
    void this.catchUp(follower, owner);
  }

  /** Delivers the rows at hand and goes live. Call it when the ACK of the FOLLOW is queued. */
  goLive(follower: Follower, rows: readonly Row[], owner: string): void {
    const { buffer: buffered = [] } = follower;
    this.#clear(follower);
    follower.buffer = undefined;
    for (const row of rows) this.#deliver(follower, row, owner, rowText(row));
    for (const { row, owner } of buffered) this.#deliver(follower, row, owner, rowText(row));
  }

  /** Forgets what was buffered. */
  #clear(follower: Follower): void {
    const { buffer } = follower;
    if (!buffer || buffer.length === 0) return;
    for (const { row } of buffer) this.#buffered -= row.data.length;
    follower.buffer = [];
  }

  /**
   * Delivers what the store has after the follower's last id, then goes live, or ends if the token has `ended`. A failure is
   * logged and ends the follower.
   */
  async catchUp(follower: Follower, owner: string, ended = false): Promise<void> {
    const { log } = this.#options;
    const { peer, token } = follower;
    try {
      for (let more = true; more && !follower.gone; ) {
        while (this.#slow.isSlow(peer)) {
          this.#clear(follower);
          follower.lagging = true;
          await this.#slow.wait(peer);
        }
        follower.lagging = false;
        if (!peer.open) return this.detach(follower);
        follower.overflowed = false;
        const page = await this.#page(follower);
        if (!page) continue;
        for (const row of page.rows) this.#deliver(follower, row, owner, rowText(row));
        more = page.more || follower.overflowed;
      }
      if (follower.gone) return;
      if (ended) this.detach(follower);
      else this.goLive(follower, [], owner);
    } catch (error) {
      log.error({ err: error, token }, `the follow of ${token} by ${peer.identity} ended: ${reasonOf(error)}`);
      this.detach(follower);
    }
  }

  /** What the store has next; undefined after a pause where it cannot be read now. */
  async #page({ peer, token, lastId: id }: Follower): Promise<Page | undefined> {
    const bounds = { limit: CATCH_UP_ROWS, maxBytes: CATCH_UP_BYTES };
    try {
      return await this.#options.store.query({ token, id, counting: true, as: peer.identity, ...bounds });
    } catch (error) {
      if (!isCentreondError(error) || !NOT_NOW.has(error.code)) throw error;
      await new Promise<void>((resolve) => void setTimeout(resolve, AGAIN_MS * (0.5 + Math.random())).unref());
      return undefined;
    }
  }

  /**
   * Delivers a row that was just committed to those that follow its token and may read it. `isNext`: no row that this router does not know
   * is between it and the one before. Where other routers may write, it is else read from the store, with what is before it.
   */
  publish(row: Row, owner: string, isNext: boolean): void {
    this.#options.watch?.written(row);
    const followers = this.#byToken.get(row.token);
    if (!followers) return;
    const text = rowText(row);
    // One that ends leaves the list, so it is walked from its end.
    for (let i = followers.length - 1; i >= 0; i--) {
      const follower = followers[i];
      if (!follower) continue;
      if (!follower.buffer && this.#slow.isSlow(follower.peer)) {
        follower.buffer = [];
        void this.catchUp(follower, owner);
      }
      if (this.#options.watch && !isNext) this.#reassess(follower, owner);
      else if (!follower.buffer) this.#deliver(follower, row, owner, text);
      else if (!follower.lagging && this.#buffered + row.data.length <= this.#options.bufferBytes) {
        this.#buffered += row.data.length;
        follower.buffer.push({ row, owner });
      } else {
        // The catching up that is under way reads it again from the store.
        this.#clear(follower);
        follower.overflowed = true;
      }
    }
  }

  #deliver(follower: Follower, row: Row, owner: string, text: string): void {
    if (follower.gone || row.id <= follower.lastId) return;
    follower.lastId = row.id;
    if (owner !== follower.peer.identity && !seesAll(follower.peer)) return;
    follower.peer.send(`[LOG] [${follower.token}] ${text}`);
    if (isTerminal(row.code)) this.detach(follower);
  }
}
