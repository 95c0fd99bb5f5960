import type { Logger } from '@centreond/plugin-sdk';
import { parseJson, reasonOf } from '@centreond/protocol';

const QUEUE_LIMIT = 1000;
/** After so long the next event goes on, while the listener may still be at the last one. */
const LISTENER_LIMIT_MS = 60_000;
const LOG_EVERY = 1000;

/** One method that listens to events: takes them one after the other, within a bound, and harms nobody by what it does. */
class Ear {
  readonly #queue: string[] = [];
  #busy = false;
  #dropped = 0;

  constructor(
    private readonly name: string,
    private readonly listener: (event: unknown) => unknown,
    private readonly log: Logger,
  ) {}

  hear(data: string): void {
    if (this.#queue.length < QUEUE_LIMIT) {
      this.#queue.push(data);
      if (!this.#busy) void this.#work();
      return;
    }
    if (++this.#dropped % LOG_EVERY !== 1) return;
    const dropped = this.#dropped;
    this.log.warn(
      { dropped },
      `${this.name} does not keep up: events are dropped, ${dropped} so far, and ${QUEUE_LIMIT} wait`,
    );
  }

  async #work(): Promise<void> {
    this.#busy = true;
    for (let data = this.#queue.shift(); data !== undefined; data = this.#queue.shift()) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(() => {
          this.log.error(`${this.name} is still at an event after ${LISTENER_LIMIT_MS / 1000} s; the next one goes on`);
          resolve();
        }, LISTENER_LIMIT_MS);
      });
      await Promise.race([this.#call(data), late]);
      clearTimeout(timer);
    }
    this.#busy = false;
  }

  async #call(data: string): Promise<void> {
    try {
      await this.listener(parseJson(data));
    } catch (error) {
      this.log.error({ err: error }, `${this.name} threw: ${reasonOf(error)}`);
    }
  }
}

/** The listening methods of one plugin. */
export class Hearing {
  readonly #ears = new Map<string, Ear[]>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** `name` is how the log calls the listener. */
  listen(event: string, name: string, listener: (event: unknown) => unknown): void {
    const ears = this.#ears.get(event) ?? [];
    this.#ears.set(event, ears);
    ears.push(new Ear(name, listener, this.#log));
  }

  /** Lets every listener of `event` hear of it, each in its own time. `data` is JSON text. */
  hear(event: string, data: string): void {
    for (const ear of this.#ears.get(event) ?? []) ear.hear(data);
  }
}
