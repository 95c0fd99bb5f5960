import { Exchange } from '@centreond/client/exchange';
import type { CallOptions } from '@centreond/plugin-sdk';
import type { Caller, CallerSession } from '@centreond/plugin-sdk/callers';
import {
  type Ack,
  CentreondError,
  failure,
  formatMessage,
  type HistoryFilter,
  type HistoryRow,
  type Message,
  newToken,
  type Outcome,
  parseJson,
  parseReply,
} from '@centreond/protocol';
import { requestOptions } from './call-options.ts';

/** Requests and follows of one caller that have not ended. */
const MAX_PENDING = 10_000;
const MAX_PENDING_BYTES = 64 * 2 ** 20;
const ACK_MS = 30_000;
const QUERY_ROWS = 1000;

export interface CallersOptions {
  readonly wire: { send(message: string): void };
  readonly maxMessage: number;
  /** The plugin's type here. */
  readonly type: string;
}

/** The callers of an instance, each with an {@link Exchange} of its own over the link to the core. */
export class Callers {
  readonly #sessions = new Map<string, Session>();
  #count = 0;

  constructor(private readonly options: CallersOptions) {}

  open({ name, ...grant }: Caller): CallerSession {
    const number = String(++this.#count);
    const { wire, type } = this.options;
    const session = new Session(`${type}/${name}`, number, this.options, () => {
      if (this.#sessions.delete(number)) wire.send(formatMessage('CALLERDOWN', number, ''));
    });
    this.#sessions.set(number, session);
    wire.send(formatMessage('CALLERUP', number, name, grant));
    return session;
  }

  /** Nothing that is pending settles. */
  abandon(): void {
    for (const session of this.#sessions.values()) session.abandon();
  }

  /** Takes CALLED and CALLERDOWN; returns false for any other message. */
  receive({ action, token: number, data }: Message): boolean {
    if (action === 'CALLED') this.#sessions.get(number)?.receive(data);
    else if (action === 'CALLERDOWN') {
      this.#sessions.get(number)?.refused(data);
      this.#sessions.delete(number);
    } else return false;
    return true;
  }
}

class Session implements CallerSession {
  readonly #exchange: Exchange;

  constructor(
    readonly identity: string,
    number: string,
    { wire, maxMessage }: CallersOptions,
    private readonly left: () => void,
  ) {
    this.#exchange = new Exchange({
      // The link lives as long as this process.
      wire: { isUp: true, maxMessage, send: (text) => wire.send(formatMessage('CALLED', number, '', text)) },
      whose: identity,
      sendMs: ACK_MS,
      callMs: Number.POSITIVE_INFINITY,
      maxPending: MAX_PENDING,
      maxPendingBytes: MAX_PENDING_BYTES,
      retryStopping: false,
      // It is the caller's to hear, as it is.
      refusal: (code, message, details) => new CentreondError(code, message, { details }),
      unsent: (timeoutMs) =>
        failure('NOT_CONNECTED', { address: 'the core', seconds: timeoutMs / 1000, reason: 'it is gone' }),
    });
  }

  abandon(): void {
    this.#exchange.abandon();
  }

  receive(text: string): void {
    this.#exchange.receive(parseReply(text));
  }

  refused(data: string): void {
    const { error, message } = parseJson(data) as { error?: unknown; message?: unknown };
    this.#exchange.end(new CentreondError(String(error), String(message)));
  }

  async send(action: string, data: object, options: CallOptions = {}): Promise<Ack> {
    const token = options.token ?? newToken();
    return { token, data: await this.#exchange.send(action, data, token, requestOptions(options)) };
  }

  call(action: string, data: object, options: CallOptions = {}): Promise<Outcome> {
    const { onRow } = options;
    return this.#exchange.call(action, data, { ...requestOptions(options), ...(onRow && { onRow }) });
  }

  query(filter: HistoryFilter): Promise<HistoryRow[]> {
    return this.#exchange.query({ ...filter, limit: filter.limit ?? QUERY_ROWS });
  }

  async *follow(token: string, options: { afterId?: number; signal: AbortSignal }): AsyncGenerator<HistoryRow> {
    const { afterId = 0, signal } = options;
    if (signal.aborted) return;
    try {
      yield* this.#exchange.follow(token, afterId, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  close(): void {
    this.left();
    this.#exchange.end(failure('CLIENT_CLOSED', { reason: 'close() was called' }));
  }
}
