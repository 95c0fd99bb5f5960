import type { CentreondError } from '@centreond/plugin-sdk';
import type { Row } from '../store/token-store.ts';
import type { Peer } from './peer.ts';
import type { RegisteredAction } from './registry.ts';

/** How many committed rows of an open request are kept at hand for whoever follows it late. */
const KEPT_ROWS = 32;
const KEPT_CHARACTERS = 64 * 1024;

/** A request that was accepted, or is about to be, and has not ended. */
export class OpenRequest {
  /** recording → waiting → running → ended; a request of the core's own goes from waiting to ended. */
  state: 'recording' | 'waiting' | 'running' | 'ended' = 'recording';
  /** Milliseconds: while it waits, when waiting is over; while it runs, when it is aborted. */
  deadline: number;
  startedAt = 0;
  /** Why it was aborted, and since when it has been told. */
  aborted: CentreondError | undefined;
  abortedAt = 0;
  /** How often it was handed to an instance that died with it. */
  deaths = 0;
  /** Asked for it again while it was being recorded. */
  readonly repeats: Peer[] = [];
  readonly #whenRecorded: (() => void)[] = [];
  #rows: Row[] | undefined = [];
  #characters = 0;

  constructor(
    readonly token: string,
    readonly owner: string,
    readonly action: RegisteredAction,
    readonly target: string,
    /** JSON text without `$`. */
    readonly data: string,
    /** When it is no longer wanted, in milliseconds. */
    readonly wantedUntil: number,
    readonly acceptedAt: number,
  ) {
    this.deadline = wantedUntil;
  }

  /** The node that it works on, where it runs on this router whatever node its TARGET names; else empty. */
  get workedOn(): string {
    return this.action.manifest.runs === 'here' ? this.target : '';
  }

  /** Calls `then` once it is on disk, or is not going to be: what comes after it in the same breath. */
  whenRecorded(then: () => void): void {
    this.#whenRecorded.push(then);
  }

  /** It is on disk, or is not going to be. */
  recorded(): void {
    for (const then of this.#whenRecorded.splice(0)) then();
  }

  /** Keeps a committed row at hand, within a bound. */
  keep(row: Row): void {
    if (!this.#rows) return;
    this.#characters += row.data.length;
    if (this.#rows.length >= KEPT_ROWS || this.#characters > KEPT_CHARACTERS) this.#rows = undefined;
    else this.#rows.push(row);
  }

  /** For a request of an earlier run, whose first rows are only in the store. */
  forgetRows(): void {
    this.#rows = undefined;
  }

  /** All its committed rows, or undefined where there are too many to keep. */
  get rows(): readonly Row[] | undefined {
    return this.#rows;
  }
}
