import { type CentreondError, failure } from '@centreond/protocol';

/** At most so many; if `bytes` is given, holding at most so many bytes. */
export interface Bound {
  readonly count: number;
  readonly bytes?: number;
}

/** A bound in all, and one for each identity. */
export interface Bounds extends Bound {
  readonly perIdentity: Bound;
}

interface Used {
  count: number;
  bytes: number;
}

/** What is open of one kind, counted in all and for each identity. */
export class Shares {
  readonly #of = new Map<string, Used>();
  readonly #all: Used = { count: 0, bytes: 0 };

  /** `what` is a plural noun for the sentences, such as `open requests`. */
  constructor(
    readonly what: string,
    readonly bounds: Bounds,
  ) {}

  /** Why `identity` may not take one more of `bytes` bytes: BUSY with the figure, or undefined. */
  refusal(identity: string, bytes: number): CentreondError | undefined {
    const own = this.#of.get(identity);
    return (
      over(own, bytes, this.bounds.perIdentity, `${this.what} of ${identity}`) ??
      over(this.#all, bytes, this.bounds, `${this.what} in all`)
    );
  }

  take(identity: string, bytes: number): void {
    const own = this.#of.get(identity) ?? { count: 0, bytes: 0 };
    this.#of.set(identity, own);
    for (const used of [own, this.#all]) {
      used.count++;
      used.bytes += bytes;
    }
  }

  give(identity: string, bytes: number): void {
    const own = this.#of.get(identity);
    if (!own) return;
    for (const used of [own, this.#all]) {
      used.count--;
      used.bytes -= bytes;
    }
    if (own.count === 0) this.#of.delete(identity);
  }

  /** How many are taken, in all or by one identity, and their bytes. */
  used(identity?: string): Readonly<Used> {
    return (identity === undefined ? this.#all : this.#of.get(identity)) ?? { count: 0, bytes: 0 };
  }
}

/** One that is larger than the whole bound is let through when nothing else is open: its size has a limit of its own. */
function over(used: Used | undefined, bytes: number, bound: Bound, what: string): CentreondError | undefined {
  if (!used) return undefined;
  if (used.count >= bound.count) return failure('BUSY', { what: `the list of ${what}`, limit: bound.count });
  if (bound.bytes !== undefined && used.count > 0 && used.bytes + bytes > bound.bytes) {
    return failure('BUSY', { what: `the memory for ${what}, in bytes,`, limit: bound.bytes });
  }
  return undefined;
}
