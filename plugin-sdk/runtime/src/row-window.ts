/** How many rows of one process may be on their way to the disk, and how many characters of them. */
export interface RowBound {
  readonly rows: number;
  readonly characters: number;
}

/** What carries the messages of a process to its router. */
export interface Wire {
  send(message: string): void;
  /** A promise while it is congested. */
  ready?(): Promise<void> | undefined;
}

/**
 * The rows of one process on their way to the disk. Beyond the bound they wait here, in order, until the router has stored
 * earlier ones: a plugin that writes faster than the disk takes is slowed down by it, and holds up nobody else.
 */
export class RowWindow {
  readonly #wire: Wire;
  readonly #bound: RowBound | undefined;
  #rows = 0;
  #characters = 0;
  readonly #held: string[] = [];
  #waiting: (() => void)[] = [];
  #released = false;

  /** Without a bound nothing is held. */
  constructor(wire: Wire, bound?: RowBound) {
    this.#wire = wire;
    this.#bound = bound;
  }

  /** Sends a message that is no row. */
  send(message: string): void {
    this.#wire.send(message);
  }

  /** Sends a row, or holds it until there is room. */
  row(message: string): void {
    if (this.#held.length > 0 || this.#isFull()) this.#held.push(message);
    else this.#pass(message);
  }

  /** A promise while rows are held, or the wire is congested: what a writer of many rows awaits. */
  ready(): Promise<void> | undefined {
    if (this.#held.length === 0) return this.#wire.ready?.();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** So many more rows are on disk, or were dropped. */
  stored(rows: number, characters: number): void {
    this.#rows -= rows;
    this.#characters -= characters;
    this.#passHeld();
  }

  /** Sends what is held, and holds nothing from now on: this process is about to end. */
  release(): void {
    this.#released = true;
    this.#passHeld();
  }

  /** How many rows are held. */
  get held(): number {
    return this.#held.length;
  }

  #isFull(): boolean {
    if (this.#released || !this.#bound) return false;
    // One row alone goes whatever its size.
    return this.#rows >= this.#bound.rows || (this.#rows > 0 && this.#characters >= this.#bound.characters);
  }

  #pass(message: string): void {
    this.#rows++;
    this.#characters += message.length;
    this.#wire.send(message);
  }

  #passHeld(): void {
    let count = 0;
    for (; count < this.#held.length && !this.#isFull(); count++) this.#pass(this.#held[count] as string);
    this.#held.splice(0, count);
    if (this.#held.length > 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }
}
