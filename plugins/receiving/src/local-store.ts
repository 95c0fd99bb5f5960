import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { codeOf, Folder, whyOf } from './folder.ts';
import { partsWithData } from './holes.ts';
import { eachOf } from './lanes.ts';
import type { Place } from './roots.ts';
import { stagedNameOf } from './staged.ts';
import { Staging } from './staging.ts';
import { type Found, type Store, StoreRefusal, type Wanted } from './store.ts';

const { O_CREAT, O_RDONLY, O_WRONLY } = constants;
const READ_BYTES = 1024 * 1024;

/** A file that is staged on this machine. */
export interface LocalFile {
  readonly staging: Staging;
  readonly name: string;
  handle: FileHandle | undefined;
  /** Over its first `hashed` bytes, while they pass through. */
  hash: Hash | undefined;
  hashed: number;
}

/** Folders of this machine. Linux only: names are resolved by descriptors, no link among them followed. */
export class LocalStore implements Store<LocalFile> {
  readonly writes = 1;
  readonly closes = 8;
  /** What each transfer has open, by its root. */
  readonly #stagings = new Map<string, Map<string, Staging>>();

  async stage({ transfer, place: { root }, path, version }: Wanted): Promise<LocalFile> {
    const staging = await refusing(() => this.#staging(transfer, root));
    return { staging, name: stagedNameOf(path, version), handle: undefined, hash: undefined, hashed: 0 };
  }

  async #staging(transfer: string, root: string): Promise<Staging> {
    const own = this.#stagings.get(transfer) ?? new Map<string, Staging>();
    this.#stagings.set(transfer, own);
    const staging = own.get(root) ?? (await Staging.open(root, transfer));
    own.set(root, staging);
    return staging;
  }

  find({ staging, name }: LocalFile): Promise<Found> {
    return refusing(async () => {
      if (await staging.has(name)) return { arrived: true, size: 0 };
      return { arrived: false, size: await staging.sizeOf(name) };
    });
  }

  checkPlace({ staging }: LocalFile, place: Place): Promise<void> {
    return refusing(async () => {
      await using parent = await parentOf(place);
      await check(parent, place, staging.device);
    });
  }

  append(file: LocalFile, bytes: Buffer, at: number): Promise<void> {
    return refusing(async () => {
      file.handle ??= await file.staging.folder.file(file.name, O_WRONLY | O_CREAT);
      await write(file.handle, bytes, at);
      if (file.hashed !== at) return;
      file.hash ??= createHash('sha256');
      file.hash.update(bytes);
      file.hashed += bytes.length;
    });
  }

  rest(file: LocalFile): Promise<void> {
    const { handle } = file;
    file.handle = undefined;
    // Some file systems say only here that there was no room.
    return refusing(async () => handle?.close());
  }

  async remove(file: LocalFile): Promise<void> {
    await refusing(() => file.staging.folder.remove(file.name));
    file.hash = undefined;
    file.hashed = 0;
  }

  verify(files: readonly { readonly staged: LocalFile; readonly size: number }[]): readonly Promise<string>[] {
    const sums = files.map(() => Promise.withResolvers<string>());
    void eachOf([...files.entries()], this.closes, ([i, { staged, size }]) =>
      refusing(() => digest(staged, size)).then(sums[i]?.resolve, sums[i]?.reject),
    );
    return sums.map(({ promise }) => promise);
  }

  settle({ staging, name }: LocalFile, place: Place, mode: number): Promise<void> {
    return refusing(async () => {
      const file = await staging.folder.file(name);
      try {
        await file.chmod(mode);
        await file.sync();
      } finally {
        await file.close();
      }
      await using parent = await parentOf(place);
      await check(parent, place, staging.device);
      await staging.note(name);
      await staging.folder.move(name, parent, lastOf(place));
    });
  }

  makeFolder(place: Place): Promise<void> {
    return refusing(async () => {
      await using parent = await parentOf(place);
      await parent.make(lastOf(place), 0o700);
      await (await parent.folder(lastOf(place))).close();
    });
  }

  settleFolder({ root, names }: Place, mode: number): Promise<void> {
    return refusing(async () => {
      await using folder = await Folder.below(root, names);
      await folder.chmod(mode);
    });
  }

  syncFolder({ root, names }: Place): Promise<void> {
    return refusing(async () => {
      await using folder = await Folder.below(root, names);
      await folder.sync();
    });
  }

  async release(transfer: string): Promise<void> {
    const own = this.#stagings.get(transfer);
    this.#stagings.delete(transfer);
    for (const staging of own?.values() ?? []) await staging.close();
  }

  removeTransfer(root: string, transfer: string): Promise<void> {
    return refusing(() => Staging.remove(root, transfer));
  }

  purge(root: string, before: number, open: readonly string[]): Promise<number> {
    return refusing(() => Staging.purge(root, before, open));
  }
}

/** What the system refuses is a refusal of the store. */
async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Error && 'errno' in error) || codeOf(error) === '') throw error;
    throw new StoreRefusal(whyOf(error), { cause: error });
  }
}

function lastOf({ names }: Place): string {
  return names.at(-1) ?? '';
}

/** Opens the folder that holds a place, making what is missing. */
function parentOf({ root, names }: Place): Promise<Folder> {
  return Folder.below(root, names.slice(0, -1), true);
}

/** Makes sure that a file that is staged on `device` may take the place in `parent`. */
async function check(parent: Folder, place: Place, device: bigint): Promise<void> {
  if ((await parent.stat()).dev !== device) {
    throw new StoreRefusal(
      `its folder lies on another file system than ${place.root}; name the mount point under receive`,
    );
  }
  const there = await parent.look(lastOf(place));
  if (!there || there.isFile() || there.isSymbolicLink()) return;
  throw new StoreRefusal(there.isDirectory() ? 'a folder is in its place' : 'what is in its place is no file');
}

/** Writes them at `at`, the end of the file. Blocks of zeros become holes: a sparse file stays one. */
async function write(handle: FileHandle, bytes: Buffer, at: number): Promise<void> {
  let reached = 0;
  for (const { from, to } of partsWithData(bytes, at)) {
    for (reached = from; reached < to; ) {
      reached += (await handle.write(bytes, reached, to - reached, at + reached)).bytesWritten;
    }
  }
  if (reached < bytes.length) await handle.truncate(at + bytes.length);
}

async function digest({ staging, name, hash, hashed }: LocalFile, size: number): Promise<string> {
  // An empty file has had no chunk.
  await using file = await staging.folder.file(name, size === 0 ? O_RDONLY | O_CREAT : O_RDONLY);
  if (hash && hashed === size) return hash.copy().digest('hex');
  const read = createHash('sha256');
  const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, size));
  for (let at = 0; at < size; ) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) break;
    read.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
  return read.digest('hex');
}
