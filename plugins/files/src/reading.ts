import type { BigIntStats } from 'node:fs';
import { failure } from '@centreond/plugin-sdk';
import { Folder, type Place, type Roots, STAGING, shown, whyOf } from '@centreond/receiving';
import { below, Manifest } from './manifest.ts';

/** Entries of one transfer. */
const ENTRIES_LIMIT = 1_000_000;
const DEPTH_LIMIT = 256;
/** Of a destination, as FILESOPEN takes it. */
const PATH_CHARACTERS = 4096;

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
  const twice = reading.manifest.twice();
  if (twice !== undefined) throw invalid(`two sources go to ${shown(twice)}`);
  return reading.manifest;
}

/** A folder that is being read. */
interface Read {
  readonly folder: Folder;
  /** Folders of the same item of the request above it. */
  readonly depth: number;
  /** Folders between its root and it, itself included. */
  readonly fromRoot: number;
  readonly path: string;
}

class Reading {
  readonly manifest = new Manifest();

  constructor(private readonly options: ReadingOptions) {}

  async add({ source, destination }: Wanted): Promise<void> {
    const { roots, identity } = this.options;
    const place = roots.place(source, identity);
    const last = place.names.at(-1);
    const refuse = (reason: string) => failure('FILES_REFUSED', { path: shown(source), reason });
    const into = destination.endsWith('/') && destination.length > 1;
    if (into && last === undefined) throw refuse('a root has no name of its own: name the destination in full');
    this.manifest.begin(place, into ? destination + last : destination);
    try {
      await this.#top(place, into ? destination + last : destination, refuse);
    } catch (error) {
      throw error instanceof Error && 'errno' in error ? refuse(whyOf(error)) : error;
    }
  }

  async #top({ root, names }: Place, path: string, refuse: (reason: string) => Error): Promise<void> {
    const last = names.at(-1);
    if (last === undefined) {
      await using folder = await Folder.open(root);
      await this.#folder({ folder, depth: 0, fromRoot: 0, path }, '');
      return;
    }
    await using parent = await Folder.below(root, names.slice(0, -1));
    const found = await parent.look(last);
    if (!found) throw refuse('there is nothing of that name');
    if (found.isSymbolicLink()) throw refuse('it is a symbolic link; name what it leads to');
    if (found.isDirectory()) {
      await using folder = await parent.folder(last);
      await this.#folder({ folder, depth: 0, fromRoot: names.length, path }, last);
    } else if (found.isFile()) {
      const fault = faultOf(path, found);
      if (fault !== undefined) throw refuse(fault);
      this.#add(0, last, 'file', found);
    } else throw refuse('it is neither a file nor a folder');
  }

  #add(...entry: Parameters<Manifest['add']>): void {
    if (this.manifest.length >= ENTRIES_LIMIT) {
      throw invalid(`it names more than ${ENTRIES_LIMIT} files and folders; send them in parts`);
    }
    this.manifest.add(...entry);
  }

  async #folder(read: Read, ownName: string): Promise<void> {
    const { folder, depth, path } = read;
    this.options.signal.throwIfAborted();
    if (read.fromRoot > DEPTH_LIMIT) throw invalid(`${shown(path)} is more than ${DEPTH_LIMIT} folders deep`);
    this.#add(depth, ownName, 'directory', await folder.stat());
    const entries = await folder.list();
    for (const entry of entries.sort((a, b) => Buffer.compare(a.name, b.name))) {
      const name = entry.name.toString();
      if (!Buffer.from(name).equals(entry.name)) {
        this.manifest.failed.add(below(path, name), 'its name is not UTF-8');
        continue;
      }
      try {
        await this.#child(read, name);
      } catch (error) {
        if (!(error instanceof Error && 'errno' in error)) throw error;
        this.manifest.failed.add(below(path, name), whyOf(error));
      }
    }
  }

  async #child({ folder, depth, fromRoot, path: parent }: Read, name: string): Promise<void> {
    const { skipped, failed } = this.manifest;
    const path = below(parent, name);
    const found = await folder.look(name);
    // It was removed while its folder was read: as if it had never been there.
    if (!found) return;
    const fault = faultOf(path, found);
    if (name === STAGING) skipped.add(path, 'it holds files that are still being received');
    else if (found.isSymbolicLink()) skipped.add(path, 'it is a symbolic link');
    else if (!found.isFile() && !found.isDirectory()) skipped.add(path, 'it is neither a file nor a folder');
    else if (fault !== undefined) failed.add(path, fault);
    else if (found.isFile()) this.#add(depth + 1, name, 'file', found);
    else {
      await using inner = await folder.folder(name);
      await this.#folder({ folder: inner, depth: depth + 1, fromRoot: fromRoot + 1, path }, name);
    }
  }
}

/** Why the node would refuse a whole message for the sake of this entry. */
function faultOf(path: string, { size }: BigIntStats): string | undefined {
  if (path.length > PATH_CHARACTERS) return `its destination is longer than ${PATH_CHARACTERS} characters`;
  return size > Number.MAX_SAFE_INTEGER ? `it is larger than ${Number.MAX_SAFE_INTEGER} bytes` : undefined;
}

function invalid(reason: string) {
  return failure('INVALID_DATA', { action: 'SENDFILES', reason });
}
