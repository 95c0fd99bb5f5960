import { FrameError, failure, formatAck, parseMessage } from '@centreond/protocol';
import type { Opener, RouterSession } from '@centreond/protocol/channel';
import { type Grant, Leaving, type Peer, type Role } from '../router/peer.ts';
import { Outbox, type OutboxIo, type OutboxLimits } from './outbox.ts';
import type { Connection } from './zmtp/connection.ts';

/** A record's plaintext may be this much larger than the largest message, in bytes. */
const RECORD_ROOM = 4096;
// Enough of a message to find its TOKEN: ACTION, TOKEN and TARGET at their longest.
const HEAD_BYTES = 400;

/** What the sessions of a door need of their table. */
export interface SessionTable {
  readonly limits: OutboxLimits;
  /** Monotonic milliseconds. */
  now(): number;
  /** Something was queued: call {@link Session.flush} soon. */
  queued(session: Session): void;
  /** Nothing can be delivered any more: the session has to end. */
  broken(session: Session, cause: string): void;
}

/** The connection of a session, as its outbox sees it. */
class Line implements OutboxIo {
  constructor(
    private readonly session: Session,
    private readonly connection: Pick<Connection, 'full' | 'send'>,
    private readonly table: SessionTable,
  ) {}

  get full(): boolean {
    return this.connection.full;
  }

  send(record: Buffer): void {
    this.session.lastUsed = this.table.now();
    this.connection.send(record);
  }

  now(): number {
    return this.table.now();
  }

  broken(cause: string): void {
    this.table.broken(this.session, cause);
  }
}

/** A live session of the external door. */
export class Session implements Peer {
  open = true;
  replaced = false;
  /** When a record last went through, either way, in monotonic milliseconds. */
  lastUsed: number;
  /** When its last record came, in monotonic milliseconds. */
  heardAt = 0;
  readonly #leaving = new Leaving();
  readonly identity: string;
  readonly roles: ReadonlySet<Role>;
  readonly outbox: Outbox;
  readonly #opener: Opener;
  readonly #table: SessionTable;
  #isDirty = false;

  constructor(
    readonly grant: Grant,
    readonly address: string,
    { opener, sealer }: RouterSession,
    connection: Pick<Connection, 'full' | 'send'>,
    table: SessionTable,
  ) {
    this.identity = grant.identity;
    this.roles = new Set(grant.roles);
    this.#opener = opener;
    this.#table = table;
    this.lastUsed = table.now();
    this.outbox = new Outbox(sealer, new Line(this, connection, table), table.limits);
  }

  send(message: string): void {
    if (!this.open) return;
    this.outbox.push(message);
    if (this.#isDirty) return;
    this.#isDirty = true;
    this.#table.queued(this);
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
    return this.#opener.open(record, this.#table.limits.maxMessage + RECORD_ROOM);
  }

  /** Gives the messages to `receive`, for as long as the session is open; refuses those that are too large. */
  deliver(messages: readonly Buffer[], from: number, receive: (peer: Peer, message: Buffer) => void): void {
    const { maxMessage } = this.#table.limits;
    for (let i = from; i < messages.length && this.open; i++) {
      const message = messages[i] as Buffer;
      if (message.length <= maxMessage) receive(this, message);
      else {
        const tooLarge = failure('TOO_LARGE', {
          bytes: message.length,
          limit: maxMessage,
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
