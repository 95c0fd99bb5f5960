import { type Dealer, openDealer } from '@centreond/client/dealer';
import { decodePack, encodePack, FrameError, reasonOf } from '@centreond/protocol';

const PACK_MESSAGES = 128;
const PACK_CHARACTERS = 256 * 1024;
const QUEUE_CHARACTERS = 8 * 1024 * 1024;
/** A FOLLOW, of the plugin itself or of one of its callers. */
const FOLLOW = /^(?:\[CALLED\] \[[^\]]*\] \[\] )?\[FOLLOW\] /;

/**
 * How many messages go in the next pack. A FOLLOW goes with the call before it: where the router refuses the call it lets go of what
 * came with it.
 */
export function packLength(queue: readonly string[]): number {
  let count = 0;
  let size = 0;
  while (count < queue.length && count < PACK_MESSAGES && size < PACK_CHARACTERS) size += queue[count++]?.length ?? 0;
  return FOLLOW.test(queue[count] ?? '') ? count + 1 : count;
}

/**
 * A peer's end of the internal door: messages in clear, packed when several go at once. Sends in the order of the calls and
 * loses nothing while both processes live.
 */
export class InternalLink {
  readonly #dealer: Dealer;
  readonly #queue: string[] = [];
  #queued = 0;
  #scheduled = false;
  #waiting: (() => void)[] = [];
  #onMessage: (message: Buffer) => void = () => {};
  #end: (error?: Error) => void = () => {};
  readonly #over: Promise<void>;

  constructor(endpoint: string, maxMessage: number) {
    this.#over = new Promise((resolve, reject) => {
      this.#end = (error) => (error ? reject(error) : resolve());
    });
    this.#dealer = openDealer(
      { address: endpoint, maxFrame: maxMessage + 64 * 1024 },
      { frame: (frame) => this.#take(frame), drained: () => this.#flush(), over: () => this.#lost() },
    );
  }

  /** Queues a message; it leaves with this turn of the event loop. */
  send(message: string): void {
    this.#queue.push(message);
    this.#queued += message.length;
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  /** Resolves when the queue is short again: what a producer of many messages awaits. */
  ready(): Promise<void> | undefined {
    if (this.#queued <= QUEUE_CHARACTERS) return undefined;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Sends what waits, in packs, as long as the connection takes it. */
  #flush(): void {
    while (this.#queue.length > 0 && !this.#dealer.full) this.#sendPack();
    if (this.#queue.length > 0) return;
    for (const resume of this.#waiting.splice(0)) resume();
  }

  /** Nobody takes what waits any more, and nobody is to wait for that. */
  #lost(): void {
    this.#queue.length = 0;
    this.#queued = 0;
    this.#flush();
    this.#end();
  }

  #sendPack(): void {
    const pack = this.#queue.splice(0, packLength(this.#queue));
    this.#dealer.send(encodePack(pack));
    for (const { length } of pack) this.#queued -= length;
  }

  /**
   * Calls `onMessage` for each message from now on. Resolves when the link is over. A frame that is no pack ends it: rejects with its
   * FrameError. Call it in the turn that made the link.
   */
  receive(onMessage: (message: Buffer) => void): Promise<void> {
    this.#onMessage = onMessage;
    return this.#over;
  }

  #take(frame: Buffer): void {
    try {
      for (const message of decodePack(frame)) this.#onMessage(message);
    } catch (error) {
      void this.#dealer.close(0);
      this.#end(error instanceof Error ? error : new FrameError(reasonOf(error), ''));
    }
  }

  /** Sends what is queued, waiting `limitMs` at most, and closes. Calling it again does nothing. */
  async close(limitMs = 1000): Promise<void> {
    while (this.#queue.length > 0) this.#sendPack();
    await this.#dealer.close(limitMs);
    this.#end();
  }
}
