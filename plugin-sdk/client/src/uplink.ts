import { parseData, parseReply, reasonOf } from '@centreond/protocol';
import type { Cipher, KeyPair, Signer } from '@centreond/protocol/channel';
import { Connection, type Timing, type Welcome } from './connection.ts';
import { Destination, type RouterPlace } from './destination.ts';

/** Where a link goes and as whom. */
export interface UplinkOptions {
  /** At least one; several are routers of one cluster, of which the link leads to one at a time. */
  readonly routers: readonly [RouterPlace, ...RouterPlace[]];
  /** Needed unless the address is `ipc://`, which is spoken to in clear, without identity and keys. */
  readonly peer:
    | {
        readonly keys: KeyPair | Signer;
        readonly identity: string;
        readonly ciphers?: readonly Cipher[];
        /** Of the join token that enrols us, where we are not known yet. */
        readonly joinKey?: Buffer;
      }
    | undefined;
  readonly timing: Timing;
  readonly clock: { now(): number };
}

/** What a link tells. `up` comes again after each new handshake: what is not acknowledged must be sent again then. */
export interface UplinkHandlers {
  up(welcome: Welcome, router: RouterPlace): void;
  down(reason: string): void;
  message(text: string): void;
  /** Another process took our identity: the link is down, and stays so for `timing.replaced`. */
  replaced(): void;
  /** Each router refuses us as who joins, and as who has joined. It is tried on. */
  refused(): void;
  /** A router ended a session as revoked, and one has refused the key for a while since. It is tried on. */
  revoked(): void;
  /** A router has refused every handshake for `timing.refusals`, and no other one took one meanwhile. It is tried on. */
  turnedAway(): void;
}

const INBOUND_SLACK = 64 * 1024;
/** A router refuses a key in the same words when it is busy: a key that it ended is revoked once that has lasted so long. */
const REVOKED_MS = 1500;

/**
 * Keeps one session up: reconnects with jittered back-off, renews, gives way when replaced. Where it knows several routers it stays with
 * one, and each attempt after its loss goes to the next.
 */
export class Uplink {
  readonly #options: UplinkOptions;
  readonly #handlers: UplinkHandlers;
  readonly #routers: readonly Destination[];
  /** The one that the session is with, and that the next attempt goes to. */
  #router: Destination;
  /** Until the first session: the router knows our own key then. */
  #joinKey: Buffer | undefined;
  /** The last session ended as revoked. */
  #isRevoked = false;
  #current: Connection | undefined;
  #attempt: Connection | undefined;
  #wait: NodeJS.Timeout | undefined;
  #renewal: NodeJS.Timeout | undefined;
  #failures = 0;
  /** Whether the router said anything in this session. */
  #wasOfUse = false;
  #upSince = 0;
  #closed = false;
  #inboundLimit = 64 * 2 ** 20 + INBOUND_SLACK;

  /** Starts at once. Throws the socket's error for an address that is none. */
  constructor(options: UplinkOptions, handlers: UplinkHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    const [first, ...others] = options.routers;
    this.#router = new Destination(first);
    this.#routers = [this.#router, ...others.map((place) => new Destination(place))];
    this.#joinKey = options.peer?.joinKey;
    this.#open();
  }

  /** Why the last attempt failed or the last session ended; of several routers, of each. */
  get reason(): string {
    if (this.#routers.length === 1) return this.#router.reason;
    return this.#routers.map(({ address, reason }) => `${address}: ${reason.replace(/\.$/, '')}`).join('; ');
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
    const { peer, timing, clock } = this.#options;
    const { address, routerKey, fingerprint, isJoining } = this.#router;
    const credentials = peer && {
      keys: peer.keys,
      identity: peer.identity,
      ciphers: peer.ciphers,
      router: routerKey,
      fingerprint,
      joinKey: isJoining ? this.#joinKey : undefined,
    };
    const attempt: Connection = new Connection(
      { address, credentials, timing, clock, inboundLimit: this.#inboundLimit },
      {
        ready: (welcome) => this.#onReady(attempt, welcome),
        message: (text) => this.#onMessage(attempt, text),
        lost: (reason, refused) => this.#onLost(attempt, reason, refused),
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
    this.#joinKey = undefined;
    for (const router of this.#routers) router.refusedSince = undefined;
    this.#isRevoked = false;
    this.#router.pin(connection.routerKey);
    this.#upSince = performance.now();
    this.#wasOfUse = false;
    clearTimeout(this.#renewal);
    this.#renewal = setTimeout(() => this.#renew(), timing.renew);
    this.#renewal.unref();
    this.#handlers.up(welcome, this.#router);
  }

  #renew(): void {
    if (this.#attempt === undefined && this.#current !== undefined) this.#retry();
  }

  #onLost(connection: Connection, reason: string, refused: boolean): void {
    this.#router.reason = reason;
    if (connection === this.#attempt) {
      this.#attempt = undefined;
      if (this.#joinKey && connection.greeted) this.#alternate(connection, refused);
      this.#count(refused);
    } else if (connection === this.#current) {
      this.#current = undefined;
      // One that ends as soon as it began, without a word, is as good as a failed attempt: the back-off goes on.
      if (this.#wasOfUse || performance.now() - this.#upSince > this.#options.timing.backOffMax) this.#failures = 0;
      clearTimeout(this.#renewal);
      this.#giveUpRenewal();
      this.#handlers.down(reason);
    }
    this.#move();
    this.#later();
  }

  /** A renewal at a router that is lost is not waited for where there are others. */
  #giveUpRenewal(): void {
    if (this.#routers.length === 1 || this.#attempt?.proven) return;
    void this.#attempt?.close();
    this.#attempt = undefined;
  }

  /** The next attempt goes to the next router, unless there is a session or an attempt with this one. */
  #move(): void {
    if (this.#current !== undefined || this.#attempt !== undefined) return;
    const next = (this.#routers.indexOf(this.#router) + 1) % this.#routers.length;
    this.#router = this.#routers[next] ?? this.#router;
  }

  #alternate(connection: Connection, refused: boolean): void {
    if (connection.checked) this.#router.pin(connection.routerKey);
    this.#router.alternate(refused);
    if (this.#routers.every((router) => router.hasRefusedJoin)) this.#handlers.refused();
  }

  /** Tells of refusals. A single one means little: a router also refuses a key that comes too often. */
  #count(refused: boolean): void {
    const router = this.#router;
    if (!refused) {
      router.refusedSince = undefined;
      return;
    }
    const now = performance.now();
    router.refusedSince ??= now;
    if (this.#isRevoked && now - router.refusedSince >= REVOKED_MS) this.#handlers.revoked();
    if (now - router.refusedSince >= this.#options.timing.refusals) this.#handlers.turnedAway();
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
      this.#router.reason = reasonOf(error);
      this.#move();
      this.#later();
    }
  }

  #onMessage(connection: Connection, text: string): void {
    if (text.startsWith('[BYE] ')) {
      this.#onBye(connection, text);
      return;
    }
    if (connection === this.#current) this.#wasOfUse = true;
    if (!connection.isBeat(text)) this.#handlers.message(text);
  }

  #onBye(connection: Connection, text: string): void {
    const { reason } = parseData(parseReply(text).data);
    if (reason !== 'REPLACED') {
      // A changed grant ends a session so, too: the next attempt shows whether the key is still let in.
      this.#isRevoked = reason === 'REVOKED';
      connection.end(`the router ended the session (${String(reason)})`);
      return;
    }
    // Our own renewal does this as soon as its AUTH is there; then it is no stranger who took our place.
    if (this.#attempt?.proven) return;
    void this.#attempt?.close();
    this.#attempt = undefined;
    void connection.close();
    this.#current = undefined;
    this.#router.reason = 'another process connected with this identity';
    clearTimeout(this.#renewal);
    clearTimeout(this.#wait);
    this.#wait = setTimeout(() => this.#retry(), this.#options.timing.replaced);
    this.#handlers.replaced();
  }
}
