import { isCentreondError, reasonOf } from '@centreond/protocol';
import type { Log } from '../log.ts';
import type { Row, RowDraft, TokenStore } from '../store/token-store.ts';
import type { OpenRequest } from './request.ts';

const RETRY_MS = 1000;

export interface AppenderOptions {
  readonly store: Pick<TokenStore, 'append'>;
  readonly log: Log;
  /** A row is on disk. */
  stored(open: OpenRequest, row: Row): void;
  /** A row came after the end of its token. */
  dropped(): void;
}

/** A row that is not on disk yet. */
interface Late {
  readonly number: number;
  readonly draft: RowDraft;
  stored(): void;
}

/**
 * Brings the rows of open requests to the store. What it cannot take, for its disk is full or its queue, is tried again until
 * it does; meanwhile the later rows of the same request wait behind, so that no row is lost and none overtakes another.
 */
export class Appender {
  readonly #options: AppenderOptions;
  /** The rows that wait, by request and in their order. */
  readonly #late = new Map<OpenRequest, Late[]>();
  #next = 0;

  constructor(options: AppenderOptions) {
    this.#options = options;
  }

  /** Resolves when the row is on disk, or was dropped since its token has ended. */
  append(open: OpenRequest, draft: RowDraft): Promise<void> {
    const number = this.#next++;
    if (this.#late.has(open)) return this.#waitFor(open, { number, draft }, undefined);
    return this.#store(open, draft).then((failure) => {
      return failure === undefined ? undefined : this.#waitFor(open, { number, draft }, failure);
    });
  }

  /** Resolves when a row that has to wait is stored. */
  #waitFor(open: OpenRequest, row: Omit<Late, 'stored'>, failure: unknown): Promise<void> {
    return new Promise((stored) => this.#wait(open, { ...row, stored }, failure));
  }

  #wait(open: OpenRequest, row: Late, failure: unknown): void {
    const late = this.#late.get(open);
    if (!late) {
      const { token } = open;
      // Once for all that come to wait behind it; the store tells its own failure.
      this.#options.log.error({ err: failure, token }, `a row of ${token} is not on disk yet: ${reasonOf(failure)}`);
      this.#late.set(open, [row]);
      void this.#retry(open);
      return;
    }
    // One that was under way when an earlier one failed may come after one that was not.
    const at = late.findLastIndex(({ number }) => number < row.number) + 1;
    late.splice(at, 0, row);
  }

  async #retry(open: OpenRequest): Promise<void> {
    for (;;) {
      const late = this.#late.get(open) ?? [];
      const [first] = late;
      if (!first) break;
      // A process that is to end does not wait for it: what has not ended on disk is settled at the next start.
      await new Promise<void>((resolve) => void setTimeout(resolve, RETRY_MS).unref());
      // The first alone: once it is there, whatever was sent before it and failed is known, and waits here.
      if ((await this.#store(open, first.draft)) !== undefined) continue;
      settle(late, first);
      const others = [...late];
      await Promise.all(
        others.map(async (row) => {
          if ((await this.#store(open, row.draft)) === undefined) settle(late, row);
        }),
      );
    }
    this.#late.delete(open);
  }

  /** It is on disk whatever those do who hear of it: it must not be stored again. */
  #tell(open: OpenRequest, row: Row): void {
    try {
      this.#options.stored(open, row);
    } catch (error) {
      const what = `a row of ${open.token} is on disk and was not told to all who follow it: ${reasonOf(error)}`;
      this.#options.log.error({ err: error, token: open.token }, what);
    }
  }

  /** Resolves with why the store cannot take it now; with undefined where it is done with. */
  #store(open: OpenRequest, draft: RowDraft): Promise<unknown> {
    // Its token may be another request's by now.
    if (open.isDropped) return Promise.resolve();
    return this.#options.store.append(draft, open.recording).then(
      (row) => {
        this.#tell(open, row);
        return undefined;
      },
      (error: unknown) => {
        // It was refused with its request.
        if (open.isDropped) return undefined;
        if (!isCentreondError(error) || error.code !== 'TOKEN_ENDED') return error;
        this.#options.dropped();
        return undefined;
      },
    );
  }
}

function settle(late: Late[], row: Late): void {
  late.splice(late.indexOf(row), 1);
  row.stored();
}
