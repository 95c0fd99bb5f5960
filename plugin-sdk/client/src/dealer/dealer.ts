import { LibzmqDealer } from './libzmq-dealer.ts';
import { OwnDealer } from './own-dealer.ts';

/** What a dealer tells its owner; none of it may throw. Nothing comes after `over`, nor after {@link Dealer.close} was called. */
export interface DealerHandlers {
  /** The next message. It may share memory with others: copy a small one that is kept. */
  frame(frame: Buffer): void;
  /** It was `full` and takes frames again. */
  drained(): void;
  /** The connection is over, or there never was one. `reason` is a part of a sentence. */
  over(reason: string): void;
}

export interface DealerOptions {
  /** `tcp://HOST:PORT`, HOST a name or an address, or `ipc://PATH`. */
  readonly address: string;
  /** Bytes of the largest frame that is taken; a larger one ends the connection. */
  readonly maxFrame: number;
}

/** A connection to a ROUTER: it is made once, by itself, and is over once. */
export interface Dealer {
  /** Whether its owner should wait for `drained` before it sends more. */
  readonly full: boolean;
  /** Sends a frame, or keeps it until there is a connection. The caller must not change a Buffer afterwards. */
  send(frame: Buffer | string): void;
  /** Ends the connection, after what waits was sent or `lingerMs` have passed. Resolves when nothing of it is left. */
  close(lingerMs: number): Promise<void>;
}

/** What carries the connections of this process: `own`, or the zeromq package where CENTREOND_ZMTP is `libzmq`. */
export const IMPLEMENTATION: 'own' | 'libzmq' = process.env.CENTREOND_ZMTP === 'libzmq' ? 'libzmq' : 'own';

/** Connects. Throws an Error for an address that is none. */
export function openDealer(options: DealerOptions, handlers: DealerHandlers): Dealer {
  return IMPLEMENTATION === 'own' ? new OwnDealer(options, handlers) : new LibzmqDealer(options, handlers);
}
