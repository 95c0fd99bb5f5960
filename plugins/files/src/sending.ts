import { setTimeout as wait } from 'node:timers/promises';
import { CentreondError, failure, isCentreondError } from '@centreond/plugin-sdk';
import { CHUNK_BYTES, Closed, Opened, shown, Taken } from '@centreond/receiving';
import type { Manifest } from './manifest.ts';
import { errorOf, type Node, OutOfStep } from './node.ts';
import { type Batch, batches, chunkOf, type Outgoing, type Parcel, Window } from './outgoing.ts';
import type { Pace } from './pace.ts';
import { SourceFile } from './source.ts';

const CHUNKS_LIMIT = 200;
const VERIFY_AGAIN_MS = 300;
/** A file whose hash does not fit at the end is sent so often. */
const ROUNDS_LIMIT = 3;
const PROGRESS_MS = 1000;
const SHOWN_FAILURES = 10;
const SHOWN_GROWN = 1000;

/** What a row of progress says. */
export interface Progress {
  /** The destination that is being sent. */
  readonly file: string;
  readonly files: number;
  /** Bytes that the node has, of `total`. */
  readonly bytes: number;
  readonly total: number;
  /** Bytes a second since the last row. */
  readonly rate: number;
  /** Bytes that were there already when this run began. */
  readonly resumed: number;
  /** Why it waits for the node, where it does. */
  readonly waiting?: string;
}

/** What was sent. */
export interface Sent {
  readonly files: number;
  readonly folders: number;
  readonly bytes: number;
  readonly bytesSent: number;
  readonly bytesResent: number;
  readonly bytesResumed: number;
  /** The first 1,000 files that grew meanwhile: `bytes` of each were sent, and it has `size` now. */
  readonly grown: readonly Grown[];
  readonly grownTotal: number;
}

/** A file of which less was sent than it has by now. */
export interface Grown {
  readonly path: string;
  readonly bytes: number;
  readonly size: number;
}

export interface SendingOptions {
  readonly node: Node;
  /** The token of the request. */
  readonly transfer: string;
  readonly pace: Pace;
  readonly signal: AbortSignal;
  progress(progress: Progress): void;
}

/** Sends a manifest to a node: opens, sends what is missing, closes; again from where the node is, whenever it was cut off. */
export class Sending {
  readonly #options: SendingOptions;
  readonly #failures: { readonly first: CentreondError[]; total: number } = { first: [], total: 0 };
  readonly #sent = { files: 0, folders: 0, bytes: 0, bytesSent: 0, bytesResent: 0, bytesResumed: 0, grownTotal: 0 };
  readonly #grown: Grown[] = [];
  #arrived = 0;
  #total = 0;
  #current = '';

  constructor(options: SendingOptions) {
    this.#options = options;
  }

  /**
   * Resolves when all of it is in its place. Rejects with FORBIDDEN, with FILES_REFUSED or FILES_INCOMPLETE once everything
   * else is there, with what ends the transfer, and with the reason of the signal.
   */
  async send(manifest: Manifest): Promise<Sent> {
    const { node, transfer } = this.#options;
    const { failed } = manifest;
    this.#total = manifest.bytes;
    for (const { path, reason } of failed.first) this.#fail(failure('FILES_REFUSED', { path: shown(path), reason }));
    this.#failures.total = failed.total;
    const stop = this.#reporting();
    try {
      for (const batch of batches(manifest)) await node.keepOn(() => this.#attempt(batch));
      await node.keepOn(async () => void (await node.ask('FILESCLOSE', { transfer, files: [], last: true })));
    } finally {
      stop();
    }
    this.#throwFailures(manifest.length + failed.total);
    return { ...this.#sent, grown: this.#grown };
  }

  #fail(error: CentreondError): void {
    this.#failures.total++;
    if (this.#failures.first.length < SHOWN_FAILURES) this.#failures.first.push(error);
  }

  #throwFailures(of: number): void {
    const { first, total: count } = this.#failures;
    if (!first[0]) return;
    if (count === 1 && of === 1) throw first[0];
    const more = count > first.length ? ` And ${count - first.length} more` : '';
    throw failure('FILES_INCOMPLETE', { count, of, list: `${first.map(({ message }) => message).join(' ')}${more}` });
  }

  #reporting(): () => void {
    let last = { bytes: 0, at: performance.now() };
    const timer = setInterval(() => {
      const now = performance.now();
      const bytes = this.#arrived;
      const rate = Math.max(0, Math.round(((bytes - last.bytes) * 1000) / (now - last.at)));
      last = { bytes, at: now };
      const { waiting } = this.#options.node;
      const { files, bytesResumed: resumed } = this.#sent;
      const told = { file: this.#current, files, bytes, total: this.#total, rate, resumed };
      this.#options.progress({ ...told, ...(waiting !== undefined && { waiting }) });
    }, PROGRESS_MS);
    return () => clearInterval(timer);
  }

  /** Opens what is not over yet, sends what is missing and closes it. */
  async #attempt(batch: Batch): Promise<void> {
    const { node, transfer } = this.#options;
    // A folder that is closed is opened once more: the node may have been started again since.
    const open = [...new Set([...batch.sent, ...batch.closed])].filter(({ over }) => !over);
    if (open.length === 0) return;
    const manifest = open.map(({ source }) => source.entry);
    const { files } = Opened.parse(await node.ask('FILESOPEN', { transfer, files: manifest }));
    for (const [i, file] of open.entries()) {
      const answer = files[i];
      if (!answer) throw new CentreondError('INTERNAL', 'The node answered for fewer files than it was asked for.');
      if ('error' in answer) this.#refused(file, errorOf(answer));
      else {
        if (!file.seen) this.#sent.bytesResumed += answer.offset;
        file.seen = true;
        this.#reached(file, answer.offset);
        if (answer.done) this.#done(file);
        else this.#checkRounds(file);
      }
    }
    const streamed = open.filter(({ source, over }) => source.entry.kind === 'file' && !over);
    await this.#stream(streamed);
    await this.#close(streamed);
    // In a message of their own: their modes may forbid to move a file into them.
    await this.#close(batch.closed);
  }

  #reached(file: Outgoing, offset: number): void {
    this.#arrived += offset - file.offset;
    file.offset = offset;
  }

  #done(file: Outgoing): void {
    file.over = true;
    this.#sent[file.source.entry.kind === 'file' ? 'files' : 'folders']++;
    this.#sent.bytes += file.size;
    if (file.grownTo === undefined) return;
    this.#sent.grownTotal++;
    const { path, size: bytes, grownTo: size } = file;
    if (this.#grown.length < SHOWN_GROWN) this.#grown.push({ path, bytes, size });
  }

  /** One that cannot be sent; the others go on, unless the node takes nothing there. */
  #refused(file: Outgoing, error: CentreondError): void {
    // Parts of it may have been under way when the node refused it.
    if (file.over) return;
    if (error.code === 'FILES_OUT_OF_STEP') throw new OutOfStep(error.message);
    if (error.code === 'FORBIDDEN') throw error;
    file.over = true;
    this.#fail(error);
  }

  /** A file that was complete and is empty again had another hash there: it is sent again, within a limit. */
  #checkRounds(file: Outgoing): void {
    if (!file.complete || file.offset > 0 || file.size === 0) return;
    file.complete = false;
    file.rounds++;
    if (file.rounds < ROUNDS_LIMIT) return;
    const reason = `it did not arrive as it was sent, ${ROUNDS_LIMIT} times`;
    this.#refused(file, failure('FILES_REFUSED', { path: file.path, reason }));
  }

  // ---- chunks -----------------------------------------------------------------------------------------------------

  async #stream(files: readonly Outgoing[]): Promise<void> {
    const { pace, signal } = this.#options;
    const window = new Window();
    let parcel: Parcel[] = [];
    let bytes = 0;
    const flush = async () => {
      if (parcel.length === 0) return;
      const going = parcel;
      await pace.take(bytes, signal);
      parcel = [];
      bytes = 0;
      await window.room();
      window.add(this.#give(going));
    };
    for (const file of files) {
      this.#current = file.path;
      try {
        await using open = await SourceFile.open(file.source);
        for (let at = file.hashed; at < file.offset; ) {
          // What the node has already is not sent, and counts in the hash all the same.
          const piece = await open.read(at, Math.min(CHUNK_BYTES, file.offset - at));
          file.hash(at, piece);
          at += piece.length;
          signal.throwIfAborted();
        }
        for (let at = file.offset; at < file.size && !file.over; ) {
          const piece = await open.read(at, Math.min(CHUNK_BYTES - bytes, file.size - at));
          file.hash(at, piece);
          parcel.push({ file, length: piece.length, chunk: chunkOf(file.path, at, piece) });
          at += piece.length;
          bytes += piece.length;
          if (bytes >= CHUNK_BYTES || parcel.length >= CHUNKS_LIMIT) await flush();
        }
        if (file.over) continue;
        const size = await open.check(file.sha256, signal);
        file.grownTo = size > file.size ? size : undefined;
      } catch (error) {
        if (!isCentreondError(error) || error.code !== 'FILES_REFUSED') throw error;
        this.#refused(file, error);
      }
    }
    await flush();
    await window.empty();
  }

  #count(file: Outgoing, at: number, length: number): void {
    this.#sent.bytesSent += length;
    this.#sent.bytesResent += Math.max(0, Math.min(file.sent, at + length) - at);
    file.sent = Math.max(file.sent, at + length);
  }

  async #give(parcel: readonly Parcel[]): Promise<void> {
    const { node, transfer } = this.#options;
    for (const { file, chunk, length } of parcel) this.#count(file, chunk.offset, length);
    const answer = await node.ask('FILESCHUNK', { transfer, chunks: parcel.map(({ chunk }) => chunk) });
    const { files } = Taken.parse(answer);
    for (const [i, { file }] of parcel.entries()) {
      const taken = files[i];
      if (!taken) continue;
      if ('error' in taken) this.#refused(file, errorOf(taken));
      else if (!file.over) this.#reached(file, taken.offset);
    }
  }

  // ---- the end of each file ---------------------------------------------------------------------------------------

  async #close(files: readonly Outgoing[]): Promise<void> {
    const { node, transfer, signal } = this.#options;
    let left = files.filter(({ over }) => !over);
    while (left.length > 0) {
      const wanted = left.map(({ path, source, sha256 }) => ({
        path,
        sha256: source.entry.kind === 'file' ? sha256 : '',
      }));
      const answer = Closed.parse(await node.ask('FILESCLOSE', { transfer, files: wanted }));
      let outOfStep: { message: string } | undefined;
      for (const [i, file] of left.entries()) {
        file.complete = true;
        const closed = answer.files[i];
        if (closed && 'error' in closed && closed.error === 'FILES_OUT_OF_STEP') outOfStep = closed;
        else if (closed && 'error' in closed) this.#refused(file, errorOf(closed));
        else if (closed?.done) this.#done(file);
      }
      if (outOfStep) throw new OutOfStep(outOfStep.message);
      left = left.filter(({ over }) => !over);
      if (left.length > 0) await wait(VERIFY_AGAIN_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }
}
