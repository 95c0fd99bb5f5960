import { failure, isCentreondError, type Json, type JsonObject, type Logger, reasonOf } from '@centreond/plugin-sdk';
import type { CarriedRequest } from '@centreond/plugin-sdk/nodes';
import type { z } from 'zod';
import { type Chunk, Chunks, Close, type Entry, Open, type Refusal } from './files-wire.ts';
import { type HashRun, sha256Of } from './remote-hash.ts';
import { type Sftp, SftpRefusal } from './sftp.ts';
import { SshArrival, SshFolderArrival } from './ssh-arrival.ts';
import type { SshConfig } from './ssh-config.ts';
import type { SshConnection } from './ssh-connection.ts';
import { PlaceFault, SshFolders } from './ssh-folders.ts';
import type { SshLink } from './ssh-link.ts';
import { placeOf, shown } from './ssh-places.ts';

/** The actions by which a transfer of files comes. */
export const FILES_ACTIONS = ['FILESOPEN', 'FILESCHUNK', 'FILESCLOSE'] as const;

const TRANSFERS_LIMIT = 64;
/** Files of one transfer that are open and not closed. */
const FILES_LIMIT = 20_000;
/** Folders likewise. Of more the oldest is forgotten: its sender opens it again to close it. */
const FOLDERS_LIMIT = 2000;
/** Where there are too many transfers, one that says nothing for so long gives way. */
const SILENCE_MS = 30_000;
/** What takes longer to verify is answered with `done: false`. */
const VERIFY_MS = 10_000;
const AT_ONCE = 16;
const STALE_SECONDS = 24 * 3600;
const PURGE_MS = 6 * 3600_000;

type Arrival = SshArrival | SshFolderArrival;

interface Transfer {
  readonly id: string;
  readonly files: Map<string, SshArrival>;
  readonly folders: Map<string, SshFolderArrival>;
  /** The file whose chunks come now: it is held open. */
  current: SshArrival | undefined;
  lastUsed: number;
  busy: Promise<unknown>;
}

export interface SshFilesOptions {
  readonly config: SshConfig;
  readonly connection: Pick<SshConnection, 'link' | 'why'>;
  readonly log: Logger;
}

/** What one message works with. */
interface Work {
  readonly link: SshLink;
  readonly sftp: Sftp;
  readonly folders: SshFolders;
}

/**
 * The receiving end of SENDFILES on an SSH node: stages what comes over SFTP, has it verified there and moves it to its place,
 * below the node's roots alone.
 */
export class SshFiles {
  readonly #options: SshFilesOptions;
  readonly #transfers = new Map<string, Transfer>();
  readonly #hashes: HashRun = { busy: Promise.resolve() };
  #purgedAt = Number.NEGATIVE_INFINITY;

  constructor(options: SshFilesOptions) {
    this.#options = options;
  }

  /** Answers one of {@link FILES_ACTIONS}; rejects with what refuses the whole message. */
  async answer({ action, data, envelope }: CarriedRequest): Promise<JsonObject> {
    const { config, connection } = this.#options;
    const read = <S extends z.ZodType>(schema: S): z.output<S> => {
      const { data: asked, error } = schema.safeParse(data);
      if (error) {
        const reason = error.issues.map(({ path, message }) => `${path.join('.') || 'it'}: ${message}`).join('; ');
        throw failure('INVALID_DATA', { action, reason });
      }
      return asked as z.output<S>;
    };
    const asked = { FILESOPEN: Open, FILESCHUNK: Chunks, FILESCLOSE: Close }[action as (typeof FILES_ACTIONS)[number]];
    const message = read(asked);
    const { link, why } = connection;
    if (!link) throw failure('NODE_UNREACHABLE', { target: config.id, why });
    try {
      const sftp = await link.sftp();
      const work: Work = { link, sftp, folders: new SshFolders(sftp) };
      this.#tidy(work);
      const files = await this.#do(work, message as Message, envelope.from);
      return { files: files as unknown as Json };
    } catch (error) {
      if (isCentreondError(error)) throw error;
      // The session broke off: the sender opens its files again and goes on.
      throw failure('NODE_UNREACHABLE', { target: config.id, why: `broke off the transfer: ${reasonOf(error)}` });
    }
  }

  #do(work: Work, message: Message, identity: string): Promise<unknown[]> {
    if ('chunks' in message) return this.#chunks(work, message);
    const isOpen = (asked: typeof message): asked is z.output<typeof Open> =>
      asked.files[0] !== undefined && 'kind' in asked.files[0];
    return isOpen(message) ? this.#open(work, message, identity) : this.#close(work, message);
  }

  // ---- FILESOPEN --------------------------------------------------------------------------------------------------

  async #open(work: Work, { transfer: id, files }: z.output<typeof Open>, identity: string): Promise<unknown[]> {
    const transfer = this.#transfers.get(id) ?? (await this.#newTransfer(id));
    transfer.lastUsed = Date.now();
    const more = files.filter(({ path, kind }) => kind === 'file' && !transfer.files.has(path)).length;
    if (transfer.files.size + more > FILES_LIMIT) {
      throw failure('BUSY', { what: `the list of open files of ${id}`, limit: FILES_LIMIT });
    }
    return inTurn(transfer, () =>
      eachOf(files, AT_ONCE, (entry) => settled(entry.path, () => this.#openOne(work, transfer, entry, identity))),
    );
  }

  async #newTransfer(id: string): Promise<Transfer> {
    if (this.#transfers.size >= TRANSFERS_LIMIT) {
      const [oldest] = [...this.#transfers.values()].sort((a, b) => a.lastUsed - b.lastUsed);
      if (!oldest || Date.now() - oldest.lastUsed < SILENCE_MS) {
        throw failure('BUSY', { what: 'the list of open transfers', limit: TRANSFERS_LIMIT });
      }
      this.#transfers.delete(oldest.id);
      await oldest.current?.rest().catch(() => undefined);
    }
    const transfer: Transfer = {
      id,
      files: new Map(),
      folders: new Map(),
      current: undefined,
      lastUsed: 0,
      busy: Promise.resolve(),
    };
    this.#transfers.set(id, transfer);
    return transfer;
  }

  async #openOne(work: Work, transfer: Transfer, entry: Entry, identity: string) {
    const { config } = this.#options;
    const place = placeOf(entry.path, config.roots, config.id, identity);
    if (entry.kind === 'directory') {
      const arrival = new SshFolderArrival(entry, place);
      await arrival.open(work.folders);
      addFolder(transfer.folders, arrival);
      return { offset: 0, done: false };
    }
    const known = transfer.files.get(entry.path);
    const same = known && known.entry.version === entry.version && known.entry.size === entry.size;
    // What is being verified goes on.
    if (same && known.verifying) return { offset: known.staged, done: false };
    await known?.rest().catch(() => undefined);
    const arrival = new SshArrival(entry, place, transfer.id);
    const done = await arrival.open(work.sftp, work.folders);
    if (done) transfer.files.delete(entry.path);
    else transfer.files.set(entry.path, arrival);
    return { offset: done ? entry.size : arrival.staged, done };
  }

  // ---- FILESCHUNK -------------------------------------------------------------------------------------------------

  async #chunks(work: Work, { transfer: id, chunks }: z.output<typeof Chunks>): Promise<unknown[]> {
    const transfer = this.#transfers.get(id);
    if (!transfer) return chunks.map(({ path }) => notOpen(path));
    transfer.lastUsed = Date.now();
    return inTurn(transfer, async () => {
      const answers = await eachOf(chunks, AT_ONCE, (chunk) =>
        settled(chunk.path, () => this.#take(work, transfer, chunk)),
      );
      await this.#rest(transfer, chunks);
      return answers;
    });
  }

  async #take({ sftp }: Work, { files }: Transfer, chunk: Chunk): Promise<{ offset: number }> {
    const arrival = files.get(chunk.path);
    if (!arrival) throw outOfStep(chunk.path);
    return { offset: await arrival.take(sftp, chunk) };
  }

  /** Files come one after the other: only the last one of a message stays open. */
  async #rest(transfer: Transfer, chunks: readonly Chunk[]): Promise<void> {
    const last = transfer.files.get(chunks.at(-1)?.path ?? '');
    const others = new Set([transfer.current, ...chunks.map(({ path }) => transfer.files.get(path))]);
    others.delete(last);
    await Promise.all([...others].map((each) => each?.rest()));
    transfer.current = last;
  }

  // ---- FILESCLOSE -------------------------------------------------------------------------------------------------

  async #close(work: Work, { transfer: id, files, last }: z.output<typeof Close>): Promise<unknown[]> {
    const transfer = this.#transfers.get(id);
    const answers = transfer ? await this.#closeFiles(work, transfer, files) : files.map(({ path }) => notOpen(path));
    if (transfer) transfer.lastUsed = Date.now();
    if (!last) return answers;
    this.#transfers.delete(id);
    if (transfer) await inTurn(transfer, async () => transfer.current?.rest());
    for (const root of this.#options.config.roots) {
      await work.folders.removeStaging(root, id).catch((error: unknown) => {
        if (!(error instanceof PlaceFault || error instanceof SftpRefusal)) throw error;
        this.#options.log.warn(
          { node: this.#options.config.id },
          `what ${id} staged below ${root} is not removed: ${error.message}`,
        );
      });
    }
    return answers;
  }

  async #closeFiles(
    work: Work,
    transfer: Transfer,
    files: z.output<typeof Close>['files'],
  ): Promise<(Refusal | { done: boolean })[]> {
    const started = await eachOf(files, AT_ONCE, ({ path }) => settled(path, () => this.#ready(work, transfer, path)));
    const fresh = started.filter((arrival) => arrival instanceof SshArrival && !arrival.verifying) as SshArrival[];
    const hashes = sha256Of(
      this.#hashes,
      work.link,
      work.sftp,
      fresh.map(({ file, entry }) => ({ file, size: entry.size })),
    );
    for (const [i, arrival] of fresh.entries()) {
      arrival.verifying = hashes.then((all) => all[i] ?? '');
      arrival.verifying.catch(() => {
        arrival.verifying = undefined;
      });
    }
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), VERIFY_MS);
    });
    try {
      return await eachOf(files, AT_ONCE, async ({ path, sha256 }, i) => {
        const arrival = started[i];
        if (!(arrival instanceof SshArrival || arrival instanceof SshFolderArrival)) return arrival as Refusal;
        return settled(path, () => this.#closeOne(work, transfer, arrival, sha256, late));
      });
    } finally {
      clearTimeout(timer);
    }
  }

  async #ready({ sftp }: Work, { files, folders }: Transfer, path: string): Promise<Arrival> {
    const arrival = files.get(path) ?? folders.get(path);
    if (!arrival) throw outOfStep(path);
    if (arrival instanceof SshArrival && !arrival.verifying) await arrival.complete(sftp);
    return arrival;
  }

  async #closeOne(
    work: Work,
    { files, folders }: Transfer,
    arrival: Arrival,
    sha256: string,
    late: Promise<'late'>,
  ): Promise<{ done: boolean }> {
    if (arrival instanceof SshArrival) {
      const is = await Promise.race([arrival.verifying, late]);
      if (is === 'late') return { done: false };
      if (is !== sha256) {
        await arrival.startOver(work.sftp);
        throw arrival.outOfStep('the SHA-256 of the whole file is another than its sender says');
      }
    }
    await arrival.settle(work.sftp, work.folders);
    (arrival instanceof SshArrival ? files : folders).delete(arrival.entry.path);
    return { done: true };
  }

  /** Removes what transfers left that never came back, now and then. */
  #tidy({ folders }: Work): void {
    if (performance.now() - this.#purgedAt < PURGE_MS) return;
    this.#purgedAt = performance.now();
    const { config, log } = this.#options;
    const before = Math.floor(Date.now() / 1000) - STALE_SECONDS;
    for (const root of config.roots) {
      folders.purge(root, before, [...this.#transfers.keys()]).catch((error: unknown) => {
        log.warn(
          { node: config.id },
          `what was staged below ${root} of ${config.id} is not tidied: ${reasonOf(error)}`,
        );
      });
    }
  }
}

type Message = z.output<typeof Open> | z.output<typeof Chunks> | z.output<typeof Close>;

function addFolder(folders: Transfer['folders'], folder: SshFolderArrival): void {
  const { path } = folder.entry;
  folders.delete(path);
  folders.set(path, folder);
  const [oldest] = folders.keys();
  if (folders.size > FOLDERS_LIMIT && oldest !== undefined) folders.delete(oldest);
}

/** One message at a time, in the order in which they came. */
function inTurn<T>(transfer: Transfer, work: () => Promise<T>): Promise<T> {
  const done = transfer.busy.then(work);
  transfer.busy = done.catch(() => undefined);
  return done;
}

/** What became of one file: a refusal is an answer, and the others go on. */
async function settled<T>(path: string, work: () => Promise<T>): Promise<T | Refusal> {
  try {
    return await work();
  } catch (error) {
    if (isCentreondError(error) && error.code !== 'BUSY') return error.toData();
    if (error instanceof PlaceFault || error instanceof SftpRefusal) {
      return failure('FILES_REFUSED', { path: shown(path), reason: error.message }).toData();
    }
    throw error;
  }
}

function outOfStep(path: string) {
  return failure('FILES_OUT_OF_STEP', { path: shown(path), reason: 'it is not open' });
}

function notOpen(path: string): Refusal {
  return outOfStep(path).toData();
}

/** Runs `work` for each, at most `count` at once; the results in their order. */
async function eachOf<T, R>(
  items: readonly T[],
  count: number,
  work: (item: T, i: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const i = next++;
      results[i] = await work(items[i] as T, i);
    }
  };
  await Promise.all(Array.from({ length: Math.min(count, items.length) }, lane));
  return results;
}
