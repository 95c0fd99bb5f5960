import type { RouterClient, Timing } from '@centreond/client/session';
import type { CallOptions } from '@centreond/plugin-sdk';
import type { CarriedRequest, Link, LinkOptions, NodeState } from '@centreond/plugin-sdk/nodes';
import {
  type Ack,
  FrameError,
  failure,
  formatAck,
  formatMessage,
  type HistoryRow,
  isCentreondError,
  type JsonObject,
  type Message,
  type Outcome,
  parseData,
  parseReply,
  reasonOf,
} from '@centreond/protocol';
import type { ClientLabel, PublicJwk, Signer } from '@centreond/protocol/channel';
import { requestOptions } from './call-options.ts';
import type { Core } from './services.ts';

/** Without a session for so long, the other router counts as unreachable. */
const UNREACHABLE_MS = 15_000;
const FORWARD_LIMIT_MS = 50_000;
/** Requests of the other router that were not answered yet. */
const REQUESTS_LIMIT = 10_000;

/** Who this router is towards others, as the core says. */
interface RouterIdentity {
  id: string;
  hostname: string;
  version: string;
  jwk: PublicJwk;
  thumbprint: string;
}

/** Where what comes down a link goes that this router serves; `up` and `down` alternate. */
export interface Served {
  up(router: string): void;
  down(): void;
  message(text: string): void;
  streamLogs(): void;
  closed(): void;
}

/** A {@link Link} over the client of this package; the core signs for it. */
export class RouterLink implements Link {
  readonly #options: LinkOptions;
  readonly #core: Core;
  readonly #client: Promise<RouterClient>;
  #closed = false;
  #state: NodeState | undefined;
  #reason = '';
  #address: string;
  #late: NodeJS.Timeout | undefined;
  #requests = 0;

  #serving: RouterClient | undefined;

  constructor(
    options: LinkOptions,
    core: Core,
    private readonly served?: Served,
    private readonly timing: Partial<Timing> = {},
  ) {
    this.#options = options;
    this.#address = options.address;
    this.#core = core;
    this.#client = this.#open();
    // Told by onState, and by each call.
    this.#client.catch((error: unknown) => this.#tell('unreachable', reasonOf(error)));
  }

  async #open(): Promise<RouterClient> {
    const { address, fingerprint, others = [] } = this.#options;
    const router = (await this.#core.ask('ROUTERKEY', {})) as unknown as RouterIdentity;
    // Loaded where it is needed: most plugins open no link.
    const { RouterClient } = await import('@centreond/client/session');
    if (this.#closed) throw failure('CLIENT_CLOSED', { reason: 'close() was called' });
    const client: RouterClient = new RouterClient({
      routers: [{ address, fingerprint }, ...others],
      identity: router.id,
      key: this.#signer(router),
      timing: this.timing,
      // Who speaks is there: its first words may be read before its coming is told.
      onRequest: (request, reply) => {
        this.#up(client);
        this.#take(router, request, reply);
      },
      onStray: (message) => this.served?.message(message),
    });
    const down = (reason: string) => this.#down(reason, client);
    client.on('restored', () => this.#up(client)).on('lost', down);
    // To the other router it is another session: what the last one was told has to be said again.
    client.on('renewed', () => {
      down('its session is renewed');
      this.#up(client);
    });
    client.on('replaced', () => down('another process connected as this router'));
    down('it was not tried yet');
    client.whenUp(Number.POSITIVE_INFINITY).then(
      () => this.#up(client),
      () => undefined, // closed before
    );
    return client;
  }

  #signer({ jwk, thumbprint }: RouterIdentity): Signer {
    const sign = async (label: ClientLabel, h: Buffer) => {
      const { signature } = await this.#core.ask('SIGN', { label, hash: h.toString('base64url') });
      return Buffer.from(String(signature), 'base64url');
    };
    return { jwk, thumbprint, sign };
  }

  // ---- state ------------------------------------------------------------------------------------------------------

  #up(client: RouterClient): void {
    clearInterval(this.#late);
    this.#late = undefined;
    this.#address = client.address;
    if (!this.#closed && !this.#serving) {
      this.#serving = client;
      this.served?.up(client.id);
    }
    this.#tell('up', '');
  }

  #down(reason: string, client: RouterClient): void {
    this.#unserve();
    this.#tell('connecting', reason);
    this.#late ??= setInterval(() => this.#tell('unreachable', client.reason), UNREACHABLE_MS).unref();
  }

  #unserve(): void {
    if (!this.#serving) return;
    this.#serving = undefined;
    this.served?.down();
  }

  /** Sends an answer of this router, or what it asks, to the other one; nowhere while the link is down. */
  say(message: string): void {
    const client = this.#serving;
    if (!client) return;
    const [bytes, limit] = [message.length > client.maxMessage / 3 ? Buffer.byteLength(message) : 0, client.maxMessage];
    if (bytes <= limit) {
      client.say(message);
      return;
    }
    // The other router's socket would end the session over it.
    const { action, token } = parseReply(message);
    const refusal = formatAck(token, 1, JSON.stringify(failure('TOO_LARGE', { bytes, limit }).toData()));
    if (action === 'ACK') client.say(refusal);
    else this.served?.message(refusal);
  }

  streamLogs(): void {
    if (this.#serving) this.served?.streamLogs();
  }

  #tell(state: NodeState, reason: string): void {
    if (this.#closed || (this.#state === state && (state === 'connecting' || this.#reason === reason))) return;
    this.#state = state;
    this.#reason = reason;
    this.#options.onState?.(state, reason, this.#address);
  }

  // ---- what goes out ----------------------------------------------------------------------------------------------

  async send(action: string, data: object, options: CallOptions = {}): Promise<Ack> {
    return (await this.#client).send(action, data, requestOptions(options));
  }

  async call(action: string, data: object, options: CallOptions = {}): Promise<Outcome> {
    const { onRow } = options;
    return (await this.#client).call(action, data, { ...requestOptions(options), ...(onRow && { onRow }) });
  }

  async forward({ action, token, target, data, envelope }: CarriedRequest): Promise<Ack> {
    const client = await this.#client;
    if (!client.connected) throw failure('NODE_UNREACHABLE', { target });
    return client.send(action, data, { token, target, envelope, timeoutMs: FORWARD_LIMIT_MS });
  }

  async ping() {
    const client = await this.#client;
    if (!client.connected) throw failure('NODE_UNREACHABLE', { target: this.#address });
    return client.ping({ timeoutMs: UNREACHABLE_MS });
  }

  async *follow(token: string, options: { afterId?: number; signal: AbortSignal }): AsyncGenerator<HistoryRow> {
    yield* (await this.#client).follow(token, options);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#unserve();
    this.served?.closed();
    clearInterval(this.#late);
    const client = await this.#client.catch(() => undefined);
    await client?.close();
  }

  // ---- what comes down --------------------------------------------------------------------------------------------

  #take(router: RouterIdentity, request: Message, reply: (message: string) => void): void {
    const { action, token, target } = request;
    const { id, hostname, version } = router;
    // One for a node behind this router goes on to it.
    if (action === 'PING' && (target === '' || target === id)) {
      reply(formatMessage('PONG', token, '', { code: 0, data: { id, hostname, version } }));
      return;
    }
    if (this.served) {
      this.served.message(formatMessage(action, token, target, request.data));
      return;
    }
    this.#requests++;
    this.#answer(request).then(
      (data) => {
        this.#requests--;
        reply(formatAck(token, 0, JSON.stringify(data)));
      },
      (thrown: unknown) => {
        this.#requests--;
        const error = isCentreondError(thrown) ? thrown : failure('ACTION_FAILED', { reason: reasonOf(thrown) });
        reply(formatAck(token, 1, JSON.stringify({ error: error.code, message: error.message })));
      },
    );
  }

  async #answer({ action, token, target, data: text }: Message): Promise<JsonObject> {
    const { onRequest } = this.#options;
    if (!onRequest) throw failure('UNKNOWN_ACTION', { action, near: undefined });
    if (this.#requests > REQUESTS_LIMIT) {
      throw failure('BUSY', { what: 'the list of requests of this link', limit: REQUESTS_LIMIT });
    }
    const { $, ...data } = parseData(text, token);
    const envelope = typeof $ === 'object' && $ !== null && !Array.isArray($) ? $ : {};
    const { from = '', hops = [] } = envelope;
    if (typeof from !== 'string' || !Array.isArray(hops)) throw new FrameError('its "$" is none', token);
    return onRequest({ action, token, target, data, envelope: { ...envelope, from, hops: hops.map(String) } });
  }
}
