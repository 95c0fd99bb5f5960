import { failure, formatAck, parseReply, reasonOf } from '@centreond/plugin-sdk';
import type { Sealer } from '@centreond/plugin-sdk/channel';

/** What an outbox needs of its door. */
export interface OutboxIo {
  /** Hands one record to the socket. Rejects at once with the socket's `code` where it cannot. */
  send(record: Buffer): Promise<void>;
  /** The outbox holds a sealed record that the peer's queue has no room for; call {@link Outbox.retry} in a moment. */
  stuck(outbox: Outbox): void;
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
  /** How long one record may be refused by a full queue, in milliseconds. */
  stallMs: number;
}

// A record stays small enough to be sealed and sent without holding up the others.
const RECORD_BYTES = 256 * 1024;
const RECORD_MESSAGES = 256;
/** Reached within one turn of the event loop, a flush is worth more than waiting for the turn's end. */
const FLUSH_MESSAGES = 128;
/** A full queue is asked again after at most this, in milliseconds. */
const RETRY_MS = 200;
/** How long a finished outbox may still be refused by a full queue, in milliseconds. */
const FINISH_MS = 1000;
/** What a waiting message costs besides its bytes. */
const MESSAGE_COST = 64;

/**
 * The messages that wait for one peer. They are sealed at the moment of sending, one record at a time: the next one is
 * sealed only when the socket took the one before, so that sequence and order always agree. A sealed record that the
 * socket had no room for is kept and sent again byte for byte.
 */
export class Outbox {
  #messages: string[] = [];
  #sizes: number[] = [];
  #head = 0;
  #bytes = 0;
  #sealed: Buffer | undefined;
  #stuckSince: number | undefined;
  #nextTry = 0;
  #sending = false;
  #over = false;
  #finished: (() => void) | undefined;
  readonly #sealer: Sealer;
  readonly #io: OutboxIo;
  readonly #limits: OutboxLimits;

  constructor(sealer: Sealer, io: OutboxIo, limits: OutboxLimits) {
    this.#sealer = sealer;
    this.#io = io;
    this.#limits = limits;
  }

  /** Bytes that wait, sealed or not. */
  get waiting(): number {
    return this.#bytes + (this.#sealed?.length ?? 0);
  }

  /** Queues a message. One larger than the peer takes is replaced by a refusal under its token. */
  push(message: string): void {
    if (this.#over) return;
    let text = message;
    let size = Buffer.byteLength(text);
    if (size > this.#limits.maxMessage) {
      const tooLarge = failure('TOO_LARGE', {
        bytes: size,
        limit: this.#limits.maxMessage,
      });
      text = formatAck(tokenOf(text), 1, JSON.stringify(tooLarge.toData()));
      size = Buffer.byteLength(text);
    }
    this.#messages.push(text);
    this.#sizes.push(size);
    this.#bytes += size + MESSAGE_COST;
    if (this.waiting > this.#limits.maxBytes) {
      this.#break(`more than ${this.#limits.maxBytes} bytes wait for this peer, which does not read them`);
    } else if (this.#messages.length - this.#head >= FLUSH_MESSAGES) {
      this.flush();
    }
  }

  /** Seals what waits into one record and sends it, and the rest after it, unless a record is still on its way. */
  flush(): void {
    if (this.#sending || this.#sealed !== undefined || this.#over) return;
    const batch = this.#take();
    if (batch.length === 0) {
      this.#finished?.();
      return;
    }
    try {
      this.#sealed = this.#sealer.seal(batch);
    } catch (error) {
      this.#break(reasonOf(error));
      return;
    }
    this.#transmit(this.#sealed);
  }

  /** Sends the record again that found no room, if it is time to; else, or where there is still none, calls `stuck`. */
  retry(): void {
    if (this.#sealed === undefined || this.#sending || this.#over) return;
    const now = this.#io.now();
    const since = this.#stuckSince ?? now;
    const limit = this.#finished ? FINISH_MS : this.#limits.stallMs;
    if (now - since > limit) {
      this.#break(`its queue has been full for ${limit} ms`);
    } else if (now < this.#nextTry) {
      this.#io.stuck(this);
    } else {
      // The longer it has been full, the less often it is asked: many such peers must not cost the others their time.
      this.#nextTry = now + Math.min(RETRY_MS, (now - since) / 2);
      this.#transmit(this.#sealed);
    }
  }

  /** Queues a last message, sends all, and calls `done` when the socket took everything or nothing more can be sent. */
  finish(last: string, done: () => void): void {
    if (this.#over) {
      done();
      return;
    }
    this.#finished = () => {
      this.#over = true;
      this.#finished = undefined;
      done();
    };
    this.push(last);
    this.flush();
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
    this.clear();
    this.#sealed = undefined;
    this.#finished?.();
  }

  #take(): string[] {
    const messages = this.#messages;
    let end = this.#head;
    let bytes = 0;
    while (end < messages.length && end - this.#head < RECORD_MESSAGES) {
      const size = this.#sizes[end] as number;
      // The first goes whatever its size: a record may always carry one message of maxMessage.
      if (end > this.#head && bytes + size + 4 > Math.min(RECORD_BYTES, this.#limits.maxMessage)) break;
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

  #transmit(record: Buffer): void {
    this.#sending = true;
    this.#io.send(record).then(this.#sent, this.#refused);
  }

  readonly #sent = (): void => {
    this.#sending = false;
    this.#sealed = undefined;
    this.#stuckSince = undefined;
    this.#nextTry = 0;
    this.flush();
  };

  readonly #refused = (error: unknown): void => {
    this.#sending = false;
    if (this.#over) return;
    const code = codeOf(error);
    if (code === 'EAGAIN') {
      this.#stuckSince ??= this.#io.now();
      this.#io.stuck(this);
    } else this.#break(code === 'EHOSTUNREACH' ? 'its connection is gone' : reasonOf(error));
  };

  #break(cause: string): void {
    if (this.#over) return;
    this.abandon();
    // Later, so that no session ends in the middle of somebody's loop over peers.
    queueMicrotask(() => this.#io.broken(cause));
  }
}

/** The `code` of a socket's error. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function tokenOf(message: string): string {
  try {
    return parseReply(message.slice(0, 1024)).token;
  } catch {
    return ''; // no TOKEN to echo
  }
}
