import { parseData } from '@centreond/protocol';
import type { Log } from '../log.ts';
import type { TokenStore } from '../store/token-store.ts';
import { isMarkOf, type LogMark } from './log-mark.ts';
import type { LogTeller } from './log-teller.ts';
import type { ToldRow } from './logs.ts';

/** One row is read whatever its size. */
const ROW_BYTES = 1;

export interface LogComparisonOptions {
  readonly store: TokenStore;
  readonly log: Log;
  readonly teller: LogTeller;
  /** Whether the router is gone. */
  isOver(): boolean;
  /** Rows of this log, checked, as the routers above read them. */
  rowsOf(result: readonly unknown[]): readonly ToldRow[];
}

/** Finds out how much of this log a router has, and whether that log is this one or a newer copy of it. */
export class LogComparison {
  readonly #options: LogComparisonOptions;

  constructor(options: LogComparisonOptions) {
    this.#options = options;
  }

  /**
   * Asks where the router stands, and resolves with the id after which it needs rows. A router that has a row which is not
   * in this log has the rows of a newer copy of this database: what is written here since then gets a new epoch.
   */
  async run(): Promise<number> {
    const { store, log, teller } = this.#options;
    const { router } = teller;
    teller.epoch = store.epoch;
    const { last, mark } = await teller.tell([], 0);
    const end = await store.end();
    // Other implementations do not say: they fetch the rows.
    if (last === undefined) return end;
    if (last === 0) {
      // Rows under this epoch may be there all the same: from a router between.
      const known = await this.#knownBefore();
      if (known > 0 || mark === undefined) {
        await teller.begin(known);
        return known;
      }
    }
    if (last <= end && (mark === undefined || (await this.#has(mark)))) return last;
    const common = mark === undefined ? end : await this.#lastCommon(mark.id);
    log.warn(
      { router, there: last, here: end, common },
      `${router} has this router's log up to ${last}, and the logs differ after row ${common}: the database is an older copy, and gets a new epoch`,
    );
    await store.renewEpoch();
    await teller.begin(common);
    return common;
  }

  /** Resolves with the id up to which the router has this log under former epochs. */
  async #knownBefore(): Promise<number> {
    const { store, teller } = this.#options;
    let known = 0;
    for (const epoch of await store.formerEpochs()) {
      teller.epoch = epoch;
      const { mark } = await teller.tell([], 0);
      if (mark !== undefined) known = Math.max(known, await this.#lastCommon(mark.id + 1));
    }
    teller.epoch = store.epoch;
    return known;
  }

  /** Resolves with the id of the last row that both logs have. They differ from the id `differs` on. */
  async #lastCommon(differs: number): Promise<number> {
    let [common, from, to] = [0, 0, differs];
    while (to - from > 1 && !this.#options.isOver()) {
      const middle = Math.floor((from + to) / 2);
      const { mark } = await this.#options.teller.tell([], middle);
      if (mark !== undefined && !(await this.#has(mark))) to = mark.id;
      else {
        common = mark?.id ?? common;
        from = middle;
      }
    }
    return common;
  }

  /** Whether the marked row is in this log, or may have been purged from it. */
  async #has(mark: LogMark): Promise<boolean> {
    const [row] = await this.#rowAfter(mark.id - 1);
    if (row === undefined) return false;
    if (row.id > mark.id) return mark.id <= (await this.#options.store.purgedUpTo());
    return row.origin === undefined && isMarkOf(mark, { ...row, data: JSON.stringify(row.data) });
  }

  async #rowAfter(id: number): Promise<readonly ToldRow[]> {
    const { store, rowsOf, teller } = this.#options;
    const { rows } = await store.log(id, 1, ROW_BYTES, `log to ${teller.router}`);
    return rowsOf(rows.map((text) => parseData(text)));
  }
}
