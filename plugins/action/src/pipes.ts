import { execFile } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';

/** Pipes that one run of mkfifo makes. */
const BATCH = 16;
const MAKE_LIMIT_MS = 10_000;
const RETRY_MS = 60_000;
/** Failures of mkfifo, or of the folder, that will not pass by themselves. */
const LASTING: ReadonlySet<unknown> = new Set(['ENOENT', 'EACCES', 'EPERM', 'EROFS']);
/** Linux's O_PATH, which Node does not name: such a descriptor holds the FIFO, and is no end of it. */
const O_PATH = 0o10000000;

/** One pipe in use. */
export interface Pipe {
  /** What is read from it. Once it has ended, the pipe is used again. */
  readonly output: Readable;
  /** The descriptor of its other end, for a child. To be closed as soon as the child has it. */
  readonly input: number;
}

/**
 * Pipes for the output of commands. Node gives its children sockets, which cannot be opened by path: `tee /dev/stderr` and
 * `> /dev/stdout` fail on them. FIFOs without a name are pipes in every respect. They are used again and again, so that a command
 * costs no further process.
 */
export class Pipes {
  readonly #free: number[] = [];
  readonly #unavailable: (reason: unknown) => void;
  #making: Promise<void> | undefined;
  /** None are made before this, in monotonic milliseconds: the last attempt failed. */
  #notBefore = 0;
  #state: 'open' | 'unavailable' | 'closed' = process.platform === 'linux' ? 'open' : 'unavailable';

  /** `unavailable` is told why there are no pipes, once a minute at most. Outside of Linux there are none, and it is not called. */
  constructor(unavailable: (reason: unknown) => void) {
    this.#unavailable = unavailable;
  }

  /** Resolves with a pipe, or with undefined if this system has none to give. Rejects if no more files may be opened. */
  async take(): Promise<Pipe | undefined> {
    while (this.#free.length === 0) {
      if (this.#state === 'unavailable' || performance.now() < this.#notBefore) return undefined;
      this.#making ??= this.#make().finally(() => {
        this.#making = undefined;
      });
      await this.#making;
    }
    return this.#opened(this.#free.pop() as number);
  }

  /** Forgets the pipes that are not in use. */
  close(): void {
    this.#state = this.#state === 'open' ? 'closed' : this.#state;
    for (const fifo of this.#free.splice(0)) closeSync(fifo);
  }

  #opened(fifo: number): Pipe {
    const file = `/proc/self/fd/${fifo}`;
    let output: net.Socket | undefined;
    try {
      const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
      output = new net.Socket({ fd, readable: true, writable: false });
      const input = openSync(file, constants.O_WRONLY);
      let isEmpty = false;
      output.once('end', () => {
        isEmpty = true;
      });
      output.once('close', () => {
        // A process that outlived its command may still write to one that has not ended.
        if (isEmpty && this.#state === 'open' && !isRead(file)) this.#free.push(fifo);
        else closeSync(fifo);
      });
      return { output, input };
    } catch (error) {
      output?.destroy();
      closeSync(fifo);
      throw error;
    }
  }

  async #make(): Promise<void> {
    let folder: string | undefined;
    try {
      folder = mkdtempSync(path.join(tmpdir(), 'centreond-pipes-'));
      const names = Array.from({ length: BATCH }, (_, i) => path.join(folder as string, String(i)));
      await promisify(execFile)('mkfifo', ['-m', '600', ...names], { timeout: MAKE_LIMIT_MS });
      for (const name of names) this.#free.push(openSync(name, O_PATH));
    } catch (error) {
      if (this.#free.length > 0) return; // fewer than wanted, since no more files may be opened
      if (LASTING.has((error as NodeJS.ErrnoException).code)) this.#state = 'unavailable';
      else this.#notBefore = performance.now() + RETRY_MS;
      this.#unavailable(error);
    } finally {
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    }
  }
}

/** Whether some process has a FIFO open for reading: one that outlived its command must not see the output of the next. */
function isRead(file: string): boolean {
  try {
    closeSync(openSync(file, constants.O_WRONLY | constants.O_NONBLOCK));
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENXIO';
  }
}
