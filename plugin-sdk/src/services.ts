import { Carrying } from './carrying.ts';
import type {
  Ack,
  CallOptions,
  CarriedRequest,
  HistoryFilter,
  HistoryRow,
  Link,
  LinkOptions,
  Logger,
  NewRow,
  NodeAnnouncement,
  Outcome,
  TokenStore,
  Transport,
} from './contract.ts';
import type { PluginOptions } from './decorators.ts';
import { CallRefusal, type CentreondError, failure } from './errors.ts';
import { formatMessage, type JsonObject, type Message, requestData } from './frame.ts';
import { after } from './long-timer.ts';
import { RouterLink } from './router-link.ts';
import { validate } from './schema.ts';
import { isTerminal } from './status.ts';
import { newToken } from './token.ts';

/** What a service asks of the core. */
export interface Core {
  /** Resolves with the data of the ACK; rejects with the refusal, or WAIT_OVER after 30 s. */
  ask(action: string, data: object): Promise<JsonObject>;
}

interface Waiting {
  readonly action: string;
  resolve(data: JsonObject): void;
  reject(error: CentreondError): void;
}

interface Following {
  lastId: number;
  onRow(row: HistoryRow): void;
}

const ACK_LIMIT_MS = 30_000;
const FOLLOW_BUFFER_ROWS = 10_000;
/** Requests of one instance that wait for their ACK. */
const WAITING_LIMIT = 100_000;
const PAGE_ROWS = 10_000;
const QUERY_ROWS = 1000;

/** What a transport is made with. */
export interface TransportOptions {
  readonly wire: { send(message: string): void };
  /** Larger messages are refused here, in bytes. */
  readonly maxMessage: number;
  readonly log: Logger;
  /** What the plugin declares. */
  readonly plugin: Pick<PluginOptions, 'type' | 'events'>;
}

/** A plugin's transport over the link to its core. Acknowledgements are matched by token, rows by the token followed. */
export class LinkTransport implements Transport, Core {
  readonly #waiting = new Map<string, Waiting>();
  readonly #following = new Map<string, Set<Following>>();

  /** Links whose other end this router serves, by number. */
  readonly #served = new Map<string, RouterLink>();
  #links = 0;

  readonly #carrying: Carrying;

  constructor(private readonly options: TransportOptions) {
    this.#carrying = new Carrying(this, options.wire, options.log);
  }

  /** Takes what comes by the link: ACK, PONG, LOG and CARRY; ignores what belongs to nobody any more. */
  receive(message: Message): void {
    if (message.action === 'LOG') {
      const row = JSON.parse(message.data) as HistoryRow;
      for (const following of [...(this.#following.get(message.token) ?? [])]) {
        if (row.id <= following.lastId) continue;
        following.lastId = row.id;
        following.onRow(row);
      }
      return;
    }
    if (message.action === 'CARRY') {
      this.#carrying.receive(message);
      return;
    }
    if (message.action === 'LINKED') {
      this.#served.get(message.token)?.say(message.data);
      return;
    }
    const waiting = this.#waiting.get(message.token);
    if (!waiting) return;
    const { code, data } = JSON.parse(message.data) as { code: number; data: JsonObject };
    if (code === 0) waiting.resolve(data);
    else waiting.reject(new CallRefusal(waiting.action, String(data.error), String(data.message)));
  }

  async send(action: string, data: object, options: CallOptions = {}): Promise<Ack> {
    const token = options.token ?? newToken();
    return { token, data: await this.#request(action, token, data, options) };
  }

  ask(action: string, data: object): Promise<JsonObject> {
    return this.#request(action, newToken(), data, {});
  }

  async call(action: string, data: object, options: CallOptions = {}): Promise<Outcome> {
    options.signal?.throwIfAborted();
    const token = options.token ?? newToken();
    const seconds = (options.timeoutMs ?? 0) / 1000;
    let following: Following | undefined;
    let timer: Disposable | undefined;
    let onAbort = () => {};
    const ended = new Promise<HistoryRow>((resolve, reject) => {
      following = this.#follow(token, 0, (row) => {
        options.onRow?.(row);
        if (isTerminal(row.code)) resolve(row);
      });
      if (options.timeoutMs !== undefined) {
        timer = after(options.timeoutMs, () => reject(failure('WAIT_OVER', { token, seconds })));
      }
      onAbort = () => reject(options.signal?.reason);
      options.signal?.addEventListener('abort', onAbort, { once: true });
    });
    // Both may fail; the first failure is the caller's.
    ended.catch(() => undefined);
    try {
      const accepted = this.#request(action, token, data, options);
      const followed = this.#request('FOLLOW', newToken(), { token }, {});
      await Promise.all([accepted, followed]);
      const row = await ended;
      return { token, ok: row.code === 2, code: row.code, data: row.data, row };
    } finally {
      timer?.[Symbol.dispose]();
      options.signal?.removeEventListener('abort', onAbort);
      if (following) this.#unfollow(token, following);
    }
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

  /** Rows of `token` after `afterId`, live. For the token store. */
  async *rows(token: string, afterId: number, signal: AbortSignal): AsyncGenerator<HistoryRow> {
    const buffer: HistoryRow[] = [];
    let wake: (() => void) | undefined;
    const following = this.#follow(token, afterId, (row) => {
      buffer.push(row);
      wake?.();
    });
    const onAbort = () => wake?.();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await this.#request('FOLLOW', newToken(), { token, id: afterId }, {});
      while (!signal.aborted) {
        const row = buffer.shift();
        if (row) {
          yield row;
          if (isTerminal(row.code)) return;
        } else await new Promise<void>((resolve) => (wake = resolve));
        if (buffer.length > FOLLOW_BUFFER_ROWS)
          throw failure('BUSY', { what: `the reader of ${token}`, limit: FOLLOW_BUFFER_ROWS });
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#unfollow(token, following);
    }
  }

  #request(action: string, token: string, data: object, options: CallOptions): Promise<JsonObject> {
    const { hold, deadline, traceparent, target = '' } = options;
    const envelope = { ...(hold && { hold }), ...(deadline && { deadline }), ...(traceparent && { traceparent }) };
    const body = Object.keys(envelope).length > 0 ? { ...data, $: envelope } : data;
    return new Promise<JsonObject>((resolve, reject) => {
      if (this.#waiting.has(token)) throw failure('TOKEN_REUSED', { token, action });
      if (this.#waiting.size >= WAITING_LIMIT) {
        throw failure('BUSY', { what: "the list of this instance's requests", limit: WAITING_LIMIT });
      }
      const message = formatMessage(action, token, target, requestData(action, body));
      const limit = this.options.maxMessage;
      const bytes = message.length > limit / 3 ? Buffer.byteLength(message) : 0;
      if (bytes > limit) throw failure('TOO_LARGE', { bytes, limit });
      const settle = () => {
        clearTimeout(timer);
        this.#waiting.delete(token);
      };
      const waiting: Waiting = {
        action,
        resolve: (answer) => {
          settle();
          resolve(answer);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      const timer = setTimeout(
        () => waiting.reject(failure('WAIT_OVER', { token, seconds: ACK_LIMIT_MS / 1000 })),
        ACK_LIMIT_MS,
      );
      this.#waiting.set(token, waiting);
      this.options.wire.send(message);
    });
  }

  #follow(token: string, lastId: number, onRow: (row: HistoryRow) => void): Following {
    const following: Following = { lastId, onRow };
    const all = this.#following.get(token);
    if (all) all.add(following);
    else this.#following.set(token, new Set([following]));
    return following;
  }

  #unfollow(token: string, following: Following): void {
    const all = this.#following.get(token);
    all?.delete(following);
    if (all?.size === 0) this.#following.delete(token);
  }
}

/** A plugin's token store over its transport. */
export class LinkTokenStore implements TokenStore {
  constructor(private readonly transport: LinkTransport) {}

  async append(rows: readonly NewRow[]): Promise<void> {
    await Promise.all(rows.map((row) => this.transport.send('PUTLOG', row)));
  }

  async query(filter: HistoryFilter): Promise<HistoryRow[]> {
    const { limit = QUERY_ROWS, ...where } = filter;
    const rows: HistoryRow[] = [];
    for (;;) {
      const page = { ...where, limit: Math.min(PAGE_ROWS, limit - rows.length) };
      const { result, more } = await this.transport.ask('GETLOG', page);
      rows.push(...(result as unknown as HistoryRow[]));
      const last = rows.at(-1);
      if (more !== true || last === undefined || rows.length >= limit) return rows;
      where.id = last.id;
    }
  }

  follow(token: string, options: { afterId?: number; signal: AbortSignal }): AsyncIterable<HistoryRow> {
    return this.transport.rows(token, options.afterId ?? 0, options.signal);
  }
}
