import { createHash, timingSafeEqual } from 'node:crypto';
import { failure, type Transport } from '@centreond/plugin-sdk';
import type { CallerSession } from '@centreond/plugin-sdk/callers';
import type { Token } from './config.ts';
import { refusal } from './failure.ts';
import { FailedLogins, networkOf } from './logins.ts';

/** Streams of one caller at a time. */
const STREAMS = 256;

/** Somebody who showed a token. */
export interface Caller {
  readonly name: string;
  readonly roles: readonly string[];
  readonly session: CallerSession;
  /** A session of its own for a stream, to be closed once: what it follows ends with it. Throws BUSY beyond 256 at a time. */
  open(): OpenStream;
}

export interface OpenStream {
  readonly session: CallerSession;
  close(): void;
}

interface Known extends Caller {
  readonly digest: Buffer;
}

const hash = (secret: string) => createHash('sha256').update(secret).digest();

/** Those who have a token, each with a session of its own. */
export class Callers {
  readonly #known: readonly Known[];
  readonly #failed: FailedLogins;

  /** Throws if two tokens have one secret. */
  constructor(tokens: readonly Token[], transport: Pick<Transport, 'callAs'>, clock: { now(): number }) {
    this.#failed = new FailedLogins(clock);
    this.#known = tokens.map(({ secret, ...token }) => {
      const twin = tokens.find((other) => other.secret === secret && other.name !== token.name);
      if (twin) throw new Error(`The tokens ${token.name} and ${twin.name} have the same secret. Give each its own.`);
      const streams = new Streams(() => transport.callAs(token));
      return {
        name: token.name,
        roles: token.roles,
        digest: hash(secret),
        session: transport.callAs(token),
        open: () => streams.open(),
      };
    });
  }

  /** Resolves once the router has let all of them in. Rejects with its refusal: FORBIDDEN without `allowCallers` in the config. */
  async enter(): Promise<void> {
    await Promise.all(this.#known.map(({ session }) => session.send('PING', {})));
  }

  /** The caller whose secret `authorization` shows, from the address `ip`. Throws UNAUTHENTICATED or TOO_MANY_LOGINS. */
  authenticate(authorization: string | undefined, ip: string): Caller {
    const address = networkOf(ip);
    const waitMs = this.#failed.waitMs(address);
    if (waitMs > 0) throw refusal('TOO_MANY_LOGINS', { seconds: Math.ceil(waitMs / 1000) });
    const shown = authorization === undefined ? undefined : shownBy(authorization);
    const caller = shown && this.#find(shown);
    if (caller) return caller;
    if (shown) this.#failed.failed(address);
    throw refusal('UNAUTHENTICATED');
  }

  /** Compares with every secret, and digests of one length, so that the time tells nothing. */
  #find({ name, secret }: Shown): Caller | undefined {
    const digest = hash(secret);
    let found: Known | undefined;
    for (const known of this.#known) {
      const isSame = timingSafeEqual(known.digest, digest);
      if (isSame && (name === undefined || name === known.name)) found = known;
    }
    return found;
  }

  close(): void {
    for (const { session } of this.#known) session.close();
  }
}

/** The sessions of one caller's streams. */
class Streams {
  #count = 0;

  constructor(private readonly call: () => CallerSession) {}

  open(): OpenStream {
    if (this.#count >= STREAMS) throw failure('BUSY', { what: 'the list of streams of this caller', limit: STREAMS });
    this.#count++;
    const session = this.call();
    const close = () => {
      this.#count--;
      session.close();
    };
    return { session, close };
  }
}

interface Shown {
  readonly secret: string;
  readonly name?: string;
}

/** What a header Authorization shows; undefined if it is of another kind or malformed. */
function shownBy(authorization: string): Shown | undefined {
  const [, scheme = '', value = ''] = /^(\S+) +(\S+) *$/.exec(authorization) ?? [];
  if (scheme.toLowerCase() === 'bearer') return { secret: value };
  if (scheme.toLowerCase() !== 'basic') return undefined;
  const text = Buffer.from(value, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : { name: text.slice(0, colon), secret: text.slice(colon + 1) };
}
