/** What waits, in turns between its owners, each in its own order: one who queues many does not hold up the others. */
export class Turns<T> {
  readonly #owners = new Map<string, Set<T>>();
  #size = 0;

  constructor(private readonly ownerOf: (one: T) => string) {}

  get size(): number {
    return this.#size;
  }

  add(one: T): void {
    const owner = this.ownerOf(one);
    const own = this.#owners.get(owner);
    if (own) own.add(one);
    else this.#owners.set(owner, new Set([one]));
    this.#size++;
  }

  /** Takes `one` out wherever it stands. Returns whether it was there. */
  delete(one: T): boolean {
    const owner = this.ownerOf(one);
    const own = this.#owners.get(owner);
    if (!own?.delete(one)) return false;
    this.#size--;
    if (own.size === 0) this.#owners.delete(owner);
    return true;
  }

  /** Takes out the oldest of the owner whose turn it is; those that may not go now keep theirs. */
  next(mayGo: (owner: string) => boolean = () => true): T | undefined {
    for (const [owner, own] of this.#owners) {
      if (!mayGo(owner)) continue;
      for (const one of own) {
        own.delete(one);
        this.#size--;
        this.#owners.delete(owner);
        if (own.size > 0) this.#owners.set(owner, own);
        return one;
      }
    }
    return undefined;
  }

  /** Takes out all, owner by owner. */
  clear(): T[] {
    const all = [...this.#owners.values()].flatMap((own) => [...own]);
    this.#owners.clear();
    this.#size = 0;
    return all;
  }
}
/** Lets a number of holders through at once; the others wait for their turn, in order. */
export class TurnGate {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  /** Resolves when it is the caller's turn, with what ends it. Ending a turn twice does nothing. */
  async turn(): Promise<() => void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let over = false;
    return () => {
      if (over) return;
      over = true;
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    };
  }
}
