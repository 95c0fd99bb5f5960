import { FrameError, failure, formatAck, parseMessage } from '@centreond/protocol';
import type { Opener, RouterSession } from '@centreond/protocol/channel';
import { type Grant, Leaving, type Peer, type Role } from '../router/peer.ts';
import { Outbox, type OutboxIo, type OutboxLimits } from './outbox.ts';

/** A record's plaintext may be this much larger than the largest message, in bytes. */
const RECORD_ROOM = 4096;
// Enough of a message to find its TOKEN: ACTION, TOKEN and TARGET at their longest.
const HEAD_BYTES = 400;

/** A live session of the external door. */
export class Session implements Peer {
  open = true;
  replaced = false;
  /** When a record last went through, either way, in monotonic milliseconds. */
  lastUsed = 0;
  /** When its last record came, in monotonic milliseconds. */
  heardAt = 0;
  readonly #leaving = new Leaving();
  readonly identity: string;
  readonly roles: ReadonlySet<Role>;
  readonly outbox: Outbox;
  readonly #opener: Opener;
  readonly #maxMessage: number;
  readonly #dirty: (session: Session) => void;
  #isDirty = false;

  constructor(
    readonly grant: Grant,
    readonly address: string,
    { opener, sealer }: RouterSession,
    io: OutboxIo,
    limits: OutboxLimits,
    dirty: (session: Session) => void,
  ) {
    this.identity = grant.identity;
    this.roles = new Set(grant.roles);
    this.#opener = opener;
    this.outbox = new Outbox(sealer, io, limits);
    this.#maxMessage = limits.maxMessage;
    this.#dirty = dirty;
  }

  send(message: string): void {
    if (!this.open) return;
    this.outbox.push(message);
    if (this.#isDirty) return;
    this.#isDirty = true;
    this.#dirty(this);
  }

  onLeft(listener: () => void): void {
    this.#leaving.add(listener);
  }

  /** Ends it: `open` is false from here on, and its listeners are called. */
  leave(): void {
    this.open = false;
    this.#leaving.over();
  }

  get backlog(): number {
    return this.outbox.waiting;
  }

  /** Sends what was queued since the last flush. */
  flush(): void {
    this.#isDirty = false;
    if (this.open) this.outbox.flush();
  }

  /** The messages of the next record. Throws BROKEN_RECORD: the session has to end then. */
  read(record: Buffer): Buffer[] {
    return this.#opener.open(record, this.#maxMessage + RECORD_ROOM);
  }

  /** Gives the messages to `receive`, for as long as the session is open; refuses those that are too large. */
  deliver(messages: readonly Buffer[], from: number, receive: (peer: Peer, message: Buffer) => void): void {
    for (let i = from; i < messages.length && this.open; i++) {
      const message = messages[i] as Buffer;
      if (message.length <= this.#maxMessage) receive(this, message);
      else {
        const tooLarge = failure('TOO_LARGE', {
          bytes: message.length,
          limit: this.#maxMessage,
        });
        this.send(formatAck(tokenOf(message), 1, JSON.stringify(tooLarge.toData())));
      }
    }
  }
}

function tokenOf(message: Buffer): string {
  try {
    return parseMessage(message.toString('latin1', 0, HEAD_BYTES)).token;
  } catch (error) {
    return error instanceof FrameError ? error.token : '';
  }
}
