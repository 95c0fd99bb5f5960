import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { failure } from '@centreond/plugin-sdk';
import { type Entry, Folder, type Place, shown, whyOf } from '@centreond/receiving';
import { versionOf } from './manifest.ts';

const READ_BYTES = 1024 * 1024;
const CHANGED = 'it was changed while it was sent; what was there before is left as it was';

/** A file or folder that is to be sent: where it is here, and what the node is told of it. */
export interface Source {
  readonly place: Place;
  readonly entry: Entry;
}

/** An open file of the sender. What is sent are its first bytes, as many as it had when the request began. */
export class SourceFile implements AsyncDisposable {
  private constructor(
    private readonly handle: FileHandle,
    private readonly source: Source,
  ) {}

  /** Opens it. Rejects with FILES_REFUSED if it is gone, or was changed otherwise than by growing since the request began. */
  static async open(source: Source): Promise<SourceFile> {
    const { root, names } = source.place;
    try {
      await using parent = await Folder.below(root, names.slice(0, -1));
      const file = new SourceFile(await parent.file(names.at(-1) ?? ''), source);
      try {
        await file.#size();
        return file;
      } catch (error) {
        await file.close();
        throw error;
      }
    } catch (error) {
      throw error instanceof Error && 'errno' in error ? refused(source, whyOf(error)) : error;
    }
  }

  /** Reads so many bytes from `at`. Rejects with FILES_REFUSED where there are fewer. */
  async read(at: number, length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(length);
    await this.#fill(bytes, at);
    return bytes;
  }

  async #fill(bytes: Buffer, at: number): Promise<void> {
    for (let filled = 0; filled < bytes.length; ) {
      const { bytesRead } = await this.handle.read(bytes, filled, bytes.length - filled, at + filled);
      if (bytesRead === 0) throw refused(this.source, CHANGED);
      filled += bytesRead;
    }
  }

  /**
   * Makes sure that the bytes whose SHA-256 is `sha256` are the file's first bytes still. Resolves with the size of the file
   * now, which is larger than announced if it grew. Rejects with FILES_REFUSED if it was changed otherwise.
   */
  async check(sha256: string, signal: AbortSignal): Promise<number> {
    const { size } = this.source.entry;
    const now = await this.#size();
    // One that grew may have been written again: reading it once more tells.
    if (now > size && (await this.#digest(size, signal)) !== sha256) throw refused(this.source, CHANGED);
    return now;
  }

  async #digest(size: number, signal: AbortSignal): Promise<string> {
    const hash = createHash('sha256');
    const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, size));
    for (let at = 0; at < size; at += buffer.length) {
      signal.throwIfAborted();
      const piece = buffer.subarray(0, Math.min(buffer.length, size - at));
      await this.#fill(piece, at);
      hash.update(piece);
    }
    return hash.digest('hex');
  }

  async #size(): Promise<number> {
    const stat = await this.handle.stat({ bigint: true });
    const { size, version } = this.source.entry;
    const grew = stat.size > BigInt(size) && version.endsWith(`-${BigInt.asUintN(64, stat.ino)}`);
    if (!stat.isFile() || !(grew || versionOf(stat) === version)) throw refused(this.source, CHANGED);
    return Number(stat.size);
  }

  close(): Promise<void> {
    return this.handle.close();
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function refused({ place }: Source, reason: string) {
  return failure('FILES_REFUSED', { path: shown(`${place.root}/${place.names.join('/')}`), reason });
}
