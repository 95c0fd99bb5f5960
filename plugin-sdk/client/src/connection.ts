import {
  decodePack,
  decodeText,
  encodePack,
  type Message,
  newToken,
  parseData,
  parseReply,
  reasonOf,
} from '@centreond/protocol';
import {
  type Cipher,
  type ClientSession,
  createHello,
  type KeyPair,
  type PublicKey,
  publicKeyFromSpki,
  readKey,
  type Signer,
  unb64,
} from '@centreond/protocol/channel';
import { type Dealer, openDealer } from './dealer/dealer.ts';

/** The waits of a connection and of the link that keeps it up, in milliseconds. */
export interface Timing {
  /** A PING goes out after this long without a word from the router. */
  ping: number;
  /** After this long without one the connection counts as lost. */
  silence: number;
  /** A connection that is not ready by then has failed. */
  attempt: number;
  /** Between two attempts: at least, and, doubling, at most. */
  backOffMin: number;
  backOffMax: number;
  /** How long a replaced client stays away. */
  replaced: number;
  /** A router that has refused every handshake for this long is told of. */
  refusals: number;
  /** A session's age at which a new handshake is made. */
  renew: number;
}

export const TIMING: Readonly<Timing> = {
  ping: 5_000,
  silence: 15_000,
  attempt: 5_000,
  backOffMin: 50,
  backOffMax: 5_000,
  replaced: 60_000,
  refusals: Number.POSITIVE_INFINITY,
  renew: 86_400_000,
};

/** Where there are several routers: a silent one is left early enough for the next to have the session within 10 s. */
export const TIMING_OF_SEVERAL: Readonly<Timing> = { ...TIMING, ping: 3_500, silence: 7_000 };

/** What a router says of itself and of us when a session begins. */
export interface Welcome {
  /** The router's node id. */
  readonly id: string;
  readonly identity: string;
  readonly roles: readonly string[];
  readonly version: string;
  /** The largest message the router takes, in bytes. */
  readonly maxMessage: number;
}

/** Who we are on the external door, and which router we expect there. */
export interface Credentials {
  readonly keys: KeyPair | Signer;
  readonly identity: string;
  readonly ciphers: readonly Cipher[] | undefined;
  /** The router's key where it is known already; else it is asked for. */
  readonly router: PublicKey | undefined;
  /** The only fingerprint that an asked-for key may have; undefined takes any. */
  readonly fingerprint: string | undefined;
  /** Asks to be enrolled: both sides then show that they know the join token. */
  readonly joinKey: Buffer | undefined;
}

/** What a connection tells. `lost` comes at most once, and nothing after it; neither comes after `close()`. */
export interface ConnectionHandlers {
  ready(welcome: Welcome): void;
  message(text: string): void;
  /** `refused`: the router said no to the handshake, or somebody in its place did. */
  lost(reason: string, refused: boolean): void;
}

export interface ConnectionOptions {
  readonly address: string;
  /** None: the internal door, in clear. */
  readonly credentials: Credentials | undefined;
  readonly timing: Timing;
  readonly clock: { now(): number };
  /** The largest frame taken from the router, in bytes. */
  readonly inboundLimit: number;
}

const BATCH_MESSAGES = 128;
/** Room for a FOLLOW. */
const FOLLOW_BYTES = 512;
const BATCH_BYTES = 256 * 1024;
const RECORD_SLACK = 4096;
const DEFAULT_MAX_MESSAGE = 16 * 2 ** 20;
/** Heartbeats are looked at this often within `ping`. */
const TICKS = 5;
/** The router answers five questions for its key a second on a connection; one that it dropped is asked again. */
const ASK_AGAIN_MS = 250;

/** One dealer, one handshake, one session: made once, lost once. See {@link Uplink} for what keeps one up. */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #handlers: ConnectionHandlers;
  readonly #dealer: Dealer;
  readonly #attempt: NodeJS.Timeout;
  #heartbeat: NodeJS.Timeout | undefined;
  #asking: NodeJS.Timeout | undefined;
  #routerKey: PublicKey | undefined;
  #session: ClientSession | undefined;
  #greeted = false;
  #checked = false;
  #step: 'asked' | 'greeted' | 'checking' | 'proven' | 'ready' | 'over' = 'asked';
  #maxPlaintext: number;
  #batch: string[] = [];
  #batchBytes = 0;
  #batchLimit = BATCH_BYTES;
  #flushing = false;
  #silent = 0;
  /** Of its heartbeats: unlike any that a caller chooses, and known to nobody else. */
  readonly #beat = `heartbeat:${newToken().slice(-12)}`;

  /** Connects at once. Throws an Error for an address that is none. */
  constructor(options: ConnectionOptions, handlers: ConnectionHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#maxPlaintext = options.inboundLimit;
    this.#routerKey = options.credentials?.router;
    // What waits here is bounded by who asks: every unanswered request is counted there.
    this.#dealer = openDealer(
      { address: options.address, maxFrame: options.inboundLimit },
      { frame: (frame) => this.#receive(frame), drained: () => {}, over: (reason) => this.end(reason) },
    );
    this.#attempt = setTimeout(
      () => this.end(`no answer within ${options.timing.attempt / 1000} s`),
      options.timing.attempt,
    );
    this.#begin();
  }

  /** The router's key, once it is known. It is proven once the connection is ready. */
  get routerKey(): PublicKey | undefined {
    return this.#routerKey;
  }

  /** Whether our AUTH has gone out: from then on the router may replace our older session by this one. */
  get proven(): boolean {
    return this.#step === 'proven' || this.#step === 'ready';
  }

  /** Whether our HELO has gone out. */
  get greeted(): boolean {
    return this.#greeted;
  }

  /** Whether the router's KEY came and was sound. */
  get checked(): boolean {
    return this.#checked;
  }

  /** Whether a message answers a heartbeat of this connection. */
  isBeat(text: string): boolean {
    return text.startsWith('[PONG]') && text.startsWith(this.#beat, 8);
  }

  /**
   * Queues a message of `bytes` bytes; what is queued in one turn goes in one frame, and a FOLLOW with the call before it: where the
   * router refuses the call it lets go of what came with it. Only when ready.
   */
  send(text: string, bytes: number): void {
    const isFollow = text.startsWith('[FOLLOW] ');
    const room = isFollow ? 0 : FOLLOW_BYTES;
    const isFull = this.#batchBytes + bytes + 4 + room > this.#batchLimit;
    const isLong = this.#batch.length >= BATCH_MESSAGES + (isFollow ? 1 : 0);
    if ((isFull || isLong) && this.#batch.length > 0) this.#flush();
    this.#batch.push(text);
    this.#batchBytes += bytes + 4;
    if (!this.#flushing) {
      this.#flushing = true;
      setImmediate(this.#onImmediate);
    }
  }

  /** Ends the connection and tells so, unless it is over. */
  end(reason: string, refused = false): void {
    if (this.#step === 'over') return;
    this.#dispose();
    this.#handlers.lost(reason, refused);
  }

  /** Ends the connection without a word; resolves when nothing of it is left. May be called again. */
  async close(): Promise<void> {
    if (this.#step !== 'over') this.#dispose();
    await this.#dealer.close(0);
  }

  #dispose(): void {
    this.#step = 'over';
    clearTimeout(this.#attempt);
    clearInterval(this.#heartbeat);
    clearInterval(this.#asking);
    this.#session = undefined;
    this.#batch = [];
    void this.#dealer.close(0);
  }

  readonly #onImmediate = () => {
    this.#flushing = false;
    if (this.#batch.length > 0) this.#flush();
  };

  #flush(): void {
    const batch = this.#batch;
    this.#batch = [];
    this.#batchBytes = 0;
    if (this.#step !== 'over') this.#transmit(batch);
  }

  #transmit(batch: readonly string[]): void {
    try {
      this.#dealer.send(this.#options.credentials === undefined ? encodePack(batch) : this.#seal(batch));
    } catch (error) {
      this.end(reasonOf(error));
    }
  }

  #seal(batch: readonly string[]): Buffer {
    if (this.#session === undefined) throw new Error('there is no session yet');
    return this.#session.sealer.seal(batch);
  }

  #receive(frame: Buffer): void {
    if (this.#step === 'over') return;
    try {
      this.#take(frame);
    } catch (error) {
      this.end(reasonOf(error));
    }
  }

  #take(frame: Buffer): void {
    let messages: Buffer[];
    if (this.#options.credentials === undefined) messages = decodePack(frame);
    else if (this.#session !== undefined && frame[0] === 1)
      messages = this.#session.opener.open(frame, this.#maxPlaintext);
    else {
      this.#inClear(frame.toString('latin1'));
      return;
    }
    // Only what the router sealed shows that it lives.
    this.#silent = 0;
    for (const message of messages) this.#accept(decodeText(message));
  }

  /** What comes in clear on the external door: nobody vouches for it, so it only moves a handshake on or ends it. */
  #inClear(text: string): void {
    if (this.#step === 'ready') {
      if (text.startsWith('[NOSESSION]')) this.end('the router no longer knows this session');
    } else if (text.startsWith('[ACK] [] ')) {
      const { data } = parseData(parseReply(text).data);
      const told = typeof data === 'object' && data !== null && !Array.isArray(data) ? data.message : undefined;
      this.end(typeof told === 'string' ? told.slice(0, 1000) : 'the handshake was refused', true);
    } else if (this.#step === 'asked' && text.startsWith('[PUBKEY] [')) {
      this.#routerKey = this.#checkRouter(publicKeyFromSpki(unb64(text.slice(10, -1))));
      this.#greet(this.#routerKey);
    } else if (this.#step === 'greeted' && text.startsWith('[KEY] ')) this.#onKey(text);
  }

  #checkRouter(router: PublicKey): PublicKey {
    const expected = this.#options.credentials?.fingerprint;
    if (expected !== undefined && router.thumbprint !== expected)
      throw new Error(`the router has the key ${router.thumbprint}, and ${expected} is the one to expect`);
    return router;
  }

  #begin(): void {
    if (this.#options.credentials === undefined) this.#dealer.send(`[PING] [${this.#beat}] []`);
    else if (this.#routerKey === undefined) {
      this.#dealer.send('[GETPUBKEY]');
      this.#asking = setInterval(() => this.#dealer.send('[GETPUBKEY]'), ASK_AGAIN_MS);
    } else this.#greet(this.#routerKey);
  }

  #onKey: (m2: string) => void = () => {};

  #greet(router: PublicKey): void {
    clearInterval(this.#asking);
    const credentials = this.#options.credentials;
    if (credentials === undefined) return;
    this.#step = 'checking';
    const { keys, identity, ciphers, joinKey } = credentials;
    const failed = (error: unknown) => this.end(reasonOf(error));
    createHello({ keys, router, identity, ciphers, joinKey, now: this.#options.clock.now() }).then((hello) => {
      if (this.#step !== 'checking') return;
      this.#onKey = (m2) => {
        this.#step = 'checking';
        readKey(hello, m2, { clock: this.#options.clock }).then((session) => {
          if (this.#step !== 'checking') return;
          this.#step = 'proven';
          this.#checked = true;
          this.#session = session;
          this.#transmit([session.auth]);
        }, failed);
      };
      this.#step = 'greeted';
      this.#greeted = true;
      this.#dealer.send(hello.frame);
    }, failed);
  }

  #accept(text: string): void {
    if (this.#step === 'ready') this.#handlers.message(text);
    else if (this.#step !== 'over') this.#welcome(parseReply(text));
  }

  #welcome(reply: Message): void {
    const { code, data } = parseData(reply.data);
    const told = typeof data === 'object' && data !== null && !Array.isArray(data) ? data : {};
    if (code !== 0) throw new Error(typeof told.message === 'string' ? told.message : 'the router refused the session');
    const { id, identity, roles, version, maxMessage } =
      this.#options.credentials === undefined
        ? { ...told, identity: '@local', roles: ['admin'], maxMessage: DEFAULT_MAX_MESSAGE }
        : told;
    if (
      typeof id !== 'string' ||
      typeof identity !== 'string' ||
      typeof version !== 'string' ||
      !Array.isArray(roles) ||
      !Number.isSafeInteger(maxMessage) ||
      typeof maxMessage !== 'number'
    )
      throw new Error("the router's welcome is not one");
    this.#step = 'ready';
    clearTimeout(this.#attempt);
    this.#maxPlaintext = maxMessage + RECORD_SLACK;
    this.#batchLimit = Math.min(BATCH_BYTES, maxMessage);
    this.#heartbeat = setInterval(this.#onTick, this.#options.timing.ping / TICKS);
    this.#heartbeat.unref();
    this.#handlers.ready({ id, identity, roles: roles.map(String), version, maxMessage });
  }

  // Counts turns of the event loop and not time, so that a loop that stood still does not take it for silence.
  readonly #onTick = () => {
    const { ping, silence } = this.#options.timing;
    this.#silent++;
    if (this.#silent * ping >= silence * TICKS) this.end(`the router was silent for ${silence / 1000} s`);
    else if (this.#silent % TICKS === 0) {
      const ping = `[PING] [${this.#beat}] []`;
      this.send(ping, ping.length);
    }
  };
}
