import { failure } from '@centreond/protocol';
import { expect, test } from 'vitest';
import { Appender } from '../../../core/dist/router/appender.js';
import type { OpenRequest } from '../../../core/dist/router/request.js';
import type { Row, RowDraft, TokenStore } from '../../../core/dist/store/token-store.js';
import { TestLog } from '../store/opened.ts';

const full = () => failure('STORE_FAILED', { reason: 'the disk is full' });
const row = (code: number): RowDraft => ({ token: 't1', code, etime: 0, data: '{}' });
const open = () => ({ token: 't1' }) as OpenRequest;

/** Answers in its own time what a test has it answer, and writes the rest at once. */
class Disk {
  readonly written: number[] = [];
  readonly #answers: ((error?: unknown) => void)[] = [];
  isHeld = true;

  readonly store: Pick<TokenStore, 'append'> = {
    append: (draft) =>
      new Promise((resolve, reject) => {
        const answer = (error?: unknown) => {
          if (error) return reject(error);
          this.written.push(draft.code);
          resolve({ ...draft, id: this.written.length } as Row);
        };
        if (this.isHeld) this.#answers.push(answer);
        else answer();
      }),
  };

  /** Answers what was asked for first. */
  async answer(error?: unknown): Promise<void> {
    this.#answers.shift()?.(error);
    await new Promise(setImmediate);
  }
}

function appending(disk: Disk) {
  const log = new TestLog();
  const told: number[] = [];
  let dropped = 0;
  const appender = new Appender({
    store: disk.store,
    log: log as never,
    stored: (_open, { code }) => told.push(code),
    dropped: () => dropped++,
  });
  return { appender, log, told, dropped: () => dropped };
}

test('rows that meet a full disk are written in their order, those that came meanwhile behind them', async () => {
  const disk = new Disk();
  const { appender, log, told } = appending(disk);
  const request = open();
  const rows = [10, 11].map((code) => appender.append(request, row(code)));
  await disk.answer(full());
  // The first is known to have failed; the second is still under way.
  rows.push(appender.append(request, row(12)));
  await disk.answer(full());
  rows.push(appender.append(request, row(2)));
  disk.isHeld = false;
  await Promise.all(rows);
  expect(disk.written).toEqual([10, 11, 12, 2]);
  expect(told).toEqual(disk.written);
  expect(log.lines).toEqual([expect.stringContaining('a row of t1 is not on disk yet')]);
  // Over and done with: the next goes at once.
  const next = appender.append(request, row(13));
  expect(disk.written.at(-1)).toBe(13);
  await next;
});

test('the rows of one request do not wait for those of another', async () => {
  const disk = new Disk();
  const { appender } = appending(disk);
  const late = appender.append(open(), row(10));
  await disk.answer(full());
  disk.isHeld = false;
  await appender.append(open(), row(20));
  expect(disk.written).toEqual([20]);
  await late;
});

test('a row after the end of its token is dropped, and holds nobody up', async () => {
  const disk = new Disk();
  const { appender, dropped } = appending(disk);
  const request = open();
  const row10 = appender.append(request, row(10));
  await disk.answer(failure('TOKEN_ENDED', { token: 't1' }));
  await row10;
  expect(dropped()).toBe(1);
});
