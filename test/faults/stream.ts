import type { Client } from '@centreond/client';
import { until } from '../daemon-process.ts';
import { Recorder } from '../history/recorder.ts';

export interface StreamOptions {
  /** What all of its tokens begin with. */
  readonly prefix: string;
  readonly lanes: number;
  /** How long one request runs, in milliseconds. */
  readonly ms: () => number;
  /** The node that runs them; the router itself if omitted. */
  readonly target?: string;
}

/** A client that sends ONCE and AGAIN of the probe in several lanes without a pause, and what it was told. */
export class Stream {
  readonly recorder = new Recorder();
  #going = true;
  readonly #lanes: Promise<void>[];

  constructor(
    private readonly client: Client,
    private readonly options: StreamOptions,
  ) {
    this.#lanes = Array.from({ length: options.lanes }, (_, lane) => this.#send(lane));
  }

  async #send(lane: number): Promise<void> {
    const { prefix, ms, target = '' } = this.options;
    for (let i = 0; this.#going; i++) {
      const once = i % 2 === 0;
      const action = once ? 'ONCE' : 'AGAIN';
      const options = { token: `${prefix}${action}-${lane}-${i}`, target, once, timeoutMs: 60_000 };
      const isTaken = await this.recorder.send(this.client, action, { ms: ms() }, options);
      if (!isTaken) await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  get acknowledged(): number {
    return this.recorder.acknowledged.size;
  }

  /** How many requests were refused. */
  get refused(): number {
    return [...this.recorder.refusals.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Resolves once `count` requests in all are acknowledged. */
  async reaches(count: number, limitMs = 60_000): Promise<void> {
    await until(`${count} requests are acknowledged`, () => this.acknowledged >= count, limitMs);
  }

  /** Resolves once requests are acknowledged that were sent after this was called. */
  async flows(): Promise<void> {
    await this.reaches(this.acknowledged + 2 * this.options.lanes + 1);
  }

  /** Sends nothing more; resolves when every request has its answer. */
  async stop(): Promise<void> {
    this.#going = false;
    await Promise.all(this.#lanes);
  }
}
