import { failure, isTerminal, reasonOf } from '@centreond/plugin-sdk';
import type { Log } from '../log.ts';
import type { Row, TokenStore } from '../store/token-store.ts';
import { seesAll } from './authorize.ts';
import type { Peer } from './peer.ts';

const PER_PEER = 65_536;
const CATCH_UP_ROWS = 1000;
const CATCH_UP_BYTES = 4 * 1024 * 1024;
const BUFFERED_ROWS = 20_000;
/** While a peer has this much to read, catching up waits for it. */
const SLOW_BACKLOG = 8 * 1024 * 1024;
const SLOW_MS = 20;

/** A row as the JSON text in which it travels. Its data is JSON text already, its other strings need no escapes. */
export function rowText(row: Row): string {
  return `{"id":${row.id},"token":"${row.token}","type":"${row.type}","node":"${row.node}","code":${row.code},"etime":${row.etime},"ctime":${row.ctime},"data":${row.data}}`;
}

/** One peer that follows one token. */
export interface Follower {
  readonly peer: Peer;
  readonly token: string;
  lastId: number;
  /** Rows that came while older ones are being read; undefined once it is live. */
  buffer: Row[] | undefined;
  overflowed: boolean;
  gone: boolean;
}

/** Who follows which token. Rows are delivered once each, ascending, until the terminal one. */
export class Followers {
  readonly #byToken = new Map<string, Set<Follower>>();
  readonly #byPeer = new Map<Peer, Set<Follower>>();

  constructor(
    private readonly store: TokenStore,
    private readonly log: Log,
  ) {}

  /** Follows `token` from `rows` at hand, or live only. Throws BUSY where the peer follows too many. */
  attach(peer: Peer, token: string, afterId: number): Follower {
    let ofPeer = this.#byPeer.get(peer);
    if (!ofPeer) {
      ofPeer = new Set();
      this.#byPeer.set(peer, ofPeer);
    }
    if (ofPeer.size >= PER_PEER) throw failure('BUSY', { what: 'the list of tokens that you follow', limit: PER_PEER });
    const follower: Follower = { peer, token, lastId: afterId, buffer: [], overflowed: false, gone: false };
    ofPeer.add(follower);
    const ofToken = this.#byToken.get(token);
    if (ofToken) ofToken.add(follower);
    else this.#byToken.set(token, new Set([follower]));
    return follower;
  }

  detach(follower: Follower): void {
    follower.gone = true;
    const ofPeer = this.#byPeer.get(follower.peer);
    ofPeer?.delete(follower);
    if (ofPeer?.size === 0) this.#byPeer.delete(follower.peer);
    const ofToken = this.#byToken.get(follower.token);
    ofToken?.delete(follower);
    if (ofToken?.size === 0) this.#byToken.delete(follower.token);
  }

  /** The token turned out to be known: whoever follows it live gets what the store has. */
  reassess(token: string, owner: string): void {
    for (const follower of this.#byToken.get(token) ?? []) {
      if (follower.buffer) continue;
      follower.buffer = [];
      void this.catchUp(follower, owner);
    }
  }

  /** Forgets a peer that is gone. */
  left(peer: Peer): void {
    for (const follower of [...(this.#byPeer.get(peer) ?? [])]) this.detach(follower);
  }

  /** Delivers the rows at hand and goes live. Call it when the ACK of the FOLLOW is queued. */
  goLive(follower: Follower, rows: readonly Row[], owner: string): void {
    const buffered = follower.buffer ?? [];
    follower.buffer = undefined;
    for (const row of rows) this.#deliver(follower, row, owner, rowText(row));
    for (const row of buffered) this.#deliver(follower, row, owner, rowText(row));
  }

  /**
   * Delivers what the store has after the follower's last id, then goes live, or ends where the token has `ended`. Failures
   * are logged and end the follower.
   */
  async catchUp(follower: Follower, owner: string, ended = false): Promise<void> {
    try {
      for (let more = true; more && !follower.gone; ) {
        while (follower.peer.open && follower.peer.backlog > SLOW_BACKLOG) {
          await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
        }
        if (!follower.peer.open) return this.detach(follower);
        const page = await this.store.query({
          token: follower.token,
          id: follower.lastId,
          counting: true,
          limit: CATCH_UP_ROWS,
          maxBytes: CATCH_UP_BYTES,
        });
        for (const row of page.rows) this.#deliver(follower, row, owner, rowText(row));
        more = page.more || follower.overflowed;
        follower.overflowed = false;
      }
      if (follower.gone) return;
      if (ended) this.detach(follower);
      else this.goLive(follower, [], owner);
    } catch (error) {
      this.log.error({ err: error, token: follower.token }, `following ${follower.token} ended: ${reasonOf(error)}`);
      this.detach(follower);
    }
  }

  /** Delivers a row that was just committed to everybody who follows its token and may read it. */
  publish(row: Row, owner: string): void {
    const followers = this.#byToken.get(row.token);
    if (!followers) return;
    const text = rowText(row);
    for (const follower of [...followers]) {
      if (!follower.buffer) this.#deliver(follower, row, owner, text);
      else if (follower.buffer.length < BUFFERED_ROWS) follower.buffer.push(row);
      else {
        // What does not fit is read again from the store, by the catching up that is under way.
        follower.buffer = [];
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
