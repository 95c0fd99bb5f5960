import { EventEmitter } from 'node:events';
import {
  type Ack,
  after,
  CentreondError,
  failure,
  type HistoryFilter,
  type HistoryRow,
  isCentreondError,
  isIdentity,
  newToken,
  type Outcome,
  parseMessage,
  parseReply,
  reasonOf,
} from '@centreond/protocol';
import { joinKeyOf, keyPairOf, unb64 } from '@centreond/protocol/channel';
import type {
  CallOptions,
  Client,
  ClientEvents,
  ClusterOptions,
  ConnectOptions,
  Pong,
  RouterAddress,
  SendOptions,
  SessionOptions,
} from './client.ts';
import { TIMING, TIMING_OF_SEVERAL, type Welcome } from './connection.ts';
import type { RouterPlace } from './destination.ts';
import { Exchange } from './exchange.ts';
import { aborted } from './follower.ts';
import { Uplink } from './uplink.ts';

const CONNECT_MS = 10_000;
/** An attempt at one more router. */
const CONNECT_MORE_MS = 5_000;
const SEND_MS = 60_000;
const CALL_MS = 3_600_000;
const MAX_PENDING = 100_000;
const MAX_PENDING_BYTES = 256 * 2 ** 20;
const QUERY_LIMIT = 100_000;

/** The {@link Client}: an {@link Exchange} over an {@link Uplink}. */
export class RouterClient extends EventEmitter<ClientEvents> implements Client {
  readonly #options: SessionOptions;
  readonly #routers: readonly [RouterAddress, ...RouterAddress[]];
  /** The addresses of routers whose keys are to be pinned. */
  readonly #unpinned: Set<string>;
  readonly #link: Uplink;
  readonly #exchange: Exchange;
  #welcome: Welcome | undefined;
  #router: RouterPlace;
  #lost = false;
  #isOver = false;
  #first: { resolve(): void; reject(error: Error): void } | undefined;

  /** Starts to connect. Throws where the options cannot work. */
  constructor(options: ConnectOptions | ClusterOptions) {
    super();
    this.#options = options;
    this.#routers = routersOf(options);
    this.#unpinned = new Set(this.#routers.filter(isOnFirstUse).map(({ address }) => address));
    this.#router = placeOf(this.#routers[0]);
    this.#exchange = this.#exchangeOver(options);
    this.#link = this.#open(options);
  }

  #exchangeOver({ maxPending, maxPendingBytes, retryStopping }: SessionOptions): Exchange {
    const client = this;
    return new Exchange({
      wire: {
        get isUp() {
          return client.#link.isUp;
        },
        get maxMessage() {
          return client.maxMessage;
        },
        send: (text, bytes) => this.#link.send(text, bytes),
      },
      whose: 'This client',
      sendMs: SEND_MS,
      callMs: CALL_MS,
      maxPending: maxPending ?? MAX_PENDING,
      maxPendingBytes: maxPendingBytes ?? MAX_PENDING_BYTES,
      retryStopping: retryStopping ?? true,
      refusal: (code, message, details) => new CentreondError(code, message, { details }),
      unsent: (timeoutMs) => this.#notConnected(timeoutMs),
    });
  }

  #open(options: SessionOptions): Uplink {
    const { timing, clock = Date } = options;
    const [first, ...others] = this.#routers;
    const peer = first.address.startsWith('ipc:') ? undefined : peerOf(options, this.#routers);
    const waits = { ...(others.length > 0 ? TIMING_OF_SEVERAL : TIMING), ...timing };
    try {
      return new Uplink(
        { routers: [placeOf(first), ...others.map(placeOf)], peer, timing: waits, clock },
        {
          up: (welcome, router) => this.#onUp(welcome, router),
          down: (reason) => this.#onDown(reason),
          message: (text) => this.#onMessage(text),
          replaced: () => this.#onReplaced(),
          refused: () => this.#onRefused(),
          revoked: () => this.#onRevoked(),
          turnedAway: () => this.#onRefused(),
        },
      );
    } catch (error) {
      throw isCentreondError(error)
        ? error
        : failure('NOT_CONNECTED', { address: first.address, seconds: 0, reason: reasonOf(error) });
    }
  }

  get id(): string {
    return this.#welcome?.id ?? '';
  }
  get identity(): string {
    return this.#welcome?.identity ?? '';
  }
  get roles(): readonly string[] {
    return this.#welcome?.roles ?? [];
  }
  get maxMessage(): number {
    return this.#welcome?.maxMessage ?? 0;
  }
  get address(): string {
    return this.#router.address;
  }
  get routerFingerprint(): string | undefined {
    return this.#welcome && this.#router.fingerprint;
  }
  /** Why there is no session, or why the last one ended. */
  get reason(): string {
    return this.#link.reason;
  }
  get connected(): boolean {
    return this.#link.isUp;
  }

  /** Resolves with the first session; rejects with NOT_CONNECTED after `limitMs` or the signal's reason. To be called once, at once. */
  async whenUp(limitMs?: number): Promise<void> {
    const ownMs = CONNECT_MS + CONNECT_MORE_MS * (this.#routers.length - 1);
    const { signal, timeoutMs = limitMs ?? ownMs } = this.#options;
    signal?.throwIfAborted();
    const timer = Number.isFinite(timeoutMs)
      ? after(timeoutMs, () => this.#first?.reject(this.#notConnected(timeoutMs)))
      : undefined;
    const onAbort = () => signal && this.#first?.reject(aborted(signal));
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await new Promise<void>((resolve, reject) => {
        this.#first = { resolve, reject };
      });
    } finally {
      timer?.[Symbol.dispose]();
      signal?.removeEventListener('abort', onAbort);
      this.#first = undefined;
    }
  }

  send(action: string, data: object = {}, options: SendOptions = {}): Promise<Ack> {
    const token = options.token ?? newToken();
    return this.#exchange.send(action, data, token, options).then((answer) => ({ token, data: answer }));
  }

  call(action: string, data: object = {}, options: CallOptions = {}): Promise<Outcome> {
    return this.#exchange.call(action, data, options);
  }

  follow(token: string, options: { afterId?: number; signal?: AbortSignal } = {}): AsyncIterable<HistoryRow> {
    return this.#exchange.follow(token, options.afterId ?? 0, options.signal);
  }

  cancel(token: string, options: SendOptions = {}): Promise<Ack> {
    return this.send('CANCEL', { token }, options);
  }

  query(filter: HistoryFilter, options: SendOptions = {}): Promise<HistoryRow[]> {
    return this.#exchange.query({ ...filter, limit: filter.limit ?? QUERY_LIMIT }, options);
  }

  async ping(options: SendOptions = {}): Promise<Pong> {
    const start = performance.now();
    const { id, hostname, version } = await this.#exchange.read('PING', {}, options);
    const roundTripMs = performance.now() - start;
    return { id: String(id), hostname: String(hostname), version: String(version), roundTripMs };
  }

  /** Sends a message as it is, to the present session only. */
  say(message: string): void {
    this.#link.send(message, Buffer.byteLength(message));
  }

  async close(): Promise<void> {
    this.#end(failure('CLIENT_CLOSED', { reason: 'close() was called' }));
    await this.#link.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #end(error: Error): void {
    this.#isOver = true;
    this.#first?.reject(error);
    this.#exchange.end(error);
  }

  #notConnected(timeoutMs: number): Error {
    const address = this.#routers.map((router) => router.address).join(' or ');
    return failure('NOT_CONNECTED', { address, seconds: timeoutMs / 1000, reason: this.#link.reason });
  }

  #onMessage(text: string): void {
    const message = parseReply(text);
    if (this.#exchange.receive(message)) return;
    if (message.action === 'ACK' || message.action === 'PONG') this.#options.onStray?.(text);
    else this.#options.onRequest?.(parseMessage(text), (answer) => this.say(answer));
  }

  #onUp(welcome: Welcome, { address, fingerprint }: RouterPlace): void {
    const renewed = this.#welcome !== undefined && !this.#lost;
    this.#welcome = welcome;
    this.#router = { address, fingerprint };
    if (fingerprint !== undefined && this.#unpinned.delete(address))
      this.#tell(() => this.#options.onPinned?.(fingerprint, address));
    this.#isOver = false;
    this.#exchange.up();
    // After onPinned, so that those who awaited the connection find it called.
    this.#tell(() => this.#first?.resolve());
    if (renewed) this.#tell(() => this.emit('renewed'));
    if (!this.#lost) return;
    this.#lost = false;
    this.#tell(() => this.emit('restored'));
  }

  #onDown(reason: string): void {
    this.#exchange.down();
    this.#lost = true;
    this.#tell(() => this.emit('lost', reason));
  }

  #onReplaced(): void {
    this.#lost = true;
    this.#exchange.end(failure('CLIENT_REPLACED', { identity: this.identity }));
    this.#isOver = true;
    this.#tell(() => this.emit('replaced'));
  }

  #onRefused(): void {
    this.#tell(() => this.#first?.reject(failure('HANDSHAKE_REFUSED')));
  }

  #onRevoked(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#exchange.end(failure('KEY_REVOKED', { identity: this.identity }));
  }

  /** Calls a listener in a turn of its own, so that what it throws breaks nothing here. */
  #tell(listener: () => void): void {
    process.nextTick(listener);
  }
}

function routersOf(options: ConnectOptions | ClusterOptions): [RouterAddress, ...RouterAddress[]] {
  if (!('routers' in options)) return [{ address: options.address, fingerprint: options.router ?? '' }];
  const [first, ...others] = options.routers;
  if (first === undefined) throw failure('BROKEN_HANDSHAKE', { reason: 'routers is empty; name at least one' });
  const odd = others.length > 0 ? options.routers.find(({ address }) => !TCP.test(address)) : undefined;
  if (odd)
    throw failure('BROKEN_HANDSHAKE', { reason: `${odd.address} is no address of a router: write tcp://HOST:PORT` });
  return [first, ...others];
}

const TCP = /^tcp:\/\/.+:\d{1,5}$/;

function isOnFirstUse({ fingerprint }: RouterAddress): boolean {
  return fingerprint === 'first-use';
}

function placeOf(router: RouterAddress): RouterPlace {
  const { address, fingerprint } = router;
  return { address, fingerprint: isOnFirstUse(router) || address.startsWith('ipc:') ? undefined : fingerprint };
}

function peerOf({ identity, key, ciphers, join }: SessionOptions, routers: readonly RouterAddress[]) {
  if (identity === undefined || !isIdentity(identity))
    throw failure('BROKEN_HANDSHAKE', { reason: `${JSON.stringify(identity)} cannot be an identity` });
  if (key === undefined)
    throw failure('BROKEN_KEY', { reason: 'a tcp:// address needs a private key, and none is given' });
  if (!routers.every((router) => isOnFirstUse(router) || isFingerprint(router.fingerprint)))
    throw failure('BROKEN_HANDSHAKE', {
      reason: "the router's fingerprint is needed, 43 characters of base64url, or 'first-use'",
    });
  const keys = typeof key === 'string' ? keyPairOf(key) : key;
  const joinKey = join === undefined ? undefined : joinKeyOf(join);
  return { keys, identity, ...(ciphers && { ciphers }), ...(joinKey && { joinKey }) };
}

function isFingerprint(text: string): boolean {
  try {
    return unb64(text).length === 32;
  } catch {
    return false;
  }
}
