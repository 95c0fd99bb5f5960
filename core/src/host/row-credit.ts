import type { RowBound } from '@centreond/plugin-runtime';
import { formatMessage } from '@centreond/protocol';

/** What one instance may have on its way to the disk: some milliseconds of what the store takes. */
export const ROW_BOUND: RowBound = { rows: 2000, characters: 4 * 1024 * 1024 };
/** An eighth of it is told at once, the rest with the next rows. */
const TELL_ROWS = ROW_BOUND.rows / 8;
const TELL_CHARACTERS = ROW_BOUND.characters / 8;

/** Tells an instance which of its rows are stored, so that it may send more. */
export class RowCredit {
  readonly #send: (message: string) => void;
  #rows = 0;
  #characters = 0;

  constructor(send: (message: string) => void) {
    this.#send = send;
  }

  /** One row of so many characters is on disk, or was dropped. */
  stored(characters: number): void {
    this.#rows++;
    this.#characters += characters;
    if (this.#rows < TELL_ROWS && this.#characters < TELL_CHARACTERS) return;
    this.#send(formatMessage('STORED', String(this.#rows), String(this.#characters)));
    this.#rows = 0;
    this.#characters = 0;
  }
}
