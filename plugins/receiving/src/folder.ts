import { constants, type Dirent } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readdir, rename, rmdir, unlink } from 'node:fs/promises';

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;

/**
 * A folder by its descriptor. What is in it is reached by one name from there and a symbolic link is never followed, so nobody
 * who swaps folders and links meanwhile leads out of it. Linux only: names are resolved from /proc/self/fd.
 */
export class Folder implements AsyncDisposable {
  private constructor(private readonly handle: FileHandle) {}

  /** Opens a folder that the operator named; links in its path are his. */
  static async open(path: string): Promise<Folder> {
    return new Folder(await open(path, O_RDONLY | O_DIRECTORY));
  }

  /**
   * Opens the folder that `names` lead to from `root`. `make`: makes those that are missing, for everybody to read as far as
   * the umask allows. Rejects with ENOTDIR or ELOOP where one of them is no folder, a link among them.
   */
  static async below(root: string, names: readonly string[], make = false): Promise<Folder> {
    let folder = await Folder.open(root);
    for (const name of names) {
      const parent = folder;
      try {
        folder = await parent.folder(name).catch(async (error: unknown) => {
          if (!make || codeOf(error) !== 'ENOENT') throw error;
          await parent.make(name, 0o755);
          return parent.folder(name);
        });
      } finally {
        await parent.close();
      }
    }
    return folder;
  }

  #at(name: string): string {
    if (name === '' || name === '.' || name === '..' || name.includes('/')) throw new TypeError(`no name: ${name}`);
    return `/proc/self/fd/${this.handle.fd}/${name}`;
  }

  /** Opens a folder in it. */
  async folder(name: string): Promise<Folder> {
    return new Folder(await open(this.#at(name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  }

  /** Makes a folder in it, unless there is something of that name. Resolves with whether it did. */
  async make(name: string, mode: number): Promise<boolean> {
    try {
      await mkdir(this.#at(name), mode);
      return true;
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false;
      throw error;
    }
  }

  /** Opens a file in it with `flags`, by no link, and never waits for a pipe's other end. */
  file(name: string, flags: number = O_RDONLY, mode = 0o600): Promise<FileHandle> {
    return open(this.#at(name), flags | O_NOFOLLOW | O_NONBLOCK, mode);
  }

  /** What there is of that name, a link itself and not what it leads to; undefined for nothing. */
  async look(name: string) {
    try {
      return await lstat(this.#at(name), { bigint: true });
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** What is in it, names as bytes: they need not be text. */
  list(): Promise<Dirent<Buffer>[]> {
    return readdir(`/proc/self/fd/${this.handle.fd}/.`, { withFileTypes: true, encoding: 'buffer' });
  }

  /** Moves a file of this folder over `name` in another one, at once. */
  move(own: string, to: Folder, name: string): Promise<void> {
    return rename(this.#at(own), to.#at(name));
  }

  /** Removes a file; nothing of that name is fine. */
  async remove(name: string): Promise<void> {
    await unlink(this.#at(name)).catch(unlessMissing);
  }

  /** Removes an empty folder; nothing of that name is fine. */
  async removeFolder(name: string): Promise<void> {
    await rmdir(this.#at(name)).catch(unlessMissing);
  }

  stat() {
    return this.handle.stat({ bigint: true });
  }
  chmod(mode: number): Promise<void> {
    return this.handle.chmod(mode);
  }
  /** Puts the names in it on disk. */
  sync(): Promise<void> {
    return this.handle.sync();
  }
  close(): Promise<void> {
    return this.handle.close();
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** The system's code of an error, such as ENOENT. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function unlessMissing(error: unknown): void {
  if (codeOf(error) !== 'ENOENT') throw error;
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is nothing of that name',
  ENOTDIR: 'a part of its path is no folder, or a symbolic link',
  ELOOP: 'it is a symbolic link, or a part of its path is one',
  EACCES: 'the daemon may not open it',
  EPERM: 'the daemon may not change it',
  EISDIR: 'a folder is in its place',
  ENOTEMPTY: 'a folder is in its place',
  EEXIST: 'something else is in its place',
  ENOSPC: 'the disk is full',
  EDQUOT: "the disk's quota is used up",
  EFBIG: 'it is larger than files may be there',
  EROFS: 'the file system is read-only',
  ENAMETOOLONG: 'a name in its path is too long',
  EXDEV: 'it lies on another file system than its root; name the mount point as a root of its own',
};

/** Why the system refused, for a sentence about a path. */
export function whyOf(error: unknown): string {
  const code = codeOf(error);
  return REASONS[code] ?? (code === '' ? String(error) : `the system says ${code}`);
}
