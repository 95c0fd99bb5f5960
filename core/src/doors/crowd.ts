import { reasonOf } from '@centreond/plugin-sdk';
import type { Router } from 'zeromq';
import { openFileCount, openFileLimits } from '../open-files.ts';

/** Files that strangers' connections may not take: the store, plugins, commands and local clients need them. */
const RESERVE = { part: 0.25, least: 128, most: 4096 };
const LOOK_EVERY_MS = 200;
/** Connections between two looks. */
const LOOK_EVERY = 16;

/**
 * Keeps the connections of a listener from taking the last files that the process may open, at which libzmq aborts it: above the
 * reserve the listener is closed, with all its connections, and opened again; clients that have a key connect again by themselves.
 */
export class Crowd {
  readonly #most: number;
  #closed = false;
  #isOver = false;
  #accepted = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly socket: Router,
    private readonly endpoint: string,
    private readonly log: {
      info(fields: object, message: string): void;
      error(fields: object, message: string): void;
    },
  ) {
    const limit = openFileLimits()?.soft ?? Number.POSITIVE_INFINITY;
    const reserve = Math.min(RESERVE.most, Math.max(RESERVE.least, Math.floor(limit * RESERVE.part)));
    this.#most = limit - reserve;
    void this.#watch();
  }

  async #watch(): Promise<void> {
    try {
      for await (const event of this.socket.events) {
        if (event.type === 'accept' && ++this.#accepted % LOOK_EVERY === 0) this.#look();
      }
    } catch {
      // The socket is closed, and with it what it tells.
    }
  }

  #look(): void {
    if (this.#isOver || this.#closed || (openFileCount() ?? 0) < this.#most) return;
    this.#isOver = true;
    this.log.error(
      { files: this.#most },
      `${this.endpoint} is closed for a moment, with its connections: ${this.#most} files are open, and the rest is kept for plugins, commands and local clients. Allow more open files (ulimit -n, LimitNOFILE)`,
    );
    this.socket.unbind(this.endpoint).catch((error: unknown) => this.#failed(error));
    this.#timer = setInterval(() => this.#reopen(), LOOK_EVERY_MS).unref();
  }

  #reopen(): void {
    if (this.#closed || (openFileCount() ?? 0) >= this.#most * 0.9) return;
    clearInterval(this.#timer);
    this.socket.bind(this.endpoint).then(
      () => {
        this.#isOver = false;
        this.log.info({}, `${this.endpoint} takes connections again`);
      },
      (error: unknown) => {
        this.#failed(error);
        this.#timer = setInterval(() => this.#reopen(), LOOK_EVERY_MS).unref();
      },
    );
  }

  #failed(error: unknown): void {
    if (!this.#closed) this.log.error({ err: error }, `${this.endpoint}: ${reasonOf(error)}`);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
  }
}
