import { isTerminal } from '@centreond/protocol';
import type { Follower } from './follower.ts';
import { type HistoryPage, readRow } from './history-rows.ts';

const PAGE_ROWS = 1000;

/** How {@link Follows} asks the router; both return false, and do nothing, where there is no session. */
export interface FollowRequests {
  /** FOLLOW `token` from the row after `afterId`. */
  follow(token: string, afterId: number, refused: (error: Error) => void): boolean;
  /** A page of the rows of `token` after `afterId`. */
  fetch(
    token: string,
    afterId: number,
    limit: number,
    answer: { accepted(page: HistoryPage): void; refused(error: Error): void },
  ): boolean;
}

/** A token: who follows it, and what the present session was asked. */
interface Followed {
  readonly followers: Follower[];
  /** The number of the FOLLOW by which the session sends its rows; 0 if it does not. */
  asked: number;
  /** Its terminal row came: the session sends no more, and who lags reads what there is. */
  isEnded: boolean;
}

/**
 * Who follows what. A session is asked once for each token: a second FOLLOW would mix its older rows with the live ones of
 * the first, so a follower that comes later, or lags, fetches what is missing by GETLOG until it meets what comes live.
 */
export class Follows {
  readonly #followed = new Map<string, Followed>();
  #asks = 0;

  constructor(private readonly requests: FollowRequests) {}

  add(token: string, follower: Follower): void {
    const known = this.#followed.get(token);
    const followed = known ?? { followers: [], asked: 0, isEnded: false };
    if (!known) this.#followed.set(token, followed);
    followed.followers.push(follower);
    this.#resume(token, followed, follower);
  }

  remove(token: string, follower: Follower): void {
    const followed = this.#followed.get(token);
    const at = followed?.followers.indexOf(follower) ?? -1;
    if (followed === undefined || at < 0) return;
    followed.followers.splice(at, 1);
    this.#tidy(token, followed);
  }

  /** Forgets a token that nobody follows and of which no rows come. */
  #tidy(token: string, { followers, asked, isEnded }: Followed): void {
    if (followers.length === 0 && (asked === 0 || isEnded)) this.#followed.delete(token);
  }

  /** The router refused the request with which the FOLLOW `asked` went, and follows nothing for it: others ask for themselves. */
  forget(token: string, asked: number): void {
    const followed = this.#followed.get(token);
    if (!followed || asked === 0 || followed.asked !== asked) return;
    followed.asked = 0;
    const other = followed.followers.find((one) => one.asked !== asked && one.wants);
    if (other) this.#follow(token, followed, other);
    else this.#tidy(token, followed);
  }

  /** Asks the present session for the rows of `token`, unless it was asked. */
  ask(token: string): void {
    const followed = this.#followed.get(token);
    if (followed?.asked !== 0) return;
    let earliest: Follower | undefined;
    for (const follower of followed.followers) {
      if (!follower.wants) continue;
      // Its rows come with those of the earliest.
      follower.live = true;
      if (earliest === undefined || follower.lastId < earliest.lastId) earliest = follower;
    }
    if (earliest) this.#follow(token, followed, earliest);
  }

  /** Gets `follower` the rows after its last one. */
  resume(token: string, follower: Follower): void {
    const followed = this.#followed.get(token);
    if (followed) this.#resume(token, followed, follower);
  }

  #resume(token: string, followed: Followed, follower: Follower): void {
    if (followed.asked !== 0) this.#catchUp(token, follower);
    else this.#follow(token, followed, follower);
  }

  /** Takes a LOG of `token`. Throws {@link FrameError} when it holds no row. */
  log(token: string, data: string): void {
    const row = readRow(data);
    const followed = this.#followed.get(token);
    if (followed === undefined) return;
    const { followers } = followed;
    if (isTerminal(row.code)) followed.isEnded = true;
    if (followers.length === 0) this.#tidy(token, followed);
    // A follower that ends leaves the list, so it is walked from its end.
    for (let i = followers.length - 1; i >= 0; i--) {
      const follower = followers[i];
      if (follower === undefined) continue;
      if (!follower.live) follower.missedId = row.id;
      else if (row.id > follower.lastId) follower.row(row, data.length);
    }
  }

  /** The session is gone, and sends nothing more. */
  lost(): void {
    for (const [token, followed] of this.#followed) {
      followed.asked = 0;
      followed.isEnded = false;
      this.#tidy(token, followed);
    }
  }

  /** Asks a new session for every token that it was not asked for, each from the last row that was seen. */
  askAll(): void {
    for (const token of this.#followed.keys()) this.ask(token);
  }

  /** Ends every follow. */
  fail(error: Error): void {
    for (const token of [...this.#followed.keys()]) this.#failToken(token, error);
  }

  #failToken(token: string, error: Error): void {
    const followed = this.#followed.get(token);
    if (!followed) return;
    followed.asked = 0;
    for (const follower of [...followed.followers]) follower.fail(error);
    this.#tidy(token, followed);
  }

  #follow(token: string, followed: Followed, follower: Follower): void {
    const asked = ++this.#asks;
    const refused = (error: Error) => {
      // Not where another one was sent since.
      if (this.#followed.get(token)?.asked === asked) this.#failToken(token, error);
    };
    if (!this.requests.follow(token, follower.lastId, refused)) return;
    followed.asked = follower.asked = asked;
    follower.live = true;
  }

  #catchUp(token: string, follower: Follower): void {
    follower.live = false;
    this.requests.fetch(token, follower.lastId, PAGE_ROWS, {
      accepted: ({ rows, more, bytes }) => {
        for (const row of rows) {
          if (!follower.wants) return;
          if (row.id > follower.lastId) follower.row(row, bytes / rows.length);
        }
        if (!follower.wants) return;
        // A row that was younger than this page came before it, so there is another page.
        if (more || follower.missedId > follower.lastId) follower.lag();
        else follower.live = true;
      },
      refused: (error) => follower.fail(error),
    });
  }
}
