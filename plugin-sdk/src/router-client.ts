import { EventEmitter } from 'node:events';
import { joinKeyOf, keyPairOf, unb64 } from './channel/index.ts';
import type {
  Ack,
  CallOptions,
  Client,
  ClientEvents,
  ConnectOptions,
  HistoryFilter,
  Pong,
  SendOptions,
} from './client.ts';
import { TIMING, type Welcome } from './connection.ts';
import { CentreondError, failure, isCentreondError, reasonOf } from './errors.ts';
import { aborted, Follows, type HistoryPage, type HistoryRow, RowQueue, rowOf } from './follower.ts';
import {
  FrameError,
  formatMessage,
  isAction,
  isIdentity,
  isTarget,
  isToken,
  type JsonObject,
  parseData,
  parseMessage,
  parseReply,
  requestData,
} from './frame.ts';
import { after } from './long-timer.ts';
import { AckRequest, CallRequest, type Outcome, type Request, Room, type Waiting } from './requests.ts';
import { newToken } from './token.ts';
import { Uplink } from './uplink.ts';

const CONNECT_MS = 10_000;
const SEND_MS = 60_000;
const CALL_MS = 3_600_000;
const MAX_PENDING = 100_000;
const MAX_PENDING_BYTES = 256 * 2 ** 20;
const QUERY_LIMIT = 100_000;
const PAGE_LIMIT = 10_000;
const BUSY_MS = 50;
/** Every accepted reply starts so; the client reads on only where somebody wants the data. */
const ACCEPTED_HEAD = '{"code":0,';

/** The {@link Client} over an {@link Uplink}: which request waits for what, and what to say again to a new session. */
export class RouterClient extends EventEmitter<ClientEvents> implements Client {
  readonly #options: ConnectOptions;
  readonly #link: Uplink;
  readonly #room: Room;
  readonly #waiting = new Map<string, Waiting>();
  readonly #follows: Follows;
  readonly #retries = new Set<NodeJS.Timeout>();
  /** Begins the tokens of reads and FOLLOWs: unlike any that a caller chooses. */
  readonly #prefix = newToken().slice(-12);
  #reads = 0;
  #welcome: Welcome | undefined;
  #fingerprint: string | undefined;
  #lost = false;
  #gone: Error | undefined;
  #first: { resolve(): void; reject(error: Error): void } | undefined;

  /** Starts to connect. Throws where the options cannot work. */
  constructor(options: ConnectOptions) {
    super();
    this.#options = options;
    this.#room = new Room(options.maxPending ?? MAX_PENDING, options.maxPendingBytes ?? MAX_PENDING_BYTES);
    this.#follows = new Follows({
      follow: (token, afterId, refused) => {
        const data = afterId > 0 ? `{"token":"${token}","id":${afterId}}` : `{"token":"${token}"}`;
        return this.#askNow('FOLLOW', data, () => {}, refused);
      },
      fetch: (token, afterId, limit, { accepted, refused }) => {
        const data = `{"token":"${token}","id":${afterId},"limit":${limit}}`;
        return this.#askNow('GETLOG', data, (reply) => accepted(pageOf(parseData(reply).data, reply.length)), refused);
      },
    });
    const { address, timing, clock = Date } = options;
    const peer = address.startsWith('ipc:') ? undefined : peerOf(options);
    try {
      this.#link = new Uplink(
        { address, peer, timing: { ...TIMING, ...timing }, clock },
        {
          up: (welcome, fingerprint) => this.#onUp(welcome, fingerprint),
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
        : failure('NOT_CONNECTED', { address, seconds: 0, reason: reasonOf(error) });
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
  get routerFingerprint(): string | undefined {
    return this.#fingerprint;
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
    const { signal, timeoutMs = limitMs ?? CONNECT_MS } = this.#options;
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
    return this.#ask(action, data, token, options).then((answer) => ({ token, data: answer }));
  }

  call(action: string, data: object = {}, options: CallOptions = {}): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const token = options.token ?? newToken();
      const text = requestOf(action, token, data, options);
      const bytes = this.#admit(action, token, text, options.signal);
      const call = new CallRequest(token, text, bytes, this.#owner, resolve, reject, options.onRow, this.#resumeCall);
      call.limit(options.timeoutMs ?? CALL_MS, options.signal);
      // Both go in one record: the rows are on their way before the ACK is here.
      this.#put(call);
      this.#follows.add(token, call);
    });
  }

  follow(token: string, options: { afterId?: number; signal?: AbortSignal } = {}): AsyncIterable<HistoryRow> {
    return { [Symbol.asyncIterator]: () => this.#startFollow(token, options.afterId ?? 0, options.signal) };
  }

  cancel(token: string, options: SendOptions = {}): Promise<Ack> {
    return this.send('CANCEL', { token }, options);
  }

  async query(filter: HistoryFilter, options: SendOptions = {}): Promise<HistoryRow[]> {
    const { limit = QUERY_LIMIT, ...where } = filter;
    const all: HistoryRow[] = [];
    for (;;) {
      const page = { ...where, limit: Math.min(PAGE_LIMIT, limit - all.length) };
      const { rows, more } = pageOf(await this.#ask('GETLOG', page, this.#readToken(), options));
      all.push(...rows);
      const last = rows.at(-1);
      if (!more || last === undefined || all.length >= limit) return all;
      where.id = last.id;
    }
  }

  async ping(options: SendOptions = {}): Promise<Pong> {
    const start = performance.now();
    const { id, hostname, version } = await this.#ask('PING', {}, this.#readToken(), options);
    const roundTripMs = performance.now() - start;
    return { id: String(id), hostname: String(hostname), version: String(version), roundTripMs };
  }

  /** Sends a message as it is, to the present session only. */
  say(message: string): void {
    this.#link.send(message, Buffer.byteLength(message));
  }

  async close(): Promise<void> {
    this.#gone = failure('CLIENT_CLOSED', { reason: 'close() was called' });
    this.#first?.reject(this.#gone);
    this.#rejectAll(this.#gone);
    for (const timer of this.#retries) clearTimeout(timer);
    await this.#link.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // What goes out.

  #ask(action: string, data: object, token: string, options: SendOptions): Promise<JsonObject> {
    return new Promise((resolve, reject) => {
      const text = requestOf(action, token, data, options);
      const bytes = this.#admit(action, token, text, options.signal);
      const ask = new AckRequest(token, text, bytes, this.#owner, resolve, reject);
      ask.limit(options.timeoutMs ?? SEND_MS, options.signal);
      this.#put(ask);
    });
  }

  /** Takes a place for a request and says how many bytes it has. Throws where it cannot go. */
  #admit(action: string, token: string, text: string, signal: AbortSignal | undefined): number {
    if (this.#gone) throw this.#gone;
    signal?.throwIfAborted();
    if (this.#waiting.has(token)) throw failure('TOKEN_REUSED', { token, action });
    const bytes = Buffer.byteLength(text);
    // Before the first session nobody knows the limit; the router then tells.
    if (this.#welcome && bytes > this.maxMessage) throw failure('TOO_LARGE', { bytes, limit: this.maxMessage });
    this.#room.enter(bytes);
    return bytes;
  }

  #put(waiting: Waiting): void {
    this.#waiting.set(waiting.token, waiting);
    this.#transmit(waiting);
  }

  #transmit(waiting: Waiting): void {
    if (!this.#link.isUp) return;
    waiting.sends++;
    this.#link.send(waiting.text, waiting.bytes);
  }

  readonly #owner = {
    settle: (request: Request): void => {
      if (this.#waiting.get(request.token) !== request) return;
      this.#waiting.delete(request.token);
      this.#room.settle(request.bytes);
    },
    release: (request: Request): void => {
      this.#room.leave();
      if (request instanceof CallRequest) this.#follows.remove(request.token, request);
    },
    late: (request: Request, timeoutMs: number): Error =>
      this.#link.isUp
        ? failure('WAIT_OVER', { token: request.token, seconds: timeoutMs / 1000 })
        : this.#notConnected(timeoutMs),
  };

  #notConnected(timeoutMs: number): Error {
    const { address } = this.#options;
    return failure('NOT_CONNECTED', { address, seconds: timeoutMs / 1000, reason: this.#link.reason });
  }

  #readToken(): string {
    return `${this.#prefix}:${++this.#reads}`;
  }

  #startFollow(token: string, afterId: number, signal: AbortSignal | undefined): AsyncIterator<HistoryRow> {
    if (this.#gone) throw this.#gone;
    if (token === '' || !isToken(token)) throw new FrameError(`${JSON.stringify(token)} cannot be a TOKEN`, '');
    signal?.throwIfAborted();
    this.#room.enter(0);
    const onAbort = () => signal && queue.fail(aborted(signal));
    const queue: RowQueue = new RowQueue(afterId, {
      resume: () => this.#follows.resume(token, queue),
      leave: () => {
        this.#room.leave();
        signal?.removeEventListener('abort', onAbort);
        this.#follows.remove(token, queue);
      },
    });
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#follows.add(token, queue);
    return queue;
  }

  readonly #resumeCall = (call: CallRequest): void => this.#follows.resume(call.token, call);

  /** Asks something of the present session only: the next one is asked anew. */
  #askNow(action: string, data: string, accepted: (reply: string) => void, refused: (error: Error) => void): boolean {
    if (!this.#link.isUp) return false;
    const token = this.#readToken();
    const text = formatMessage(action, token, '', data);
    this.#put({ token, text, bytes: text.length, sends: 0, repeats: false, accepted, refused });
    return true;
  }

  // What comes in.

  #onMessage(text: string): void {
    const { action, token, data } = parseReply(text);
    if (action === 'LOG') {
      this.#follows.log(token, data);
      return;
    }
    if (action !== 'ACK' && action !== 'PONG') {
      this.#options.onRequest?.(parseMessage(text), (message) => this.#link.send(message, Buffer.byteLength(message)));
      return;
    }
    const waiting = this.#waiting.get(token);
    if (waiting === undefined) {
      this.#options.onStray?.(text);
      return;
    }
    if (data.startsWith(ACCEPTED_HEAD)) this.#accept(waiting, data);
    else {
      const reply = parseData(data);
      if (reply.code === 0) this.#accept(waiting, data);
      else this.#refuse(waiting, refusalOf(reply));
    }
  }

  #accept(waiting: Waiting, reply: string): void {
    if (!waiting.repeats) this.#waiting.delete(waiting.token);
    waiting.accepted(reply);
  }

  #refuse(waiting: Waiting, error: CentreondError): void {
    const { code } = error;
    if (!waiting.repeats) {
      this.#waiting.delete(waiting.token);
      // A stopping router's successor is asked for every follow again.
      if (code !== 'STOPPING') waiting.refused(error);
    } else if (code === 'BUSY' && waiting.sends > 1) {
      // The first copy may have been accepted, so this refusal would mislead; only another answer ends it.
      const timer = setTimeout(
        () => {
          this.#retries.delete(timer);
          if (this.#waiting.get(waiting.token) === waiting) this.#transmit(waiting);
        },
        BUSY_MS * (1 + Math.random()) * Math.min(waiting.sends, 20),
      );
      this.#retries.add(timer);
    } else if (code !== 'STOPPING' || this.#options.retryStopping === false) waiting.refused(error);
  }

  #onUp(welcome: Welcome, fingerprint: string | undefined): void {
    const renewed = this.#welcome !== undefined && !this.#lost;
    this.#welcome = welcome;
    if (fingerprint !== undefined && fingerprint !== this.#fingerprint && this.#options.router === 'first-use')
      this.#tell(() => this.#options.onPinned?.(fingerprint));
    this.#fingerprint = fingerprint;
    this.#gone = undefined;
    this.#dropAsks();
    for (const waiting of [...this.#waiting.values()]) this.#transmit(waiting);
    this.#follows.restart();
    // After onPinned, so that whoever awaited the connection finds it called.
    this.#tell(() => this.#first?.resolve());
    if (renewed) this.#tell(() => this.emit('renewed'));
    if (!this.#lost) return;
    this.#lost = false;
    this.#tell(() => this.emit('restored'));
  }

  #onDown(reason: string): void {
    this.#dropAsks();
    this.#lost = true;
    this.#tell(() => this.emit('lost', reason));
  }

  #onReplaced(): void {
    this.#lost = true;
    this.#gone = failure('CLIENT_REPLACED', { identity: this.identity });
    this.#rejectAll(this.#gone);
    this.#tell(() => this.emit('replaced'));
  }

  #onRefused(): void {
    this.#tell(() => this.#first?.reject(failure('HANDSHAKE_REFUSED')));
  }

  #onRevoked(): void {
    if (this.#gone) return;
    this.#gone = failure('KEY_REVOKED', { identity: this.identity });
    this.#rejectAll(this.#gone);
  }

  /** Calls a listener in a turn of its own, so that what it throws breaks nothing here. */
  #tell(listener: () => void): void {
    process.nextTick(listener);
  }

  /** What was asked of a session that is gone is answered no more. */
  #dropAsks(): void {
    for (const [token, waiting] of this.#waiting) if (!waiting.repeats) this.#waiting.delete(token);
  }

  #rejectAll(error: Error): void {
    this.#dropAsks();
    for (const waiting of [...this.#waiting.values()]) waiting.refused(error);
    this.#follows.fail(error);
  }
}

function peerOf(options: ConnectOptions) {
  const { identity, key, router, ciphers, join } = options;
  if (identity === undefined || !isIdentity(identity))
    throw failure('BROKEN_HANDSHAKE', { reason: `${JSON.stringify(identity)} cannot be an identity` });
  if (key === undefined)
    throw failure('BROKEN_KEY', { reason: 'a tcp:// address needs a private key, and none is given' });
  if (router === undefined || (router !== 'first-use' && !isFingerprint(router)))
    throw failure('BROKEN_HANDSHAKE', {
      reason: "the router's fingerprint is needed, 43 characters of base64url, or 'first-use'",
    });
  const keys = typeof key === 'string' ? keyPairOf(key) : key;
  const joinKey = join === undefined ? undefined : joinKeyOf(join);
  return { keys, identity, router, ...(ciphers && { ciphers }), ...(joinKey && { joinKey }) };
}

function isFingerprint(text: string): boolean {
  try {
    return unb64(text).length === 32;
  } catch {
    return false;
  }
}

/** The text of a request. Throws MALFORMED_FRAME where a part of it cannot be one. */
function requestOf(action: string, token: string, data: object, options: SendOptions): string {
  const { target = '', envelope } = options;
  if (!isAction(action)) throw new FrameError(`${JSON.stringify(action)} cannot be an ACTION`, '');
  if (token === '' || !isToken(token)) throw new FrameError(`${JSON.stringify(token)} cannot be a TOKEN`, '');
  if (!isTarget(target)) throw new FrameError(`${JSON.stringify(target)} cannot be a TARGET`, token);
  if (Array.isArray(data)) throw new FrameError('DATA is not an object', token);
  return formatMessage(action, token, target, requestData(action, envelope ? { ...data, $: envelope } : data));
}

/** A GETLOG's answer. Throws {@link FrameError} when it is none. */
function pageOf(data: unknown, bytes = 0): HistoryPage {
  const page: { result?: unknown; more?: unknown } = typeof data === 'object' && data !== null ? data : {};
  if (!Array.isArray(page.result)) throw new FrameError('a GETLOG answer has no result', '');
  const rows = page.result.map((value) => {
    const row = rowOf(value);
    if (row === undefined) throw new FrameError('a GETLOG answer holds what is no row', '');
    return row;
  });
  return { rows, more: page.more === true, bytes };
}

function refusalOf(reply: JsonObject): CentreondError {
  const { data } = reply;
  const told = typeof data === 'object' && data !== null && !Array.isArray(data) ? data : {};
  return new CentreondError(String(told.error ?? 'INTERNAL'), String(told.message ?? 'The router gave no reason.'));
}
