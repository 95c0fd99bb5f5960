import { reasonOf } from '@centreond/plugin-sdk';
import type { Log } from './log.ts';

interface Step {
  readonly name: string;
  readonly limitMs: number;
  close(): unknown;
}

/**
 * What was opened, to be closed in reverse: by a start that failed, and by a stop. Each step has a limit of its own, and takes no
 * more than what is left of the whole.
 */
export class Closing {
  readonly #steps: Step[] = [];
  #running: Promise<void> | undefined;

  constructor(private readonly log: Log) {}

  /** `close` undoes what was just opened. Call it right after. */
  push(name: string, limitMs: number, close: () => unknown): void {
    this.#steps.push({ name, limitMs, close });
  }

  /** Closes everything within `limitMs`. A step that fails or takes too long is logged, and the next one runs. Joins a run. */
  run(limitMs: number): Promise<void> {
    this.#running ??= this.#run(performance.now() + limitMs);
    return this.#running;
  }

  async #run(until: number): Promise<void> {
    for (const { name, limitMs, close } of this.#steps.reverse()) {
      const ms = Math.max(0, Math.min(limitMs, until - performance.now()));
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<string>((resolve) => {
        timer = setTimeout(() => resolve(`${name} was not closed within ${Math.round(ms)} ms; the rest goes on`), ms);
      });
      try {
        const overrun = await Promise.race([(async () => void (await close()))(), late]);
        if (overrun !== undefined) this.log.error(overrun);
      } catch (error) {
        this.log.error({ err: error }, `${name} could not be closed: ${reasonOf(error)}`);
      }
      clearTimeout(timer);
    }
  }
}
