import { failure, isCentreondError, type Logger, reasonOf } from '@centreond/plugin-sdk';
import type { z } from 'zod';
import { Arrival, FolderArrival } from './arrival.ts';
import { codeOf, Folder, whyOf } from './folder.ts';
import { type Roots, shown } from './roots.ts';
import { Staging } from './staging.ts';
import { Transfer } from './transfer.ts';
import type { Chunk, Chunks, Close, Closed, Entry, Open, Opened, Refusal, Taken } from './wire.ts';

/** Transfers that are open at once. */
const TRANSFERS_LIMIT = 64;
/** Files of one transfer that are open and not closed. */
const FILES_LIMIT = 20_000;
/** Where there are too many, one that says nothing for so long gives way. */
const SILENCE_MS = 30_000;
/** A transfer that says nothing for so long is no longer kept open; what is staged stays. */
const IDLE_MS = 10 * 60_000;
/** What is staged and was not touched for so long is removed. */
const STALE_MS = 24 * 3600_000;
const SWEEP_MS = 10 * 60_000;
/** A file that takes longer to verify is answered with `done: false`. */
const VERIFY_MS = 10_000;
const AT_ONCE = 8;

type ToClose = z.output<typeof Close>['files'][number];

export interface ReceiverOptions {
  readonly roots: Roots;
  readonly log: Logger;
}

/** The receiving end: stages what comes, verifies it and moves it to its place, below the roots alone. */
export class Receiver {
  readonly #options: ReceiverOptions;
  readonly #transfers = new Map<string, Transfer>();
  #sweep: NodeJS.Timeout | undefined;

  constructor(options: ReceiverOptions) {
    this.#options = options;
  }

  /** Removes what is stale, now and from time to time. */
  async start(): Promise<void> {
    this.#sweep = setInterval(() => void this.#tidy(), SWEEP_MS);
    this.#sweep.unref();
    await this.#tidy();
  }

  async stop(): Promise<void> {
    clearInterval(this.#sweep);
    for (const transfer of this.#transfers.values()) await transfer.inTurn(() => transfer.close());
    this.#transfers.clear();
  }

  async #tidy(): Promise<void> {
    const { roots, log } = this.#options;
    for (const [id, transfer] of this.#transfers) {
      if (Date.now() - transfer.lastUsed < IDLE_MS) continue;
      this.#transfers.delete(id);
      await transfer.inTurn(() => transfer.close());
    }
    for (const root of roots.folders) {
      try {
        const removed = await Staging.purge(root, Date.now() - STALE_MS);
        if (removed > 0) log.info(`${removed} transfers that were never finished are removed from ${root}`);
      } catch (error) {
        log.warn(
          `${root}, which receive names, cannot be used: ${isCentreondError(error) ? error.message : whyOf(error)}`,
        );
      }
    }
  }

  /** FILESOPEN. */
  async open({ transfer: id, files }: z.output<typeof Open>, identity: string): Promise<z.input<typeof Opened>> {
    let transfer = this.#transfers.get(id);
    if (!transfer) {
      if (this.#transfers.size >= TRANSFERS_LIMIT) await this.#giveWay();
      if (this.#transfers.size >= TRANSFERS_LIMIT) {
        throw failure('BUSY', { what: 'the list of open transfers', limit: TRANSFERS_LIMIT });
      }
      transfer = new Transfer(id);
      this.#transfers.set(id, transfer);
    }
    const opened = transfer;
    opened.lastUsed = Date.now();
    const more = files.filter(({ path, kind }) => kind === 'file' && !opened.files.has(path)).length;
    if (opened.files.size + more > FILES_LIMIT) {
      throw failure('BUSY', { what: `the list of open files of ${id}`, limit: FILES_LIMIT });
    }
    // In order: a folder comes before what is in it.
    return opened.inTurn(async () => {
      const answers: z.input<typeof Opened>['files'] = [];
      for (const entry of files) answers.push(await settled(entry.path, this.#open(opened, entry, identity)));
      return { files: answers };
    });
  }

  /** Lets go of the transfer that was silent longest, if that is long enough: its sender opens it again. */
  async #giveWay(): Promise<void> {
    const [oldest] = [...this.#transfers.values()].sort((a, b) => a.lastUsed - b.lastUsed);
    if (!oldest || Date.now() - oldest.lastUsed < SILENCE_MS) return;
    this.#transfers.delete(oldest.id);
    await oldest.inTurn(() => oldest.close());
  }

  async #open(transfer: Transfer, entry: Entry, identity: string): Promise<{ offset: number; done: boolean }> {
    const place = this.#options.roots.place(entry.path, identity);
    if (entry.kind === 'directory') {
      const arrival = new FolderArrival(entry, place);
      await arrival.open();
      transfer.addFolder(arrival);
      return { offset: 0, done: false };
    }
    const known = transfer.files.get(entry.path);
    // What is being verified goes on.
    const same = known && known.entry.version === entry.version && known.entry.size === entry.size;
    const arrival = same ? known : new Arrival(entry, place, await transfer.staging(place.root));
    if (!same) await known?.rest();
    const done = await arrival.open();
    if (done) transfer.files.delete(entry.path);
    else transfer.files.set(entry.path, arrival);
    return { offset: done ? entry.size : arrival.staged, done };
  }

  /** FILESCHUNK. */
  async take({ transfer: id, chunks }: z.output<typeof Chunks>): Promise<z.input<typeof Taken>> {
    const transfer = this.#transfers.get(id);
    if (!transfer) return { files: chunks.map(({ path }) => notOpen(path)) };
    transfer.lastUsed = Date.now();
    return transfer.inTurn(async () => {
      const answers: z.input<typeof Taken>['files'] = [];
      for (const chunk of chunks) answers.push(await settled(chunk.path, this.#take(transfer, chunk)));
      return { files: answers };
    });
  }

  async #take(transfer: Transfer, chunk: Chunk): Promise<{ offset: number }> {
    const arrival = transfer.files.get(chunk.path);
    if (!arrival) throw outOfStep(chunk.path);
    // One file is held open at a time: they come one after the other.
    if (transfer.current !== arrival) await transfer.current?.rest();
    transfer.current = arrival;
    return { offset: await arrival.take(chunk) };
  }

  /** FILESCLOSE. */
  async close({ transfer: id, files, last }: z.output<typeof Close>): Promise<z.input<typeof Closed>> {
    const transfer = this.#transfers.get(id);
    if (!transfer) {
      if (last) await this.#remove(id);
      return { files: files.map(({ path }) => notOpen(path)) };
    }
    transfer.lastUsed = Date.now();
    const answers = await this.#closeAll(transfer, files);
    if (last) {
      this.#transfers.delete(id);
      await transfer.inTurn(() => transfer.close());
      await this.#remove(id);
    }
    return { files: answers };
  }

  async #closeAll(transfer: Transfer, asked: ToClose[]): Promise<z.input<typeof Closed>['files']> {
    const verified = new AbortController();
    const timer = setTimeout(() => verified.abort(), VERIFY_MS);
    const answers = new Map<ToClose, Refusal | { done: boolean }>();
    const close = async (file: ToClose) =>
      answers.set(file, await settled(file.path, this.#close(transfer, file, verified.signal)));
    const isFolder = ({ path }: ToClose) => transfer.folders.has(path) && !transfer.files.has(path);
    try {
      await eachOf(
        asked.filter((file) => !isFolder(file)),
        AT_ONCE,
        close,
      );
      // The modes of folders may forbid to write: after the files, and the deepest first.
      const deepest = asked.filter(isFolder).sort((a, b) => depthOf(b) - depthOf(a));
      for (const folder of deepest) await close(folder);
      await this.#syncFolders(transfer, asked);
    } finally {
      clearTimeout(timer);
    }
    return asked.map((file) => {
      const answer = answers.get(file) ?? { done: false };
      if ('done' in answer && answer.done) {
        transfer.files.delete(file.path);
        transfer.folders.delete(file.path);
      }
      return answer;
    });
  }

  async #close(transfer: Transfer, { path, sha256 }: ToClose, late: AbortSignal): Promise<{ done: boolean }> {
    const folder = transfer.folders.get(path);
    const arrival = transfer.files.get(path);
    if (!arrival && folder) {
      await folder.finish();
      return { done: true };
    }
    if (!arrival) throw outOfStep(path);
    const over = new Promise<{ done: boolean }>((resolve) => {
      if (late.aborted) resolve({ done: false });
      late.addEventListener('abort', () => resolve({ done: false }), { once: true });
    });
    return Promise.race([arrival.finish(sha256).then(() => ({ done: true })), over]);
  }

  /** Puts on disk that they are where they are: each folder once. */
  async #syncFolders(transfer: Transfer, files: ToClose[]): Promise<void> {
    const folders = new Map<string, { root: string; names: readonly string[] }>();
    for (const { path } of files) {
      const arrival = transfer.files.get(path);
      if (!arrival) continue;
      const { root, names } = arrival.place;
      folders.set(`${root}\0${names.slice(0, -1).join('/')}`, { root, names: names.slice(0, -1) });
    }
    await eachOf([...folders.values()], AT_ONCE, async ({ root, names }) => {
      try {
        await using folder = await Folder.below(root, names);
        await folder.sync();
      } catch (error) {
        this.#options.log.warn({ err: error }, `a folder below ${root} is not surely on disk: ${reasonOf(error)}`);
      }
    });
  }

  async #remove(transfer: string): Promise<void> {
    for (const root of this.#options.roots.folders) {
      await Staging.remove(root, transfer).catch((error: unknown) => {
        this.#options.log.warn(
          { err: error },
          `what ${transfer} staged below ${root} is not removed: ${reasonOf(error)}`,
        );
      });
    }
  }
}

/** What became of one file: a refusal is an answer, and the others go on. */
async function settled<T>(path: string, work: Promise<T>): Promise<T | Refusal> {
  try {
    return await work;
  } catch (error) {
    if (isCentreondError(error) && error.code === 'BUSY') throw error;
    if (!isCentreondError(error) && codeOf(error) === '') throw error;
    return (
      isCentreondError(error) ? error : failure('FILES_REFUSED', { path: shown(path), reason: whyOf(error) })
    ).toData();
  }
}

function depthOf({ path }: ToClose): number {
  return path === '.' ? 0 : path.split('/').length;
}

function outOfStep(path: string) {
  return failure('FILES_OUT_OF_STEP', { path: shown(path), reason: 'it is not open' });
}

function notOpen(path: string): Refusal {
  return outOfStep(path).toData();
}

/** Runs `work` for each, at most `count` at once; the results in their order. */
async function eachOf<T, R>(items: readonly T[], count: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const i = next++;
      results[i] = await work(items[i] as T);
    }
  };
  await Promise.all(Array.from({ length: Math.min(count, items.length) }, lane));
  return results;
}
