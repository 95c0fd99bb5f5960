import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** What a command's processes bear in their environment. */
export interface Mark {
  /** The value of CENTREOND_INSTANCE; undefined if this process has none itself. */
  readonly value: string | undefined;
  /** Tells the daemon that the command has ended: what still bears the mark is no longer its to end. May be called again. */
  release(): void;
}

/** Commands that were started in this process. Several plugins of it may start some. */
let count = 0;

/**
 * Gives each command a mark of its own, and notes those that run as files in a folder of the daemon. If this process dies, the
 * daemon ends what bears a noted mark. A note outlives both, since a crash must not end what a finished command left behind.
 */
export class Marks {
  readonly #instance: string | undefined;
  readonly #folder: string | undefined;
  readonly #notNoted: (reason: unknown) => void;

  /** `notNoted` is told why a command could not be noted: it bears the mark of this process, and all it leaves ends with that. */
  constructor(env: Readonly<Record<string, string | undefined>>, notNoted: (reason: unknown) => void) {
    this.#instance = env.CENTREOND_INSTANCE;
    this.#folder = env.CENTREOND_RUNNING;
    this.#notNoted = notNoted;
  }

  /** Notes a command that is about to start. */
  next(): Mark {
    const plain = { value: this.#instance, release: () => {} };
    if (this.#instance === undefined || this.#folder === undefined) return plain;
    const value = `${this.#instance}#${++count}`;
    const note = path.join(this.#folder, value);
    try {
      writeFileSync(note, '', { flag: 'wx', mode: 0o600 });
    } catch (error) {
      this.#notNoted(error);
      return plain;
    }
    const release = () => {
      try {
        rmSync(note, { force: true });
      } catch (error) {
        this.#notNoted(error);
      }
    };
    return { value, release };
  }
}
