import { type CentreondError, failure, isTerminal, reasonOf } from '@centreond/protocol';
import {
  type Batch,
  ENDED,
  KNOWN,
  type Odd,
  pushAdopt,
  pushInherit,
  pushKeep,
  pushPin,
  pushPut,
  pushRename,
} from './batch.ts';
import { newEpoch } from './epoch.ts';
import type { HistoryReader } from './history-reader.ts';
import type { Members, Membership } from './membership.ts';
import { APPEND_PATIENCE, RequestWrites } from './request-writes.ts';
import type {
  Accepted,
  Adopted,
  Cursor,
  Filter,
  ForeignRowFilter,
  ForeignRowHead,
  KnownRequest,
  ListedRequest,
  LogPage,
  OwnLog,
  Page,
  PageText,
  Put,
  PutOptions,
  RequestFilter,
  RequestRecord,
  Row,
  RowDraft,
  StateStore,
  StoreCounters,
  StoreSettings,
  TokenStore,
} from './token-store.ts';
import { refusalOf, Write } from './write.ts';
import type { WriteQueue } from './write-queue.ts';

const PURGE_EVERY_MS = 60_000;
const ONE_ROW = { rows: 1, lane: 'own' } as const;

/** Where a database is, as the log shows it. */
export type Place = Readonly<Record<string, string>>;

/** The two threads of a driver, ready to be asked, and where their database is. */
export interface Threads {
  readonly queue: WriteQueue;
  readonly reader: HistoryReader;
  readonly place: Place;
  readonly membership?: Members;
}

/** A store whose database is written by one thread and read by another. The driver is what runs in them. */
export class ThreadedStore implements TokenStore {
  readonly #options: StoreSettings;
  readonly #place: Place;
  readonly #queue: WriteQueue;
  readonly #reader: HistoryReader;
  readonly #writes: RequestWrites;
  readonly #members: Members | undefined;
  #epoch: string;
  readonly #listeners: (() => void)[] = [];
  readonly #timer: NodeJS.Timeout;
  #purging: Promise<{ rows: number; requests: number }> | undefined;
  #closing: Promise<void> | undefined;
  #lastPurge: StoreCounters['lastPurge'] = null;
  #purgeDueAt: number;

  constructor(options: StoreSettings, { queue, reader, place, membership }: Threads) {
    this.#options = options;
    this.#members = membership;
    if (membership) {
      membership.onOpened = (token, open) => this.#writes.opened(token, open);
      membership.onEnded = (token) => this.#writes.ended(token);
    }
    this.#place = place;
    this.#queue = queue;
    this.#reader = reader;
    this.#writes = new RequestWrites(queue, options);
    this.#epoch = queue.epoch;
    const due = () => options.clock.now() + PURGE_EVERY_MS;
    this.#purgeDueAt = due();
    this.#timer = setInterval(() => {
      this.#purgeDueAt = due();
      this.#purgeUnasked();
    }, PURGE_EVERY_MS);
    this.#timer.unref();
    queue.onNearlyFull = () => this.#purgeUnasked();
    queue.onWritten = () => {
      for (const listener of this.#listeners) listener();
    };
  }

  get membership(): Membership | undefined {
    return this.#members;
  }

  async unsettled(
    after: number,
    limit: number,
    maxBytes: number,
  ): Promise<{ requests: RequestRecord[]; last: number }> {
    const stored = await this.#reader.ask({ kind: 'unsettled', after, limit, maxBytes });
    const requests = stored.map(({ id, request: { state: _, ctime: __, ...request } }) => {
      this.#writes.opened(request.token, { id, action: request.action });
      return request;
    });
    return { requests, last: stored.at(-1)?.id ?? after };
  }

  requests(filter: RequestFilter): Promise<{ requests: ListedRequest[]; more: boolean }> {
    return this.#reader.ask({ kind: 'requests', filter });
  }

  accept(request: RequestRecord, rowData: string, endsSoon = false): Promise<Accepted> {
    return this.#writes.accept(request, rowData, endsSoon);
  }

  append(draft: RowDraft, behind?: Promise<Accepted>): Promise<Row> {
    return this.#writes.append(draft, behind);
  }

  put(draft: RowDraft, options: PutOptions): Promise<Put> {
    const { token, code, etime, data } = draft;
    return this.#write(
      data.length + (options.own?.data.length ?? 0),
      1,
      (batch) => pushPut(batch, draft, options),
      (id, ctime, odd) => {
        if (odd?.known) return { known: true, request: odd.known };
        if (odd?.refused) throw this.#refused(odd, token, options.owner);
        return {
          known: false,
          row: this.#row(id, token, odd?.type ?? '', code, etime, ctime, data),
          owner: odd?.owner ?? options.owner,
        };
      },
    );
  }

  adopt(page: LogPage): Promise<{ rows: Adopted[]; cursor: number }> {
    const size = page.rows.reduce((sum, { data }) => sum + data.length, 0);
    return this.#write(
      size + page.aside.reduce((sum, { text }) => sum + text.length, 0),
      APPEND_PATIENCE,
      (batch) => pushAdopt(batch, page),
      (_id, ctime, odd) => {
        if (!odd?.page) throw this.#refused(odd ?? { at: 0 }, '', page.node);
        const { ids, owners, cursor } = odd.page;
        const rows = page.rows.map((foreign, i): Adopted => {
          const id = ids[i] ?? KNOWN;
          if (id === KNOWN) return 'known';
          if (id === ENDED) return 'ended';
          const { token, type, node, code, etime, data } = foreign;
          const owner = owners[i] ?? '';
          const counts = owner !== '';
          if (counts && isTerminal(code)) this.#writes.ended(token);
          return { row: { id, token, type, node, code, etime, ctime, data }, counts, owner };
        });
        return { rows, cursor };
      },
      { rows: page.rows.length, lane: 'bulk' },
    );
  }

  inherit(from: string, to: string): Promise<void> {
    return this.#write(
      from.length + to.length,
      1,
      (batch) => pushInherit(batch, from, to),
      (_id, _ctime, odd) => {
        if (odd?.refused) throw this.#refused(odd, '', '');
      },
    );
  }

  cursors(): Promise<Cursor[]> {
    return this.#reader.ask({ kind: 'cursors' });
  }

  log(after: number, limit: number, maxBytes: number, as = ''): Promise<OwnLog> {
    return this.#reader.ask({ kind: 'log', as, after, limit, maxBytes });
  }

  foreignRow(filter: ForeignRowFilter): Promise<ForeignRowHead | undefined> {
    return this.#reader.ask({ kind: 'foreign', ...filter });
  }

  end(): Promise<number> {
    return this.#reader.ask({ kind: 'end' });
  }

  get epoch(): string {
    return this.#epoch;
  }

  formerEpochs(): Promise<string[]> {
    return this.#reader.ask({ kind: 'formerEpochs' });
  }

  purgedUpTo(): Promise<number> {
    return this.#reader.ask({ kind: 'purgedUpTo' });
  }

  renewEpoch(skipped = 0): Promise<void> {
    const epoch = newEpoch();
    return this.#write(
      epoch.length,
      1,
      (batch) => pushRename(batch, epoch, skipped),
      (_id, _ctime, odd) => {
        if (odd?.refused) throw this.#refused(odd, '', '');
        this.#epoch = epoch;
      },
    );
  }

  onWritten(listener: () => void): void {
    this.#listeners.push(listener);
  }

  pin(identity: string, key: string): Promise<void> {
    return this.#write(
      key.length,
      1,
      (batch) => pushPin(batch, identity, key),
      (_id, _ctime, odd) => {
        if (odd?.refused) throw this.#refused(odd, '', identity);
      },
    );
  }

  readonly state: StateStore = {
    get: (type, key) => this.#reader.ask({ kind: 'kept', type, key }),
    list: (type, prefix, after, maxBytes) =>
      this.#reader.ask({ kind: 'entries', as: `@${type}`, type, prefix, after, maxBytes }),
    set: (type, { key, value }, limit) => this.#keep(type, key, value, limit),
    delete: (type, key) => this.#keep(type, key, undefined, 0),
  };

  #keep(type: string, key: string, value: string | undefined, limit: number): Promise<void> {
    return this.#write(
      key.length + (value?.length ?? 0),
      1,
      (batch) => pushKeep(batch, type, key, value, limit),
      (_id, _ctime, odd) => {
        if (odd?.refused === 'STATE_FULL') throw failure('STATE_FULL', { type, bytes: Number(odd.reason), limit });
        if (odd?.refused) throw this.#refused(odd, '', `@${type}`);
      },
    );
  }

  #write<T>(
    size: number,
    patience: number,
    push: (batch: Batch) => void,
    result: (id: number, ctime: number, odd: Odd | undefined) => T,
    { rows, lane }: { rows: number; lane: 'own' | 'bulk' } = ONE_ROW,
  ): Promise<T> {
    const refusal = this.#queue.refusal(size, patience);
    if (refusal) return Promise.reject(refusal);
    const write = new OtherWrite(size, rows, result);
    push(this.#queue.add(write, lane));
    return write.settled;
  }

  #row(id: number, token: string, type: string, code: number, etime: number, ctime: number, data: string): Row {
    return {
      id,
      token,
      type,
      node: this.#options.node,
      code,
      etime,
      ctime,
      data,
    };
  }

  #refused(odd: Odd, token: string, identity: string): CentreondError {
    return refusalOf(odd, token, identity, this.#options.maxBytes);
  }

  async find(token: string, as = ''): Promise<KnownRequest | undefined> {
    return (await this.#reader.ask({ kind: 'find', token, as }))?.request;
  }

  async query(filter: Filter): Promise<Page> {
    const { numbers, texts, more } = await this.#reader.ask({
      kind: 'page',
      filter,
    });
    const rows: Row[] = [];
    for (let i = 0; i < numbers.length; i += 4) {
      rows.push({
        id: numbers[i] ?? 0,
        token: texts[i] ?? '',
        type: texts[i + 1] ?? '',
        node: texts[i + 2] ?? '',
        code: numbers[i + 1] ?? 0,
        etime: numbers[i + 2] ?? 0,
        ctime: numbers[i + 3] ?? 0,
        data: texts[i + 3] ?? '',
      });
    }
    return { rows, more };
  }

  queryText(filter: Filter): Promise<PageText> {
    return this.#reader.ask({ kind: 'text', filter });
  }

  pinned(identity: string): Promise<string | undefined> {
    return this.#reader.ask({ kind: 'pinned', identity });
  }

  purge(): Promise<{ rows: number; requests: number }> {
    this.#purging ??= this.#queue
      .purge()
      .then(({ rows, requests, failed }) => {
        if (failed !== undefined) throw failure('STORE_FAILED', { reason: failed });
        this.#lastPurge = { at: this.#options.clock.now(), rows, requests };
        if (rows + requests > 0) {
          const { log, retentionSeconds } = this.#options;
          const what = `${rows} rows and ${requests} requests were purged from the token store`;
          log.info({ ...this.#place, rows, requests, retentionSeconds }, what);
          this.#options.purged?.({ rows, requests });
        }
        return { rows, requests };
      })
      .finally(() => {
        this.#purging = undefined;
      });
    return this.#purging;
  }

  #purgeUnasked(): void {
    if (this.#purging || this.#closing) return;
    this.purge().catch((error: unknown) => {
      this.#options.log.error({ ...this.#place, reason: reasonOf(error) }, 'purging the token store failed');
    });
  }

  counters(): StoreCounters {
    const { retentionSeconds } = this.#options;
    const away = this.#queue.away ?? null;
    const purges = { lastPurge: this.#lastPurge, nextPurgeAt: this.#purgeDueAt };
    return { ...this.#queue.counters, away, retentionSeconds, ...purges };
  }

  close(): Promise<void> {
    clearInterval(this.#timer);
    // The writer last: the connection that closes last removes the write-ahead log.
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.all([this.#queue.drain(), this.#reader.close()]);
    await this.#queue.close();
    if (!this.#members) return;
    await this.#members.leave().catch((error: unknown) => {
      const what = 'the routers of the database are not told that this one stops; they find out after some seconds';
      this.#options.log.warn({ ...this.#place, reason: reasonOf(error) }, what);
    });
    await this.#members.close();
  }
}

/** A call whose result one function reads. */
class OtherWrite<T> extends Write<T> {
  constructor(
    size: number,
    rows: number,
    private readonly read: (id: number, ctime: number, odd: Odd | undefined) => T,
  ) {
    super(size, rows);
  }

  protected result(id: number, ctime: number, odd: Odd | undefined): T {
    return this.read(id, ctime, odd);
  }
}
