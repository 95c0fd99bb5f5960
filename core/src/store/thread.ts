import { Worker } from 'node:worker_threads';

// A thread of the store makes much and keeps little; the default lets garbage grow to three times this before V8 looks.
const RESOURCE_LIMITS = { maxYoungGenerationSizeMb: 12 };

/** A worker thread of the store, until it has said whether it can use the database. */
export class Thread<Said extends { kind: string }> {
  readonly worker: Worker;
  readonly #said: Promise<Said>;

  /** Starts the module `file`; `name` is what its death is reported by. */
  constructor(file: URL, name: string, workerData?: object) {
    this.worker = new Worker(file, {
      name,
      workerData,
      resourceLimits: RESOURCE_LIMITS,
    });
    const { worker } = this;
    this.#said = new Promise((resolve, reject) => {
      worker.once('error', reject);
      worker.once('exit', () => reject(new Error(`its thread ${name} ended`)));
      worker.once('message', (message: Said) => {
        for (const event of ['message', 'error', 'exit']) worker.removeAllListeners(event);
        resolve(message);
      });
    });
    // Those who wait for it later are told; until then it is not unhandled.
    this.#said.catch(() => {});
  }

  /** Resolves when it is ready, with what it says of the database; rejects with a plain Error that says why it cannot use it. */
  async ready(): Promise<Said & { kind: 'ready' }> {
    const said = await this.#said;
    if (isReady(said)) return said;
    throw new Error('reason' in said ? String(said.reason) : said.kind);
  }
}

function isReady<Said extends { kind: string }>(said: Said): said is Said & { kind: 'ready' } {
  return said.kind === 'ready';
}
