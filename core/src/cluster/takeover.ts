import { isCentreondError, reasonOf } from '@centreond/protocol';
import type { Chronicle } from '../log/chronicle.ts';
import type { Log } from '../log.ts';
import { type RecoveryOptions, settle } from '../router/recovery.ts';
import type { OpenRequest } from '../router/request.ts';
import type { Membership, RouterRecord } from '../store/membership.ts';
import type { RequestRecord, TokenStore } from '../store/token-store.ts';

/** Requests that are read, and settled, at once. */
const PAGE = 1000;
const PAGE_BYTES = 8 * 1024 * 1024;

export interface TakeoverOptions {
  readonly membership: Pick<Membership, 'takeOver' | 'openHere'>;
  readonly store: Pick<TokenStore, 'unsettled'>;
  readonly recovery: RecoveryOptions;
  /** Whether a request is being taken from another router at this moment. */
  isClaiming(token: string): boolean;
  /** Whether another router took a request that is open here, as far as is known: its rows are expected from there. */
  isDelivered(open: OpenRequest): boolean;
  readonly chronicle: Pick<Chronicle, 'tell'>;
  readonly log: Log;
}

/** Takes over what is open at routers of the cluster that are silent or have stopped, and settles it as their restart would. */
export class Takeover {
  readonly #options: TakeoverOptions;
  #isBusy = false;
  /** Something may be open here, by the database, that this process does not know. */
  #isUnsure = false;

  constructor(options: TakeoverOptions) {
    this.#options = options;
  }

  /** Nobody knows whether a request was taken over, or settled: what is open here is compared with the database at the next look. */
  unsure(): void {
    this.#isUnsure = true;
  }

  /**
   * Looks for something to take over where a router is not up. Only a router that has been heard without a gap may take: `mayTake`. One
   * look at a time.
   */
  look(routers: readonly RouterRecord[], mayTake: boolean): void {
    const isDue = mayTake && routers.some(({ state }) => state !== 'up');
    if (this.#isBusy || (!isDue && !this.#isUnsure)) return;
    this.#isBusy = true;
    this.#all(isDue)
      .catch((error: unknown) => {
        this.#isUnsure = true;
        const what = `what is open at another router was not taken over, which is tried again: ${reasonOf(error)}`;
        this.#options.log.warn({ err: error }, what);
      })
      .finally(() => {
        this.#isBusy = false;
      });
  }

  async #all(mayTake: boolean): Promise<void> {
    if (this.#isUnsure) {
      this.#isUnsure = false;
      await this.#compare();
    }
    if (!mayTake) return;
    const { membership, chronicle, log } = this.#options;
    for (let taken = await membership.takeOver(); taken; taken = await membership.takeOver()) {
      const { router, tokens } = taken;
      chronicle.tell('ROUTER_TAKEN_OVER', { router, requests: tokens.length });
      log.warn(
        { router },
        `the router ${router} is gone: this one takes over what is open there, ${tokens.length === 1 ? '1 request' : `${tokens.length} requests`}`,
      );
      for (let at = 0; at < tokens.length; at += PAGE) {
        await this.#settle(await membership.openHere(tokens.slice(at, at + PAGE)));
      }
    }
  }

  /** Settles what is open here by the database and in no memory. */
  async #compare(): Promise<void> {
    const { store, membership } = this.#options;
    for (let after = 0; ; ) {
      const { requests: page, last } = await store.unsettled(after, PAGE, PAGE_BYTES);
      if (page.length === 0) return;
      after = last;
      // What was delivered was taken before it is read where it is open: if that is here, it came back.
      const known = new Map(page.map(({ token }) => [token, this.#known(token)]));
      const open = await membership.openHere(
        page.map(({ token }) => token).filter((token) => !known.get(token)?.isHere),
      );
      // A request leaves the memory after its end is stored: what is open still, and unknown still, was never in it.
      await this.#settle(
        open.filter(({ token }) => {
          const { recovery, isClaiming } = this.#options;
          return recovery.requests.get(token) === known.get(token)?.request && !isClaiming(token);
        }),
      );
    }
  }

  /** What is in memory of a request, and whether it is open here by that. */
  #known(token: string): { request: OpenRequest | undefined; isHere: boolean } {
    const { recovery, isClaiming, isDelivered } = this.#options;
    const request = recovery.requests.get(token);
    return { request, isHere: isClaiming(token) || (request !== undefined && !isDelivered(request)) };
  }

  /** Each by itself: one that fails is found again. */
  async #settle(records: readonly RequestRecord[]): Promise<void> {
    const { recovery, log } = this.#options;
    await Promise.all(
      records.map((record) =>
        settle(record, recovery).catch((error: unknown) => {
          // Who ended it meanwhile settled it.
          if (isCentreondError(error) && error.code === 'TOKEN_ENDED') return;
          this.#isUnsure = true;
          log.warn({ err: error, token: record.token }, `${record.token} is not settled yet: ${reasonOf(error)}`);
        }),
      ),
    );
  }
}
