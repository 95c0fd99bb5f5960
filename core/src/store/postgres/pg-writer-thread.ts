/** The worker thread that writes to PostgreSQL: many calls, one transaction, one commit. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { collectStartGarbage } from '@centreond/plugin-runtime/start-garbage';
import { reasonOf } from '@centreond/protocol';
import type { Batch, FromWriter, ToWriter } from '../batch.ts';
import { PostgresWriter, type PostgresWriterSettings } from './writer.ts';

/** Waiting batches join a transaction until it has this many calls, or characters. */
const CALLS_PER_TRANSACTION = 2000;
const SIZE_PER_TRANSACTION = 8 * 1024 * 1024;

/** Serves the other end of the port: what gathers while a transaction is under way makes the next, and between two there is a chunk of a purge. */
class Service {
  readonly #port: MessagePort;
  readonly #writer: PostgresWriter;
  readonly #messages: ToWriter[] = [];
  #isAtWork = false;
  #isPurging = false;
  /** Why a transaction failed, until its failure is known: what was sent before that must not overtake it. */
  #halted: string | undefined;

  constructor(port: MessagePort, writer: PostgresWriter) {
    this.#port = port;
    this.#writer = writer;
    port.on('message', (message: ToWriter) => {
      this.#messages.push(message);
      if (!this.#isAtWork) void this.#work();
    });
  }

  #send(message: FromWriter): void {
    this.#port.postMessage(message);
  }

  async #work(): Promise<void> {
    this.#isAtWork = true;
    while (this.#messages.length > 0 || this.#isPurging) {
      const [next] = this.#messages;
      if (next !== undefined) {
        if (next.kind === 'batch') await this.#write(this.#takeBatches());
        else {
          this.#messages.shift();
          await this.#handle(next);
        }
      }
      if (this.#isPurging) await this.#purgeOn();
    }
    this.#isAtWork = false;
  }

  #takeBatches(): Batch[] {
    const batches: Batch[] = [];
    let calls = 0;
    let size = 0;
    for (;;) {
      const [next] = this.#messages;
      const isFull = calls >= CALLS_PER_TRANSACTION || size >= SIZE_PER_TRANSACTION;
      if (next?.kind !== 'batch' || isFull) return batches;
      this.#messages.shift();
      batches.push(next.batch);
      calls += next.batch.kinds.length;
      size += next.batch.size;
    }
  }

  async #write(batches: Batch[]): Promise<void> {
    const outcome =
      this.#halted === undefined ? await this.#writer.write(batches) : this.#writer.refuse(batches, this.#halted);
    this.#halted = outcome.failed;
    this.#send(outcome);
  }

  async #handle(message: Exclude<ToWriter, { kind: 'batch' }>): Promise<void> {
    if (message.kind === 'again') this.#halted = undefined;
    else if (message.kind === 'purge') {
      try {
        await this.#writer.purge.start(message.wall, message.monotonic);
        this.#isPurging = true;
      } catch (error) {
        this.#purged(reasonOf(error));
      }
    } else {
      if (this.#isPurging) this.#purged('the store was closed');
      try {
        await this.#writer.close();
      } catch (error) {
        this.#send({ kind: 'fault', reason: `closing the database: ${reasonOf(error)}` });
      }
      this.#port.close();
    }
  }

  async #purgeOn(): Promise<void> {
    try {
      if (!(await this.#writer.purgeOn())) this.#purged(undefined);
    } catch (error) {
      this.#purged(reasonOf(error));
    }
  }

  #purged(failed: string | undefined): void {
    this.#isPurging = false;
    this.#send({ kind: 'purged', ...this.#writer.purge.done(), bytes: this.#writer.bytes, failed });
  }
}

async function serve(port: MessagePort, settings: PostgresWriterSettings): Promise<void> {
  const send = (message: FromWriter) => port.postMessage(message);
  try {
    const writer = await PostgresWriter.open(settings, {
      away: (reason) => send({ kind: 'away', reason }),
      back: () => send({ kind: 'back' }),
      fault: (reason) => send({ kind: 'fault', reason }),
      fenced: (reason) => send({ kind: 'fenced', reason }),
    });
    new Service(port, writer);
    send({ kind: 'ready', bytes: writer.bytes, epoch: writer.epoch });
    collectStartGarbage();
  } catch (error) {
    send({ kind: 'unusable', reason: reasonOf(error) });
    port.close();
  }
}

if (parentPort) void serve(parentPort, workerData as PostgresWriterSettings);
