import { connect, type Socket, type TcpNetConnectOpts } from 'node:net';
import { Engine, type EngineFault } from '@centreond/protocol/zmtp';
import type { Dealer, DealerHandlers, DealerOptions } from './dealer.ts';

const NOT_A_ROUTER = 'what listens at this address is not a router';
const REASONS: Readonly<Record<EngineFault, string>> = {
  notZmtp: NOT_A_ROUTER,
  oldZmtp: NOT_A_ROUTER,
  mechanism: NOT_A_ROUTER,
  socketType: NOT_A_ROUTER,
  malformed: 'the router sent a malformed frame',
  multipart: 'the router sent a message of several frames',
  tooLarge: 'the router sent a frame that is larger than allowed',
  unread: 'the router does not read',
};
const NOBODY = new Set(['ECONNREFUSED', 'ENOENT']);

/** A dealer over a socket of Node's. */
export class OwnDealer implements Dealer {
  readonly #socket: Socket;
  readonly #engine: Engine;
  readonly #handlers: DealerHandlers;
  /** What was sent before the connection was there; undefined from then on. */
  #early: (Buffer | string)[] | undefined = [];
  #isOver = false;
  #closed: Promise<void> | undefined;

  constructor({ address, maxFrame }: DealerOptions, handlers: DealerHandlers) {
    this.#handlers = handlers;
    const socket = connect(targetOf(address));
    this.#socket = socket;
    this.#engine = new Engine(
      socket,
      // What waits is bounded by who asks, and by `full`.
      { type: 'DEALER', maxMessage: maxFrame, maxPending: Number.POSITIVE_INFINITY },
      {
        opened: () => this.#opened(),
        message: (body) => handlers.frame(body),
        failed: (fault) => this.#end(REASONS[fault]),
      },
    );
    this.#engine.trust(maxFrame);
    socket.on('data', (chunk: Buffer) => this.#engine.receive(chunk));
    socket.on('drain', () => {
      if (!this.#isOver && !this.#early) handlers.drained();
    });
    socket.on('end', () => this.#lost());
    socket.on('error', (error: NodeJS.ErrnoException) => this.#lost(error));
    socket.on('close', () => this.#lost());
  }

  get full(): boolean {
    return this.#engine.full;
  }

  send(frame: Buffer | string): void {
    if (this.#isOver) return;
    if (this.#early) this.#early.push(frame);
    else this.#engine.send(frame);
  }

  close(lingerMs: number): Promise<void> {
    this.#closed ??= this.#close(lingerMs);
    return this.#closed;
  }

  async #close(lingerMs: number): Promise<void> {
    const socket = this.#socket;
    const wasOver = this.#isOver;
    this.#isOver = true;
    const gone = socket.closed ? undefined : new Promise<void>((resolve) => socket.once('close', () => resolve()));
    if (wasOver || lingerMs === 0 || this.#early?.length === 0) {
      this.#engine.stop();
      socket.destroy();
    } else if (!this.#early) this.#finish();
    const timer = setTimeout(() => socket.destroy(), lingerMs);
    await gone;
    clearTimeout(timer);
  }

  /** Takes nothing more, and closes once all is sent. */
  #finish(): void {
    this.#engine.stop();
    this.#socket.resume();
    this.#socket.end();
  }

  #opened(): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const frame of early) this.#engine.send(frame);
    if (this.#closed) this.#finish();
  }

  #lost(error?: NodeJS.ErrnoException): void {
    if (!this.#early) this.#end('the connection was lost');
    else if (!error) this.#end('what listens at this address ended the connection');
    else if (NOBODY.has(error.code ?? '')) this.#end('nobody listens at this address');
    else this.#end(`this address cannot be reached: ${error.code ?? error.message}`);
  }

  #end(reason: string): void {
    this.#engine.stop();
    this.#socket.destroy();
    this.#early = undefined;
    if (this.#isOver) return;
    this.#isOver = true;
    this.#handlers.over(reason);
  }
}

/** Where a socket connects to. Throws an Error for an address that is none. */
function targetOf(address: string): TcpNetConnectOpts | { path: string } {
  if (address.startsWith('ipc://') && address.length > 6) return { path: address.slice(6) };
  const { host = '', port = '' } = /^tcp:\/\/(?<host>.+):(?<port>\d{1,5})$/.exec(address)?.groups ?? {};
  const number = Number(port);
  if (host === '' || number === 0 || number > 65_535)
    throw new Error(`${address} is no address: write tcp://HOST:PORT or ipc://PATH`);
  return { host: host.replace(/^\[(.+)\]$/, '$1'), port: number, noDelay: true };
}
