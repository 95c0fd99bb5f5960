import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Dealer, type SocketOptions } from 'zeromq';
import type { Connection } from '../../../../core/dist/doors/zmtp/connection.js';
import { type Listener, type ListenerOptions, openListener } from '../../../../core/dist/doors/zmtp/listener.js';
import { GREETING, READY } from '../../../../plugin-sdk/protocol/dist/zmtp/wire.js';
import { TestClock, until } from '../attacker.ts';

const cleanup: (() => unknown)[] = [];

/** Closes every listener and peer; for `afterEach`. */
export async function closeAll(): Promise<void> {
  for (const undo of cleanup.splice(0).reverse()) await undo();
}

/** A folder that is removed with the rest. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'zmtp-'));
  cleanup.push(() => rmSync(folder, { recursive: true }));
  return folder;
}

export interface OpenListener {
  listener: Listener;
  clock: TestClock;
  log: { fields: object; message: string }[];
  /** Every connection that completed its handshake. */
  connections: Connection[];
  /** Every frame, in the order of arrival. */
  frames: Buffer[];
  /** The reasons of the connections that ended. */
  closed: string[];
  drained: number;
}

/** A listener that settles each peer at once and hands its frames to `onFrame`, which records them where it is omitted. */
export async function openAt(
  endpoint: string,
  options: Partial<ListenerOptions> & { settle?: boolean; onFrame?(connection: Connection, frame: Buffer): void } = {},
): Promise<OpenListener> {
  const { settle = true, onFrame, ...rest } = options;
  const clock = new TestClock();
  const log: OpenListener['log'] = [];
  const at: Omit<OpenListener, 'listener'> = { clock, log, connections: [], frames: [], closed: [], drained: 0 };
  const listener = await openListener({
    endpoint,
    maxFrame: 2 * 1024 * 1024,
    clock,
    log: { warn: (fields, message) => log.push({ fields, message }) },
    onConnection(connection) {
      at.connections.push(connection);
      if (settle) connection.settle();
      return {
        onFrame: (frame) => (onFrame ? onFrame(connection, frame) : at.frames.push(frame)),
        onDrain: () => at.drained++,
        onClosed: (reason) => at.closed.push(reason),
      };
    },
    ...rest,
  });
  cleanup.push(() => listener.close(0));
  return Object.assign(at, { listener });
}

/** {@link openAt} a free port of the loopback. */
export function openTcp(options?: Parameters<typeof openAt>[1]): Promise<OpenListener> {
  return openAt('tcp://127.0.0.1:*', options);
}

/** A DEALER of the zeromq package, connected. */
export function dealer(endpoint: string, options: SocketOptions<Dealer> = {}): Dealer {
  const socket = new Dealer({ linger: 0, ...options });
  socket.connect(endpoint);
  cleanup.push(() => socket.close());
  return socket;
}

/** A plain TCP connection that says what it is told to. */
export class RawPeer {
  readonly socket: Socket;
  received: Buffer = Buffer.alloc(0);
  closed = false;

  constructor(endpoint: string, localAddress?: string) {
    const [, host = '', port = ''] = /^tcp:\/\/\[?([^\]]+)\]?:(\d+)$/.exec(endpoint) ?? [];
    this.socket = connect({ host, port: Number(port), noDelay: true, ...(localAddress && { localAddress }) });
    this.socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.closed = true;
    });
    cleanup.push(() => this.socket.destroy());
  }

  send(...bytes: (Buffer | string)[]): this {
    this.socket.write(Buffer.concat(bytes.map((one) => Buffer.from(one))));
    return this;
  }

  /** The ZMTP handshake of a DEALER. */
  async shake(): Promise<this> {
    this.send(GREETING, dealerReady());
    await until(() => this.received.length >= GREETING.length + READY.ROUTER.length, 'the READY of the router');
    this.received = this.received.subarray(GREETING.length + READY.ROUTER.length);
    return this;
  }
}

/** A command frame. */
export function command(name: string, data: Buffer | string = ''): Buffer {
  const body = Buffer.concat([Buffer.of(name.length), Buffer.from(name), Buffer.from(data)]);
  return Buffer.concat([Buffer.of(4, body.length), body]);
}

/** A property of a READY. */
export function property(name: string, value: string | Buffer): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(value.length);
  return Buffer.concat([Buffer.of(name.length), Buffer.from(name), size, Buffer.from(value)]);
}

export function dealerReady(type = 'DEALER', ...more: Buffer[]): Buffer {
  return command('READY', Buffer.concat([property('Socket-Type', type), ...more]));
}

/** A message frame, short if it can be. */
export function frame(body: Buffer | string, flags = 0): Buffer {
  const bytes = Buffer.from(body);
  if (bytes.length < 256) return Buffer.concat([Buffer.of(flags, bytes.length), bytes]);
  const head = Buffer.alloc(9);
  head[0] = flags | 2;
  head.writeBigUInt64BE(BigInt(bytes.length), 1);
  return Buffer.concat([head, bytes]);
}
