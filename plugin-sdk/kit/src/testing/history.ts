import {
  type CentreondError,
  failure,
  type HistoryFilter,
  type HistoryRow,
  type Json,
  type JsonObject,
} from '@centreond/protocol';

/** The node that the testing kit's router is. */
export const NODE = 'test';

/** A request as it is kept: what a repeat is compared with. */
export interface KnownToken {
  readonly owner: string;
  /** The action, or PUTLOG for a token that only rows made. */
  readonly action: string;
  readonly target: string;
  readonly data: JsonObject;
  /** It is known from PUTLOG alone, and may still become its owner's request. */
  readonly isLog: boolean;
}

interface Following {
  afterId: number;
  onRow(row: HistoryRow): void;
}

/** The rows and tokens of a router, in memory: who owns a token, what was written under it, who follows it. */
export class TestHistory {
  readonly rows: HistoryRow[] = [];
  readonly #tokens = new Map<string, KnownToken>();
  readonly #following = new Map<string, Set<Following>>();

  constructor(private readonly clock: { now(): number }) {}

  /** Who uses `token`, if anybody has. */
  find(token: string): KnownToken | undefined {
    return this.#tokens.get(token);
  }

  /** Binds a token to its owner and request. */
  claim(token: string, known: KnownToken): void {
    this.#tokens.set(token, known);
  }

  /** Writes a row under a token that is known, and shows it to those who follow. `node` is where it happened; here if omitted. */
  append(token: string, code: number, data: Json, node: string = NODE, etime: number = this.seconds()): HistoryRow {
    const type = this.#tokens.get(token)?.action ?? 'PUTLOG';
    const row = { id: this.rows.length + 1, token, type, node, code, etime, ctime: this.seconds(), data };
    this.rows.push(row);
    for (const following of [...(this.#following.get(token) ?? [])]) this.#show(following, row);
    return row;
  }

  /** A page of the rows that match and that `mayRead` lets through, ascending. Throws INVALID_DATA where the filter names nothing. */
  query(
    { limit = 1000, ...where }: HistoryFilter,
    mayRead: (row: HistoryRow) => boolean = () => true,
  ): { result: HistoryRow[]; more: boolean } {
    if (Object.keys(where).length === 0) {
      throw failure('INVALID_DATA', { action: 'GETLOG', reason: 'one of token, code, ctime, etime, id is needed' });
    }
    const found = this.rows.filter(
      (row) =>
        (where.token === undefined || row.token === where.token) &&
        (where.code === undefined || row.code === where.code) &&
        (where.ctime === undefined || row.ctime > where.ctime) &&
        (where.etime === undefined || row.etime > where.etime) &&
        (where.id === undefined || row.id > where.id) &&
        mayRead(row),
    );
    return { result: found.slice(0, limit), more: found.length > limit };
  }

  /** Shows each row of `token` after `afterId`, those at hand at once. The result ends it. */
  follow(token: string, afterId: number, onRow: (row: HistoryRow) => void): () => void {
    const following: Following = { afterId, onRow };
    const all = this.#following.get(token) ?? new Set<Following>();
    this.#following.set(token, all.add(following));
    for (const row of this.rows) if (row.token === token) this.#show(following, row);
    return () => all.delete(following);
  }

  /** Now, in whole seconds since the epoch. */
  seconds(): number {
    return Math.floor(this.clock.now() / 1000);
  }

  #show(following: Following, row: HistoryRow): void {
    if (row.id <= following.afterId) return;
    following.afterId = row.id;
    following.onRow(row);
  }
}

/** Why `asked` does not repeat `known`, which has the same token: FORBIDDEN or TOKEN_REUSED; undefined if it repeats it. */
export function repeatFault(
  token: string,
  asked: KnownToken,
  known: KnownToken,
  by: { readonly identity: string; readonly forAll: boolean },
): CentreondError | undefined {
  if (known.owner !== asked.owner && !by.forAll) {
    const remedy = 'It belongs to another identity. Choose a new token.';
    return failure('FORBIDDEN', { identity: by.identity, what: `use the token ${token}`, remedy });
  }
  const sameTarget = (known.target || NODE) === (asked.target || NODE);
  if (known.action === asked.action && sameTarget && sameJson(known.data, asked.data)) return undefined;
  return failure('TOKEN_REUSED', { token, action: known.action });
}

/** Whether two JSON values say the same: the order of keys does not matter. */
function sameJson(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && sameJson((a as JsonObject)[key], (b as JsonObject)[key]))
  );
}
