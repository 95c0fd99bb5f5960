import type { CallOptions } from './contract.ts';
import { type CentreondError, failure } from './errors.ts';
import { aborted, Follows, type HistoryPage, type HistoryRow, RowQueue, rowOf } from './follower.ts';
import {
  FrameError,
  formatMessage,
  isAction,
  isTarget,
  isToken,
  type JsonObject,
  type Message,
  parseData,
  requestData,
} from './frame.ts';
import { AckRequest, CallRequest, type Outcome, type Request, Room, type Waiting } from './requests.ts';
import { newToken } from './token.ts';

/** What carries messages to a router: sessions of the external door, one after the other, or the link of an instance. */
export interface Wire {
  /** Whether a message goes out now. */
  readonly isUp: boolean;
  /** Bytes of the largest message; 0 while nobody knows. */
  readonly maxMessage: number;
  /** Sends a message of `bytes` bytes, in the order of the calls. Only while it is up. */
  send(text: string, bytes: number): void;
}

/** How an exchange asks, and what it says. Waits in milliseconds. */
export interface ExchangeOptions {
  readonly wire: Wire;
  /** How long an ACK, and the end of a call, is waited for where the caller sets no limit. */
  readonly sendMs: number;
  readonly callMs: number;
  /** Requests, calls and follows that have not ended, and bytes of requests that wait for their ACK. */
  readonly maxPending: number;
  readonly maxPendingBytes: number;
  /** Whether a request refused with STOPPING waits for the router's successor. */
  readonly retryStopping: boolean;
  /** The error of a refusal. */
  refusal(action: string, code: string, message: string): CentreondError;
  /** The error of a request that was never sent, since the wire was down for `timeoutMs`. */
  unsent(timeoutMs: number): Error;
}

/** What a caller may say of a request. */
export interface RequestOptions {
  readonly token?: string;
  readonly target?: string;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly envelope?: object;
}

/** What a caller of {@link Exchange.query} asks for: at most `limit` rows. */
export interface RowFilter {
  readonly token?: string;
  readonly code?: number;
  readonly id?: number;
  readonly ctime?: number;
  readonly etime?: number;
  readonly limit: number;
}

const PAGE_LIMIT = 10_000;
const BUSY_MS = 50;
/** Every accepted reply starts so; the data is read only where somebody wants it. */
const ACCEPTED_HEAD = '{"code":0,';

/**
 * Requests to a router over a {@link Wire}: matches answers, follows calls to their ends, reads the history, and says again to a new
 * session what the last one did not acknowledge.
 */
export class Exchange {
  readonly #options: ExchangeOptions;
  readonly #room: Room;
  /** By token. The same request may be made again before its ACK: those wait behind the first, and their ACKs come in that order. */
  readonly #waiting = new Map<string, Waiting>();
  readonly #follows: Follows;
  readonly #retries = new Set<NodeJS.Timeout>();
  /** Begins the tokens of reads and FOLLOWs: unlike any that a caller chooses. */
  readonly #prefix = newToken().slice(-12);
  #reads = 0;
  /** Why nothing can be asked. */
  #gone: Error | undefined;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.#room = new Room(options.maxPending, options.maxPendingBytes);
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
  }

  // ---- what callers ask -------------------------------------------------------------------------------------------

  /** Resolves with the data of the ACK. Rejects with the refusal, or NOT_ACKNOWLEDGED or what `unsent` says after its time. */
  send(action: string, data: object, token: string, options: RequestOptions = {}): Promise<JsonObject> {
    return new Promise((resolve, reject) => {
      const text = requestOf(action, token, data, options);
      const bytes = this.#admit(token, text, options.signal);
      const ask = new AckRequest(token, action, text, bytes, this.#owner, resolve, reject);
      ask.limit(options.timeoutMs ?? this.#options.sendMs, options.signal);
      this.#put(ask);
    });
  }

  /** A read: under a token of its own. */
  read(action: string, data: object, options: RequestOptions = {}): Promise<JsonObject> {
    return this.send(action, data, this.#readToken(), options);
  }

  /** Resolves with the end of the request. Rejects as `send` does, and with WAIT_OVER or NOT_FOLLOWED once it is accepted. */
  call(
    action: string,
    data: object,
    options: RequestOptions & { onRow?: ((row: HistoryRow) => void) | undefined } = {},
  ): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const token = options.token ?? newToken();
      const text = requestOf(action, token, data, options);
      const bytes = this.#admit(token, text, options.signal);
      const call = new CallRequest(token, action, text, bytes, this.#owner, resolve, reject, options.onRow);
      call.limit(options.timeoutMs ?? this.#options.callMs, options.signal);
      // Both go in one record: the rows are on their way before the ACK is here.
      this.#put(call);
      this.#follows.add(token, call);
    });
  }

  /** The rows of `token` after `afterId`, live, each once and in order, until the terminal one. */
  follow(token: string, afterId: number, signal: AbortSignal | undefined): AsyncIterable<HistoryRow> {
    return { [Symbol.asyncIterator]: () => this.#startFollow(token, afterId, signal) };
  }

  /** The rows that match, page after page. */
  async query({ limit, ...filter }: RowFilter, options: RequestOptions = {}): Promise<HistoryRow[]> {
    const all: HistoryRow[] = [];
    let after = filter.id;
    for (;;) {
      const page = {
        ...filter,
        ...(after !== undefined && { id: after }),
        limit: Math.min(PAGE_LIMIT, limit - all.length),
      };
      const { rows, more } = pageOf(await this.read('GETLOG', page, options));
      for (const row of rows) all.push(row);
      after = rows.at(-1)?.id;
      if (!more || after === undefined || all.length >= limit) return all;
    }
  }

  // ---- what the wire tells ----------------------------------------------------------------------------------------

  /** There is a new session: it is told what the last one did not acknowledge, and asked for every follow. */
  up(): void {
    this.#gone = undefined;
    this.#dropAsks();
    for (const waiting of [...this.#waiting.values()]) {
      for (let one: Waiting | undefined = waiting; one; one = one.next) this.#transmit(one);
    }
    this.#follows.restart();
  }

  /** The session is gone: what was asked of it alone is answered no more. */
  down(): void {
    this.#dropAsks();
  }

  /** Rejects all that is pending, and whatever is asked until {@link up} is called. */
  end(error: Error): void {
    this.#gone = error;
    this.#dropAsks();
    for (const waiting of [...this.#waiting.values()]) {
      for (let one: Waiting | undefined = waiting; one; ) {
        const { next }: Waiting = one;
        one.refused(error);
        one = next;
      }
    }
    this.#follows.fail(error);
    for (const timer of this.#retries) clearTimeout(timer);
    this.#retries.clear();
  }

  /**
   * Takes a LOG, and an ACK or a PONG of what was asked here. Returns false for any other message. Throws {@link FrameError} where it
   * is malformed.
   */
  receive({ action, token, data }: Message): boolean {
    if (action === 'LOG') {
      this.#follows.log(token, data);
      return true;
    }
    const waiting = action === 'ACK' || action === 'PONG' ? this.#waiting.get(token) : undefined;
    if (waiting === undefined) return false;
    if (data.startsWith(ACCEPTED_HEAD)) this.#accept(waiting, data);
    else {
      const reply = parseData(data);
      if (reply.code === 0) this.#accept(waiting, data);
      else this.#refuse(waiting, this.#refusalOf(waiting.action, reply));
    }
    return true;
  }

  // ---- what goes out ----------------------------------------------------------------------------------------------

  /** Takes a place for a request and says how many bytes it has. Throws where it cannot go. */
  #admit(token: string, text: string, signal: AbortSignal | undefined): number {
    if (this.#gone) throw this.#gone;
    signal?.throwIfAborted();
    const pending = this.#waiting.get(token);
    if (pending && pending.text !== text) throw failure('TOKEN_REUSED', { token, action: pending.action });
    const bytes = Buffer.byteLength(text);
    const { maxMessage: limit } = this.#options.wire;
    // Before the first session nobody knows the limit; the router then tells.
    if (limit > 0 && bytes > limit) throw failure('TOO_LARGE', { bytes, limit });
    this.#room.enter(bytes);
    return bytes;
  }

  #put(waiting: Waiting): void {
    let last = this.#waiting.get(waiting.token);
    if (!last) this.#waiting.set(waiting.token, waiting);
    else {
      while (last.next) last = last.next;
      last.next = waiting;
    }
    this.#transmit(waiting);
  }

  /** Takes it out of what waits. Returns whether it was there. */
  #remove(waiting: Waiting): boolean {
    const { token, next } = waiting;
    const first = this.#waiting.get(token);
    if (first === waiting) {
      if (next) this.#waiting.set(token, next);
      else this.#waiting.delete(token);
      return true;
    }
    for (let before = first; before; before = before.next) {
      if (before.next !== waiting) continue;
      before.next = next;
      return true;
    }
    return false;
  }

  #transmit(waiting: Waiting): void {
    const { wire } = this.#options;
    if (!wire.isUp) return;
    waiting.sends++;
    wire.send(waiting.text, waiting.bytes);
  }

  readonly #owner = {
    settle: (request: Request): void => {
      if (this.#remove(request)) this.#room.settle(request.bytes);
    },
    release: (request: Request): void => {
      this.#room.leave();
      if (request instanceof CallRequest) this.#follows.remove(request.token, request);
    },
    late: ({ token, sends, wasAccepted }: Request, timeoutMs: number): Error => {
      const seconds = timeoutMs / 1000;
      if (wasAccepted) return failure('WAIT_OVER', { token, seconds });
      return sends > 0 ? failure('NOT_ACKNOWLEDGED', { token, seconds }) : this.#options.unsent(timeoutMs);
    },
    resume: (call: CallRequest): void => this.#follows.resume(call.token, call),
  };

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

  /** Asks something of the present session only: the next one is asked again. */
  #askNow(action: string, data: string, accepted: (reply: string) => void, refused: (error: Error) => void): boolean {
    if (!this.#options.wire.isUp) return false;
    const token = this.#readToken();
    const text = formatMessage(action, token, '', data);
    const next = undefined;
    this.#put({ token, action, text, bytes: text.length, sends: 0, repeats: false, next, accepted, refused });
    return true;
  }

  // ---- what comes in ----------------------------------------------------------------------------------------------

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
      return;
    }
    if (code === 'STOPPING' && this.#options.retryStopping) return;
    // The router follows nothing for a request that it refused.
    if (waiting instanceof CallRequest) this.#follows.forget(waiting.token, waiting);
    // The first copy may have been accepted, so this refusal would mislead; only another answer ends it.
    if (code === 'BUSY' && waiting.sends > 1) this.#later(waiting);
    else waiting.refused(error);
  }

  #later(waiting: Waiting): void {
    const timer = setTimeout(
      () => {
        this.#retries.delete(timer);
        if (this.#waiting.get(waiting.token) !== waiting) return;
        this.#transmit(waiting);
        if (waiting instanceof CallRequest) this.#follows.resume(waiting.token, waiting);
      },
      BUSY_MS * (1 + Math.random()) * Math.min(waiting.sends, 20),
    );
    this.#retries.add(timer);
  }

  #refusalOf(action: string, { data }: JsonObject): CentreondError {
    const told = typeof data === 'object' && data !== null && !Array.isArray(data) ? data : {};
    const { error = 'INTERNAL', message = 'The router gave no reason.' } = told;
    return this.#options.refusal(action, String(error), String(message));
  }

  /** What was asked of a session that is gone is answered no more. */
  #dropAsks(): void {
    for (const [token, waiting] of this.#waiting) if (!waiting.repeats) this.#waiting.delete(token);
  }
}

/** The text of a request. Throws MALFORMED_FRAME where a part of it cannot be one. */
function requestOf(action: string, token: string, data: object, options: RequestOptions): string {
  const { target = '', envelope } = options;
  if (!isAction(action)) throw new FrameError(`${JSON.stringify(action)} cannot be an ACTION`, '');
  if (token === '' || !isToken(token)) throw new FrameError(`${JSON.stringify(token)} cannot be a TOKEN`, '');
  if (!isTarget(target)) throw new FrameError(`${JSON.stringify(target)} cannot be a TARGET`, token);
  if (Array.isArray(data)) throw new FrameError('DATA is not an object', token);
  return formatMessage(action, token, target, requestData(action, envelope ? { ...data, $: envelope } : data));
}

/** A GETLOG's answer. Throws {@link FrameError} when it is malformed. */
function pageOf(data: unknown, bytes = 0): HistoryPage {
  const page: { result?: unknown; more?: unknown } = typeof data === 'object' && data !== null ? data : {};
  if (!Array.isArray(page.result)) throw new FrameError('a GETLOG answer has no result', '');
  const rows = page.result.map((value) => {
    const row = rowOf(value);
    if (row === undefined) throw new FrameError('a GETLOG answer holds a malformed row', '');
    return row;
  });
  return { rows, more: page.more === true, bytes };
}

/** A plugin's options as those of an {@link Exchange}. */
export function requestOptions({ token, target, timeoutMs, signal, hold, deadline, traceparent }: CallOptions) {
  const envelope = {
    ...(hold !== undefined && { hold }),
    ...(deadline !== undefined && { deadline }),
    ...(traceparent !== undefined && { traceparent }),
  };
  return {
    ...(token !== undefined && { token }),
    ...(target !== undefined && { target }),
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(signal && { signal }),
    ...(Object.keys(envelope).length > 0 && { envelope }),
  };
}
