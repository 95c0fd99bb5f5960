import { setTimeout as pause } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { type Counts, type Order, type Report, type Task, type ThreadSettings, UNKNOWN_ORGANIZATION } from './task.ts';

/** After so long without work the thread ends; the next task starts another. */
const REST_MS = 10_000;
/** How long a statement may take to be left in its middle before the thread is ended under it. */
const CLOSE_MS = 4000;

interface Pending {
  readonly unwanted: Int32Array;
  settle(report: Report): void;
  fail(error: Error): void;
}

/** Why a task was not done. */
export class GrantFault extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
  /** The organisation is in no table. */
  get unknownOrganization(): boolean {
    return this.code === UNKNOWN_ORGANIZATION;
  }
}

/** The database's side of the plugin, in a thread of its own: tasks are done one after the other, each whole or not at all. */
export class GrantThread {
  readonly #pending = new Map<number, Pending>();
  #worker: Worker | undefined;
  #rest: NodeJS.Timeout | undefined;
  #lastId = 0;
  #closed = false;

  constructor(
    private readonly settings: ThreadSettings,
    private readonly warn: (text: string) => void,
  ) {}

  /** Rejects with `signal.reason` once it aborts and everything is undone, else with a GrantFault. */
  async run(task: Task, signal: AbortSignal): Promise<Counts> {
    signal.throwIfAborted();
    if (this.#closed) throw new GrantFault('THREAD_ENDED', 'the plugin stops');
    const id = ++this.#lastId;
    const flag = new SharedArrayBuffer(4);
    const unwanted = new Int32Array(flag);
    const leave = () => Atomics.store(unwanted, 0, 1);
    signal.addEventListener('abort', leave);
    try {
      return await new Promise<Counts>((resolve, reject) => {
        const settle = (report: Report) => {
          if ('warning' in report) this.warn(report.warning);
          else if ('counts' in report) resolve(report.counts);
          else reject(new GrantFault(report.fault.code, report.fault.reason));
        };
        this.#pending.set(id, { unwanted, settle, fail: reject });
        const order: Order = { id, task, flag };
        this.#thread().postMessage(order);
      });
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    } finally {
      signal.removeEventListener('abort', leave);
      this.#pending.delete(id);
      if (this.#pending.size === 0) this.#restLater();
    }
  }

  /** Undoes what is under way, whose callers are told so, and ends the thread. Resolves when it is gone. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#rest);
    const worker = this.#worker;
    if (!worker) return;
    for (const { unwanted } of this.#pending.values()) Atomics.store(unwanted, 0, 1);
    const until = performance.now() + CLOSE_MS;
    while (this.#pending.size > 0 && performance.now() < until) await pause(5);
    this.#worker = undefined;
    await worker.terminate();
    for (const { fail } of [...this.#pending.values()]) fail(new GrantFault('THREAD_ENDED', 'the plugin stops'));
  }

  #thread(): Worker {
    clearTimeout(this.#rest);
    this.#worker?.ref();
    if (this.#worker) return this.#worker;
    const worker = new Worker(new URL('./thread.js', import.meta.url), { name: 'acl', workerData: this.settings });
    const lost = (reason: string) => {
      // One that was let go has nothing more to say.
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      for (const { fail } of [...this.#pending.values()]) fail(new GrantFault('THREAD_ENDED', reason));
    };
    worker.on('message', (report: Report) => this.#pending.get(report.id)?.settle(report));
    worker.on('error', (error) => lost(`the thread that writes the grants failed: ${error.message}`));
    worker.on('exit', () => lost('the thread that writes the grants ended'));
    this.#worker = worker;
    return worker;
  }

  #restLater(): void {
    this.#worker?.unref();
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => {
      const worker = this.#worker;
      this.#worker = undefined;
      void worker?.terminate();
    }, REST_MS);
    this.#rest.unref();
  }
}
