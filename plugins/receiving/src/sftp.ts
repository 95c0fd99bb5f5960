import { reasonOf } from '@centreond/plugin-sdk';
import type { InputAttributes, SFTPWrapper, Stats } from 'ssh2';
import { StoreRefusal } from './store.ts';

const END_OF_FILE = 1;
const NO_SUCH_FILE = 2;
const PERMISSION_DENIED = 3;
const NO_CONNECTION = 6;
const CONNECTION_LOST = 7;
const UNSUPPORTED = 8;
/** What one packet carries; a server need not take more. */
const PIECE_BYTES = 32 * 1024;
/** Reads that are under way at once. */
const READS = 32;
/** Files that are removed at once. */
const REMOVALS = 64;
const ZEROS = Buffer.alloc(PIECE_BYTES);

/** The server said no; `status` is SFTP's. Any other error means that nobody knows. */
export class SftpRefusal extends StoreRefusal {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

type Callback<T> = (error: Error | null | undefined, value: T) => void;

/** An SFTP session by promises. Each rejects with an {@link SftpRefusal}, or another Error where the session is over. */
export class Sftp {
  readonly #pending = new Set<(error: Error) => void>();
  #over: Error | undefined;

  /** `gone` aborts where the connection is over. */
  constructor(
    private readonly session: SFTPWrapper,
    gone: AbortSignal,
  ) {
    const end = () => {
      this.#over ??= gone.reason instanceof Error ? gone.reason : new Error('ended the SFTP session');
      for (const fail of this.#pending) fail(this.#over);
    };
    // What is asked of a session that is over is answered by nobody.
    session.once('close', end);
    gone.addEventListener('abort', end, { once: true });
    if (gone.aborted) end();
  }

  #ask<T = void>(ask: (session: SFTPWrapper, done: Callback<T>) => unknown): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#over) throw this.#over;
      this.#pending.add(reject);
      ask(this.session, (error, value) => {
        this.#pending.delete(reject);
        if (!error) return resolve(value);
        const { code } = error as { code?: unknown };
        const refused = typeof code === 'number' && code !== NO_CONNECTION && code !== CONNECTION_LOST;
        reject(refused ? new SftpRefusal(code, sentenceOf(code, error.message)) : error);
      });
    });
  }

  /** What there is, a link itself and not what it leads to; undefined for nothing. */
  async look(path: string): Promise<Stats | undefined> {
    try {
      return await this.#ask<Stats>((session, done) => session.lstat(path, done));
    } catch (error) {
      if (error instanceof SftpRefusal && error.status === NO_SUCH_FILE) return undefined;
      throw error;
    }
  }

  realpath(path: string): Promise<string> {
    return this.#ask<string>((session, done) => session.realpath(path, done));
  }

  mkdir(path: string, mode: number): Promise<void> {
    return this.#ask((session, done) => session.mkdir(path, { mode }, done));
  }

  async list(path: string): Promise<string[]> {
    const names: string[] = [];
    for await (const some of this.#lists(path)) names.push(...some);
    return names;
  }

  /** The names in a folder, in as many parts as the server sends. */
  async *#lists(path: string): AsyncGenerator<string[]> {
    const handle = await this.#ask<Buffer>((session, done) => session.opendir(path, done));
    try {
      for (;;) {
        const entries = await this.#ask<{ filename: string }[]>((session, done) => session.readdir(handle, done));
        yield entries.map(({ filename }) => filename).filter((name) => name !== '.' && name !== '..');
      }
    } catch (error) {
      if (!(error instanceof SftpRefusal && error.status === END_OF_FILE)) throw error;
    } finally {
      await this.close(handle).catch(() => undefined);
    }
  }

  /** Removes a file; nothing of that name is fine. Resolves with whether there was one. */
  remove(path: string): Promise<boolean> {
    return this.#ask((session, done) => session.unlink(path, done)).then(
      () => true,
      (error: unknown) => {
        unlessMissing(error);
        return false;
      },
    );
  }

  /** Removes a folder and the files in it; nothing of that name is fine. Rejects with a refusal if a folder is in it. */
  async removeFolder(path: string): Promise<void> {
    try {
      // A server may omit names while the folder changes. Names that it lists and does not find are left to rmdir.
      while (await this.#empty(path)) {}
      await this.#ask((session, done) => session.rmdir(path, done));
    } catch (error) {
      unlessMissing(error);
    }
  }

  /** Removes the files that are in a folder. Resolves with whether any was removed. */
  async #empty(path: string): Promise<boolean> {
    let any = false;
    for await (const names of this.#lists(path)) {
      for (let at = 0; at < names.length; at += REMOVALS) {
        const removed = await Promise.all(names.slice(at, at + REMOVALS).map((name) => this.remove(`${path}/${name}`)));
        any ||= removed.includes(true);
      }
    }
    return any;
  }

  chmod(path: string, mode: number): Promise<void> {
    return this.#ask((session, done) => session.setstat(path, { mode } satisfies InputAttributes, done));
  }

  /** Moves a file over `to` at once. Rejects with a refusal where the server cannot. */
  move(from: string, to: string): Promise<void> {
    return this.#ask((session, done) => {
      try {
        session.ext_openssh_rename(from, to, done);
      } catch (error) {
        done(new SftpRefusal(UNSUPPORTED, `its server has no posix-rename@openssh.com: ${reasonOf(error)}`));
      }
    });
  }

  /** Opens a file that is there. */
  reopen(path: string): Promise<Buffer> {
    return this.#ask<Buffer>((session, done) => session.open(path, 'r+', done));
  }

  /** Opens a file that is there or is made, for its owner alone, without cutting it. */
  async openToWrite(path: string): Promise<Buffer> {
    try {
      return await this.reopen(path);
    } catch (error) {
      if (!(error instanceof SftpRefusal) || error.status !== NO_SUCH_FILE) throw error;
      return this.#ask<Buffer>((session, done) => session.open(path, 'wx', { mode: 0o600 }, done));
    }
  }

  close(handle: Buffer): Promise<void> {
    return this.#ask((session, done) => session.close(handle, done));
  }

  /**
   * Appends all of `bytes` to a file that ends at `at`. Pieces of zeros become holes, so that a sparse file stays one. Where it
   * rejects, the file's size may be any up to the end of them.
   */
  async append(handle: Buffer, bytes: Buffer, at: number): Promise<void> {
    const pieces: Promise<void>[] = [];
    const write = (from: number, length: number) =>
      this.#ask((session, done) => session.write(handle, bytes, from, length, at + from, done));
    let last = { from: 0, length: 0, hole: false };
    // All at once: the server takes them one after the other, so what a cut leaves has no hole but of zeros.
    for (let from = 0; from < bytes.length; from += PIECE_BYTES) {
      const length = Math.min(PIECE_BYTES, bytes.length - from);
      last = { from, length, hole: bytes.subarray(from, from + length).equals(ZEROS.subarray(0, length)) };
      if (!last.hole) pieces.push(write(from, length));
    }
    const failed = (await Promise.allSettled(pieces)).find((piece) => piece.status === 'rejected');
    if (failed) throw failed.reason;
    if (!last.hole) return;
    await this.cut(handle, at + bytes.length).catch((error: unknown) => {
      if (!(error instanceof SftpRefusal)) throw error;
      // A server need not make files longer.
      return write(last.from, last.length);
    });
  }

  /** Sets the size of a file. */
  cut(handle: Buffer, size: number): Promise<void> {
    return this.#ask((session, done) => session.fsetstat(handle, { size }, done));
  }

  /** Puts what was written on disk, where the server knows how. */
  async sync(handle: Buffer): Promise<void> {
    await this.#ask((session, done) => {
      try {
        session.ext_openssh_fsync(handle, done as Callback<unknown>);
      } catch {
        done(undefined, undefined); // it has no fsync@openssh.com
      }
    });
  }

  /** Reads a file from its beginning, `take` being given its pieces in order. */
  async read(path: string, size: number, take: (bytes: Buffer) => void): Promise<void> {
    const handle = await this.#ask<Buffer>((session, done) => session.open(path, 'r', done));
    try {
      for (let at = 0; at < size; at += READS * PIECE_BYTES) {
        const starts: number[] = [];
        for (let i = 0; i < READS && at + i * PIECE_BYTES < size; i++) starts.push(at + i * PIECE_BYTES);
        const pieces = await Promise.all(
          starts.map((from) => this.#readPiece(handle, from, Math.min(PIECE_BYTES, size - from))),
        );
        for (const piece of pieces) take(piece);
      }
    } finally {
      await this.close(handle).catch(() => undefined);
    }
  }

  async #readPiece(handle: Buffer, from: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    for (let have = 0; have < length; ) {
      const at = have;
      const got = await this.#ask<number>((session, done) =>
        session.read(handle, bytes, at, length - at, from + at, (error, count) => done(error, count)),
      );
      if (got === 0) return bytes.subarray(0, have);
      have += got;
    }
    return bytes;
  }
}

function unlessMissing(error: unknown): void {
  if (!(error instanceof SftpRefusal && error.status === NO_SUCH_FILE)) throw error;
}

function sentenceOf(status: number, message: string): string {
  if (status === NO_SUCH_FILE) return 'there is no such file or folder';
  if (status === PERMISSION_DENIED) return "the account's rights do not allow it";
  return `its server says: ${message}`;
}
