import type { CentreondError } from '@centreond/protocol';
import { type Batch, emptyBatch, type Odd } from './batch.ts';

/** A call that waits for its transaction. */
export interface Waiting {
  /** Characters that it holds. */
  readonly size: number;
  /** Rows that it writes. */
  readonly rows: number;
  done(id: number, ctime: number, odd: Odd | undefined): void;
  reject(error: CentreondError): void;
}

/** Calls that go in one message to the writer, and what each waits for. */
export interface Load {
  readonly batch: Batch;
  readonly waiting: Waiting[];
  /** The numbers of the accepts in it whose end is expected any moment, and until when it is worth waiting for that. */
  readonly ending: Set<number>;
  waitUntil: number;
}

/** Calls in their order, cut into loads of at most so many rows, and of so many characters or little more. */
export class Lane {
  readonly #loads: (Load & { rows: number })[] = [];

  constructor(
    private readonly rows: number,
    private readonly characters: number,
  ) {}

  get isEmpty(): boolean {
    return this.#loads.length === 0;
  }

  /** The batch to push one call to, which then waits for `waiting`. */
  add(waiting: Waiting): Batch {
    let load = this.#loads.at(-1);
    if (!load || load.rows + waiting.rows > this.rows || load.batch.size > this.characters) {
      load = { batch: emptyBatch(), waiting: [], rows: 0, ending: new Set(), waitUntil: 0 };
      this.#loads.push(load);
    }
    load.rows += waiting.rows;
    load.batch.size += waiting.size;
    load.waiting.push(waiting);
    return load.batch;
  }

  /** The end of the accept `number`, which was just added, is expected before `until`. */
  endsSoon(number: number, until: number): void {
    const load = this.#loads.at(-1);
    if (!load) return;
    if (load.waitUntil === 0) load.waitUntil = until;
    load.ending.add(number);
  }

  /** The end of an accept was added. */
  ended(number: number): void {
    for (const { ending } of this.#loads) if (ending.delete(number)) return;
  }

  /** Until when the oldest load waits for ends; 0 if it does not. */
  get waitUntil(): number {
    const [first] = this.#loads;
    return first && first.ending.size > 0 ? first.waitUntil : 0;
  }

  /** Takes the oldest load, the only one not unless it has so many calls. */
  take(least: number): Load | undefined {
    const [first] = this.#loads;
    if (!first || (this.#loads.length === 1 && first.waiting.length < least)) return undefined;
    return this.#loads.shift();
  }

  /** Empties it; returns who waited. */
  clear(): Waiting[] {
    return this.#loads.splice(0).flatMap(({ waiting }) => waiting);
  }
}
