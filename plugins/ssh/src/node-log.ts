import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { type Json, type Logger, reasonOf, type Transport } from '@centreond/plugin-sdk';
import { isTerminal } from '@centreond/protocol';
import { z } from 'zod';

const ROWS_AT_ONCE = 1000;
const CHARACTERS_AT_ONCE = 2 * 1024 * 1024;
/** Beyond so much that the core has not taken, writers wait. */
const FULL_ROWS = 5000;
const FULL_CHARACTERS = 8 * 1024 * 1024;
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5000;

const Answer = z.looseObject({
  refused: z.array(z.looseObject({ id: z.int(), error: z.string() })).default([]),
});

interface Row {
  readonly id: number;
  readonly token: string;
  readonly type: string;
  readonly node: string;
  readonly code: number;
  readonly etime: number;
  readonly data: Json;
}

interface Entry {
  readonly row: Row;
  readonly characters: number;
  readonly taken: () => void;
}

/** What a row is about. */
export interface Draft {
  readonly token: string;
  readonly type: string;
  readonly code: number;
  readonly data: Json;
}

/**
 * The log that a node without a daemon has: its rows, numbered, on their way to the core, in order and each until the core
 * has taken it.
 */
export class NodeLog {
  readonly #epoch = randomUUID();
  readonly #queue: Entry[] = [];
  readonly #waiting: (() => void)[] = [];
  readonly #stop = new AbortController();
  #characters = 0;
  #id = 0;
  #sending: Promise<void> | undefined;

  constructor(
    private readonly node: string,
    private readonly transport: Pick<Transport, 'send'>,
    private readonly log: Logger,
  ) {}

  /**
   * Appends a row. `room` resolves when the next may be written, `taken` when the core has this one, or will never have it;
   * never after {@link close}.
   */
  append({ token, type, code, data }: Draft): { room: Promise<void>; taken: Promise<void> } {
    const row: Row = { id: ++this.#id, token, type, node: this.node, code, etime: Math.floor(Date.now() / 1000), data };
    const characters = JSON.stringify(data).length + 256;
    const taken = new Promise<void>((resolve) => {
      this.#queue.push({ row, characters, taken: resolve });
    });
    this.#characters += characters;
    this.#sending ??= this.#send();
    return { room: this.#full ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(), taken };
  }

  get #full(): boolean {
    return this.#queue.length >= FULL_ROWS || this.#characters >= FULL_CHARACTERS;
  }

  async #send(): Promise<void> {
    // What is written in the same turn goes together.
    await Promise.resolve();
    let failures = 0;
    while (this.#queue.length > 0 && !this.#stop.signal.aborted) {
      const batch = this.#batch();
      try {
        await this.#hand(batch);
        failures = 0;
      } catch (error) {
        if (++failures === 5) {
          this.log.warn(
            { err: error, node: this.node },
            `the router does not take the rows of ${this.node}: ${reasonOf(error)}`,
          );
        }
        const delay = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 10));
        await pause(delay * (0.5 + Math.random() / 2), undefined, { signal: this.#stop.signal }).catch(() => undefined);
      }
    }
    this.#sending = undefined;
  }

  #batch(): Entry[] {
    let characters = 0;
    const batch: Entry[] = [];
    for (const entry of this.#queue) {
      characters += entry.characters;
      if (batch.length > 0 && (batch.length === ROWS_AT_ONCE || characters > CHARACTERS_AT_ONCE)) break;
      batch.push(entry);
    }
    return batch;
  }

  /** Gives the core a batch. Rejects where it has to be given again. */
  async #hand(batch: readonly Entry[]): Promise<void> {
    const rows = batch.map(({ row }) => row);
    const last = (rows.at(-1) as Row).id;
    const { data } = await this.transport.send('SETLOGS', { epoch: this.#epoch, rows, last }, { target: this.node });
    const { refused } = Answer.parse(data);
    const errors = new Map(refused.map(({ id, error }) => [id, error]));
    // The core does not know yet that this instance carries the node.
    if (refused.some(({ error }) => error === 'FORBIDDEN')) {
      throw new Error(`it does not take this instance for the carrier of ${this.node}`);
    }
    for (const { row, characters, taken } of this.#queue.splice(0, batch.length)) {
      const error = errors.get(row.id);
      this.#characters -= characters;
      if (error !== undefined) this.#refused(row, error);
      taken();
    }
    if (!this.#full) for (const go of this.#waiting.splice(0)) go();
  }

  #refused({ token, code }: Row, error: string): void {
    // It had ended already, which is what a row of that kind says.
    if (error === 'TOKEN_ENDED' && isTerminal(code)) return;
    this.log.warn(
      { node: this.node, token, code, error },
      `the router refuses a row of ${this.node} under ${token}: ${error}`,
    );
  }

  /** Waits up to `limitMs` for what is left to be taken, then hands over nothing more. */
  async close(limitMs: number): Promise<void> {
    const over = new AbortController();
    const late = pause(limitMs, undefined, { signal: over.signal }).catch(() => undefined);
    await Promise.race([this.#sending, late]);
    over.abort();
    this.#stop.abort();
    for (const go of this.#waiting.splice(0)) go();
  }
}
