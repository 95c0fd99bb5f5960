import { reasonOf } from '@centreond/protocol';
import type { Chronicle } from '../log/chronicle.ts';
import type { Log } from '../log.ts';
import { type RecoveryOptions, settleAll } from '../router/recovery.ts';
import type { Membership, RouterRecord } from '../store/membership.ts';

/** Requests that are read, and settled, at once. */
const PAGE = 1000;

export interface TakeoverOptions {
  readonly membership: Membership;
  readonly recovery: RecoveryOptions;
  readonly chronicle: Pick<Chronicle, 'tell'>;
  readonly log: Log;
}

/** Takes over what is open at routers of the cluster that are silent or have stopped, and settles it as their restart would. */
export class Takeover {
  readonly #options: TakeoverOptions;
  #isBusy = false;

  constructor(options: TakeoverOptions) {
    this.#options = options;
  }

  /** Looks for something to take over where a router is not up. */
  look(routers: readonly RouterRecord[]): void {
    if (this.#isBusy || routers.every(({ state }) => state === 'up')) return;
    this.#isBusy = true;
    this.#takeAll()
      .catch((error: unknown) => {
        this.#options.log.error(
          { err: error },
          `what is open at another router was not taken over: ${reasonOf(error)}`,
        );
      })
      .finally(() => {
        this.#isBusy = false;
      });
  }

  async #takeAll(): Promise<void> {
    const { membership, recovery, chronicle, log } = this.#options;
    for (let taken = await membership.takeOver(); taken; taken = await membership.takeOver()) {
      const { router, tokens } = taken;
      chronicle.tell('ROUTER_TAKEN_OVER', { router, requests: tokens.length });
      log.warn({ router }, `the router ${router} is gone: this one takes over its ${tokens.length} open requests`);
      for (let at = 0; at < tokens.length; at += PAGE) {
        const records = await membership.taken(tokens.slice(at, at + PAGE));
        await settleAll(records, { ...recovery, of: router });
      }
    }
  }
}
