/** Lets a number of holders through at once; the others wait for their turn, in order. */
export class TurnGate {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  /** Resolves when it is the caller's turn, with what ends it. Ending a turn twice does nothing. */
  async turn(): Promise<() => void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let over = false;
    return () => {
      if (over) return;
      over = true;
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    };
  }
}
