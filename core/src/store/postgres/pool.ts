import type { Address } from './address.ts';
import { Session } from './session.ts';

export interface PoolOptions {
  readonly url: string;
  readonly address: Address;
  /** What the server shows of its sessions. */
  readonly name: string;
  readonly most: number;
}

/** Sessions that read: opened when they are needed, so many at most, and opened again when they are lost. */
export class Pool {
  readonly #options: PoolOptions;
  readonly #idle: Session[] = [];
  readonly #waiting: (() => void)[] = [];
  #used = 0;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** Reads with a session of its own; once more with another one where the session was lost meanwhile. */
  async read<T>(work: (session: Session) => Promise<T>): Promise<T> {
    if (this.#used === this.#options.most) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#used++;
    let session: Session | undefined;
    try {
      for (let isFirst = true; ; isFirst = false) {
        session = await this.#take();
        try {
          return await work(session);
        } catch (error) {
          if (!session.lost || !isFirst) throw error;
        }
      }
    } finally {
      if (session && !session.lost) this.#idle.push(session);
      const next = this.#waiting.shift();
      if (next) next();
      else this.#used--;
    }
  }

  async #take(): Promise<Session> {
    for (let session = this.#idle.pop(); session; session = this.#idle.pop()) if (!session.lost) return session;
    const { url, address, name } = this.#options;
    return Session.open(url, address, name, { default_transaction_read_only: 'on', statement_timeout: '25s' });
  }

  async close(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map((session) => session.close()));
  }
}
