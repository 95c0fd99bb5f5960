import Database from 'better-sqlite3';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openStore } from '../../../core/dist/store/open-store.js';
import type { RawRow } from '../../../core/dist/store/row-text.js';
import { Scan } from '../../../core/dist/store/sqlite/scan.js';
import type {
  Accepted,
  Filter,
  KnownRequest,
  Put,
  PutOptions,
  RequestRecord,
  Row,
  RowDraft,
  TokenStore,
} from '../../../core/dist/store/token-store.js';
import { eachDriver, type Place } from './drivers.ts';
import { DAY, options, START, TestClock, unsettled } from './opened.ts';

const RETENTION = 2 * DAY;

/** What a call came to: its value, or the code of its error. */
type Result = { value: unknown } | { code: string };

/** The store as one would explain it: lists, walked from end to end. */
class Model {
  rows: Row[] = [];
  readonly requests = new Map<string, KnownRequest>();
  /** By which age is counted: it follows the wall clock, both ways at most 24 times as fast as time passes. */
  #purgeClock = START;
  #readAt = 0;
  constructor(private readonly clock: TestClock) {}

  /** The store is opened. */
  opened(): void {
    this.#readAt = this.clock.monotonic() / 1000;
  }

  #age(): number {
    const passed = this.clock.monotonic() / 1000 - this.#readAt;
    this.#readAt += passed;
    const reach = 24 * passed;
    this.#purgeClock = Math.max(this.#purgeClock - reach, Math.min(this.clock.seconds, this.#purgeClock + reach));
    return Math.floor(this.#purgeClock);
  }

  #next(): number {
    return (this.rows.at(-1)?.id ?? 0) + 1;
  }

  #write(token: string, type: string, code: number, etime: number, data: string, id = this.#next()): Row {
    const row = { id, token, type, node: 'central', code, etime, ctime: this.clock.seconds, data };
    this.rows.push(row);
    return row;
  }

  #claim(request: RequestRecord, state: KnownRequest['state']): void {
    // In the order of the claims; what is taken over keeps its place.
    this.requests.set(request.token, { ...request, ctime: this.clock.seconds, state });
  }

  #takenBy(token: string, owner: string): KnownRequest | undefined {
    const known = this.requests.get(token);
    return known && !(known.state === 'log' && known.owner === owner) ? known : undefined;
  }

  accept(request: RequestRecord, data: string): Accepted {
    const known = this.#takenBy(request.token, request.owner);
    if (known) return { known: true, request: { ...known } };
    const earlier = this.requests.has(request.token);
    this.#claim(request, 'open');
    const row = { ...this.#write(request.token, request.action, 0, request.etime, data) };
    return { known: false, row, ...(earlier && { earlier }) };
  }

  append(draft: RowDraft): Row | string {
    const known = this.requests.get(draft.token);
    if (!known) return 'UNKNOWN_TOKEN';
    if (draft.code === 1 || draft.code === 2) {
      if (known.state !== 'open') return 'TOKEN_ENDED';
      known.state = 'ended';
    }
    return { ...this.#write(draft.token, draft.type ?? known.action, draft.code, draft.etime, draft.data) };
  }

  put(draft: RowDraft, { owner, anyToken, own }: PutOptions): Put | string {
    const knownOwn = own && this.#takenBy(own.token, owner);
    if (knownOwn) return { known: true, request: { ...knownOwn } };
    const known = this.requests.get(draft.token);
    if (known && known.owner !== owner && !anyToken) return 'FORBIDDEN';
    let id = this.#next();
    if (own) {
      if (!this.requests.has(own.token)) id++;
      this.#claim(own, 'ended');
    }
    if (!this.requests.has(draft.token))
      this.#claim(
        { token: draft.token, owner, action: 'PUTLOG', target: '', data: '', envelope: '', etime: draft.etime },
        'log',
      );
    const type = this.requests.get(draft.token)?.action ?? '';
    const row = { ...this.#write(draft.token, type, draft.code, draft.etime, draft.data, id) };
    return { known: false, row, owner: known?.owner ?? owner };
  }

  purge(): { rows: number; requests: number } {
    const before = this.#age() - RETENTION;
    const counted = { rows: this.rows.length, requests: this.requests.size };
    const last = this.rows.at(-1);
    this.rows = this.rows.filter(
      (row) => row.ctime >= before || row === last || this.requests.get(row.token)?.state === 'open',
    );
    for (const [token, request] of this.requests) {
      const kept = request.state === 'open' || this.rows.some((row) => row.token === token);
      if (!kept && request.ctime < before) this.requests.delete(token);
    }
    return { rows: counted.rows - this.rows.length, requests: counted.requests - this.requests.size };
  }

  query(filter: Filter): { rows: Row[]; more: boolean } {
    const matching = this.rows.filter((row) => {
      const request = this.requests.get(row.token);
      return (
        (filter.token === undefined || row.token === filter.token) &&
        (filter.code === undefined || row.code === filter.code) &&
        (filter.ctime === undefined || row.ctime > filter.ctime) &&
        (filter.etime === undefined || row.etime > filter.etime) &&
        (filter.id === undefined || row.id > filter.id) &&
        ((filter.owner === undefined && filter.target === undefined) ||
          request?.owner === filter.owner ||
          (request !== undefined && request.target !== '' && request.target === filter.target))
      );
    });
    return { rows: matching.slice(0, filter.limit), more: matching.length > filter.limit };
  }
}

type Step = (store: TokenStore, model: Model, clock: TestClock, place: Place) => Promise<void>;
type Write = (on: TokenStore | Model) => unknown;

async function result(made: () => unknown): Promise<Result> {
  try {
    const value = await made();
    return typeof value === 'string' ? { code: value } : { value };
  } catch (error) {
    return { code: error instanceof Error && 'code' in error ? String(error.code) : String(error) };
  }
}

const token = fc.constantFrom('t0', 't1', 't2', 't3', 't4', 't5');
const owner = fc.constantFrom('alice', 'bob');
const etime = fc.integer({ min: START - 5, max: START + 5 });
const data = fc.constantFrom('{}', '{"é":"\\u0000"}', '[1,"x"]', 'null');
const record: fc.Arbitrary<RequestRecord> = fc.record({
  token,
  owner,
  action: fc.constantFrom('WEATHER', 'COMMAND'),
  target: fc.constantFrom('', 'paris-1'),
  data,
  envelope: fc.constantFrom('', '{"hold":true}'),
  etime,
});
const row = (code: fc.Arbitrary<number>): fc.Arbitrary<RowDraft> => fc.record({ token, code, etime, data });

const write: fc.Arbitrary<Write> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.tuple(record, data).map(
      ([r, d]): Write =>
        (on) =>
          on.accept(r, d),
    ),
  },
  {
    weight: 4,
    arbitrary: row(fc.constantFrom(0, 1, 2, 120)).map(
      (r): Write =>
        (on) =>
          on.append(r),
    ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(row(fc.constantFrom(0, 10)), owner, fc.boolean(), fc.option(token, { nil: undefined }), data, etime)
      .map(([r, o, anyToken, ownToken, d, e]): Write => {
        const own = { owner: o, action: 'PUTLOG', target: '', data: d, envelope: '', etime: e };
        const asked = { owner: o, anyToken, ...(ownToken && { own: { ...own, token: ownToken } }) };
        return (on) => on.put(r, asked);
      }),
  },
);

/** Several writes at once, none waiting for another: they happen in the order of the calls. */
const writes = fc.array(write, { minLength: 1, maxLength: 12 }).map(
  (group): Step =>
    async (store, model) => {
      const done = await Promise.all(group.map((call) => result(() => call(store))));
      const wanted: Result[] = [];
      for (const call of group) wanted.push(await result(() => call(model)));
      expect(done).toEqual(wanted);
    },
);

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 });
/** A filter whose ctime, etime and id are those of some row, or nearly. */
const filter = fc.record({
  token: optional(token),
  code: optional(fc.constantFrom(0, 2, 120)),
  ctime: optional(fc.integer({ min: -1, max: 1 })),
  etime: optional(fc.integer({ min: -1, max: 1 })),
  id: optional(fc.integer({ min: -1, max: 1 })),
  owner: optional(owner),
  target: fc.boolean(),
  limit: fc.integer({ min: 1, max: 20 }),
  like: fc.nat(),
});

/** Thresholds so low that every way of finding rows is taken. */
const SMALL = { fewTokens: 1, fewRows: 3, firstWindow: 2, largestWindow: 7 };

async function scanned(file: string, asked: Filter): Promise<number[]> {
  const db = new Database(file, { readonly: true });
  try {
    const ids: number[] = [];
    const take = ([id]: RawRow) => ids.push(id) < asked.limit;
    await new Scan(db, { ...SMALL, firstWindow: asked.limit > 10 ? 2 : 50 }).each(
      { ...asked, limit: 0 },
      take,
      async () => true,
    );
    return ids;
  } finally {
    db.close();
  }
}

const query = filter.map(
  ({ like, target, ...given }): Step =>
    async (store, model, _clock, place) => {
      const row = model.rows[like % Math.max(model.rows.length, 1)] ?? { ctime: START, etime: START, id: 0 };
      const asked: Filter = { limit: given.limit, maxBytes: 1e6 };
      if (given.token !== undefined) asked.token = given.token;
      if (given.code !== undefined) asked.code = given.code;
      if (given.ctime !== undefined) asked.ctime = row.ctime + given.ctime;
      if (given.etime !== undefined) asked.etime = row.etime + given.etime;
      if (given.id !== undefined) asked.id = row.id + given.id;
      if (given.owner !== undefined) {
        asked.owner = given.owner;
        if (target) asked.target = 'paris-1';
      }
      const wanted = model.query(asked);
      expect(await store.query(asked)).toEqual(wanted);
      const { text, count, last, more } = await store.queryText(asked);
      expect({ rows: JSON.parse(text), count, last, more }).toEqual({
        rows: wanted.rows.map((r) => ({ ...r, data: JSON.parse(r.data) })),
        count: wanted.rows.length,
        last: wanted.rows.at(-1)?.id ?? 0,
        more: wanted.more,
      });
      if ('file' in place) expect(await scanned(place.file, asked)).toEqual(wanted.rows.map((r) => r.id));
    },
);
const find = token.map(
  (asked): Step =>
    async (store, model) => {
      expect(await store.find(asked)).toEqual(model.requests.get(asked));
    },
);
const purge = fc.constant<Step>(async (store, model) => {
  expect(await store.purge()).toEqual(model.purge());
});
/** Long after the last row. */
const latePurge = fc.constant<Step>(async (store, model, clock) => {
  clock.seconds += 3 * DAY;
  expect(await store.purge()).toEqual(model.purge());
});
const tick = fc.constantFrom(1, 10, -3, 3600, DAY, 2 * DAY, -DAY).map(
  (seconds): Step =>
    async (_s, _m, clock) => {
      clock.seconds += seconds;
    },
);

/** `reopen` is told apart, since the runner has to change its store. */
const step = fc.oneof(
  { weight: 10, arbitrary: writes },
  { weight: 6, arbitrary: query },
  { weight: 2, arbitrary: find },
  { weight: 3, arbitrary: tick },
  { weight: 2, arbitrary: purge },
  { weight: 1, arbitrary: latePurge },
  { weight: 1, arbitrary: fc.constant('reopen' as const) },
);

eachDriver(({ part, place }) => {
  test('any sequence of calls comes to what a naive model of the store says', { timeout: 600_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }), async (steps) => {
        const clock = new TestClock();
        const model = new Model(clock);
        const at = await place();
        const settings = options({
          ...at,
          clock,
          retentionSeconds: RETENTION,
          synchronous: 'off',
        });
        let store = await openStore(settings);
        model.opened();
        try {
          for (const step of steps) {
            if (step !== 'reopen') {
              await step(store, model, clock, at);
              continue;
            }
            await store.close();
            store = await openStore(settings);
            model.opened();
            const open = [...model.requests.values()].filter((request) => request.state === 'open');
            const left = await unsettled(store);
            expect(left.map((request) => request.token).sort()).toEqual(open.map((o) => o.token).sort());
          }
        } finally {
          await store.close();
        }
      }),
      {
        numRuns: Number(process.env.STORE_MODEL_RUNS ?? 8 * part),
        interruptAfterTimeLimit: 300_000,
        markInterruptAsFailure: true,
      },
    );
  });
});
