import { failure, formatAck, parseReply, reasonOf } from '@centreond/protocol';
import type { Sealer } from '@centreond/protocol/channel';

/** What an outbox needs of its connection and its door. */
export interface OutboxIo {
  /** Whether the connection takes no more for now; call {@link Outbox.flush} when it does again. */
  readonly full: boolean;
  /** Hands one record to the connection. */
  send(record: Buffer): void;
  /** Monotonic milliseconds. */
  now(): number;
  /** Nothing can be delivered any more. Called at most once; never before the call that caused it returned. */
  broken(cause: string): void;
}

export interface OutboxLimits {
  /** Bytes that may wait for one peer. */
  maxBytes: number;
  /** Bytes of the largest message that the peer takes. */
  maxMessage: number;
  /** How long a connection may be full without a drain, in milliseconds. */
  stallMs: number;
}

// A record stays small enough to be sealed and sent without holding up the others.
const RECORD_BYTES = 256 * 1024;
const RECORD_MESSAGES = 256;
/** Reached within one turn of the event loop, a flush is worth more than waiting for the turn's end. */
const FLUSH_MESSAGES = 128;
/** What a waiting message costs besides its bytes. */
const MESSAGE_COST = 64;

/**
 * The messages that wait for one peer. They are sealed at the moment of sending, so that sequence and order always agree, and
 * only while the connection takes more.
 */
export class Outbox {
  #messages: string[] = [];
  #sizes: number[] = [];
  #head = 0;
  #bytes = 0;
  #fullSince: number | undefined;
  #over = false;

  constructor(
    private readonly sealer: Sealer,
    private readonly io: OutboxIo,
    private readonly limits: OutboxLimits,
  ) {}

  /** Bytes that wait and are not handed to the connection. */
  get waiting(): number {
    return this.#bytes;
  }

  /** Queues a message. One larger than the peer takes is replaced by a refusal under its token. */
  push(message: string): void {
    if (this.#over) return;
    const { maxMessage, maxBytes } = this.limits;
    let text = message;
    let size = Buffer.byteLength(text);
    if (size > maxMessage) {
      const tooLarge = failure('TOO_LARGE', { bytes: size, limit: maxMessage });
      text = formatAck(tokenOf(text), 1, JSON.stringify(tooLarge.toData()));
      size = Buffer.byteLength(text);
    }
    this.#messages.push(text);
    this.#sizes.push(size);
    this.#bytes += size + MESSAGE_COST;
    if (this.#bytes > maxBytes) this.#break(`more than ${maxBytes} bytes wait for this peer, which does not read them`);
    else if (this.#messages.length - this.#head >= FLUSH_MESSAGES) this.flush();
  }

  /** Seals and sends what waits, one record after the other, for as long as the connection takes it. */
  flush(): void {
    if (!this.io.full) this.#fullSince = undefined;
    while (!this.io.full && this.#sendRecord());
    if (this.#messages.length > 0) this.#fullSince ??= this.io.now();
  }

  /** Ends it if its connection has been full for too long. */
  sweep(): void {
    const { stallMs } = this.limits;
    if (this.#fullSince === undefined || this.io.now() - this.#fullSince <= stallMs) return;
    this.#break(`its connection has been full for ${stallMs} ms`);
  }

  /** Sends all that waits and a last message, however full the connection is. */
  finish(last: string): void {
    this.push(last);
    while (this.#sendRecord());
    this.#over = true;
  }

  /** Forgets what has not been sealed. */
  clear(): void {
    this.#messages = [];
    this.#sizes = [];
    this.#head = 0;
    this.#bytes = 0;
  }

  /** Gives up at once; `broken` is not called. */
  abandon(): void {
    this.#over = true;
    this.#fullSince = undefined;
    this.clear();
  }

  /** Seals and sends one record. Returns whether there was anything to send. */
  #sendRecord(): boolean {
    if (this.#messages.length === 0) return false;
    try {
      this.io.send(this.sealer.seal(this.#take()));
      return true;
    } catch (error) {
      this.#break(reasonOf(error));
      return false;
    }
  }

  #take(): string[] {
    const messages = this.#messages;
    let end = this.#head;
    let bytes = 0;
    while (end < messages.length && end - this.#head < RECORD_MESSAGES) {
      const size = this.#sizes[end] as number;
      // The first goes whatever its size: a record may always carry one message of maxMessage.
      if (end > this.#head && bytes + size + 4 > Math.min(RECORD_BYTES, this.limits.maxMessage)) break;
      bytes += size + 4;
      this.#bytes -= size + MESSAGE_COST;
      end++;
    }
    if (this.#head === 0 && end === messages.length) {
      this.#messages = [];
      this.#sizes = [];
      return messages;
    }
    const batch = messages.slice(this.#head, end);
    this.#head = end;
    if (end === messages.length) this.clear();
    else if (end > 4096) {
      this.#messages = messages.slice(end);
      this.#sizes = this.#sizes.slice(end);
      this.#head = 0;
    }
    return batch;
  }

  #break(cause: string): void {
    if (this.#over) return;
    this.abandon();
    // Later, so that no session ends in the middle of somebody's loop over peers.
    queueMicrotask(() => this.io.broken(cause));
  }
}

function tokenOf(message: string): string {
  try {
    return parseReply(message.slice(0, 1024)).token;
  } catch {
    return ''; // no TOKEN to echo
  }
}
