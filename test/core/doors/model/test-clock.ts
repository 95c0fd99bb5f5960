/** Both clocks of the model. Only its moves change them. */
export class TestClock {
  #wall = 1_790_000_000_000;
  #ticks = 1000;
  readonly now = (): number => this.#wall;
  readonly monotonic = (): number => this.#ticks;

  advance(ms: number): void {
    this.#wall += ms;
    this.#ticks += ms;
  }

  /** The wall clock alone is set, forwards or backwards. */
  jump(ms: number): void {
    this.#wall += ms;
  }
}
