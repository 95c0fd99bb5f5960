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
  WRONG_SOCKET_TYPE,
  writeHead,
} from './wire.ts';

/** Why a listener refuses a connection, or ends one by itself. */
export type Cause =
  | FrameFault
  | GreetingFault
  | ReadyFault
  | 'late'
  | 'unsettled'
  | 'displaced'
  | 'unread'
  | 'connections'
  | 'connectionsOfAddress'
  | 'descriptors';

/** What an owner and the log are told. */
export const CAUSES: Readonly<Record<Cause, string>> = {
  notZmtp: 'it does not speak ZeroMQ',
  oldZmtp: 'it speaks a ZeroMQ protocol before 3.0',
  mechanism: 'it asks for a security mechanism other than NULL',
  socketType: 'it is not a DEALER socket',
  malformed: 'it sent a malformed frame',
  multipart: 'it sent a message of several frames',
  tooLarge: 'it sent a frame that is larger than allowed',
  late: 'it did not complete the ZeroMQ handshake in time',
  unsettled: 'it did not say who it is in time',
  displaced: 'a newer connection took its place, since too many had not said who they are',
  unread: 'too many bytes wait for it, and it does not read them',
  connections: 'there are too many connections',
  connectionsOfAddress: 'there are too many connections from its address',
  descriptors: 'too few files may still be opened: allow more open files (ulimit -n, LimitNOFILE)',
};

/** What an owner does with a connection. Nothing is called after `onClosed`. */
export interface ConnectionHandlers {
  /** The next message. Views share memory with others of their chunk: copy a small one that is kept. Must not throw. */
  onFrame(frame: Buffer): void;
  /** The connection was `full` and takes frames again. */
  onDrain(): void;
  /** The connection is over. Called once, never within a call of the owner. */
  onClosed(reason: string): void;
}

/** What a connection needs of its listener. */
export interface ConnectionHost {
  readonly limits: { readonly maxFrame: number; readonly maxStrangerFrame: number; readonly maxPending: number };
  /** The peer's handshake is over. */
  opened(connection: Connection): ConnectionHandlers;
  /** The owner knows who the peer is, or no longer does. */
  settled(connection: Connection, isSettled: boolean): void;
  ended(cause: Cause, address: string): void;
  closed(connection: Connection): void;
}

const MAX_COMMAND = 8 * 1024;
// A frame up to this size is copied behind its head; a larger one is written by itself.
const COPY_BYTES = 16 * 1024;

/** One peer's connection: a DEALER for which this side is a ROUTER. Made by a listener. */
export class Connection {
  /** True from the end of the ZMTP handshake until the connection ends, however it does. */
  open = false;
  readonly #reader: FrameReader;
  #handlers: ConnectionHandlers | undefined;
  #greeting: Buffer | undefined = Buffer.alloc(GREETING_BYTES);
  #greetingBytes = 0;
  #corked = false;
  #reason: string | undefined;

  constructor(
    /** `host:port` of the peer; empty on an `ipc://` listener. */
    readonly address: string,
    private readonly socket: Socket,
    private readonly host: ConnectionHost,
  ) {
    this.#reader = new FrameReader(
      { message: (body) => this.#message(body), command: (body) => this.#command(body) },
      host.limits.maxStrangerFrame,
      MAX_COMMAND,
    );
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('drain', () => {
      if (this.open) this.#handlers?.onDrain();
    });
    socket.on('end', () => this.close('the peer closed the connection'));
    socket.on('error', (error: NodeJS.ErrnoException) =>
      this.close(`the connection broke: ${error.code ?? error.message}`),
    );
    socket.on('close', () => {
      this.close('the connection is gone');
      host.closed(this);
      this.#handlers?.onClosed(this.#reason as string);
    });
    socket.write(GREETING);
  }

  /** Bytes that the system has not taken yet. */
  get pendingBytes(): number {
    return this.socket.writableLength;
  }

  /** Whether the owner should wait for `onDrain` before it sends more. */
  get full(): boolean {
    return this.socket.writableNeedDrain;
  }

  /** Bytes of memory that incomplete or paused frames take. */
  get retainedBytes(): number {
    return this.#reader.retained;
  }

  /**
   * Sends a frame; what is sent in one turn of the event loop is written at once. The caller must not change a Buffer
   * afterwards. If more bytes wait than are allowed, the connection ends. Once it is over, nothing happens.
   */
  send(frame: Buffer | string): void {
    const { socket } = this;
    if (!this.open) return;
    if (socket.writableLength > this.host.limits.maxPending) {
      this.end('unread');
      return;
    }
    if (!this.#corked) {
      this.#corked = true;
      socket.cork();
      process.nextTick(this.#uncork);
    }
    const size = typeof frame === 'string' ? Buffer.byteLength(frame) : frame.length;
    const isApart = typeof frame !== 'string' && size > COPY_BYTES;
    const out = Buffer.allocUnsafe(isApart ? 9 : size + 9);
    const head = writeHead(out, 0, 0, size);
    if (typeof frame === 'string') out.write(frame, head);
    else if (!isApart) frame.copy(out, head);
    socket.write(out.subarray(0, isApart ? head : head + size));
    if (isApart) socket.write(frame);
  }

  /** Hands up no frame until {@link resume}, not even one that has arrived; the peer is slowed down by that. */
  pause(): void {
    this.#reader.pause();
    this.socket.pause();
  }

  /** Ends a pause. Frames that waited are handed up within the call. */
  resume(): void {
    const fault = this.#reader.resume();
    if (fault) this.end(fault);
    else if (!this.#reader.paused) this.socket.resume();
  }

  /** The owner knows who the peer is: no limit of time applies any more, and frames may have their full size. */
  settle(): void {
    this.#reader.trust(this.host.limits.maxFrame);
    this.host.settled(this, true);
  }

  /** The owner no longer knows who the peer is: the limit of time applies from now on. The size of frames stays. */
  unsettle(): void {
    if (this.open) this.host.settled(this, false);
  }

  /** Ends the connection at once; what waits is dropped. `reason` is what `onClosed` is told. */
  close(reason: string): void {
    this.#over(reason);
    this.socket.destroy();
  }

  /** Receives and takes nothing more, sends what waits, and closes after `graceMs`, or as soon as the peer does. */
  finish(reason: string, graceMs: number): void {
    this.#over(reason);
    this.socket.resume();
    const timer = setTimeout(() => this.socket.end(), graceMs);
    this.socket.once('close', () => clearTimeout(timer));
  }

  /** Ends the connection for a cause of the listener's. */
  end(cause: Cause): void {
    if (this.#reason !== undefined) return;
    this.host.ended(cause, this.address);
    this.close(CAUSES[cause]);
  }

  readonly #uncork = (): void => {
    this.#corked = false;
    this.socket.uncork();
  };

  #over(reason: string): void {
    this.#reason ??= reason;
    this.open = false;
    this.#reader.stop();
  }

  #receive(chunk: Buffer): void {
    if (this.#reason !== undefined) return;
    let fault: Cause | undefined;
    if (this.#greeting === undefined) fault = this.#reader.push(chunk);
    else {
      const copied = chunk.copy(this.#greeting, this.#greetingBytes);
      this.#greetingBytes += copied;
      fault = greetingFault(this.#greeting, this.#greetingBytes);
      if (!fault && this.#greetingBytes === GREETING_BYTES) {
        this.#greeting = undefined;
        this.socket.write(READY);
        fault = this.#reader.push(chunk.subarray(copied));
      }
    }
    if (fault) this.end(fault);
  }

  #message(body: Buffer): void {
    if (this.#handlers) this.#handlers.onFrame(body);
    else this.end('malformed');
  }

  #command(body: Buffer): void {
    if (this.#handlers) {
      this.#commanded(body);
      return;
    }
    const fault = readyFault(body);
    if (fault === undefined) {
      this.open = true;
      this.#handlers = this.host.opened(this);
      return;
    }
    if (fault === 'socketType') this.socket.write(WRONG_SOCKET_TYPE);
    this.end(fault);
  }

  #commanded(body: Buffer): void {
    const name = nameOf(body);
    if (name === 'PING') {
      const pong = pongFor(body);
      if (!pong) this.end('malformed');
      else if (this.pendingBytes > this.host.limits.maxPending) this.end('unread');
      else this.socket.write(pong);
    } else if (name === undefined || name === 'READY' || name === 'ERROR') this.end('malformed');
    // PONG needs nothing, SUBSCRIBE and its like mean nothing to a ROUTER, and commands of later versions are ignored.
  }
}
