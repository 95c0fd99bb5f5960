import {
  type CentreondError,
  FrameError,
  failure,
  formatMessage,
  type HistoryRow,
  isToken,
  type JsonObject,
  type Message,
  newToken,
  type Outcome,
  parseData,
} from '@centreond/protocol';
import { aborted } from './follower.ts';
import { Follows } from './follows.ts';
import { pageOf } from './history-rows.ts';
import { Outstanding } from './outstanding.ts';
import { isRepeat, type RequestOptions, requestOf } from './request-options.ts';
import { AckRequest, CallRequest, Request, Room, type Waiting } from './requests.ts';
import { RowQueue } from './row-queue.ts';

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
  /** Begins the sentence that says that too much is pending: "This client". */
  readonly whose: string;
  /** How long an ACK, and the end of a call with its ACK, is waited for where the caller sets no limit. */
  readonly sendMs: number;
  readonly callMs: number;
  /**
   * Requests, calls and follows that have not ended or whose ACK has not come, and bytes of requests that wait for their ACK. More are
   * refused with BUSY.
   */
  readonly maxPending: number;
  readonly maxPendingBytes: number;
  /** Whether a request refused with STOPPING waits for the router's successor. */
  readonly retryStopping: boolean;
  /** The error of a refusal. */
  refusal(code: string, message: string, request: { readonly action: string; readonly token: string }): CentreondError;
  /** The error of a request that was never sent, since the wire was down for `timeoutMs`. */
  unsent(timeoutMs: number): Error;
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
  readonly #outstanding: Outstanding;
  readonly #follows: Follows;
  /** Begins the tokens of reads and FOLLOWs: unlike any that a caller chooses. */
  readonly #prefix = newToken().slice(-12);
  #reads = 0;
  /** Why nothing can be asked. */
  #gone: Error | undefined;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.#room = new Room(options.whose, options.maxPending, options.maxPendingBytes);
    this.#outstanding = new Outstanding(this.#room);
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

  /**
   * Resolves with the end of the request. Rejects as `send` does, but waits for the ACK as long as for the end; once it is accepted,
   * with WAIT_OVER or NOT_FOLLOWED.
   */
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
    this.down();
    for (const waiting of this.#outstanding.all()) {
      this.#transmit(waiting);
      // Right behind its request, as the first time.
      if (waiting instanceof CallRequest) this.#follows.ask(waiting.token);
    }
    this.#follows.askAll();
  }

  /** The session is gone: what was asked of it alone is answered no more. */
  down(): void {
    this.#outstanding.lost();
    this.#follows.lost();
  }

  /** Rejects all that is pending, and whatever is asked until {@link up} is called. */
  end(error: Error): void {
    this.#gone = error;
    this.down();
    for (const waiting of this.#outstanding.all()) waiting.refused(error);
    this.#follows.fail(error);
  }

  /** Those who asked are gone, as with their process: nothing that is pending settles, and no timer is left. */
  abandon(): void {
    for (const waiting of this.#outstanding.all()) if (waiting instanceof Request) waiting.forget();
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
    const waiting = action === 'ACK' || action === 'PONG' ? this.#outstanding.take(token) : undefined;
    if (waiting === undefined) return false;
    if (data.startsWith(ACCEPTED_HEAD)) waiting.accepted(data);
    else {
      const reply = parseData(data);
      if (reply.code === 0) waiting.accepted(data);
      else this.#refuse(waiting, this.#refusalOf(waiting, reply));
    }
    return true;
  }

  // ---- what goes out ----------------------------------------------------------------------------------------------

  /** Takes a place for a request and says how many bytes it has. Throws where it cannot go. */
  #admit(token: string, text: string, signal: AbortSignal | undefined): number {
    if (this.#gone) throw this.#gone;
    signal?.throwIfAborted();
    const pending = this.#outstanding.first(token);
    if (pending && !isRepeat(text, pending.text)) throw failure('TOKEN_REUSED', { token, action: pending.action });
    const bytes = Buffer.byteLength(text);
    const { maxMessage: limit } = this.#options.wire;
    // Before the first session nobody knows the limit; the router then tells.
    if (limit > 0 && bytes > limit) throw failure('TOO_LARGE', { bytes, limit });
    this.#room.enter(bytes);
    return bytes;
  }

  #put(waiting: Waiting): void {
    this.#outstanding.add(waiting);
    this.#transmit(waiting);
  }

  #transmit(waiting: Waiting): void {
    const { wire } = this.#options;
    if (!wire.isUp) return;
    waiting.sends++;
    waiting.isSent = true;
    wire.send(waiting.text, waiting.bytes);
  }

  readonly #owner = {
    accepted: (request: Request): void => {
      this.#outstanding.acknowledged(request);
      this.#follows.ask(request.token);
    },
    over: (request: Request): void => {
      if (request instanceof CallRequest) this.#follows.remove(request.token, request);
      this.#outstanding.over(request);
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
    const unsent = { sends: 0, isSent: false, next: undefined };
    this.#put({ token, action, text, bytes: text.length, ...unsent, repeats: false, accepted, refused });
    return true;
  }

  // ---- what comes in ----------------------------------------------------------------------------------------------

  #refuse(waiting: Waiting, error: CentreondError): void {
    const { code } = error;
    // A stopping router's successor is asked for every follow again.
    const isForNext = code === 'STOPPING' && this.#options.retryStopping;
    if (!(waiting instanceof Request)) {
      if (!isForNext) waiting.refused(error);
      return;
    }
    // The router follows nothing for a request that it refused.
    if (waiting instanceof CallRequest) this.#follows.forget(waiting.token, waiting.asked);
    if (waiting.isOver) return;
    if (isForNext) this.#outstanding.postpone(waiting);
    // The first copy may have been accepted, so this refusal would mislead; only another answer ends it.
    else if (code === 'BUSY' && waiting.sends > 1) this.#later(waiting);
    else waiting.refused(error);
  }

  #later(waiting: Request): void {
    const ms = BUSY_MS * (1 + Math.random()) * Math.min(waiting.sends, 20);
    this.#outstanding.postpone(waiting, ms, () => {
      this.#put(waiting);
      if (waiting instanceof CallRequest) this.#follows.ask(waiting.token);
    });
  }

  #refusalOf({ action, token }: Waiting, { data }: JsonObject): CentreondError {
    const told = typeof data === 'object' && data !== null && !Array.isArray(data) ? data : {};
    const { error = 'INTERNAL', message = 'The router gave no reason.' } = told;
    return this.#options.refusal(String(error), String(message), { action, token });
  }
}
