import { Worker } from 'node:worker_threads';
import { type CentreondError, failure, reasonOf } from '@centreond/plugin-sdk';
import type { Answers, FromReader, Question, ReaderSettings, ToReader } from './reader.ts';

/** Questions that wait for the reader at most. */
const QUEUE = 5000;
const CLOSE_MS = 10_000;

interface Asked {
  resolve(answer: Answers[keyof Answers]): void;
  reject(error: CentreondError): void;
}

/** The main thread's side of the reader. Questions may overtake one that needs a long scan. */
export class HistoryReader {
  readonly #worker: Worker;
  readonly #node: string;
  readonly #asked = new Map<number, Asked>();
  #number = 0;
  #closed = false;
  #broken: string | undefined;
  #onExit: (() => void) | undefined;

  private constructor(worker: Worker, node: string) {
    this.#worker = worker;
    this.#node = node;
    worker.on('message', (message: FromReader) => {
      if (message.kind !== 'answer') return;
      const asked = this.#asked.get(message.number);
      this.#asked.delete(message.number);
      if (message.failed === undefined) asked?.resolve(message.answer);
      else asked?.reject(failure('HISTORY_UNREADABLE', { reason: message.failed }));
    });
    worker.on('error', (error) => this.#break(reasonOf(error)));
    worker.on('exit', () => {
      this.#break('its reader ended');
      this.#onExit?.();
    });
  }

  /** Starts the reader of a database that the writer has prepared. Rejects with a plain Error. */
  static open(workerData: ReaderSettings): Promise<HistoryReader> {
    const worker = new Worker(new URL('./reader.js', import.meta.url), {
      name: 'store-reader',
      workerData,
      resourceLimits: { maxYoungGenerationSizeMb: 12 },
    });
    return new Promise((resolve, reject) => {
      worker.once('error', reject);
      worker.once('exit', () => reject(new Error('its reader ended')));
      worker.once('message', (message: FromReader) => {
        for (const event of ['message', 'error', 'exit']) worker.removeAllListeners(event);
        if (message.kind === 'ready') resolve(new HistoryReader(worker, workerData.node));
        else reject(new Error(message.kind === 'unusable' ? message.reason : message.kind));
      });
    });
  }

  ask<K extends keyof Answers>(question: Question & { kind: K }): Promise<Answers[K]> {
    return new Promise((resolve, reject) => {
      if (this.#closed) reject(failure('STOPPING', { router: this.#node }));
      else if (this.#broken !== undefined) reject(failure('HISTORY_UNREADABLE', { reason: this.#broken }));
      else if (this.#asked.size >= QUEUE)
        reject(
          failure('BUSY', {
            what: "The queue of the history's readers",
            limit: QUEUE,
          }),
        );
      else {
        const number = ++this.#number;
        // The reader answers each question with what Answers has for its kind.
        this.#asked.set(number, { resolve: (answer) => resolve(answer as Answers[K]), reject });
        this.#send({ kind: 'ask', number, question });
      }
    });
  }

  #send(message: ToReader): void {
    this.#worker.postMessage(message);
  }

  #break(reason: string): void {
    this.#broken ??= reason;
    const error = failure('HISTORY_UNREADABLE', { reason });
    for (const asked of this.#asked.values()) asked.reject(error);
    this.#asked.clear();
  }

  /** Answers what was asked, then ends the reader; after 10 s with force. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#broken !== undefined) return;
    const limit = setTimeout(() => this.#worker.terminate(), CLOSE_MS);
    await new Promise<void>((resolve) => {
      this.#onExit = resolve;
      this.#send({ kind: 'close' });
    });
    clearTimeout(limit);
  }
}
