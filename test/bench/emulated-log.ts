import { randomUUID } from 'node:crypto';
import type { JsonObject } from '@centreond/protocol';

/** As core/src/fleet/log-streams.ts: rows of a message, and messages that the router has not answered. */
const PAGE_ROWS = 250;
const WINDOW = 6;

/** What a row says; its id and time are the log's to give. */
export interface LogRow {
  readonly token: string;
  readonly type: string;
  readonly code: number;
  readonly data: JsonObject;
}

interface Kept {
  readonly id: number;
  readonly text: string;
  readonly writtenAt: number;
  readonly stored: ((tookMs: number) => void) | undefined;
}

/** The log of an emulated node: rows stay until the router has them, and go to it as a node's stream takes them there. */
export class EmulatedLog {
  readonly epoch = randomUUID();
  /** Rows that the router has not acknowledged, in the order of their ids. */
  #kept: Kept[] = [];
  #last = 0;
  /** Characters of the largest message that was taken. */
  #taken = 0;
  #wake: () => void = () => {};

  readonly #node: string;

  constructor(node: string) {
    this.#node = node;
  }

  /** The id of the newest row. */
  get last(): number {
    return this.#last;
  }

  /** `stored`: the router has the row on disk, so long after it was written. */
  write(row: LogRow, stored?: (tookMs: number) => void): void {
    const id = ++this.#last;
    const text = JSON.stringify({ id, ...row, node: this.#node, etime: Math.floor(Date.now() / 1000) });
    this.#kept.push({ id, text, writtenAt: performance.now(), stored });
    this.#wake();
  }

  /**
   * Streams for as long as `isOver` is false: asks the router where it stands, then tells what follows. `tell` resolves with the id
   * up to which the router has this log. Rejects with the first failure.
   */
  async stream(tell: (message: string) => Promise<number>, isOver: () => boolean): Promise<void> {
    let at = await tell(this.#message([], 0));
    this.#acknowledged(at);
    if (at === 0) {
      // A router that has nothing of this log is told where it begins.
      await tell(this.#message([], 0));
      await tell(this.#message([], 0));
    }
    const underWay = new Set<Promise<void>>();
    while (!isOver()) {
      const page = this.#after(at);
      if (page.length === 0) {
        const written = new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        await (underWay.size > 0 ? Promise.race([written, ...underWay]) : written);
        continue;
      }
      at = page.at(-1)?.id ?? at;
      const message = this.#message(page, at);
      const isLargest = message.length > this.#taken;
      if (isLargest) await Promise.all(underWay);
      const told = tell(message).then((last) => {
        underWay.delete(told);
        this.#taken = Math.max(this.#taken, message.length);
        this.#acknowledged(last);
      });
      underWay.add(told);
      // Its failure ends the stream at the next race.
      told.catch(() => undefined);
      if (isLargest) await told;
      else if (underWay.size >= WINDOW) await Promise.race(underWay);
    }
  }

  /** Ends the wait of a stream that is over. */
  wake(): void {
    this.#wake();
  }

  #after(id: number): readonly Kept[] {
    const first = this.#kept.findIndex((row) => row.id > id);
    return first < 0 ? [] : this.#kept.slice(first, first + PAGE_ROWS);
  }

  #message(rows: readonly Kept[], last: number): string {
    return `{"epoch":"${this.epoch}","rows":[${rows.map(({ text }) => text).join(',')}],"last":${last}}`;
  }

  #acknowledged(last: number): void {
    const now = performance.now();
    while (this.#kept[0] !== undefined && this.#kept[0].id <= last) {
      const row = this.#kept.shift();
      row?.stored?.(now - row.writtenAt);
    }
  }
}
