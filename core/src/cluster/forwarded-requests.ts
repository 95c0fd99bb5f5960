import { reasonOf } from '@centreond/protocol';
import type { Log } from '../log.ts';
import type { Followers } from '../router/followers.ts';
import type { OpenRequest } from '../router/request.ts';
import type { Requests } from '../router/requests.ts';
import type { Membership } from '../store/membership.ts';
import type { TokenStore } from '../store/token-store.ts';
import type { Watches } from './watches.ts';

export interface ForwardedRequestsOptions {
  readonly store: Pick<TokenStore, 'find'>;
  readonly membership: Pick<Membership, 'ended'>;
  readonly requests: Requests;
  readonly followers: Followers;
  readonly watches: Watches;
  readonly log: Log;
}

/** Requests of this router that another one runs or carries, and tokens that are followed here: the rows that others store for them. */
export class ForwardedRequests {
  readonly #options: ForwardedRequestsOptions;
  readonly #open = new Map<string, OpenRequest>();
  /** Tokens that are being looked at, each with whether there was news meanwhile. */
  readonly #busy = new Map<string, boolean>();

  constructor(options: ForwardedRequestsOptions) {
    this.#options = options;
    options.watches.onNews = (token) => void this.#look(token);
  }

  /** Whether `token` is an open request. Its rows are then expected from elsewhere, until it has ended. */
  follow(token: string): boolean {
    const { requests, watches } = this.#options;
    const open = requests.get(token);
    if (!open?.action.executor.elsewhere) return false;
    if (this.#open.get(token) === open) return true;
    this.#open.set(token, open);
    open.forgetRows();
    watches.add(token);
    return true;
  }

  /** Lets go of requests that ended here. */
  sweep(): void {
    for (const [token, open] of this.#open) if (this.#options.requests.get(token) !== open) this.#forget(token);
  }

  #forget(token: string): void {
    if (this.#open.delete(token)) this.#options.watches.remove(token);
  }

  /** There are rows of a token: those that follow it get them, and its request ends here where it has ended there. */
  async #look(token: string): Promise<void> {
    if (this.#busy.has(token)) {
      this.#busy.set(token, true);
      return;
    }
    const { store, membership, requests, followers, log } = this.#options;
    try {
      do {
        this.#busy.set(token, false);
        const known = await store.find(token);
        if (!known) continue;
        followers.reassess(token, known.owner);
        const open = requests.get(token);
        if (!open?.action.executor.elsewhere || known.state !== 'ended') continue;
        requests.endedElsewhere(open);
        membership.ended(token);
        this.#forget(token);
      } while (this.#busy.get(token));
    } catch (error) {
      log.warn(
        { err: error, token },
        `the rows of ${token} that another router stored were not read: ${reasonOf(error)}`,
      );
    } finally {
      this.#busy.delete(token);
    }
  }
}
