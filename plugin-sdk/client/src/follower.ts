import type { HistoryRow } from '@centreond/protocol';

/** What takes the rows of one token, each once and in the order of their ids. */
export interface Follower {
  /** The last row that was taken; rows up to it are never offered again. */
  lastId: number;
  /** The number of the FOLLOW that was last sent for it; 0 if none was. */
  asked: number;
  /** False while rows are missing between `lastId` and what comes live. */
  live: boolean;
  /** The last row that came while this was not live. */
  missedId: number;
  /** False for one that wants no rows for now; it asks to be resumed later. */
  readonly wants: boolean;
  row(row: HistoryRow, bytes: number): void;
  /** More rows are missing than were fetched: it asks to be resumed when it has room. */
  lag(): void;
  fail(error: Error): void;
}

/** The error of a wait that `signal` ended. */
export function aborted(signal: AbortSignal): Error {
  const { reason } = signal;
  return reason instanceof Error ? reason : new Error(String(reason));
}
