import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { failure } from '@centreond/plugin-sdk';
import { Folder, whyOf } from './folder.ts';
import { partsWithData } from './holes.ts';
import { type Place, shown } from './roots.ts';
import type { Staging } from './staging.ts';
import type { Chunk, Entry } from './wire.ts';

const { O_CREAT, O_RDONLY, O_WRONLY } = constants;
const READ_BYTES = 1024 * 1024;
/** All that is kept of a mode: no setuid, no setgid, no sticky bit. */
const MODE_BITS = 0o777;

/** One file on its way in: what of it is staged, until it is moved to its place. */
export class Arrival {
  readonly #name: string;
  #staged = 0;
  /** Over the first `#hashed` bytes. */
  #hash: Hash | undefined;
  #hashed = 0;
  #handle: FileHandle | undefined;
  #finishing: Promise<void> | undefined;
  /** Why it could not be written: parts of it may still be under way. */
  #fault: string | undefined;

  constructor(
    readonly entry: Entry,
    readonly place: Place,
    private readonly staging: Staging,
  ) {
    this.#name = staging.nameOf(entry.path, entry.version);
  }

  get staged(): number {
    return this.#staged;
  }

  /** Looks at its place and at what is staged. Resolves with whether it has arrived before; rejects where it cannot. */
  async open(): Promise<boolean> {
    if (this.#finishing) return false;
    this.#fault = undefined;
    if (await this.staging.has(this.#name)) return true;
    await using parent = await this.#parent();
    await this.#checkPlace(parent);
    this.#staged = await this.staging.sizeOf(this.#name);
    if (this.#staged > this.entry.size) await this.#startOver();
    return false;
  }

  /**
   * Appends what of the chunk is not there yet. Rejects with FILES_OUT_OF_STEP for one that does not follow, and with
   * FILES_REFUSED if it cannot be written: then nothing of the file stays, so that there is room for others.
   */
  async take({ offset, sha256, data }: Chunk): Promise<number> {
    if (this.#fault !== undefined) throw this.#refused(this.#fault);
    const bytes = Buffer.from(data, 'base64');
    if (createHash('sha256').update(bytes).digest('hex') !== sha256) {
      throw this.#outOfStep(`the SHA-256 of the chunk at ${offset} is another than it says`);
    }
    const end = offset + bytes.length;
    if (end > this.entry.size) throw this.#outOfStep(`it was to have ${this.entry.size} bytes and has ${end} at least`);
    if (offset > this.#staged) throw this.#outOfStep(`${this.#staged} bytes are there and the chunk is at ${offset}`);
    if (end <= this.#staged || this.#finishing) return this.#staged;
    const fresh = bytes.subarray(this.#staged - offset);
    try {
      this.#handle ??= await this.staging.folder.file(this.#name, O_WRONLY | O_CREAT);
      await this.#write(this.#handle, fresh);
    } catch (error) {
      this.#fault = whyOf(error);
      await this.#startOver();
      throw this.#refused(this.#fault);
    }
    this.#hashOn(fresh);
    this.#staged += fresh.length;
    if (this.#staged === this.entry.size) await this.rest();
    return this.#staged;
  }

  /** Writes them after what is staged. Blocks of zeros become holes: a sparse file stays one. */
  async #write(handle: FileHandle, bytes: Buffer): Promise<void> {
    let reached = 0;
    for (const { from, to } of partsWithData(bytes, this.#staged)) {
      for (reached = from; reached < to; ) {
        reached += (await handle.write(bytes, reached, to - reached, this.#staged + reached)).bytesWritten;
      }
    }
    if (reached < bytes.length) await handle.truncate(this.#staged + bytes.length);
  }

  #hashOn(fresh: Buffer): void {
    if (this.#hashed !== this.#staged) return;
    this.#hash ??= createHash('sha256');
    this.#hash.update(fresh);
    this.#hashed += fresh.length;
  }

  /** Lets go of the open file; the next chunk opens it again. */
  async rest(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }

  /** Verifies it, puts it on disk and moves it to its place. Called again it joins. Rejects with what is wrong with it. */
  finish(sha256: string): Promise<void> {
    this.#finishing ??= this.#finish(sha256).catch((error: unknown) => {
      this.#finishing = undefined;
      throw error;
    });
    return this.#finishing;
  }

  async #finish(sha256: string): Promise<void> {
    const { size, mode } = this.entry;
    if (this.#staged !== size) throw this.#outOfStep(`${this.#staged} of its ${size} bytes are there`);
    await this.rest();
    // An empty file has had no chunk.
    const file = await this.staging.folder.file(this.#name, size === 0 ? O_RDONLY | O_CREAT : O_RDONLY);
    try {
      if ((await this.#digest(file)) !== sha256) {
        await this.#startOver();
        throw this.#outOfStep('the SHA-256 of the whole file is another than its sender says');
      }
      await file.chmod(mode & MODE_BITS);
      await file.sync();
    } finally {
      await file.close();
    }
    await using parent = await this.#parent();
    await this.#checkPlace(parent);
    await this.staging.note(this.#name);
    try {
      await this.staging.folder.move(this.#name, parent, this.#last);
    } catch (error) {
      throw this.#refused(whyOf(error));
    }
  }

  async #digest(file: FileHandle): Promise<string> {
    if (this.#hash && this.#hashed === this.entry.size) return this.#hash.copy().digest('hex');
    const hash = createHash('sha256');
    const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, this.entry.size));
    for (let at = 0; at < this.entry.size; ) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) break;
      hash.update(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
    return hash.digest('hex');
  }

  async #startOver(): Promise<void> {
    await this.rest();
    await this.staging.folder.remove(this.#name);
    this.#staged = 0;
    this.#hashed = 0;
    this.#hash = undefined;
  }

  get #last(): string {
    return this.place.names.at(-1) ?? '';
  }

  /** Opens the folder that it goes to, making what is missing. */
  async #parent(): Promise<Folder> {
    if (this.#last === '') throw this.#refused('it would take the place of a root');
    try {
      return await Folder.below(this.place.root, this.place.names.slice(0, -1), true);
    } catch (error) {
      throw this.#refused(whyOf(error));
    }
  }

  async #checkPlace(parent: Folder): Promise<void> {
    if ((await parent.stat()).dev !== this.staging.device) {
      throw this.#refused(
        `its folder lies on another file system than ${this.place.root}; name the mount point under receive`,
      );
    }
    const there = await parent.look(this.#last).catch((error: unknown) => {
      throw this.#refused(whyOf(error));
    });
    if (!there || there.isFile() || there.isSymbolicLink()) return;
    throw this.#refused(there.isDirectory() ? 'a folder is in its place' : 'what is in its place is no file');
  }

  #refused(reason: string) {
    return failure('FILES_REFUSED', { path: shown(this.entry.path), reason });
  }
  #outOfStep(reason: string) {
    return failure('FILES_OUT_OF_STEP', { path: shown(this.entry.path), reason });
  }
}

/** One folder on its way in. It is the daemon's user's alone until it is closed, which gives it its mode. */
export class FolderArrival {
  constructor(
    readonly entry: Entry,
    readonly place: Place,
  ) {}

  async open(): Promise<void> {
    const { root, names } = this.place;
    const last = names.at(-1);
    if (last === undefined) return;
    try {
      await using parent = await Folder.below(root, names.slice(0, -1), true);
      await parent.make(last, 0o700);
      await (await parent.folder(last)).close();
    } catch (error) {
      throw this.#refused(error);
    }
  }

  async finish(): Promise<void> {
    const { root, names } = this.place;
    // The mode of a root is the operator's.
    if (names.length === 0) return;
    try {
      await using folder = await Folder.below(root, names);
      await folder.chmod(this.entry.mode & MODE_BITS);
    } catch (error) {
      throw this.#refused(error);
    }
  }

  #refused(error: unknown) {
    return failure('FILES_REFUSED', { path: shown(this.entry.path), reason: whyOf(error) });
  }
}
