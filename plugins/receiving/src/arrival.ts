import { createHash } from 'node:crypto';
import { failure } from '@centreond/plugin-sdk';
import { type Place, shown } from './roots.ts';
import { type Store, StoreRefusal } from './store.ts';
import type { Chunk, Entry } from './wire.ts';

/** All that is kept of a mode: no setuid, no setgid, no sticky bit. */
const MODE_BITS = 0o777;

/** One file on its way in: what of it is staged, until it is moved to its place. Each message brings the store that it works with. */
export class Arrival<S> {
  #staged = 0;
  #file: S | undefined;
  #busy: Promise<unknown> = Promise.resolve();
  #verifying: Promise<string> | undefined;
  #finishing: Promise<void> | undefined;
  /** Why it could not be written: parts of it may still be under way. */
  #fault: StoreRefusal | undefined;

  constructor(
    readonly entry: Entry,
    readonly place: Place,
    private readonly transfer: string,
  ) {}

  /** Bytes that are staged. */
  get staged(): number {
    return this.#staged;
  }

  /** Whether it is verified and moved now, or waits for it. */
  get isClosing(): boolean {
    return this.#verifying !== undefined || this.#finishing !== undefined;
  }

  /** Looks at its place and at what is staged. Resolves with whether it has arrived before. */
  async open(store: Store<S>): Promise<boolean> {
    if (this.isClosing) return false;
    this.#fault = undefined;
    const { transfer, place } = this;
    const { path, version, size } = this.entry;
    this.#file ??= await store.stage({ transfer, place, path, version });
    const found = await store.find(this.#file);
    if (found.arrived) return true;
    if (place.names.length === 0) throw new StoreRefusal('it would take the place of a root');
    await store.checkPlace(this.#file, place);
    this.#staged = found.size;
    if (this.#staged > size) await this.#inTurn(() => this.#startOver(store));
    return false;
  }

  /**
   * Appends what of the chunk is not there yet, one chunk after the other. Rejects with FILES_OUT_OF_STEP for one that does not
   * follow, and with the store's refusal if it cannot be written: then nothing of the file stays, so that there is room for others.
   */
  take(store: Store<S>, chunk: Chunk): Promise<number> {
    return this.#inTurn(() => this.#take(store, chunk));
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#busy.then(work);
    this.#busy = done.catch(() => undefined);
    return done;
  }

  async #take(store: Store<S>, { offset, sha256, data }: Chunk): Promise<number> {
    if (this.#fault) throw this.#fault;
    const bytes = Buffer.from(data, 'base64');
    if (createHash('sha256').update(bytes).digest('hex') !== sha256) {
      throw this.#outOfStep(`the SHA-256 of the chunk at ${offset} is another than it says`);
    }
    const { size } = this.entry;
    const end = offset + bytes.length;
    if (end > size) throw this.#outOfStep(`it was to have ${size} bytes and has ${end} at least`);
    if (offset > this.#staged) throw this.#outOfStep(`${this.#staged} bytes are there and the chunk is at ${offset}`);
    if (end <= this.#staged || this.isClosing) return this.#staged;
    try {
      await store.append(this.#opened, bytes.subarray(this.#staged - offset), this.#staged);
    } catch (error) {
      if (error instanceof StoreRefusal) {
        this.#fault = error;
        await this.#startOver(store);
      }
      throw error;
    }
    this.#staged = end;
    if (end === size) await store.rest(this.#opened);
    return end;
  }

  get #opened(): S {
    if (this.#file === undefined) throw new Error(`${shown(this.entry.path)} was not opened`);
    return this.#file;
  }

  /** Lets go of the open file; the next chunk opens it again. */
  rest(store: Store<S>): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#file !== undefined) await store.rest(this.#file);
    });
  }

  /** Makes sure that all of it is there, and lets go of it. Resolves with what {@link Store.verify} takes. Rejects with FILES_OUT_OF_STEP. */
  async complete(store: Store<S>): Promise<{ staged: S; size: number }> {
    const { size } = this.entry;
    if (this.#staged !== size) throw this.#outOfStep(`${this.#staged} of its ${size} bytes are there`);
    await this.rest(store);
    return { staged: this.#opened, size };
  }

  /** `sha256` will be what the store says its SHA-256 is. */
  verifies(sha256: Promise<string>): void {
    this.#verifying = sha256;
    sha256.catch(() => {
      if (this.#verifying === sha256) this.#verifying = undefined;
    });
  }

  /** Moves it to its place once it is verified. Called again it joins. Rejects with what is wrong with it. */
  finish(store: Store<S>, sha256: string): Promise<void> {
    this.#finishing ??= this.#finish(store, sha256).catch((error: unknown) => {
      this.#finishing = undefined;
      this.#verifying = undefined;
      throw error;
    });
    return this.#finishing;
  }

  async #finish(store: Store<S>, sha256: string): Promise<void> {
    if ((await this.#verifying) !== sha256) {
      await this.#inTurn(() => this.#startOver(store));
      throw this.#outOfStep('the SHA-256 of the whole file is another than its sender says');
    }
    await store.settle(this.#opened, this.place, this.entry.mode & MODE_BITS);
  }

  async #startOver(store: Store<S>): Promise<void> {
    try {
      await store.rest(this.#opened);
    } finally {
      await store.remove(this.#opened);
      this.#staged = 0;
    }
  }

  #outOfStep(reason: string) {
    return failure('FILES_OUT_OF_STEP', { path: shown(this.entry.path), reason });
  }
}

/** One folder on its way in. It is the receiving user's alone until it is closed, which gives it its mode. */
export class FolderArrival {
  constructor(
    readonly entry: Entry,
    readonly place: Place,
  ) {}

  async open(store: Store<unknown>): Promise<void> {
    if (this.place.names.length > 0) await store.makeFolder(this.place);
  }

  async finish(store: Store<unknown>): Promise<void> {
    // The mode of a root is the operator's.
    if (this.place.names.length > 0) await store.settleFolder(this.place, this.entry.mode & MODE_BITS);
  }
}
