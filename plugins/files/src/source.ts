import type { BigIntStats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { failure } from '@centreond/plugin-sdk';
import { Folder, whyOf } from './folder.ts';
import { type Place, type Roots, shown } from './roots.ts';
import type { Entry } from './wire.ts';

/** Entries of one transfer. */
const ENTRIES_LIMIT = 1_000_000;
const DEPTH_LIMIT = 256;

/** A file or folder that is to be sent: where it is here, and what the manifest says of it. */
export interface Source {
  readonly place: Place;
  readonly entry: Entry;
}

/** What is not sent, and why. `failed`: it was to be sent, so the transfer does not succeed. */
export interface LeftOut {
  readonly path: string;
  readonly reason: string;
  readonly failed: boolean;
}

/** All that is to be sent, each folder before what is in it. */
export interface Manifest {
  readonly sources: readonly Source[];
  readonly leftOut: readonly LeftOut[];
}

/** What a request names. */
export interface Wanted {
  readonly source: string;
  readonly destination: string;
}

export interface ReadingOptions {
  readonly roots: Roots;
  readonly identity: string;
  readonly signal: AbortSignal;
}

/**
 * Reads what there is of `files`, by descriptors and by no link. Throws FORBIDDEN for a source below no root, FILES_REFUSED for
 * one that is not there, INVALID_DATA where two would go to the same place; rejects with the reason of `signal`.
 */
export async function readManifest(files: readonly Wanted[], options: ReadingOptions): Promise<Manifest> {
  const reading = new Reading(options);
  for (const wanted of files) await reading.add(wanted);
  return reading;
}

class Reading implements Manifest {
  readonly sources: Source[] = [];
  readonly leftOut: LeftOut[] = [];
  readonly #destinations = new Set<string>();

  constructor(private readonly options: ReadingOptions) {}

  async add({ source, destination }: Wanted): Promise<void> {
    const { roots, identity } = this.options;
    const place = roots.place(source, identity);
    const { root, names } = place;
    const last = names.at(-1);
    const refuse = (reason: string) => failure('FILES_REFUSED', { path: shown(source), reason });
    const into = destination.endsWith('/') && destination.length > 1;
    if (into && last === undefined) throw refuse('a root has no name of its own: name the destination in full');
    const path = into ? destination + last : destination;
    try {
      if (last === undefined) {
        await using folder = await Folder.open(root);
        await this.#folder(folder, place, path, await folder.stat());
        return;
      }
      await using parent = await Folder.below(root, names.slice(0, -1));
      const found = await parent.look(last);
      if (!found) throw refuse('there is nothing of that name');
      if (found.isSymbolicLink()) throw refuse('it is a symbolic link; name what it leads to');
      if (found.isDirectory()) {
        await using folder = await parent.folder(last);
        await this.#folder(folder, place, path, await folder.stat());
      } else if (found.isFile()) this.#add(place, path, 'file', found);
      else throw refuse('it is neither a file nor a folder');
    } catch (error) {
      throw error instanceof Error && 'errno' in error ? refuse(whyOf(error)) : error;
    }
  }

  #add(place: Place, path: string, kind: Entry['kind'], stat: BigIntStats): void {
    if (this.sources.length >= ENTRIES_LIMIT) {
      throw invalid(`it names more than ${ENTRIES_LIMIT} files and folders; send them in parts`);
    }
    if (this.#destinations.has(path)) throw invalid(`two sources go to ${shown(path)}`);
    this.#destinations.add(path);
    const size = kind === 'file' ? Number(stat.size) : 0;
    const entry = { path, kind, size, mode: Number(stat.mode & 0o777n), version: versionOf(stat) };
    this.sources.push({ place, entry });
  }

  async #folder(folder: Folder, place: Place, path: string, stat: BigIntStats): Promise<void> {
    this.options.signal.throwIfAborted();
    if (place.names.length > DEPTH_LIMIT) throw invalid(`${shown(path)} is more than ${DEPTH_LIMIT} folders deep`);
    this.#add(place, path, 'directory', stat);
    const entries = await folder.list();
    for (const entry of entries.sort((a, b) => Buffer.compare(a.name, b.name))) {
      const name = entry.name.toString();
      const below = path === '/' ? `/${name}` : path === '.' ? name : `${path}/${name}`;
      if (!Buffer.from(name).equals(entry.name)) {
        this.#leave(below, 'its name is not UTF-8', true);
        continue;
      }
      try {
        await this.#child(folder, { root: place.root, names: [...place.names, name] }, below);
      } catch (error) {
        if (!(error instanceof Error && 'errno' in error)) throw error;
        this.#leave(below, whyOf(error), true);
      }
    }
  }

  async #child(folder: Folder, place: Place, path: string): Promise<void> {
    const name = place.names.at(-1) ?? '';
    const found = await folder.look(name);
    // It went while its folder was read: as if it had never been there.
    if (!found) return;
    if (found.isSymbolicLink()) this.#leave(path, 'it is a symbolic link', false);
    else if (found.isFile()) this.#add(place, path, 'file', found);
    else if (found.isDirectory()) {
      await using below = await folder.folder(name);
      await this.#folder(below, place, path, await below.stat());
    } else this.#leave(path, 'it is neither a file nor a folder', false);
  }

  #leave(path: string, reason: string, failed: boolean): void {
    this.leftOut.push({ path, reason, failed });
  }
}

/** What changes whenever a file is written to. */
function versionOf({ size, mtimeNs, ino }: BigIntStats): string {
  return `${size}-${mtimeNs}-${ino}`.slice(0, 64);
}

/** An open file of the sender, and whether it still is what the manifest says. */
export class SourceFile implements AsyncDisposable {
  private constructor(
    private readonly handle: FileHandle,
    private readonly source: Source,
  ) {}

  /** Opens it. Rejects with FILES_REFUSED where it is gone, or is not what it was when the manifest was read. */
  static async open(source: Source): Promise<SourceFile> {
    const { root, names } = source.place;
    try {
      await using parent = await Folder.below(root, names.slice(0, -1));
      const file = new SourceFile(await parent.file(names.at(-1) ?? ''), source);
      try {
        await file.check();
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
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await this.handle.read(bytes, filled, length - filled, at + filled);
      if (bytesRead === 0) throw refused(this.source, CHANGED);
      filled += bytesRead;
    }
    return bytes;
  }

  /** Rejects with FILES_REFUSED where it was changed since the manifest was read. */
  async check(): Promise<void> {
    const stat = await this.handle.stat({ bigint: true });
    if (!stat.isFile() || versionOf(stat) !== this.source.entry.version) throw refused(this.source, CHANGED);
  }

  close(): Promise<void> {
    return this.handle.close();
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

const CHANGED = 'it was changed while it was sent; what was there before is left as it was';

function refused({ place }: Source, reason: string) {
  return failure('FILES_REFUSED', { path: shown(`${place.root}/${place.names.join('/')}`), reason });
}

function invalid(reason: string) {
  return failure('INVALID_DATA', { action: 'SENDFILES', reason });
}
