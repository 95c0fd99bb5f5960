import type { Socket } from 'node:net';
import { Engine, type EngineFault } from '@centreond/protocol/zmtp';

/** Why a listener refuses a connection, or ends one by itself. */
export type Cause =
  | EngineFault
  | 'late'
  | 'unsettled'
  | 'displaced'
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
  /** The connection is over; `byListener`: for a {@link Cause}. Called once, never within a call of the owner. */
  onClosed(reason: string, byListener: boolean): void;
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

/** One peer's connection: a DEALER for which this side is a ROUTER. Made by a listener. */
export class Connection {
  /** True from the end of the ZMTP handshake until the connection ends, however it does. */
  open = false;
  readonly #engine: Engine;
  #handlers: ConnectionHandlers | undefined;
  #reason: string | undefined;
  #byListener = false;

  constructor(
    /** `host:port` of the peer; empty on an `ipc://` listener. */
    readonly address: string,
    private readonly socket: Socket,
    private readonly host: ConnectionHost,
  ) {
    const { maxStrangerFrame, maxPending } = host.limits;
    this.#engine = new Engine(
      socket,
      { type: 'ROUTER', maxMessage: maxStrangerFrame, maxPending },
      {
        opened: () => {
          this.open = true;
          this.#handlers = host.opened(this);
        },
        message: (body) => this.#handlers?.onFrame(body),
        failed: (fault) => this.end(fault),
      },
    );
    socket.on('data', (chunk: Buffer) => this.#engine.receive(chunk));
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
      this.#handlers?.onClosed(this.#reason as string, this.#byListener);
    });
  }

  /** Bytes that the system has not taken yet. */
  get pendingBytes(): number {
    return this.#engine.pendingBytes;
  }

  /** Whether the owner should wait for `onDrain` before it sends more. */
  get full(): boolean {
    return this.#engine.full;
  }

  /** Bytes of memory that incomplete or paused frames take. */
  get retainedBytes(): number {
    return this.#engine.retainedBytes;
  }

  /**
   * Sends a frame; what is sent in one turn of the event loop is written at once. The caller must not change a Buffer
   * afterwards. If more bytes wait than are allowed, the connection ends. Once it is over, nothing happens.
   */
  send(frame: Buffer | string): void {
    this.#engine.send(frame);
  }

  /** Hands up no frame until {@link resume}, not even one that has arrived; the peer is slowed down by that. */
  pause(): void {
    this.#engine.pause();
  }

  /** Ends a pause. Frames that waited are handed up within the call. */
  resume(): void {
    this.#engine.resume();
  }

  /** The owner knows who the peer is: no limit of time applies any more, and frames may have their full size. */
  settle(): void {
    this.#engine.trust(this.host.limits.maxFrame);
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
    this.#byListener = true;
    this.close(CAUSES[cause]);
  }

  #over(reason: string): void {
    this.#reason ??= reason;
    this.open = false;
    this.#engine.stop();
  }
}
