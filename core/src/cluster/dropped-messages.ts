import type { Log } from '../log.ts';
import type { Dropped } from './seal.ts';

const LOG_MS = 60_000;

type Counters = Record<Dropped, number>;

/** Counts the messages on NATS that are not heard, and logs them once a minute at most: whoever may publish there sends any number. */
export class DroppedMessages {
  readonly counters: Counters = { foreign: 0, repeated: 0, unread: 0 };
  readonly #log: Pick<Log, 'warn'>;
  readonly #now: () => number;
  #logged: { readonly at: number } & Counters = { at: Number.NEGATIVE_INFINITY, ...this.counters };

  /** `now` is in milliseconds and never goes back. */
  constructor(log: Pick<Log, 'warn'>, now: () => number = () => performance.now()) {
    this.#log = log;
    this.#now = now;
  }

  count(why: Dropped): void {
    this.counters[why]++;
    const at = this.#now();
    if (at - this.#logged.at < LOG_MS) return;
    const since = (one: Dropped) => this.counters[one] - this.#logged[one];
    this.#log.warn(
      { foreign: since('foreign'), repeated: since('repeated'), unread: since('unread') },
      'messages on the NATS subjects of this cluster were dropped: foreign ones are not by its routers, or not for this one; repeated ones were heard before; unread ones are by a router of another version; let only the routers publish there (core.cluster.credentials)',
    );
    this.#logged = { at, ...this.counters };
  }
}
