import type { Arrival, FolderArrival } from './arrival.ts';
import { Staging } from './staging.ts';

/**
 * Folders of one transfer that are open and not closed, more than one message opens. Of more the oldest is forgotten: its
 * sender opens it again to close it.
 */
const FOLDERS_LIMIT = 2000;

/** One transfer as this end knows it. */
export class Transfer {
  readonly files = new Map<string, Arrival>();
  readonly folders = new Map<string, FolderArrival>();
  readonly stagings = new Map<string, Staging>();
  /** The file that the last chunk was of. */
  current: Arrival | undefined;
  lastUsed = Date.now();
  #busy: Promise<unknown> = Promise.resolve();

  constructor(readonly id: string) {}

  /** One message at a time, in the order in which they came. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#busy.then(work);
    this.#busy = done.catch(() => undefined);
    return done;
  }

  async staging(root: string): Promise<Staging> {
    let staging = this.stagings.get(root);
    if (!staging) {
      staging = await Staging.open(root, this.id);
      this.stagings.set(root, staging);
    }
    return staging;
  }

  /** Lets go of what it holds open. */
  async close(): Promise<void> {
    await this.current?.rest();
    this.current = undefined;
    for (const staging of this.stagings.values()) await staging.close();
    this.stagings.clear();
    this.files.clear();
    this.folders.clear();
  }

  addFolder(folder: FolderArrival): void {
    const { path } = folder.entry;
    this.folders.delete(path);
    this.folders.set(path, folder);
    const [oldest] = this.folders.keys();
    if (this.folders.size > FOLDERS_LIMIT && oldest !== undefined) this.folders.delete(oldest);
  }
}
