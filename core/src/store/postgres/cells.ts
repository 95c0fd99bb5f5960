import { fromStored } from './arrays.ts';

/** The cells of a row of the database, read one after the other. Each throws where the database has something else. */
export class Cells {
  #at = 0;

  constructor(private readonly row: readonly unknown[]) {}

  #next(): unknown {
    return this.row[this.#at++];
  }

  text(): string {
    const text = this.textOrNull();
    if (text === null) throw new TypeError(`column ${this.#at} is null and was to be a text`);
    return text;
  }

  textOrNull(): string | null {
    const cell = this.#next();
    if (cell === null) return null;
    if (typeof cell !== 'string') throw new TypeError(`column ${this.#at} is no text`);
    return fromStored(cell);
  }

  number(): number {
    const number = this.numberOrNull();
    if (number === null) throw new TypeError(`column ${this.#at} is null and was to be a number`);
    return number;
  }

  numberOrNull(): number | null {
    const cell = this.#next();
    if (cell === null) return null;
    const number = typeof cell === 'string' && cell !== '' ? Number(cell) : Number.NaN;
    if (!Number.isSafeInteger(number)) throw new TypeError(`column ${this.#at} is no whole number`);
    return number;
  }

  bool(): boolean {
    const cell = this.#next();
    if (cell !== 't' && cell !== 'f') throw new TypeError(`column ${this.#at} is no boolean`);
    return cell === 't';
  }
}
