import { failure, isCentreondError, type Logger, reasonOf } from '@centreond/plugin-sdk';
import type { z } from 'zod';
import { Arrival, FolderArrival } from './arrival.ts';
import { eachOf } from './lanes.ts';
import { type Place, type Roots, shown } from './roots.ts';
import { type Store, StoreRefusal } from './store.ts';
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
/** A file that takes longer to verify is answered with `done: false`. */
const VERIFY_MS = 10_000;

type ToClose = z.output<typeof Close>['files'][number];
type CloseAnswer = Refusal | { done: boolean };

export interface ReceiverOptions<S> {
  readonly roots: Roots;
  readonly log: Logger;
  /** The node that the store is on, as the log names it; omitted for this machine. */
  readonly node?: string;
  /** Is asked once for each message; what it rejects with, the message is answered with. */
  store(): Promise<Store<S>>;
}

/** The receiving end of SENDFILES: stages what comes, has it verified and moved to its place, below the roots alone. */
export class Receiver<S> {
  readonly #options: ReceiverOptions<S>;
  readonly #transfers = new Map<string, Transfer<S>>();
  /** Those that are being let go of: the store holds files of theirs under their ids until then. */
  readonly #closing = new Map<string, Promise<unknown>>();

  constructor(options: ReceiverOptions<S>) {
    this.#options = options;
  }

  /** Lets go of transfers that are idle and removes what is stale. To be called now and then. */
  async tidy(): Promise<void> {
    const { roots, log } = this.#options;
    const store = await this.#options.store();
    for (const transfer of this.#transfers.values()) {
      if (Date.now() - transfer.lastUsed >= IDLE_MS) await this.#drop(store, transfer);
    }
    for (const root of roots.folders) {
      try {
        const removed = await store.purge(root, Date.now() - STALE_MS, [...this.#transfers.keys()]);
        if (removed > 0) log.info(`${removed} transfers that were never finished are removed from ${this.#at(root)}`);
      } catch (error) {
        log.warn(`the root ${this.#at(root)} cannot be used: ${reasonOf(error)}`);
      }
    }
  }

  /** Lets go of all transfers; what is staged stays. */
  async stop(): Promise<void> {
    if (this.#transfers.size === 0) return;
    const store = await this.#options.store();
    const dropped = await Promise.allSettled([...this.#transfers.values()].map((one) => this.#drop(store, one)));
    for (const one of dropped) if (one.status === 'rejected') throw one.reason;
  }

  #at(root: string): string {
    const { node } = this.#options;
    return node === undefined ? root : `${root} of ${node}`;
  }

  async #drop(store: Store<S>, transfer: Transfer<S>): Promise<void> {
    const { id } = transfer;
    this.#transfers.delete(id);
    const closed = transfer.inTurn(() => transfer.close(store));
    this.#closing.set(id, closed);
    try {
      await closed;
    } finally {
      if (this.#closing.get(id) === closed) this.#closing.delete(id);
    }
  }

  /** FILESOPEN. */
  async open({ transfer: id, files }: z.output<typeof Open>, identity: string): Promise<z.input<typeof Opened>> {
    const store = await this.#options.store();
    const transfer = this.#transfers.get(id) ?? (await this.#newTransfer(store, id));
    transfer.lastUsed = Date.now();
    const more = files.filter(({ path, kind }) => kind === 'file' && !transfer.files.has(path)).length;
    if (transfer.files.size + more > FILES_LIMIT) {
      throw failure('BUSY', { what: `the list of open files of ${id}`, limit: FILES_LIMIT });
    }
    const answers = await transfer.inTurn(() =>
      eachOf(files, store.writes, (entry) => settled(entry.path, this.#open(store, transfer, entry, identity))),
    );
    return { files: answers };
  }

  /** If there are too many, lets go of the transfer that was silent longest, if that is long enough: its sender opens it again. */
  async #newTransfer(store: Store<S>, id: string): Promise<Transfer<S>> {
    if (this.#transfers.size >= TRANSFERS_LIMIT) {
      const [oldest] = [...this.#transfers.values()].sort((a, b) => a.lastUsed - b.lastUsed);
      if (oldest && Date.now() - oldest.lastUsed >= SILENCE_MS) await this.#drop(store, oldest);
    }
    // What it could not close is closed with it.
    await this.#closing.get(id)?.catch(() => undefined);
    const there = this.#transfers.get(id);
    if (there) return there;
    if (this.#transfers.size >= TRANSFERS_LIMIT) {
      throw failure('BUSY', { what: 'the list of open transfers', limit: TRANSFERS_LIMIT });
    }
    const transfer = new Transfer<S>(id);
    this.#transfers.set(id, transfer);
    return transfer;
  }

  async #open(
    store: Store<S>,
    transfer: Transfer<S>,
    entry: Entry,
    identity: string,
  ): Promise<{ offset: number; done: boolean }> {
    const place = this.#options.roots.place(entry.path, identity);
    if (entry.kind === 'directory') {
      const folder = new FolderArrival(entry, place);
      await folder.open(store);
      transfer.addFolder(folder);
      return { offset: 0, done: false };
    }
    const known = transfer.files.get(entry.path);
    const same = known && known.entry.version === entry.version && known.entry.size === entry.size;
    if (!same) await known?.rest(store);
    // What is being verified goes on.
    const arrival = same ? known : new Arrival<S>(entry, place, transfer.id);
    const done = await arrival.open(store);
    if (done) transfer.files.delete(entry.path);
    else transfer.files.set(entry.path, arrival);
    return { offset: done ? entry.size : arrival.staged, done };
  }

  /** FILESCHUNK. */
  async take({ transfer: id, chunks }: z.output<typeof Chunks>): Promise<z.input<typeof Taken>> {
    const store = await this.#options.store();
    const transfer = this.#transfers.get(id);
    if (!transfer) return { files: chunks.map(({ path }) => notOpen(path)) };
    transfer.lastUsed = Date.now();
    return transfer.inTurn(async () => {
      const answers = await eachOf(chunks, store.writes, (chunk) =>
        settled(chunk.path, this.#take(store, transfer, chunk)),
      );
      await transfer.restAllBut(store, chunks.at(-1)?.path ?? '');
      return { files: answers };
    });
  }

  async #take(store: Store<S>, transfer: Transfer<S>, chunk: Chunk): Promise<{ offset: number }> {
    const arrival = transfer.files.get(chunk.path);
    if (!arrival) throw outOfStep(chunk.path);
    await transfer.hold(store, arrival);
    return { offset: await arrival.take(store, chunk) };
  }

  /** FILESCLOSE. */
  async close({ transfer: id, files, last }: z.output<typeof Close>): Promise<z.input<typeof Closed>> {
    const store = await this.#options.store();
    const transfer = this.#transfers.get(id);
    if (transfer) transfer.lastUsed = Date.now();
    const answers = transfer ? await this.#closeAll(store, transfer, files) : files.map(({ path }) => notOpen(path));
    if (last) {
      if (transfer) await this.#drop(store, transfer);
      await this.#remove(store, id);
    }
    return { files: answers };
  }

  async #closeAll(store: Store<S>, transfer: Transfer<S>, asked: readonly ToClose[]): Promise<CloseAnswer[]> {
    const answers = new Map<ToClose, CloseAnswer>();
    const isFolder = ({ path }: ToClose) => transfer.folders.has(path) && !transfer.files.has(path);
    const files = asked.filter((file) => !isFolder(file));
    // The modes of folders may forbid to write: after the files, and the deepest first.
    const folders = asked.filter(isFolder).sort((a, b) => depthOf(b) - depthOf(a));
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), VERIFY_MS);
    try {
      const ready = await this.#verify(store, transfer, files);
      await eachOf([...ready], store.closes, async ([file, arrival]) => {
        const closed = arrival instanceof Arrival ? finished(store, arrival, file, late.signal) : arrival;
        answers.set(file, await settled(file.path, Promise.resolve(closed)));
      });
      for (const file of folders) {
        const closed = transfer.folders.get(file.path)?.finish(store);
        answers.set(
          file,
          await settled(
            file.path,
            Promise.resolve(closed).then(() => ({ done: true })),
          ),
        );
      }
      const done = files.filter((file) => isDone(answers.get(file))).map(({ path }) => transfer.files.get(path)?.place);
      await this.#syncFolders(store, done);
    } finally {
      clearTimeout(timer);
    }
    return asked.map((file) => {
      const answer = answers.get(file) ?? { done: false };
      if (isDone(answer)) {
        transfer.files.delete(file.path);
        transfer.folders.delete(file.path);
      }
      return answer;
    });
  }

  /** Has those verified that are not yet. Each that is whole is given as its arrival, any other as its refusal. */
  async #verify(
    store: Store<S>,
    transfer: Transfer<S>,
    files: readonly ToClose[],
  ): Promise<Map<ToClose, Arrival<S> | Refusal>> {
    const ready = new Map<ToClose, Arrival<S> | Refusal>();
    const fresh = new Map<Arrival<S>, { staged: S; size: number }>();
    await eachOf(files, store.closes, async (file) => {
      const arrival = transfer.files.get(file.path);
      const whole = await settled(
        file.path,
        (async () => {
          if (!arrival) throw outOfStep(file.path);
          if (!arrival.isClosing && !fresh.has(arrival)) fresh.set(arrival, await arrival.complete(store));
          return arrival;
        })(),
      );
      ready.set(file, whole);
    });
    const sums = store.verify([...fresh.values()]);
    for (const [i, arrival] of [...fresh.keys()].entries()) arrival.verifies(sums[i] ?? Promise.resolve(''));
    return ready;
  }

  /** Puts on disk that they are where they are: each folder once. */
  async #syncFolders(store: Store<S>, places: readonly (Place | undefined)[]): Promise<void> {
    const folders = new Map<string, Place>();
    for (const place of places) {
      if (!place) continue;
      const names = place.names.slice(0, -1);
      folders.set(`${place.root}\0${names.join('/')}`, { root: place.root, names });
    }
    await eachOf([...folders.values()], store.closes, async (folder) => {
      try {
        await store.syncFolder(folder);
      } catch (error) {
        const reason = reasonOf(error);
        this.#options.log.warn(
          { err: error },
          `a folder below ${this.#at(folder.root)} is not surely on disk: ${reason}`,
        );
      }
    });
  }

  async #remove(store: Store<S>, transfer: string): Promise<void> {
    for (const root of this.#options.roots.folders) {
      await store.removeTransfer(root, transfer).catch((error: unknown) => {
        if (!(error instanceof StoreRefusal || isCentreondError(error))) throw error;
        this.#options.log.warn(`what ${transfer} staged below ${this.#at(root)} is not removed: ${error.message}`);
      });
    }
  }
}

/** Whether it is in place by the time that the message is to be answered; what was begun goes on, and the sender asks again. */
async function finished<S>(
  store: Store<S>,
  arrival: Arrival<S>,
  { sha256 }: ToClose,
  late: AbortSignal,
): Promise<{ done: boolean }> {
  if (late.aborted) return { done: false };
  const over = new Promise<{ done: boolean }>((resolve) => {
    late.addEventListener('abort', () => resolve({ done: false }), { once: true });
  });
  return Promise.race([arrival.finish(store, sha256).then(() => ({ done: true })), over]);
}

/** What became of one file: a refusal is an answer, and the others go on. */
async function settled<T>(path: string, work: Promise<T>): Promise<T | Refusal> {
  try {
    return await work;
  } catch (error) {
    if (isCentreondError(error) && error.code !== 'BUSY') return error.toData();
    if (!(error instanceof StoreRefusal)) throw error;
    return failure('FILES_REFUSED', { path: shown(path), reason: error.message }).toData();
  }
}

function isDone(answer: CloseAnswer | undefined): boolean {
  return answer !== undefined && 'done' in answer && answer.done;
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
