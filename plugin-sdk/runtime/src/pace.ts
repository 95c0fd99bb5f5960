import type { Clock } from '@centreond/plugin-sdk';

/** Does something at once, and then at most once in so many milliseconds, however often it is asked to. */
export class Pace {
  #timer: Disposable | undefined;
  #isWanted = false;

  constructor(
    private readonly ms: number,
    private readonly clock: Pick<Clock, 'after'>,
    private readonly run: () => void,
  ) {}

  /** Asks for it: now, or once the time since the last is over. */
  ask(): void {
    if (this.#timer) this.#isWanted = true;
    else this.#do();
  }

  /** Does now what was asked for and is still to come. */
  flush(): void {
    if (this.#isWanted) this.#do();
  }

  #do(): void {
    this.#isWanted = false;
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.clock.after(this.ms, () => {
      this.#timer = undefined;
      if (this.#isWanted) this.#do();
    });
    this.run();
  }
}
