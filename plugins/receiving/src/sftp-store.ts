import { createHash } from 'node:crypto';
import type { Place } from './roots.ts';
import type { Sftp } from './sftp.ts';
import { SftpRefusal } from './sftp.ts';
import { SftpFolders } from './sftp-folders.ts';
import { stagedNameOf } from './staged.ts';
import { type Found, type Store, StoreRefusal, type Wanted } from './store.ts';

/** A file that is staged on the other machine. */
export interface SftpFile {
  readonly wanted: Wanted;
  /** The path under which it is staged; known once it was looked for. */
  path: string;
  /** The open file, in the session that it is of. */
  open: { readonly sftp: Sftp; readonly handle: Buffer } | undefined;
}

/** A file on the other machine, and how many bytes it has. */
export interface RemoteFile {
  readonly path: string;
  readonly size: number;
}

/**
 * Folders of another machine, over one SFTP session: made for each message. `sha256Of` says the SHA-256 of files as they are on
 * its disk, in their order, empty for one that cannot be read; omitted, they are read back over SFTP.
 */
export class SftpStore implements Store<SftpFile> {
  readonly writes = 16;
  readonly closes = 16;
  readonly #folders: SftpFolders;

  constructor(
    private readonly sftp: Sftp,
    private readonly sha256Of = (files: readonly RemoteFile[]): Promise<string[]> => readBack(sftp, files),
  ) {
    this.#folders = new SftpFolders(sftp);
  }

  async stage(wanted: Wanted): Promise<SftpFile> {
    return { wanted, path: '', open: undefined };
  }

  async find(file: SftpFile): Promise<Found> {
    const { transfer, place, path, version } = file.wanted;
    const staging = await this.#folders.staging(place.root, transfer);
    file.path = `${staging}/${stagedNameOf(path, version)}`;
    const [there, marker] = await Promise.all([this.sftp.look(file.path), this.sftp.look(markerOf(file))]);
    if (marker && !there) return { arrived: true, size: 0 };
    if (there && !there.isFile()) throw new StoreRefusal(`${file.path} is no file`);
    return { arrived: false, size: there?.size ?? 0 };
  }

  async checkPlace(_: SftpFile, place: Place): Promise<void> {
    await this.#destination(place);
  }

  /** The path that a file goes to, once it is sure that a file may be there. */
  async #destination({ root, names }: Place): Promise<string> {
    const destination = `${await this.#folders.folder(root, names.slice(0, -1))}/${names.at(-1)}`;
    const there = await this.sftp.look(destination);
    if (there && !there.isFile() && !there.isSymbolicLink()) {
      throw new StoreRefusal(there.isDirectory() ? 'a folder is in its place' : 'what is in its place is no file');
    }
    return destination;
  }

  async append(file: SftpFile, bytes: Buffer, at: number): Promise<void> {
    const { sftp } = this;
    if (file.open?.sftp !== sftp) file.open = { sftp, handle: await sftp.openToWrite(file.path) };
    await sftp.append(file.open.handle, bytes, at);
  }

  async rest(file: SftpFile): Promise<void> {
    const { open } = file;
    file.open = undefined;
    await open?.sftp.close(open.handle).catch((error: unknown) => {
      // With its session it is closed already.
      if (error instanceof SftpRefusal) throw error;
    });
  }

  async remove(file: SftpFile): Promise<void> {
    await this.sftp.remove(file.path);
  }

  verify(files: readonly { readonly staged: SftpFile; readonly size: number }[]): readonly Promise<string>[] {
    const made = files.map(({ staged: { path }, size }) => (size === 0 ? this.#make(path) : Promise.resolve()));
    const all = Promise.allSettled(made).then(() =>
      this.sha256Of(files.map(({ staged: { path }, size }) => ({ path, size }))),
    );
    all.catch(() => undefined); // where none could be made, nobody asks for it
    // A file that cannot be made is refused by itself.
    return made.map(async (own, i) => {
      await own;
      return (await all)[i] ?? '';
    });
  }

  /** An empty file has had no chunk. */
  async #make(path: string): Promise<void> {
    await this.sftp.close(await this.sftp.openToWrite(path));
  }

  async settle(file: SftpFile, place: Place, mode: number): Promise<void> {
    const { sftp } = this;
    const handle = await sftp.reopen(file.path);
    try {
      await sftp.sync(handle);
    } finally {
      await sftp.close(handle);
    }
    await sftp.chmod(file.path, mode);
    const destination = await this.#destination(place);
    await sftp.close(await sftp.openToWrite(markerOf(file)));
    await sftp.move(file.path, destination);
  }

  async makeFolder({ root, names }: Place): Promise<void> {
    await this.#folders.make(root, names, 0o700);
  }

  async settleFolder({ root, names }: Place, mode: number): Promise<void> {
    await this.sftp.chmod(await this.#folders.folder(root, names, false), mode);
  }

  // SFTP has no word for it.
  async syncFolder(): Promise<void> {}

  async release(): Promise<void> {}

  removeTransfer(root: string, transfer: string): Promise<void> {
    return this.#folders.removeStaging(root, transfer);
  }

  purge(root: string, before: number, open: readonly string[]): Promise<number> {
    return this.#folders.purge(root, Math.floor(before / 1000), open);
  }
}

/** Beside a staged file this one says that it was moved to its place, or is about to be. */
function markerOf({ path }: SftpFile): string {
  return `${path}.done`;
}

/** The SHA-256 of files, read over SFTP one after the other; empty for one that cannot be read. */
export async function readBack(sftp: Sftp, files: readonly RemoteFile[]): Promise<string[]> {
  const sums: string[] = [];
  for (const { path, size } of files) {
    const hash = createHash('sha256');
    try {
      await sftp.read(path, size, (bytes) => hash.update(bytes));
      sums.push(hash.digest('hex'));
    } catch (error) {
      if (!(error instanceof SftpRefusal)) throw error;
      sums.push('');
    }
  }
  return sums;
}
