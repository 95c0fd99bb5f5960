import {
  ACCEPTED,
  FIRST_PLUGIN_CODE,
  failure,
  type HistoryFilter,
  type HistoryRow,
  type Json,
} from '@centreond/protocol';

/** The node that the testing kit's router is. */
export const NODE = 'test';

interface Known {
  readonly owner: string;
  /** The action, or PUTLOG for a token that only rows made. */
  readonly type: string;
}

interface Following {
  afterId: number;
  onRow(row: HistoryRow): void;
}

/** The rows and tokens of a router, in memory: who owns a token, what was written under it, who follows it. */
export class TestHistory {
  readonly rows: HistoryRow[] = [];
  readonly #tokens = new Map<string, Known>();
  readonly #following = new Map<string, Set<Following>>();

  constructor(private readonly clock: { now(): number }) {}

  /** Who uses `token`, if anybody has. */
  find(token: string): Known | undefined {
    return this.#tokens.get(token);
  }

  /** Binds a token that nobody uses to its owner. */
  claim(token: string, owner: string, type: string): void {
    this.#tokens.set(token, { owner, type });
  }

  /** Writes a row under a token that is known, and shows it to whoever follows. */
  append(token: string, code: number, data: Json, etime: number = this.#seconds()): HistoryRow {
    const type = this.#tokens.get(token)?.type ?? 'PUTLOG';
    const row = { id: this.rows.length + 1, token, type, node: NODE, code, etime, ctime: this.#seconds(), data };
    this.rows.push(row);
    for (const following of [...(this.#following.get(token) ?? [])]) this.#show(following, row);
    return row;
  }

  /** PUTLOG: writes one row that ends nothing. Throws INVALID_DATA and FORBIDDEN as the router does. */
  put(
    row: { token: string; code: number; data: Json; etime?: number },
    by: { identity: string; codes: ReadonlySet<number>; runs(token: string): boolean },
  ): void {
    const { token, code, data, etime } = row;
    const refuse = (reason: string) => failure('INVALID_DATA', { action: 'PUTLOG', reason });
    if (!Number.isInteger(code) || (code !== ACCEPTED && code < FIRST_PLUGIN_CODE)) {
      throw refuse(
        `code ${code} is neither 0 nor from ${FIRST_PLUGIN_CODE} up; a terminal row is the router's to write`,
      );
    }
    if (!by.codes.has(code)) throw refuse(`code ${code} is not in the plugin's codes`);
    const known = this.#tokens.get(token);
    if (known && known.owner !== by.identity && !by.runs(token)) {
      const remedy = 'It belongs to another identity.';
      throw failure('FORBIDDEN', { identity: by.identity, what: `write under the token ${token}`, remedy });
    }
    if (!known) this.claim(token, by.identity, 'PUTLOG');
    this.append(token, code, data, etime);
  }

  /** A page of the rows that match, ascending. Throws INVALID_DATA where the filter names nothing. */
  query({ limit = 1000, ...where }: HistoryFilter): { result: HistoryRow[]; more: boolean } {
    if (Object.keys(where).length === 0) {
      throw failure('INVALID_DATA', { action: 'GETLOG', reason: 'one of token, code, ctime, etime, id is needed' });
    }
    const found = this.rows.filter(
      (row) =>
        (where.token === undefined || row.token === where.token) &&
        (where.code === undefined || row.code === where.code) &&
        (where.ctime === undefined || row.ctime > where.ctime) &&
        (where.etime === undefined || row.etime > where.etime) &&
        (where.id === undefined || row.id > where.id),
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

  #show(following: Following, row: HistoryRow): void {
    if (row.id <= following.afterId) return;
    following.afterId = row.id;
    following.onRow(row);
  }

  #seconds(): number {
    return Math.floor(this.clock.now() / 1000);
  }
}
