import type { Place } from './roots.ts';

/** The store cannot take a file or a folder there. The message is a clause that says why; it becomes FILES_REFUSED. */
export class StoreRefusal extends Error {}

/** What a store has of a file. */
export interface Found {
  /** It arrived before as a whole and is in its place. */
  readonly arrived: boolean;
  /** Bytes of it that are staged. */
  readonly size: number;
}

/** A file as a transfer names it: where it goes, and which state of its source it is of. */
export interface Wanted {
  readonly transfer: string;
  readonly place: Place;
  readonly path: string;
  readonly version: string;
}

/**
 * Where files arrive: stages each until it is whole, and then moves it to its place. `S` is what the store knows of one staged
 * file; only the store that made it looks into it. Every method rejects with {@link StoreRefusal} if the store refuses for a
 * reason that lies in the file or folder, and with any other error if the outcome is unknown: the message fails then, and the
 * sender opens its files again. What is staged outlives the store.
 */
export interface Store<S> {
  /** Files that one message may write at once, and that may be held open; with 1 they are opened and written in order. */
  readonly writes: number;
  /** Files that one message may verify and move at once. */
  readonly closes: number;

  /** Begins to stage a file. Rejects with BUSY if too many transfers have something staged below this root. */
  stage(wanted: Wanted): Promise<S>;
  /** What there is of it. */
  find(staged: S): Promise<Found>;
  /** Makes the folders that lead to `place`, and makes sure that the file may take it. */
  checkPlace(staged: S, place: Place): Promise<void>;
  /** Writes `bytes` to the file, which has `at` bytes. The file stays open until {@link rest}. */
  append(staged: S, bytes: Buffer, at: number): Promise<void>;
  /** Lets go of the open file; the next {@link append} opens it again. */
  rest(staged: S): Promise<void>;
  /** Removes what is staged of it. */
  remove(staged: S): Promise<void>;
  /** The SHA-256 of each file as it is staged, all of its `size` bytes; empty for one that cannot be read. An empty file is made. */
  verify(files: readonly { readonly staged: S; readonly size: number }[]): readonly Promise<string>[];
  /** Puts a verified file on disk with these permissions and moves it to its place, over what is there. */
  settle(staged: S, place: Place, mode: number): Promise<void>;
  /** Makes a folder, for the receiving user alone, unless it is there. */
  makeFolder(place: Place): Promise<void>;
  /** Gives a folder its permissions. */
  settleFolder(place: Place, mode: number): Promise<void>;
  /** Puts on disk which files are in a folder. A store that cannot does nothing. */
  syncFolder(place: Place): Promise<void>;
  /** Lets go of what it holds open for a transfer. */
  release(transfer: string): Promise<void>;
  /** Removes what a transfer has staged below `root`. */
  removeTransfer(root: string, transfer: string): Promise<void>;
  /** Removes what was staged below `root` and not touched since `before` (milliseconds), except what `open` transfers staged. Resolves with how many transfers that were. */
  purge(root: string, before: number, open: readonly string[]): Promise<number>;
}
