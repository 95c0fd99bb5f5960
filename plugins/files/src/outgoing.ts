import { createHash, type Hash } from 'node:crypto';
import type { Source } from './source.ts';
import type { Chunk } from './wire.ts';

/** Messages with chunks that are under way at once. */
const WINDOW = 4;
const BATCH_ENTRIES = 200;
const BATCH_CHARACTERS = 128 * 1024;

/** A chunk on its way out. */
export interface Parcel {
  readonly file: Outgoing;
  readonly chunk: Chunk;
  /** Of its bytes. */
  readonly length: number;
}

/** One entry on its way out. */
export class Outgoing {
  /** What the node has. */
  offset = 0;
  /** How far it was ever sent in this run. */
  sent = 0;
  seen = false;
  over = false;
  /** All of it was sent and it was to be closed. */
  complete = false;
  /** How often the node dropped it as a whole. */
  rounds = 0;
  /** Of the source's first `hashed` bytes. */
  readonly #hash: Hash = createHash('sha256');
  hashed = 0;

  constructor(readonly source: Source) {}

  get path(): string {
    return this.source.entry.path;
  }
  get size(): number {
    return this.source.entry.size;
  }

  /** Takes bytes of the file into its hash as far as they follow. */
  hash(at: number, bytes: Buffer): void {
    const fresh = bytes.subarray(Math.max(0, this.hashed - at));
    this.#hash.update(fresh);
    this.hashed += fresh.length;
  }

  get sha256(): string {
    return this.#hash.copy().digest('hex');
  }
}

/** A part of a file as it is sent. */
export function chunkOf(path: string, offset: number, bytes: Buffer): Chunk {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { path, offset, sha256, data: bytes.toString('base64') };
}

/** Messages under way. What fails is thrown by the next call. */
export class Window {
  readonly #going = new Set<Promise<void>>();
  #failed: { error: unknown } | undefined;

  add(message: Promise<void>): void {
    const going = message
      .catch((error: unknown) => {
        this.#failed ??= { error };
      })
      .finally(() => this.#going.delete(going));
    this.#going.add(going);
  }

  /** Resolves when one more may go. */
  async room(): Promise<void> {
    while (this.#going.size >= WINDOW && !this.#failed) await Promise.race(this.#going);
    this.#check();
  }

  /** Resolves when all are answered. */
  async empty(): Promise<void> {
    while (this.#going.size > 0 && !this.#failed) await Promise.race(this.#going);
    this.#check();
  }

  #check(): void {
    if (this.#failed) throw this.#failed.error;
  }
}

/** In parts that fit into one message. */
export function* batches(files: readonly Outgoing[]): Generator<Outgoing[]> {
  let batch: Outgoing[] = [];
  let characters = 0;
  for (const file of files) {
    batch.push(file);
    characters += file.path.length;
    if (batch.length < BATCH_ENTRIES && characters < BATCH_CHARACTERS) continue;
    yield batch;
    batch = [];
    characters = 0;
  }
  if (batch.length > 0) yield batch;
}
