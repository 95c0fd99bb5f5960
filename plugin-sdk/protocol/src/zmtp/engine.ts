import type { Socket } from 'node:net';
import { type FrameFault, FrameReader } from './frame-reader.ts';
import {
  GREETING,
  GREETING_BYTES,
  type GreetingFault,
  greetingFault,
  nameOf,
  pongFor,
  READY,
  type ReadyFault,
  readyFault,
  type SocketType,
  writeHead,
  wrongSocketType,
} from './wire.ts';

/** Why an engine cannot go on: what its peer sent, or that it does not read. */
export type EngineFault = FrameFault | GreetingFault | ReadyFault | 'unread';

/** What an engine tells. It is stopped before `failed` is called, and tells nothing after that. None of them may throw. */
export interface EngineHandlers {
  /** The peer's handshake is over: frames may be sent. */
  opened(): void;
  /** The next message. Its bytes may share memory with others of their chunk: copy a small one that is kept. */
  message(body: Buffer): void;
  failed(fault: EngineFault): void;
}

export interface EngineOptions {
  readonly type: SocketType;
  /** Bytes of the largest message, until {@link Engine.trust} says otherwise. */
  readonly maxMessage: number;
  /** Bytes that may wait for the peer before it is sent another frame. */
  readonly maxPending: number;
}

const MAX_COMMAND = 8 * 1024;
// A frame up to this size is copied behind its head; a larger one is written by itself.
const COPY_BYTES = 16 * 1024;

/**
 * One end of a ZMTP 3 connection with the NULL mechanism over `socket`: the handshake, the frames of both directions, and PINGs of
 * the peer. Its owner hands it the socket's chunks and closes the socket.
 */
export class Engine {
  readonly #reader: FrameReader;
  #greeting: Buffer | undefined = Buffer.alloc(GREETING_BYTES);
  #greetingBytes = 0;
  #isOpen = false;
  #isStopped = false;
  #corked = false;

  /** Sends the greeting. */
  constructor(
    private readonly socket: Socket,
    private readonly options: EngineOptions,
    private readonly handlers: EngineHandlers,
  ) {
    const sink = { message: (body: Buffer) => this.#message(body), command: (body: Buffer) => this.#command(body) };
    this.#reader = new FrameReader(sink, options.maxMessage, MAX_COMMAND);
    socket.write(GREETING);
  }

  /** Bytes that the system has not taken yet. */
  get pendingBytes(): number {
    return this.socket.writableLength;
  }

  /** Whether its owner should wait for the socket's `drain` before it sends more. */
  get full(): boolean {
    return this.socket.writableNeedDrain;
  }

  /** Bytes of memory that incomplete or paused frames take. */
  get retainedBytes(): number {
    return this.#reader.retained;
  }

  /**
   * Sends a frame; what is sent in one turn of the event loop is written at once. Only once it is open. The caller must not change
   * a Buffer afterwards.
   */
  send(frame: Buffer | string): void {
    const { socket } = this;
    if (this.#isStopped) return;
    if (socket.writableLength > this.options.maxPending) {
      this.#fail('unread');
      return;
    }
    this.#cork();
    const size = typeof frame === 'string' ? Buffer.byteLength(frame) : frame.length;
    const isApart = typeof frame !== 'string' && size > COPY_BYTES;
    const out = Buffer.allocUnsafe(isApart ? 9 : size + 9);
    const head = writeHead(out, 0, 0, size);
    if (typeof frame === 'string') out.write(frame, head);
    else if (!isApart) frame.copy(out, head);
    socket.write(out.subarray(0, isApart ? head : head + size));
    if (isApart) socket.write(frame);
  }

  /** Takes the next chunk of the socket. */
  receive(chunk: Buffer): void {
    if (this.#isStopped) return;
    let fault: EngineFault | undefined;
    if (this.#greeting === undefined) fault = this.#reader.push(chunk);
    else {
      const copied = chunk.copy(this.#greeting, this.#greetingBytes);
      this.#greetingBytes += copied;
      fault = greetingFault(this.#greeting, this.#greetingBytes);
      if (!fault && this.#greetingBytes === GREETING_BYTES) {
        this.#greeting = undefined;
        this.socket.write(READY[this.options.type]);
        fault = this.#reader.push(chunk.subarray(copied));
      }
    }
    if (fault) this.#fail(fault);
  }

  /** Hands up no frame until {@link resume}, not even one that has arrived; the peer is slowed down by that. */
  pause(): void {
    this.#reader.pause();
    this.socket.pause();
  }

  /** Ends a pause. Frames that waited are handed up within the call. */
  resume(): void {
    const fault = this.#reader.resume();
    if (fault) this.#fail(fault);
    else if (!this.#reader.paused) this.socket.resume();
  }

  /** Its owner knows who the peer is: messages may have `maxMessage` bytes, and take memory before they have arrived. */
  trust(maxMessage: number): void {
    this.#reader.trust(maxMessage);
  }

  /** Takes and sends nothing from here on. */
  stop(): void {
    this.#isStopped = true;
    this.#reader.stop();
  }

  /** What is written in this turn of the event loop leaves at its end, at once. */
  #cork(): void {
    if (this.#corked) return;
    this.#corked = true;
    this.socket.cork();
    process.nextTick(this.#uncork);
  }

  readonly #uncork = (): void => {
    this.#corked = false;
    this.socket.uncork();
  };

  #fail(fault: EngineFault): void {
    if (this.#isStopped) return;
    this.stop();
    this.handlers.failed(fault);
  }

  #message(body: Buffer): void {
    if (this.#isOpen) this.handlers.message(body);
    else this.#fail('malformed');
  }

  #command(body: Buffer): void {
    if (this.#isOpen) {
      this.#commanded(body);
      return;
    }
    const fault = readyFault(body, this.options.type);
    if (fault === undefined) {
      this.#isOpen = true;
      this.handlers.opened();
      return;
    }
    if (fault === 'socketType') this.socket.write(wrongSocketType(this.options.type));
    this.#fail(fault);
  }

  #commanded(body: Buffer): void {
    const name = nameOf(body);
    if (name === 'PING') {
      const pong = pongFor(body);
      if (!pong) this.#fail('malformed');
      // One that does not read is owed none.
      else if (!this.full) {
        this.#cork();
        this.socket.write(pong);
      }
    } else if (name === undefined || name === 'READY' || name === 'ERROR') this.#fail('malformed');
    // PONG needs nothing, SUBSCRIBE and its like mean nothing here, and commands of later versions are ignored.
  }
}
