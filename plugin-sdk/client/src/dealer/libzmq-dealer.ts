import { createRequire } from 'node:module';
import { reasonOf } from '@centreond/protocol';
import type { Context, Observer, Dealer as Socket } from 'zeromq';
import type { Dealer, DealerHandlers, DealerOptions } from './dealer.ts';

/** Frames that wait in libzmq, and here before it is `full`. */
const WAITING = 64;

let shared: { readonly context: Context; readonly Dealer: typeof Socket } | undefined;

/** The package is loaded by the first one only: it costs a process a tenth of a second, and a thread. */
function library(): NonNullable<typeof shared> {
  if (!shared) {
    const zeromq = createRequire(import.meta.url)('zeromq') as typeof import('zeromq');
    // Its own context: thousands of clients in one process need more sockets than the shared one allows.
    shared = { context: new zeromq.Context({ maxSockets: 32_768 }), Dealer: zeromq.Dealer };
  }
  return shared;
}

/** A dealer of the zeromq package. */
export class LibzmqDealer implements Dealer {
  readonly #socket: Socket;
  readonly #handlers: DealerHandlers;
  readonly #done: Promise<unknown>;
  #queue: (Buffer | string)[] = [];
  #wasFull = false;
  #isSending = false;
  #isOver = false;
  #idle: () => void = () => {};
  #closed: Promise<void> | undefined;

  constructor({ address, maxFrame }: DealerOptions, handlers: DealerHandlers) {
    this.#handlers = handlers;
    const { context, Dealer } = library();
    this.#socket = new Dealer({
      context,
      linger: 0,
      sendHighWaterMark: WAITING,
      receiveHighWaterMark: 0,
      maxMessageSize: maxFrame,
      // A peer is its connection, so the socket must not make another one by itself.
      reconnectInterval: -1,
      // Names with IPv6 addresses only are reached, too; IPv4 is not affected.
      ipv6: true,
    });
    const watched = this.#watch(this.#socket.events);
    try {
      this.#socket.connect(address);
    } catch (error) {
      this.#socket.close();
      throw error;
    }
    this.#done = Promise.all([watched, this.#receive()]);
  }

  get full(): boolean {
    return this.#queue.length > WAITING;
  }

  send(frame: Buffer | string): void {
    if (this.#isOver) return;
    this.#queue.push(frame);
    this.#wasFull ||= this.full;
    if (!this.#isSending) void this.#send();
  }

  close(lingerMs: number): Promise<void> {
    this.#closed ??= this.#close(lingerMs);
    return this.#closed;
  }

  async #close(lingerMs: number): Promise<void> {
    const wasOver = this.#isOver;
    this.#isOver = true;
    const until = performance.now() + lingerMs;
    if (!wasOver && this.#isSending && lingerMs > 0) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
        timer = setTimeout(resolve, lingerMs);
      });
      clearTimeout(timer);
    }
    if (!this.#socket.closed) {
      this.#socket.linger = Math.max(0, Math.round(until - performance.now()));
      this.#socket.close();
    }
    await this.#done;
  }

  /** One send at a time, awaited: a full pipe slows its owner down and nothing overtakes. */
  async #send(): Promise<void> {
    this.#isSending = true;
    try {
      for (let frame = this.#queue.shift(); frame !== undefined; frame = this.#queue.shift()) {
        await this.#socket.send(frame);
        if (!this.#wasFull || this.full || this.#isOver) continue;
        this.#wasFull = false;
        this.#handlers.drained();
      }
    } catch (error) {
      this.#end(`a frame could not be sent: ${reasonOf(error)}`);
    }
    this.#isSending = false;
    this.#idle();
  }

  async #watch(events: Observer): Promise<void> {
    for (;;) {
      // Read to its own end: an observer closed before its socket would block zeromq's threads, and one that is freed
      // before would leave its endpoint to the next one.
      const { type } = await events.receive();
      if (type === 'end') return;
      if (type === 'disconnect') this.#end('the connection was lost');
      else if (type === 'close') this.#end('nobody listens at this address');
      else if (type.startsWith('handshake:error')) this.#end('what listens at this address is not a router');
    }
  }

  async #receive(): Promise<void> {
    try {
      for (;;) {
        const [frame, ...more] = await this.#socket.receive();
        if (this.#isOver) return;
        if (frame === undefined || more.length > 0) this.#end('the router sent a message of several frames');
        else this.#handlers.frame(frame);
      }
    } catch (error) {
      // Closing the socket ends the wait with an error; nothing happens then.
      this.#end(reasonOf(error));
    }
  }

  #end(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#socket.close();
    this.#handlers.over(reason);
  }
}
