/** The longest time that setTimeout takes: beyond it a timer fires at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** Calls `run` once after `ms`, however long that is. Disposing the result before that cancels it. `unref`: it keeps no process up. */
export function after(ms: number, run: () => void, { unref = false } = {}): Disposable {
  return new LongTimer(ms, run, unref);
}

class LongTimer implements Disposable {
  #timer: NodeJS.Timeout;

  constructor(
    private left: number,
    private readonly run: () => void,
    private readonly unref: boolean,
  ) {
    this.#timer = this.#step();
  }

  #step(): NodeJS.Timeout {
    const step = Math.min(this.left, LONGEST_MS);
    this.left -= step;
    const timer = setTimeout(LongTimer.#fired, step, this);
    return this.unref ? timer.unref() : timer;
  }

  static #fired(timer: LongTimer): void {
    if (timer.left > 0) timer.#timer = timer.#step();
    else timer.run();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
