import { hostOf } from '../router/peer.ts';

/** Replacements that are older than this no longer count. */
const WINDOW_MS = 600_000;
/** A node that moves once, or moves back, is replaced less often. */
const LEAST = 3;
/** Replacements kept of each node. */
const KEPT = 8;

/** A session that took the place of one from another host. Addresses are `host:port`. */
interface Replacement {
  readonly at: number;
  readonly from: string;
  readonly to: string;
}

/** Finds keys that two machines have: their sessions replace one another by turns. */
export class SharedKeys {
  readonly #monotonic: () => number;
  readonly #replacements = new Map<string, Replacement[]>();

  /** `monotonic` gives milliseconds. */
  constructor(monotonic: () => number) {
    this.#monotonic = monotonic;
  }

  /** A session of `node` from the address `to` took the place of one from `from`. Returns true when this begins to be a pattern. */
  replaced(node: string, from: string, to: string): boolean {
    if (hostOf(from) === hostOf(to)) return false;
    const before = this.addressesOf(node).length;
    const kept = this.#replacements.get(node) ?? [];
    this.#replacements.set(node, [...kept, { at: this.#monotonic(), from, to }].slice(-KEPT));
    return before === 0 && this.addressesOf(node).length > 0;
  }

  /** The two latest addresses of a node whose hosts take turns; empty for any other node. */
  addressesOf(node: string): string[] {
    const since = this.#monotonic() - WINDOW_MS;
    const recent = (this.#replacements.get(node) ?? []).filter(({ at }) => at > since);
    const last = recent.at(-1);
    if (!last || recent.length < LEAST) return [];
    // A host that came back: a node that only moves on comes from a new one each time.
    const returns = recent.some(({ to }, i) => recent.slice(0, i).some(({ from }) => hostOf(from) === hostOf(to)));
    return returns ? [last.from, last.to] : [];
  }
}
