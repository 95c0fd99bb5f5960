import type { Cipher, KeyPair, PublicKey, Signer } from './channel/index.ts';
import { Connection, type Timing, type Welcome } from './connection.ts';
import { reasonOf } from './errors.ts';
import { parseData, parseReply } from './frame.ts';

/** Where a link goes and as whom. */
export interface UplinkOptions {
  /** `tcp://host:port`, or `ipc://path` for the internal door: in clear, without identity and keys. */
  readonly address: string;
  /** Needed unless the address is `ipc://`. `router` is a fingerprint, or `'first-use'` to pin the first one seen. */
  readonly peer:
    | {
        readonly keys: KeyPair | Signer;
        readonly identity: string;
        readonly router: string;
        readonly ciphers?: readonly Cipher[];
      }
    | undefined;
  readonly timing: Timing;
  readonly clock: { now(): number };
}

/** What a link tells. `up` comes again after each new handshake: what is not acknowledged must be sent again then. */
export interface UplinkHandlers {
  up(welcome: Welcome, fingerprint: string | undefined): void;
  down(reason: string): void;
  message(text: string): void;
  /** Another process took our identity: the link is down, and stays so for `timing.replaced`. */
  replaced(): void;
}

const INBOUND_SLACK = 64 * 1024;

/** Keeps one session with a router up: reconnects with jittered back-off, renews, gives way when replaced. */
export class Uplink {
  readonly #options: UplinkOptions;
  readonly #handlers: UplinkHandlers;
  #fingerprint: string | undefined;
  #routerKey: PublicKey | undefined;
  #current: Connection | undefined;
  #attempt: Connection | undefined;
  #wait: NodeJS.Timeout | undefined;
  #renewal: NodeJS.Timeout | undefined;
  #failures = 0;
  #upSince = 0;
  #closed = false;
  #inboundLimit = 64 * 2 ** 20 + INBOUND_SLACK;
  #reason = 'it was not tried yet';

  /** Starts at once. Throws the socket's error for an address that is none. */
  constructor(options: UplinkOptions, handlers: UplinkHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    const router = options.peer?.router;
    this.#fingerprint = router === 'first-use' ? undefined : router;
    this.#open();
  }

  /** Why the last attempt failed or the last session ended. */
  get reason(): string {
    return this.#reason;
  }

  get isUp(): boolean {
    return this.#current !== undefined;
  }

  /** Queues a message of `bytes` bytes for the session; without one, drops it: `up` is the time to send it again. */
  send(text: string, bytes: number): void {
    this.#current?.send(text, bytes);
  }

  /** Ends the link for good; resolves when its sockets are closed. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#wait);
    clearTimeout(this.#renewal);
    await Promise.all([this.#attempt?.close(), this.#current?.close()]);
    this.#attempt = this.#current = undefined;
  }

  #open(): void {
    const { address, peer, timing, clock } = this.#options;
    const credentials = peer && {
      keys: peer.keys,
      identity: peer.identity,
      ciphers: peer.ciphers,
      router: this.#routerKey,
      fingerprint: this.#fingerprint,
    };
    const attempt: Connection = new Connection(
      { address, credentials, timing, clock, inboundLimit: this.#inboundLimit },
      {
        ready: (welcome) => this.#onReady(attempt, welcome),
        message: (text) => this.#onMessage(attempt, text),
        lost: (reason) => this.#onLost(attempt, reason),
      },
    );
    this.#attempt = attempt;
  }

  #onReady(connection: Connection, welcome: Welcome): void {
    const inbound = welcome.maxMessage + INBOUND_SLACK;
    if (inbound > this.#inboundLimit) {
      this.#inboundLimit = inbound;
      connection.end('the router has larger messages than this socket takes');
      return;
    }
    const { timing } = this.#options;
    // The renewed one replaces the old one at the router, too; nothing more is wanted of that.
    void this.#current?.close();
    this.#current = connection;
    this.#attempt = undefined;
    this.#routerKey = connection.routerKey;
    this.#fingerprint = this.#routerKey?.thumbprint;
    this.#upSince = performance.now();
    clearTimeout(this.#renewal);
    this.#renewal = setTimeout(() => this.#renew(), timing.renew);
    this.#renewal.unref();
    this.#handlers.up(welcome, this.#fingerprint);
  }

  #renew(): void {
    if (this.#attempt === undefined && this.#current !== undefined) this.#retry();
  }

  #onLost(connection: Connection, reason: string): void {
    this.#reason = reason;
    if (connection === this.#attempt) this.#attempt = undefined;
    else if (connection === this.#current) {
      this.#current = undefined;
      // A session that ends as soon as it began is as good as a failed attempt: the back-off goes on.
      if (performance.now() - this.#upSince > this.#options.timing.backOffMax) this.#failures = 0;
      clearTimeout(this.#renewal);
      this.#handlers.down(reason);
    }
    this.#later();
  }

  #later(): void {
    if (this.#closed) return;
    const { backOffMin, backOffMax } = this.#options.timing;
    const ceiling = Math.min(backOffMax, backOffMin * 2 ** Math.min(++this.#failures, 16));
    clearTimeout(this.#wait);
    this.#wait = setTimeout(() => this.#retry(), backOffMin + Math.random() * (ceiling - backOffMin));
  }

  #retry(): void {
    if (this.#closed || this.#attempt !== undefined) return;
    try {
      this.#open();
    } catch (error) {
      // The address was good once, so this is a passing lack, of sockets for one.
      this.#reason = reasonOf(error);
      this.#later();
    }
  }

  #onMessage(connection: Connection, text: string): void {
    if (text.startsWith('[BYE] ')) this.#onBye(connection, text);
    else this.#handlers.message(text);
  }

  #onBye(connection: Connection, text: string): void {
    const { reason } = parseData(parseReply(text).data);
    if (reason !== 'REPLACED') {
      connection.end(`the router ended the session (${String(reason)})`);
      return;
    }
    // Our own renewal does this as soon as its AUTH is there; then it is no stranger who took our place.
    if (this.#attempt?.proven) return;
    void this.#attempt?.close();
    this.#attempt = undefined;
    void connection.close();
    this.#current = undefined;
    this.#reason = 'another process connected with this identity';
    clearTimeout(this.#renewal);
    clearTimeout(this.#wait);
    this.#wait = setTimeout(() => this.#retry(), this.#options.timing.replaced);
    this.#handlers.replaced();
  }
}
