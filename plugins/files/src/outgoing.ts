import { createHash, type Hash } from 'node:crypto';
import { type Chunk } from '@centreond/receiving';
import type { Manifest } from './manifest.ts';
import type { Source } from './source.ts';

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
  /** Of the source's first `hashed` bytes. Made when it is needed: it takes about a kilobyte. */
  #hash: Hash | undefined;
  hashed = 0;
  /** The size that the source has reached, if it grew since the request began. */
  grownTo: number | undefined;

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
    this.#hash ??= createHash('sha256');
    this.#hash.update(fresh);
    this.hashed += fresh.length;
  }

  get sha256(): string {
    return (this.#hash?.copy() ?? createHash('sha256')).digest('hex');
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

/** What goes to the node together: entries that are sent, and folders that are closed once these have arrived. */
export interface Batch {
  readonly sent: readonly Outgoing[];
  readonly closed: readonly Outgoing[];
}

/** The steps of a manifest in parts that fit into one message each. */
export function* batches(manifest: Manifest): Generator<Batch> {
  const folders = new Map<Source, Outgoing>();
  let batch: { sent: Outgoing[]; closed: Outgoing[] } = { sent: [], closed: [] };
  let characters = 0;
  for (const { kind, source } of manifest.steps()) {
    const outgoing = folders.get(source) ?? new Outgoing(source);
    if (kind === 'close') folders.delete(source);
    else if (source.entry.kind === 'directory') folders.set(source, outgoing);
    (kind === 'close' ? batch.closed : batch.sent).push(outgoing);
    characters += outgoing.path.length;
    if (batch.sent.length + batch.closed.length < BATCH_ENTRIES && characters < BATCH_CHARACTERS) continue;
    yield batch;
    batch = { sent: [], closed: [] };
    characters = 0;
  }
  if (batch.sent.length + batch.closed.length > 0) yield batch;
}
