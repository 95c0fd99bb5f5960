import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import {
  type CodesOf,
  type HistoryRow,
  type Instance,
  type Logger,
  reasonOf,
  type State,
  type TokenStore,
} from '@centreond/plugin-sdk';
import { z } from 'zod';

/** The `codes` of a plugin that carries nodes: of the rows by which its instances tell each other what changed, all under one token. */
export const CODES = {
  CARRIER: { code: 110, title: 'carrier announced' },
  CHANGED: { code: 111, title: 'node changed' },
  TAKEN: { code: 112, title: 'change taken' },
} as const;

const TOKEN_KEY = 'bulletin';
const OPEN_LIMIT_MS = 15_000;
const LOOK_MS = 100;
const RETRY_MS = 1000;

const Carrier = z.object({ instance: z.string(), number: z.string() });
const Changed = z.object({ id: z.string(), by: z.string() });
const Taken = z.object({
  id: z.string(),
  instance: z.string(),
  digest: z.string().nullable(),
  fault: z.string().nullable(),
});
/** A node was added or taken away: the state has what is now. */
export type Changed = z.output<typeof Changed>;
/** The instance that carries the node has it now as the digest says; null: it carries none of that id. */
export type Taken = z.output<typeof Taken>;

export interface BulletinOptions {
  readonly state: State;
  readonly tokens: TokenStore<CodesOf<typeof CODES>>;
  readonly log: Logger;
  readonly instance: Instance;
  changed(post: Changed): void;
  taken(post: Taken): void;
}

/**
 * How the instances of the pool, of two versions during a reload, hear at once what one of them did: rows under a token that
 * each of them follows. The token is drawn by lot and kept in the state, so that nobody else can have used it before.
 */
export class Bulletin {
  readonly #options: BulletinOptions;
  readonly #number = randomUUID();
  readonly #stop = new AbortController();
  #token = '';
  #lastId = 0;
  #opened: (() => void) | undefined;
  #open = false;

  constructor(options: BulletinOptions) {
    this.#options = options;
  }

  /** Resolves when every post from now on will be heard. What was posted before is not. */
  async open(): Promise<void> {
    const { tokens, instance } = this.#options;
    const limit = performance.now() + OPEN_LIMIT_MS;
    this.#token = await this.#findToken(limit);
    const opened = new Promise<void>((resolve) => {
      this.#opened = resolve;
    });
    void this.#listen();
    // Its own post, once heard, is where it begins.
    await tokens.append([{ token: this.#token, code: CODES.CARRIER.code, data: this.#carrier(instance) }]);
    const late = pause(limit - performance.now(), 'late' as const, { signal: this.#stop.signal });
    const how = await Promise.race([opened, late.catch(() => undefined)]);
    if (how === 'late') throw new Error(`the rows under ${this.#token} cannot be followed`);
  }

  #carrier({ id }: Instance): z.output<typeof Carrier> {
    return { instance: id, number: this.#number };
  }

  /** The first instance draws it; the others wait for that. */
  async #findToken(limit: number): Promise<string> {
    const { state, instance } = this.#options;
    for (;;) {
      const kept = await state.get(TOKEN_KEY);
      // One from before this plugin had a type of its own is reserved for another.
      if (typeof kept === 'string' && kept.startsWith(`${instance.type}:`)) return kept;
      if (instance.id === '1') await state.set(TOKEN_KEY, `${instance.type}:${randomUUID()}`);
      else if (performance.now() > limit) throw new Error('instance 1 has not made the token of the bulletin');
      else await pause(LOOK_MS);
    }
  }

  async #listen(): Promise<void> {
    const { tokens, log } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        for await (const row of tokens.follow(this.#token, { afterId: this.#lastId, signal })) {
          this.#lastId = row.id;
          this.#hear(row);
        }
      } catch (error) {
        log.warn({ err: error }, `the other instances are not heard for the moment: ${reasonOf(error)}`);
        await pause(RETRY_MS);
      }
    }
  }

  #hear({ code, data }: HistoryRow): void {
    const { changed, taken } = this.#options;
    if (code === CODES.CARRIER.code && Carrier.safeParse(data).data?.number === this.#number) {
      this.#open = true;
      this.#opened?.();
    }
    if (!this.#open) return;
    if (code === CODES.CHANGED.code) {
      const post = Changed.safeParse(data);
      if (post.success) changed(post.data);
    }
    if (code === CODES.TAKEN.code) {
      const post = Taken.safeParse(data);
      if (post.success) taken(post.data);
    }
  }

  /** Resolves when it is on disk. */
  tellChanged(post: Changed): Promise<void> {
    return this.#options.tokens.append([{ token: this.#token, code: CODES.CHANGED.code, data: post }]);
  }

  /** Resolves when it is on disk. */
  tellTaken(post: Taken): Promise<void> {
    return this.#options.tokens.append([{ token: this.#token, code: CODES.TAKEN.code, data: post }]);
  }

  close(): void {
    this.#stop.abort();
  }
}
