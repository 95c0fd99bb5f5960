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
  readonly membership: Pick<Membership, 'ended' | 'keep'>;
  readonly requests: Requests;
  readonly followers: Followers;
  readonly watches: Watches;
  readonly log: Log;
}

/** Requests of this router that another one runs or carries, and tokens that are followed here: the rows that others store for them. */
export class ForwardedRequests {
  readonly #options: ForwardedRequestsOptions;
  readonly #open = new Map<string, OpenRequest>();
  /** How often requests were kept that are open here: with another number nobody can take them. */
  readonly #kept = new WeakMap<OpenRequest, number>();
  /** Tokens that are being looked at, each with the last row that there was news of. */
  readonly #busy = new Map<string, number>();

  constructor(options: ForwardedRequestsOptions) {
    this.#options = options;
    options.watches.onNews = (token, id) => void this.#look(token, id);
  }

  /** Whether `token` is an open request for `action`. Its rows are then expected from elsewhere, until it has ended. */
  follow(token: string, action: string): boolean {
    const { requests, watches } = this.#options;
    const open = requests.get(token);
    if (!open?.action.executor.elsewhere || open.action.manifest.name !== action) return false;
    if (this.#open.get(token) === open) return true;
    this.#forget(token);
    this.#open.set(token, open);
    open.forgetRows();
    watches.add(token);
    return true;
  }

  /**
   * Keeps a request that is open here, and that another router may have been told to take: it cannot any more. Resolves with whether it
   * is this router's; rejects where the database does not say.
   */
  async keep(token: string): Promise<boolean> {
    const { requests, membership } = this.#options;
    const open = requests.get(token);
    const kept = await membership.keep(token);
    if (open === undefined || kept === undefined) return false;
    this.#kept.set(open, Math.max(kept, this.#kept.get(open) ?? 0));
    return true;
  }

  /** How often a request that is open here was kept; undefined where it never was. */
  keptOf(token: string): number | undefined {
    const open = this.#options.requests.get(token);
    return open && this.#kept.get(open);
  }

  /** Lets go of requests that ended here. */
  sweep(): void {
    for (const [token, open] of this.#open) if (this.#options.requests.get(token) !== open) this.#forget(token);
  }

  #forget(token: string): void {
    if (this.#open.delete(token)) this.#options.watches.remove(token);
  }

  /** There are rows of a token up to `id`: those that follow it get them, and its request ends here where it has ended there. */
  async #look(token: string, id: number): Promise<void> {
    const before = this.#busy.get(token);
    if (before !== undefined) {
      this.#busy.set(token, Math.max(before, id));
      return;
    }
    this.#busy.set(token, id);
    try {
      for (let at = -1; at < (this.#busy.get(token) ?? 0); ) {
        at = this.#busy.get(token) ?? 0;
        await this.#read(token);
        this.#options.watches.read(token, at);
      }
    } catch (error) {
      // It stays news: the next look at the database brings it again.
      this.#options.log.debug({ err: error, token }, `the rows of ${token} were not read: ${reasonOf(error)}`);
    } finally {
      this.#busy.delete(token);
    }
  }

  async #read(token: string): Promise<void> {
    const { store, membership, requests, followers } = this.#options;
    const known = await store.find(token);
    if (!known) return;
    followers.reassess(token, known.owner);
    const open = requests.get(token);
    if (!open?.action.executor.elsewhere || known.state !== 'ended') return;
    requests.endedElsewhere(open);
    membership.ended(token);
    this.#forget(token);
  }
}
