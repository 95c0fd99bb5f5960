import { Dealer } from 'zeromq';
import { decodePack, encodePack, FrameError } from './frame.ts';

const PACK_MESSAGES = 128;
const PACK_CHARACTERS = 256 * 1024;
const QUEUE_CHARACTERS = 8 * 1024 * 1024;

/**
 * A peer's end of the internal door: messages in clear, packed when several go at once. Sends in the order of the calls and
 * loses nothing while both processes live.
 */
export class InternalLink {
  readonly #socket: Dealer;
  readonly #queue: string[] = [];
  #queued = 0;
  #flushing = false;
  #waiting: (() => void)[] = [];

  constructor(endpoint: string, maxMessage: number) {
    this.#socket = new Dealer({
      linger: 1000,
      sendHighWaterMark: 64,
      receiveHighWaterMark: 1000,
      maxMessageSize: maxMessage + 64 * 1024,
      // A peer is its connection: another one would not be known as this instance.
      reconnectInterval: -1,
    });
    this.#socket.connect(endpoint);
  }

  /** Queues a message; it leaves with this turn of the event loop. */
  send(message: string): void {
    this.#queue.push(message);
    this.#queued += message.length;
    if (!this.#flushing) {
      this.#flushing = true;
      setImmediate(() => void this.#flush());
    }
  }

  /** Resolves when the queue is short again: what a producer of many messages awaits. */
  ready(): Promise<void> | undefined {
    if (this.#queued <= QUEUE_CHARACTERS) return undefined;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async #flush(): Promise<void> {
    while (this.#queue.length > 0 && !this.#socket.closed) {
      let count = 0;
      let size = 0;
      while (count < this.#queue.length && count < PACK_MESSAGES && size < PACK_CHARACTERS) {
        size += (this.#queue[count++] as string).length;
      }
      // One send at a time, awaited: a full pipe slows this peer down and nothing overtakes.
      await this.#socket.send(encodePack(this.#queue.splice(0, count)));
      this.#queued -= size;
    }
    this.#flushing = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }

  /** Calls `onMessage` for each message until the link is closed. A frame that is no pack ends it with its FrameError. */
  async receive(onMessage: (message: Buffer) => void): Promise<void> {
    while (!this.#socket.closed) {
      let frame: Buffer | undefined;
      try {
        [frame] = await this.#socket.receive();
      } catch (error) {
        if (this.#socket.closed) return;
        throw error;
      }
      if (frame === undefined) throw new FrameError('it is empty', '');
      for (const message of decodePack(frame)) onMessage(message);
    }
  }

  /** Sends what is queued, waiting `limitMs` at most, and closes. Calling it again does nothing. */
  async close(limitMs = 1000): Promise<void> {
    if (this.#socket.closed) return;
    const limit = Date.now() + limitMs;
    while ((this.#flushing || this.#queue.length > 0) && Date.now() < limit) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    this.#socket.close();
  }
}
