import { setImmediate as nextTurn } from 'node:timers/promises';

/** What a row costs beside its token and data, in a page's bytes. */
export const ROW_OVERHEAD = 200;
/** The same for an entry of a plugin's state, whose key may need escapes. */
export const ENTRY_OVERHEAD = 300;
/** A page that has rows ends after this long, so that one that looks for few rows among many comes in parts. */
const PAGE_MS = 2000;

let lastTurn = Promise.resolve();

/** Resolves when others have been let in. Pages do not go on together: each piece has a turn of the event loop to itself. */
export function ownTurn(): Promise<void> {
  lastTurn = lastTurn.then(() => nextTurn());
  return lastTurn;
}

/** Where a page ends: after so many rows, before so many bytes, or after a while if it has rows. */
export class PageBound {
  /** Whether there is, or may be, a further row. */
  more = false;
  readonly #started = performance.now();
  #size = 0;
  #count = 0;

  constructor(
    private readonly limit: number,
    private readonly maxBytes: number,
  ) {}

  get #isLate(): boolean {
    return this.#count > 0 && performance.now() - this.#started > PAGE_MS;
  }

  /** Whether a row of so many bytes still belongs to the page. */
  takes(bytes: number): boolean {
    this.#size += ROW_OVERHEAD + bytes;
    this.more = this.#count === this.limit || (this.#count > 0 && this.#size > this.maxBytes) || this.#isLate;
    if (this.more) return false;
    this.#count++;
    return true;
  }

  /** Lets other questions in. Resolves with whether the page goes on. */
  async pause(): Promise<boolean> {
    await ownTurn();
    this.more = this.#isLate;
    return !this.more;
  }
}
