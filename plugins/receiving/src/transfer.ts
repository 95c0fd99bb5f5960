import type { Arrival, FolderArrival } from './arrival.ts';
import type { Store } from './store.ts';

/**
 * Folders of one transfer that are open and not closed, more than one message opens. Of more the oldest is forgotten: its
 * sender opens it again to close it.
 */
const FOLDERS_LIMIT = 2000;

/** One transfer as this end knows it. */
export class Transfer<S> {
  readonly files = new Map<string, Arrival<S>>();
  readonly folders = new Map<string, FolderArrival>();
  lastUsed = Date.now();
  /** Files that may be held open, the one that was written last at the end. */
  readonly #held = new Set<Arrival<S>>();
  #busy: Promise<unknown> = Promise.resolve();

  constructor(readonly id: string) {}

  /** One message at a time, in the order in which they came. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#busy.then(work);
    this.#busy = done.catch(() => undefined);
    return done;
  }

  /** Is called before a file is written: as many as the store writes at once may be open. */
  async hold(store: Store<S>, arrival: Arrival<S>): Promise<void> {
    this.#held.delete(arrival);
    this.#held.add(arrival);
    const [oldest] = this.#held;
    if (this.#held.size > store.writes && oldest) await this.#rest(store, oldest);
  }

  /** Lets go of all open files but the one at `path`: they come one after the other. */
  async restAllBut(store: Store<S>, path: string): Promise<void> {
    const last = this.files.get(path);
    const others = [...this.#held].filter((arrival) => arrival !== last);
    await Promise.all(others.map((arrival) => this.#rest(store, arrival)));
  }

  async #rest(store: Store<S>, arrival: Arrival<S>): Promise<void> {
    this.#held.delete(arrival);
    await arrival.rest(store);
  }

  /** Lets go of what it holds open. */
  async close(store: Store<S>): Promise<void> {
    await Promise.all([...this.#held].map((arrival) => this.#rest(store, arrival)));
    await store.release(this.id);
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
