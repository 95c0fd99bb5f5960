import { isTerminal, parseJson } from '@centreond/protocol';
import { z } from 'zod';
import type { Watch } from '../router/followers.ts';
import type { Row } from '../store/token-store.ts';
import type { Bus } from './bus.ts';

/** What is said within so long goes in one message. */
const TICK_MS = 5;
/** Tokens of other routers that are told of rows here. */
const INTERESTS = 1_000_000;

const Interest = z.strictObject({ all: z.boolean(), add: z.array(z.string()), remove: z.array(z.string()) });
const News = z.array(z.tuple([z.string(), z.int()]));

/** A token that is watched here: by so many, and the last row that was read of it. */
interface Watched {
  count: number;
  last: number;
}

/** Which routers want to hear of a token, and the node to which its request was handed over here, if it was. */
interface Wanted {
  readonly routers: Set<string>;
  target: string | undefined;
}

/**
 * Tokens whose rows other routers may write, and those of which other routers want to hear. What is told is that there are rows: who
 * wants them reads them in the database. What is not told, or cannot be read at once, is found by a look at the database.
 */
export class Watches implements Watch {
  readonly #bus: Pick<Bus, 'tell'>;
  readonly #watched = new Map<string, Watched>();
  readonly #wanted = new Map<string, Wanted>();
  readonly #added = new Set<string>();
  readonly #removed = new Set<string>();
  readonly #news = new Map<string, Map<string, number>>();
  #tick: NodeJS.Timeout | undefined;
  /** There are rows of a token that is watched, up to `id`. */
  onNews: (token: string, id: number) => void = () => {};

  constructor(bus: Pick<Bus, 'tell'>) {
    this.#bus = bus;
  }

  get counters(): { watched: number; wanted: number } {
    return { watched: this.#watched.size, wanted: this.#wanted.size };
  }

  has(token: string): boolean {
    return this.#watched.has(token);
  }

  add(token: string): void {
    const watched = this.#watched.get(token);
    if (watched) {
      watched.count++;
      return;
    }
    this.#watched.set(token, { count: 1, last: 0 });
    if (!this.#removed.delete(token)) this.#added.add(token);
    this.#soon();
  }

  remove(token: string): void {
    const watched = this.#watched.get(token);
    if (!watched || --watched.count > 0) return;
    this.#watched.delete(token);
    if (!this.#added.delete(token)) this.#removed.add(token);
    this.#soon();
  }

  written(row: Row): void {
    const wanted = this.#wanted.get(row.token);
    if (!wanted) return;
    for (const router of wanted.routers) {
      const news = this.#news.get(router) ?? new Map<string, number>();
      this.#news.set(router, news.set(row.token, row.id));
    }
    if (isTerminal(row.code)) this.#wanted.delete(row.token);
    this.#soon();
  }

  targetOf(token: string): string | undefined {
    return this.#wanted.get(token)?.target;
  }

  /** The router `id` wants to hear of a token; `target` is the node to which its request is handed over here. */
  wants(id: string, token: string, target?: string): void {
    let wanted = this.#wanted.get(token);
    if (!wanted) {
      if (this.#wanted.size >= INTERESTS) return;
      wanted = { routers: new Set(), target: undefined };
      this.#wanted.set(token, wanted);
    }
    wanted.routers.add(id);
    wanted.target = target ?? wanted.target;
  }

  /** Takes what another router says of tokens: `watches` that it wants to hear of some, `news` that there are rows. */
  told(from: string, what: string, text: string): void {
    if (what === 'watches') {
      const read = Interest.safeParse(parseJson(text));
      if (!read.success) return;
      const { all, add, remove } = read.data;
      if (all) this.#unwantAll(from, new Set(add));
      for (const token of add) this.wants(from, token);
      for (const token of remove) this.#unwanted(from, token);
    } else if (what === 'news') {
      for (const [token, id] of News.safeParse(parseJson(text)).data ?? []) this.#heard(token, id);
    }
  }

  /** What is watched, with the last row that was read. */
  seen(): Map<string, number> {
    return new Map([...this.#watched].map(([token, { last }]) => [token, last]));
  }

  /** Takes what was found in the database, by token the id of its last row. */
  found(news: ReadonlyMap<string, number>): void {
    for (const [token, id] of news) this.#heard(token, id);
  }

  /** Says once more all that is watched here: others may not have heard it. */
  repeat(): void {
    this.#added.clear();
    this.#removed.clear();
    this.#say({ all: true, add: [...this.#watched.keys()], remove: [] });
  }

  /** The router `id` is gone. */
  dropRouter(id: string): void {
    this.#news.delete(id);
    this.#unwantAll(id);
  }

  stop(): void {
    clearTimeout(this.#tick);
  }

  #unwantAll(id: string, but: ReadonlySet<string> = new Set()): void {
    for (const token of [...this.#wanted.keys()]) if (!but.has(token)) this.#unwanted(id, token);
  }

  #unwanted(id: string, token: string): void {
    const routers = this.#wanted.get(token)?.routers;
    if (routers?.delete(id) && routers.size === 0) this.#wanted.delete(token);
  }

  #heard(token: string, id: number): void {
    if (this.#watched.has(token)) this.onNews(token, id);
  }

  /** Rows up to `id` were read: what comes before is no news any more. */
  read(token: string, id: number): void {
    const watched = this.#watched.get(token);
    if (watched) watched.last = Math.max(watched.last, id);
  }

  #soon(): void {
    this.#tick ??= setTimeout(() => {
      this.#tick = undefined;
      if (this.#added.size + this.#removed.size > 0) {
        this.#say({ all: false, add: [...this.#added], remove: [...this.#removed] });
        this.#added.clear();
        this.#removed.clear();
      }
      for (const [router, news] of this.#news) this.#bus.tell(router, 'news', JSON.stringify([...news]));
      this.#news.clear();
    }, TICK_MS);
  }

  #say(interest: z.output<typeof Interest>): void {
    this.#bus.tell('*', 'watches', JSON.stringify(interest));
  }
}
