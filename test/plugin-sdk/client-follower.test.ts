import type { HistoryRow } from '@centreond/protocol';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Follows } from '../../plugin-sdk/client/dist/follows.js';
import type { HistoryPage } from '../../plugin-sdk/client/dist/history-rows.js';
import { RowQueue } from '../../plugin-sdk/client/dist/row-queue.js';

const TOKEN = 't';

/** A router's rows of one token and the line to it: all in the order of its session, and nothing sooner than told to. */
class Model {
  readonly follows: Follows;
  readonly rows: HistoryRow[] = [];
  readonly readers: { queue: RowQueue; afterId: number; seen: number[]; ended: boolean }[] = [];
  /** Rows that are on disk and not told to followers yet. */
  #unpublished: HistoryRow[] = [];
  #toRouter: (() => void)[] = [];
  #toClient: (() => void)[] = [];
  /** Pages that were read from the disk and are not on the line yet: younger rows may overtake them. */
  #answers: (() => void)[] = [];
  #isUp = true;
  #isFollowed = false;

  constructor(readonly pageRows: number) {
    this.follows = new Follows({
      follow: (_token, afterId) => this.#send(() => this.#follow(afterId)),
      fetch: (_token, afterId, limit, { accepted }) =>
        this.#send(() => {
          const match = this.rows.filter((row) => row.id > afterId);
          const rows = match.slice(0, Math.min(limit, this.pageRows));
          const page: HistoryPage = { rows, more: match.length > rows.length, bytes: 100 };
          this.#answers.push(() => accepted(page));
        }),
    });
  }

  #send(request: () => void): boolean {
    if (this.#isUp) this.#toRouter.push(request);
    return this.#isUp;
  }

  #follow(afterId: number): void {
    expect(this.#isFollowed, 'a second FOLLOW in one session').toBe(false);
    this.#isFollowed = true;
    for (const row of this.rows) if (row.id > afterId) this.#log(row);
  }

  #log(row: HistoryRow): void {
    if (row.code === 2) this.#isFollowed = false;
    this.#toClient.push(() => this.follows.log(TOKEN, JSON.stringify(row)));
  }

  write(code = 10): void {
    const id = this.rows.length + 1;
    const row: HistoryRow = { id, token: TOKEN, type: 'X', node: 'n', code, etime: 1, ctime: 1, data: null };
    this.rows.push(row);
    this.#unpublished.push(row);
  }

  publish(): void {
    const row = this.#unpublished.shift();
    if (row && this.#isFollowed) this.#log(row);
  }

  routerReads(): void {
    this.#toRouter.shift()?.();
  }

  answer(): void {
    const answer = this.#answers.shift();
    if (answer) this.#toClient.push(answer);
  }

  clientReads(): void {
    this.#toClient.shift()?.();
  }

  cut(): void {
    this.#toRouter = [];
    this.#toClient = [];
    this.#answers = [];
    this.#isUp = this.#isFollowed = false;
    this.follows.lost();
  }

  restore(): void {
    if (this.#isUp) return;
    this.#isUp = true;
    this.follows.askAll();
  }

  join(afterId: number, rows: number): void {
    const queue: RowQueue = new RowQueue(
      afterId,
      {
        resume: () => this.follows.resume(TOKEN, queue),
        leave: () => this.follows.remove(TOKEN, queue),
      },
      { rows, bytes: 1e9 },
    );
    this.readers.push({ queue, afterId, seen: [], ended: false });
    this.follows.add(TOKEN, queue);
  }

  leave(which: number): void {
    const [reader] = this.readers.splice(which % Math.max(1, this.readers.length), 1);
    void reader?.queue.return();
  }

  /** Takes what the reader has; asks for nothing that is not there, since nobody would answer. */
  async read(which: number): Promise<void> {
    const reader = this.readers[which % Math.max(1, this.readers.length)];
    if (reader === undefined || reader.ended || !reader.queue.isReady) return;
    const next = await reader.queue.next();
    if (next.done) reader.ended = true;
    else reader.seen.push(next.value.id);
  }

  /** Everything arrives, and everybody reads to the end. */
  async finish(): Promise<void> {
    this.restore();
    this.write(2);
    for (let i = 0; i < 500; i++) {
      this.routerReads();
      this.publish();
      this.answer();
      this.clientReads();
      for (let which = 0; which < this.readers.length; which++) await this.read(which);
    }
  }
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.constant(['write'] as const) },
  { weight: 6, arbitrary: fc.constant(['publish'] as const) },
  { weight: 5, arbitrary: fc.constant(['routerReads'] as const) },
  { weight: 8, arbitrary: fc.constant(['clientReads'] as const) },
  { weight: 4, arbitrary: fc.constant(['answer'] as const) },
  { weight: 4, arbitrary: fc.tuple(fc.constant('read' as const), fc.nat(5)) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('join' as const), fc.nat(10), fc.integer({ min: 1, max: 3 })) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('leave' as const), fc.nat(5)) },
  { weight: 1, arbitrary: fc.constant(['cut'] as const) },
  { weight: 2, arbitrary: fc.constant(['restore'] as const) },
);

test('every reader gets each row after its start once and in order, whatever comes between', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(step, { maxLength: 120, size: 'max' }),
      async (pageRows, steps) => {
        const model = new Model(pageRows);
        for (const [what, which = 0, size = 1] of steps) {
          if (what === 'join') model.join(Math.min(which, model.rows.length), size);
          else if (what === 'read') await model.read(which);
          else if (what === 'leave') model.leave(which);
          else model[what]();
        }
        await model.finish();
        for (const { seen, afterId, ended } of model.readers) {
          expect(seen).toEqual(model.rows.map((row) => row.id).filter((id) => id > afterId));
          expect(ended).toBe(true);
        }
      },
    ),
    { numRuns: 1500 },
  );
});

test('a queue is full by its bytes, too, but takes one row of any size', async () => {
  const row = (id: number): HistoryRow => ({
    id,
    token: TOKEN,
    type: 'X',
    node: 'n',
    code: 10,
    etime: 1,
    ctime: 1,
    data: null,
  });
  let resumed = 0;
  const queue = new RowQueue(0, { resume: () => resumed++, leave: () => undefined }, { rows: 10, bytes: 100 });
  queue.row(row(1), 1000);
  expect(queue.wants).toBe(true);
  queue.row(row(2), 1);
  expect(queue).toMatchObject({ wants: false, live: false, lastId: 1, missedId: 2 });
  expect((await queue.next()).value.id).toBe(1);
  expect(resumed).toBe(1);
  expect(queue.wants).toBe(true);
});
