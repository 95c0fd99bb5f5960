import { createHash } from 'node:crypto';
import { failure } from '@centreond/plugin-sdk';
import type { Chunk, Entry } from './files-wire.ts';
import { type Sftp, SftpRefusal } from './sftp.ts';
import { PlaceFault, type SshFolders, stagedNameOf } from './ssh-folders.ts';
import { type Place, shown } from './ssh-places.ts';

/** All that is kept of a mode: no setuid, no setgid, no sticky bit. */
const MODE_BITS = 0o777;

/** One file on its way to the node: what of it is staged there, until it is moved to its place. */
export class SshArrival {
  staged = 0;
  /** The open file, in the session that it is of. */
  #open: { readonly sftp: Sftp; readonly handle: Buffer } | undefined;
  #file = '';
  #busy: Promise<unknown> = Promise.resolve();
  #settling: Promise<void> | undefined;
  /** Why it could not be written: parts of it may still be under way. */
  #fault: SftpRefusal | undefined;
  /** Its SHA-256, once it was asked for. */
  verifying: Promise<string> | undefined;

  constructor(
    readonly entry: Entry,
    readonly place: Place,
    readonly transfer: string,
  ) {}

  /** The path under which it is staged; known once it is open. */
  get file(): string {
    return this.#file;
  }

  /** Beside a staged file this one says that it was moved to its place, or is about to be. */
  get #marker(): string {
    return `${this.#file}.done`;
  }

  /** Looks at its place and at what is staged. Resolves with whether it has arrived before. */
  async open(sftp: Sftp, folders: SshFolders): Promise<boolean> {
    const { root } = this.place;
    const { path, version, size } = this.entry;
    const staging = await folders.staging(root, this.transfer);
    this.#file = `${staging}/${stagedNameOf(path, version)}`;
    const [there, marker] = await Promise.all([sftp.look(this.#file), sftp.look(this.#marker)]);
    if (marker && !there) return true;
    await this.#checkPlace(sftp, folders);
    if (there && !there.isFile()) throw new PlaceFault(`${this.#file} is no file`);
    this.staged = there?.size ?? 0;
    if (this.staged > size) await this.startOver(sftp);
    return false;
  }

  /**
   * Appends what of the chunk is not there yet, one chunk after the other. Rejects with FILES_OUT_OF_STEP for one that does not
   * follow, and with the server's refusal if it cannot be written: then nothing of the file stays, so that there is room for
   * others.
   */
  take(sftp: Sftp, chunk: Chunk): Promise<number> {
    return this.#inTurn(() => this.#take(sftp, chunk));
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#busy.then(work);
    this.#busy = done.catch(() => undefined);
    return done;
  }

  async #take(sftp: Sftp, { offset, sha256, data }: Chunk): Promise<number> {
    if (this.#fault) throw this.#fault;
    const bytes = Buffer.from(data, 'base64');
    if (createHash('sha256').update(bytes).digest('hex') !== sha256) {
      throw this.outOfStep(`the SHA-256 of the chunk at ${offset} is another than it says`);
    }
    const { size } = this.entry;
    const end = offset + bytes.length;
    if (end > size) throw this.outOfStep(`it was to have ${size} bytes and has ${end} at least`);
    if (offset > this.staged) throw this.outOfStep(`${this.staged} bytes are there and the chunk is at ${offset}`);
    if (end <= this.staged || this.verifying) return this.staged;
    if (this.#open?.sftp !== sftp) this.#open = { sftp, handle: await sftp.openToWrite(this.#file) };
    const { handle } = this.#open;
    try {
      await sftp.append(handle, bytes.subarray(this.staged - offset), this.staged);
    } catch (error) {
      if (error instanceof SftpRefusal) {
        this.#fault = error;
        await this.#drop(sftp);
      }
      throw error;
    }
    this.staged = end;
    if (end === size) await this.#rest();
    return end;
  }

  /** Lets go of the open file; the next chunk opens it again. */
  rest(): Promise<void> {
    return this.#inTurn(() => this.#rest());
  }

  async #rest(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.sftp.close(open.handle).catch((error: unknown) => {
      // With its session it is closed already.
      if (error instanceof SftpRefusal) throw error;
    });
  }

  /** Makes sure that all of it is there; an empty file has had no chunk. Rejects with FILES_OUT_OF_STEP. */
  async complete(sftp: Sftp): Promise<void> {
    const { size } = this.entry;
    if (this.staged !== size) throw this.outOfStep(`${this.staged} of its ${size} bytes are there`);
    await this.rest();
    if (size === 0) await sftp.close(await sftp.openToWrite(this.#file));
  }

  /** Puts it on disk and moves it to its place; it has been verified. Called again it joins. */
  settle(sftp: Sftp, folders: SshFolders): Promise<void> {
    this.#settling ??= this.#settle(sftp, folders).catch((error: unknown) => {
      this.#settling = undefined;
      throw error;
    });
    return this.#settling;
  }

  async #settle(sftp: Sftp, folders: SshFolders): Promise<void> {
    const handle = await sftp.reopen(this.#file);
    try {
      await sftp.sync(handle);
    } finally {
      await sftp.close(handle);
    }
    await sftp.chmod(this.#file, this.entry.mode & MODE_BITS);
    const destination = await this.#checkPlace(sftp, folders);
    await sftp.close(await sftp.openToWrite(this.#marker));
    await sftp.move(this.#file, destination);
  }

  /** The path that it goes to, once it is sure that a file may be there. */
  async #checkPlace(sftp: Sftp, folders: SshFolders): Promise<string> {
    const { root, names } = this.place;
    const last = names.at(-1);
    if (last === undefined) throw new PlaceFault('it would take the place of a root');
    const destination = `${await folders.folder(root, names.slice(0, -1))}/${last}`;
    const there = await sftp.look(destination);
    if (there && !there.isFile() && !there.isSymbolicLink()) {
      throw new PlaceFault(there.isDirectory() ? 'a folder is in its place' : 'what is in its place is no file');
    }
    return destination;
  }

  async startOver(sftp: Sftp): Promise<void> {
    await this.#inTurn(() => this.#drop(sftp));
    this.verifying = undefined;
  }

  async #drop(sftp: Sftp): Promise<void> {
    await this.#rest();
    await sftp.remove(this.#file);
    this.staged = 0;
  }

  outOfStep(reason: string): Error {
    return failure('FILES_OUT_OF_STEP', { path: shown(this.entry.path), reason });
  }
}

/** One folder on its way to the node: our account's alone until it is closed, which gives it its mode. */
export class SshFolderArrival {
  constructor(
    readonly entry: Entry,
    readonly place: Place,
  ) {}

  async open(folders: SshFolders): Promise<void> {
    await folders.make(this.place.root, this.place.names, 0o700);
  }

  async settle(sftp: Sftp, folders: SshFolders): Promise<void> {
    const { root, names } = this.place;
    // The mode of a root is the operator's.
    if (names.length === 0) return;
    await sftp.chmod(await folders.folder(root, names, false), this.entry.mode & MODE_BITS);
  }
}
