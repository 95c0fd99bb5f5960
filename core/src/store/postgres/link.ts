import { randomBytes } from 'node:crypto';
import { reasonOf } from '@centreond/protocol';
import type { Address } from './address.ts';
import { Session, Unfit } from './session.ts';

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1000;
/** A name is cut to so many bytes by the server. */
const NAME_BYTES = 63;

export interface LinkOptions {
  readonly url: string;
  readonly address: Address;
  /** What the server shows of its sessions, after a random part. */
  readonly name: string;
  /** Settings of its sessions. */
  readonly settings: Readonly<Record<string, string>>;
  /** The session was lost, for this reason; another is sought. */
  away?(reason: string): void;
  back?(): void;
}

/** One session at a time, which is opened again when it is lost. Never two: the former one is ended first. */
export class Link {
  readonly #options: LinkOptions;
  readonly #name: string;
  #session: Session | undefined;
  #regained: PromiseWithResolvers<Session> | undefined;
  #reason = '';
  #isClosed = false;

  private constructor(options: LinkOptions) {
    this.#options = options;
    this.#name = `centreond ${randomBytes(6).toString('hex')} ${options.name}`.slice(0, NAME_BYTES);
  }

  /** Opens the first session. Rejects with a plain Error that says what to change. */
  static async open(options: LinkOptions): Promise<Link> {
    const link = new Link(options);
    link.#use(await link.#connect());
    return link;
  }

  /** The session. Throws why there is none now. */
  get session(): Session {
    if (!this.#session) throw new Error(this.#reason);
    return this.#session;
  }

  /** The next session where there is none now. Rejects once the link is closed. */
  regained(): Promise<Session> {
    if (this.#session) return Promise.resolve(this.#session);
    return this.#regained?.promise ?? Promise.reject(new Error(this.#reason));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#reason = 'the store was closed';
    this.#regained?.reject(new Error(this.#reason));
    const session = this.#session;
    this.#session = undefined;
    await session?.close();
  }

  #connect(): Promise<Session> {
    const { url, address, settings } = this.#options;
    return Session.open(url, address, this.#name, settings);
  }

  #use(session: Session): void {
    this.#session = session;
    session.onLost = (error) => {
      if (this.#session !== session || this.#isClosed) return;
      this.#session = undefined;
      this.#reason = reasonOf(error);
      session.end();
      this.#regained = Promise.withResolvers();
      // Who waits for it is told; until then it is not unhandled.
      this.#regained.promise.catch(() => {});
      this.#options.away?.(this.#reason);
      void this.#regain();
    };
    if (session.lost) session.onLost(session.lost);
  }

  async #regain(): Promise<void> {
    for (let pause = FIRST_PAUSE_MS; !this.#isClosed; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      try {
        const session = await this.#connect();
        await this.#endFormer(session).catch((error: unknown) => {
          session.end();
          throw error;
        });
        if (this.#isClosed) {
          session.end();
          return;
        }
        const regained = this.#regained;
        this.#regained = undefined;
        this.#use(session);
        this.#options.back?.();
        regained?.resolve(session);
        return;
      } catch (error) {
        // What is wrong now says more than how it began.
        if (error instanceof Unfit) this.#reason = error.message;
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }
  }

  /** The server may not have noticed yet that the former session is over. */
  async #endFormer(session: Session): Promise<void> {
    await session.rows(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()',
      [this.#name],
    );
  }
}
