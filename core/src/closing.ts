import { reasonOf } from '@centreond/protocol';
import type { Log } from './log.ts';

interface Step {
  readonly name: string;
  readonly limitMs: number;
  close(withinMs: number): unknown;
}

/** What each later step keeps, however long those before it take. */
const KEPT_MS = 100;
/** So much before its limit a close that waits for others should give up by itself. */
const MARGIN_MS = 50;

/**
 * What was opened, to be closed in reverse: by a start that failed, and by a stop. Each step has a limit of its own, and leaves some
 * time of the whole to those that come after it.
 */
export class Closing {
  readonly #steps: Step[] = [];
  #running: Promise<void> | undefined;

  constructor(private readonly log: Log) {}

  /** `close` undoes what was just opened, and should end by itself within the milliseconds it is told. Call it right after. */
  push(name: string, limitMs: number, close: (withinMs: number) => unknown): void {
    this.#steps.push({ name, limitMs, close });
  }

  /** Closes everything within `limitMs`. A step that fails or takes too long is logged, and the next one runs. Joins a run. */
  run(limitMs: number): Promise<void> {
    this.#running ??= this.#run(performance.now() + limitMs);
    return this.#running;
  }

  async #run(until: number): Promise<void> {
    const steps = this.#steps.reverse();
    for (const [i, { name, limitMs, close }] of steps.entries()) {
      const kept = KEPT_MS * (steps.length - 1 - i);
      const ms = Math.max(0, Math.min(limitMs, until - performance.now() - kept));
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<string>((resolve) => {
        timer = setTimeout(() => resolve(`${name} was not closed within ${Math.round(ms)} ms; the rest goes on`), ms);
      });
      try {
        const overrun = await Promise.race([(async () => void (await close(Math.max(0, ms - MARGIN_MS))))(), late]);
        if (overrun !== undefined) this.log.error(overrun);
      } catch (error) {
        this.log.error({ err: error }, `${name} could not be closed: ${reasonOf(error)}`);
      }
      clearTimeout(timer);
    }
  }
}
