import { failure, isTerminal } from '@centreond/protocol';
import type {
  Accepted,
  Adopted,
  KnownRequest,
  LogPage,
  Page,
  RequestRecord,
  Row,
  RowDraft,
} from '../../../core/dist/store/token-store.js';

/** A token store in memory, as the router uses it. Its disk can be full, and the process that writes can die. */
export class MemoryStore {
  readonly rows: Row[] = [];
  readonly requests = new Map<string, KnownRequest>();
  /** Rows that count for no request. */
  readonly #apart = new Set<number>();
  readonly #accepts = new WeakMap<Promise<Accepted>, { isDone: boolean }>();
  isFull = false;
  #run = 0;
  #gate: Promise<void> | undefined;
  #ids = 0;
  #calls = 0;
  /** Calls up to this one fail: they were made before it was known that the disk is full, and would overtake. */
  #failing = 0;

  /** The process died: what was under way is not written. */
  crash(): void {
    this.#run++;
  }

  /** The disk takes its time until the returned function is called. */
  hold(): () => void {
    let release = () => {};
    this.#gate = new Promise((resolve) => {
      release = () => {
        this.#gate = undefined;
        resolve();
      };
    });
    return release;
  }

  async #commit<T>(work: () => T): Promise<T> {
    const run = this.#run;
    const call = ++this.#calls;
    await Promise.resolve();
    await this.#gate;
    if (run !== this.#run) return new Promise<never>(() => {});
    if (this.isFull || call <= this.#failing) {
      this.#fail(3);
      throw failure('STORE_FAILED', { reason: 'the disk is full' });
    }
    return work();
  }

  /** All calls fail that are made within so many turns: by then their callers know. */
  #fail(turns: number): void {
    this.#failing = this.#calls;
    if (turns > 0) queueMicrotask(() => this.#fail(turns - 1));
  }

  #row({ token, code, etime, data }: RowDraft, type: string, node = 'central'): Row {
    const row = { id: ++this.#ids, token, type, node, code, etime, ctime: etime, data };
    this.rows.push(row);
    return row;
  }

  accept(request: RequestRecord, rowData: string): Promise<Accepted> {
    const accept = { isDone: false };
    const accepted = this.#commit((): Accepted => {
      const known = this.requests.get(request.token);
      if (known) return { known: true, request: { ...known } };
      accept.isDone = true;
      this.requests.set(request.token, { ...request, ctime: request.etime, state: 'open' });
      const { token, action, etime } = request;
      return { known: false, row: this.#row({ token, code: 0, etime, data: rowData }, action) };
    });
    this.#accepts.set(accepted, accept);
    return accepted;
  }

  append(draft: RowDraft, behind?: Promise<Accepted>): Promise<Row> {
    const accept = behind && this.#accepts.get(behind);
    return this.#commit(() => {
      const known = this.requests.get(draft.token);
      if (!known || accept?.isDone === false) throw failure('UNKNOWN_TOKEN', { token: draft.token });
      if (isTerminal(draft.code)) this.#end(known);
      return this.#row(draft, known.action);
    });
  }

  #end(known: KnownRequest): void {
    if (known.state === 'ended') throw failure('TOKEN_ENDED', { token: known.token });
    known.state = 'ended';
  }

  adopt(page: LogPage): Promise<{ rows: Adopted[]; cursor: number }> {
    return this.#commit(() => {
      const rows = page.rows.map((row): Adopted => {
        const known = this.requests.get(row.token);
        const counts = known !== undefined && (row.counts ?? known.target === row.node);
        if (counts && isTerminal(row.code)) {
          if (known.state === 'ended') return 'ended';
          this.#end(known);
        }
        const stored = this.#row(row, row.type, row.node);
        if (!counts) this.#apart.add(stored.id);
        return { row: stored, counts, owner: counts ? known.owner : '' };
      });
      return { rows, cursor: page.last };
    });
  }

  async find(token: string): Promise<KnownRequest | undefined> {
    await Promise.resolve();
    const known = this.requests.get(token);
    return known && { ...known };
  }

  async query({ token, id = 0 }: { token?: string; id?: number }): Promise<Page> {
    await Promise.resolve();
    return {
      rows: this.rows.filter((row) => row.id > id && (token === undefined || row.token === token)),
      more: false,
    };
  }

  async unsettled(after: number): Promise<{ requests: RequestRecord[]; last: number }> {
    const open = [...this.requests.values()].filter(({ state }) => state === 'open');
    return after === 0 ? { requests: open, last: 1 } : { requests: [], last: after };
  }

  /** The codes of the rows of a token that count for its request. */
  codesOf(token: string): number[] {
    return this.rows.filter((row) => row.token === token && !this.#apart.has(row.id)).map(({ code }) => code);
  }

  /** The terminal rows of a token. */
  endsOf(token: string): Row[] {
    return this.rows.filter((row) => row.token === token && isTerminal(row.code) && !this.#apart.has(row.id));
  }
}
