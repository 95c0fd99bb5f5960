/** The verb of a row; no action has it. */
const ROW = 'ROW';
const WRITES: ReadonlySet<string> = new Set(['SETSTATE', 'DELETESTATE']);

/** What is held up, by {@link TestFaults.hold}. */
export interface Held {
  /** How many requests wait. */
  readonly waiting: number;
  /** Lets them go on, in their order, and holds up no more. */
  release(): void;
}

/** The process dies once this many more are taken. */
interface Countdown {
  readonly counts: (action: string) => boolean;
  left: number;
}

/**
 * What goes wrong between a plugin and its router, when a test wants it to. Only what the plugin itself asks for is affected; what the
 * test asks is not.
 */
export class TestFaults {
  readonly #held = new Map<string, (() => void)[]>();
  #rows: { readonly over: Promise<void>; readonly held: Held } | undefined;
  #countdowns: Countdown[] = [];

  /** @internal `crash` ends every instance as the death of its process does. */
  constructor(private readonly crash: () => void) {}

  /**
   * Holds up what the plugin asks for `action` (`COMMAND`, `FOLLOW`, `SETSTATE` …) on its way to the router, as a slow machine does,
   * until it is released. What the plugin had asked for when it died does not arrive.
   */
  hold(action: string): Held {
    const held: (() => void)[] = this.#held.get(action) ?? [];
    this.#held.set(action, held);
    return {
      get waiting() {
        return held.length;
      },
      release: () => {
        if (this.#held.get(action) !== held) return;
        this.#held.delete(action);
        for (const go of held.splice(0)) go();
      },
    };
  }

  /**
   * Holds up the rows that the plugin writes, the terminal ones too, as a disk does that takes none, until they are released. What
   * awaits `context.progress()` waits as long.
   */
  holdRows(): Held {
    if (this.#rows) return this.#rows.held;
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const rows = this.hold(ROW);
    const release = () => {
      this.#rows = undefined;
      rows.release();
      resolve();
    };
    const held: Held = {
      get waiting() {
        return rows.waiting;
      },
      release,
    };
    this.#rows = { over, held };
    return held;
  }

  /** @internal Resolves when rows are taken again; undefined while they are. */
  get rowsTaken(): Promise<void> | undefined {
    return this.#rows?.over;
  }

  /**
   * The plugin dies, as by {@link TestedPlugin.crash}, once the router has accepted `count` more of its requests for `action`. Of the
   * last one it hears no ACK.
   */
  crashAfterRequests(action: string, count = 1): void {
    this.#countDown((one) => one === action, count);
  }

  /** The plugin dies once `count` more of its writes of STATE are kept, of which the last is not acknowledged; with 0 at once. */
  crashAfterWrites(count: number): void {
    this.#countDown((action) => WRITES.has(action), count);
  }

  #countDown(counts: Countdown['counts'], count: number): void {
    if (count <= 0) this.crash();
    else this.#countdowns.push({ counts, left: count });
  }

  /** @internal Runs `go` now, or when what holds `action` up lets it go on. */
  pass(action: string, go: () => void): void {
    const held = this.#held.get(action);
    if (held) held.push(go);
    else go();
  }

  /** @internal The router has taken what the plugin asked for `action`. */
  taken(action: string): void {
    const due = this.#countdowns.some((one) => one.counts(action) && --one.left === 0);
    if (due) this.crash();
  }

  /** @internal The processes of the plugin are gone, with what they had on its way. */
  ended(): void {
    this.#countdowns = [];
    // As of a process that is gone; a new one writes to the same disk.
    for (const held of this.#held.values()) held.length = 0;
  }
}
