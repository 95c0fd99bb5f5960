import { Exchange } from '@centreond/client/exchange';
import type { CallOptions, Logger, NewRow, TokenStore, Transport } from '@centreond/plugin-sdk';
import type { Caller, CallerSession } from '@centreond/plugin-sdk/callers';
import { type PluginOptions, validate } from '@centreond/plugin-sdk/internal';
import type { CarriedRequest, Link, LinkOptions, NodeAnnouncement } from '@centreond/plugin-sdk/nodes';
import {
  type Ack,
  CallRefusal,
  failure,
  formatMessage,
  type HistoryFilter,
  type HistoryRow,
  type JsonObject,
  type Message,
  newToken,
  type Outcome,
} from '@centreond/protocol';
import { requestOptions } from './call-options.ts';
import { Callers } from './callers.ts';
import { Carrying } from './carrying.ts';
import { RouterLink } from './router-link.ts';

/** What a service asks of the core. */
export interface Core {
  /** Resolves with the data of the ACK; rejects with the refusal, or NOT_ACKNOWLEDGED after 30 s. */
  ask(action: string, data: object): Promise<JsonObject>;
}

/** How long an instance waits for an ACK of its core. */
const ACK_MS = 30_000;
/** Requests and follows of one instance that have not ended. */
const MAX_PENDING = 100_000;
const MAX_PENDING_BYTES = 256 * 2 ** 20;
const QUERY_ROWS = 1000;

/** What a transport is made with. */
export interface TransportOptions {
  readonly wire: { send(message: string): void };
  /** Larger messages are refused here, in bytes. */
  readonly maxMessage: number;
  readonly log: Logger;
  /** What the plugin declares. */
  readonly plugin: Pick<PluginOptions, 'type' | 'events'>;
  /** Opens links; if omitted, they lead to the routers that they name. */
  readonly link?: (options: LinkOptions) => Link;
}

/** A plugin's transport: an {@link Exchange} over the link to its core. */
// Not `implements Transport`: in a project with the file of `centreond-plugin types` that is typed by it, and this class is not.
export class LinkTransport implements Pick<Transport, 'link' | 'carry' | 'callAs'>, Core {
  readonly exchange: Exchange;
  /** Links whose other end this router serves, by number. */
  readonly #served = new Map<string, RouterLink>();
  #links = 0;
  readonly #carrying: Carrying;
  readonly #callers: Callers;

  constructor(readonly options: TransportOptions) {
    const { wire, maxMessage, log } = options;
    this.#carrying = new Carrying(this, wire, log);
    this.#callers = new Callers({ wire, maxMessage, type: options.plugin.type });
    this.exchange = new Exchange({
      // The link lives as long as this process.
      wire: { isUp: true, maxMessage, send: (text) => wire.send(text) },
      whose: 'This instance',
      sendMs: ACK_MS,
      callMs: Number.POSITIVE_INFINITY,
      maxPending: MAX_PENDING,
      maxPendingBytes: MAX_PENDING_BYTES,
      retryStopping: false,
      refusal: (code, message, request) => new CallRefusal(request.action, code, message, request),
      unsent: (timeoutMs) =>
        failure('NOT_CONNECTED', { address: 'the core', seconds: timeoutMs / 1000, reason: 'it is gone' }),
    });
  }

  /** Takes what comes by the link: ACK, PONG, LOG, CARRY, CALLED; ignores what belongs to nobody any more. */
  receive(message: Message): void {
    if (this.exchange.receive(message) || this.#callers.receive(message)) return;
    if (message.action === 'CARRY') this.#carrying.receive(message);
    else if (message.action === 'LINKED') this.#served.get(message.token)?.say(message.data);
  }

  /** Its instance is gone without its process, as in a test: nothing that is pending settles. */
  abandon(): void {
    this.exchange.abandon();
    this.#callers.abandon();
  }

  async send(action: string, data: object, options: CallOptions = {}): Promise<Ack> {
    const token = options.token ?? newToken();
    return { token, data: await this.exchange.send(action, data, token, requestOptions(options)) };
  }

  ask(action: string, data: object): Promise<JsonObject> {
    return this.exchange.read(action, data);
  }

  call(action: string, data: object, options: CallOptions = {}): Promise<Outcome> {
    const { onRow } = options;
    return this.exchange.call(action, data, { ...requestOptions(options), ...(onRow && { onRow }) });
  }

  async emit(event: string, data: object): Promise<void> {
    const { type, events = {} } = this.options.plugin;
    const refuse = (reason: string) => failure('INVALID_EVENT', { type, event, reason });
    const schema = events[event];
    if (!schema) throw refuse("it is not among the plugin's declared events");
    const checked = await validate(schema, data);
    if (!checked.ok) throw refuse(checked.reason);
    await this.ask('EMIT', { event, data: checked.value });
  }

  link(options: LinkOptions): Link {
    if (this.options.link) return this.options.link(options);
    if (!options.serve) return new RouterLink(options, this);
    const number = String(++this.#links);
    const { wire } = this.options;
    const link = new RouterLink(options, this, {
      up: (router) => wire.send(formatMessage('LINKUP', number, router)),
      down: () => wire.send(formatMessage('LINKDOWN', number, '')),
      message: (text) => wire.send(formatMessage('LINKED', number, '', text)),
      streamLogs: () => wire.send(formatMessage('LINKLOGS', number, '')),
      closed: () => this.#served.delete(number),
    });
    this.#served.set(number, link);
    return link;
  }

  carry(nodes: readonly NodeAnnouncement[], deliver: (request: CarriedRequest) => Promise<Ack>): Disposable {
    return this.#carrying.carry(nodes, deliver);
  }

  callAs(caller: Caller): CallerSession {
    return this.#callers.open(caller);
  }
}

/** A plugin's token store over its transport. */
export class LinkTokenStore implements TokenStore<number> {
  constructor(private readonly transport: LinkTransport) {}

  async append(rows: readonly NewRow<number>[]): Promise<void> {
    await Promise.all(rows.map((row) => this.transport.send('PUTLOG', row)));
  }

  query(filter: HistoryFilter): Promise<HistoryRow[]> {
    return this.transport.exchange.query({ ...filter, limit: filter.limit ?? QUERY_ROWS });
  }

  async *follow(token: string, options: { afterId?: number; signal: AbortSignal }): AsyncGenerator<HistoryRow> {
    const { afterId = 0, signal } = options;
    if (signal.aborted) return;
    try {
      yield* this.transport.exchange.follow(token, afterId, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}
