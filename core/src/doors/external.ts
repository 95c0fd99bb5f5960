import { availableParallelism } from 'node:os';
import { type CentreondError, reasonOf } from '@centreond/plugin-sdk';
import { b64, CIPHERS, type Cipher, type KeyPair, type PublicJwk } from '@centreond/plugin-sdk/channel';
import { Router } from 'zeromq';
import { fault } from '../errors.ts';
import type { Peer } from '../router/peer.ts';
import { Admission, type AdmissionLimits, REFUSAL, Refused } from './admission.ts';
import { callersOf } from './callers.ts';
import { Crowd } from './crowd.ts';
import { Bucket, Buckets, type Clock } from './limits.ts';
import type { Outbox } from './outbox.ts';
import { type Route, type SessionLimits, Sessions } from './sessions.ts';
import type { Trust } from './trust.ts';

/** What the door logs with: pino's shape. */
export interface DoorLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface DoorLimits extends SessionLimits, AdmissionLimits {
  /** How often old things are looked for, and how long a full queue is left alone, in milliseconds. */
  sweepMs: number;
  retryMs: number;
  /** How long `stop` waits for the peers' queues, in milliseconds. */
  stopMs: number;
}

const LIMITS: DoorLimits = {
  pendingMs: 10_000,
  maxPending: 4096,
  heldBytes: 4 * 1024 * 1024,
  allHeldBytes: 64 * 1024 * 1024,
  maxBytes: 64 * 1024 * 1024,
  stallMs: 120_000,
  // More at once than there are cores only makes each of them late.
  concurrency: Math.min(4, Math.max(2, availableParallelism())),
  queued: 1024,
  queueMs: 4000,
  nonces: 1024,
  sweepMs: 1000,
  retryMs: 5,
  stopMs: 2000,
};

export interface DoorOptions {
  /** A `tcp://` endpoint; the port may be `*`. */
  listen: string;
  routerKeys: KeyPair;
  trust: Trust;
  /** The router's node id and version, as sessions are told. */
  id: string;
  version: string;
  /** Bytes of the largest message. */
  maxMessage: number;
  /** The record ciphers that are allowed. */
  ciphers?: readonly Cipher[];
  idleMs: number;
  clock: Clock;
  log: DoorLog;
  limits?: Partial<DoorLimits>;
  /** Each message of a live session, in the order in which its peer sent it. `message` may be kept. */
  receive(peer: Peer, message: Buffer): void;
  /** A session began with this key: what `centreond_identity` keeps. */
  pinned?(identity: string, jwk: PublicJwk): void;
}

const RECORD = 0x01;
const HELO = Buffer.from('[HELO] ');
const GETPUBKEY = Buffer.from('[GETPUBKEY]');
const NOSESSION = '[NOSESSION] []';
// Frames read before what they caused is sent, where the queue never drains.
const FRAMES = 64;
const SUMMARY_MS = 10_000;
/** So long are frames taken before the event loop goes on; zeromq alone would give 512 in a row, however large. */
const TURN_MS = 4;

/**
 * The external door: a ROUTER socket on which only encrypted sessions act (PROTOCOL.md, section 5). It knows sessions
 * and messages and nothing of what they mean.
 */
export class ExternalDoor {
  /** What was dropped or refused since the start, and why. */
  readonly counters = {
    multipart: 0,
    refused: 0,
    unanswered: 0,
    noSession: 0,
    ignored: 0,
    unsent: 0,
  };
  readonly #options: DoorOptions;
  readonly #limits: DoorLimits;
  readonly #socket: Router;
  readonly #sessions: Sessions;
  readonly #admission: Admission;
  readonly #pubkey: string;
  readonly #refusals = new Bucket(20, 100);
  /** A constant, so that only one connection's share of answers is bounded. */
  readonly #pubkeys = new Buckets(5, 5, 16_384, true);
  readonly #noSessions = new Buckets(1, 1, 16_384, false);
  // Reading a HELO costs some tens of microseconds: one connection must not spend them all.
  readonly #heloRate = new Buckets(50, 200, 16_384, true);
  readonly #stuck = new Set<Outbox>();
  #helos = 0;
  #port = 0;
  #reading = false;
  #scheduled = false;
  #retrying: NodeJS.Timeout | undefined;
  #sweeping: NodeJS.Timeout | undefined;
  #summarised = { at: 0, unanswered: 0 };
  #crowd: Crowd | undefined;
  #loop: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: DoorOptions) {
    const { routerKeys, trust, id, version, maxMessage, clock, log, idleMs } = options;
    this.#options = options;
    this.#limits = { ...LIMITS, ...options.limits };
    this.#pubkey = `[PUBKEY] [${b64(routerKeys.publicKey.export({ type: 'spki', format: 'der' }))}]`;
    this.#socket = new Router({
      mandatory: true,
      handover: false,
      sendTimeout: 0,
      maxMessageSize: maxMessage + 64 * 1024,
      linger: 1000,
      backlog: 1024,
      // Counted in frames, and a frame may be large: far below the default of 1,000.
      sendHighWaterMark: 256,
      receiveHighWaterMark: 256,
      tcpKeepalive: 1,
      tcpKeepaliveIdle: 60,
      ipv6: /^tcp:\/\/[[*]/.test(options.listen),
    });
    this.#admission = new Admission({
      routerKeys,
      trust,
      clock,
      ciphers: options.ciphers ?? CIPHERS,
      address: () => callersOf(this.#port),
      limits: this.#limits,
    });
    this.#sessions = new Sessions({
      trust,
      clock,
      welcome: { id, version, maxMessage },
      idleMs,
      limits: this.#limits,
      io: {
        send: (route, frame) => this.#send(route, frame),
        queued: () => this.#schedule(),
        stuck: (outbox) => this.#stall(outbox),
        receive: (peer, message) => options.receive(peer, message),
        pinned: (identity, jwk) => options.pinned?.(identity, jwk),
        noSession: (route) => this.#noSession(route),
        refuse: (route, cause, fields) => this.#refuse(route, cause, fields),
        note: (event, fields) => log.info(fields, event),
      },
    });
    trust.onRevoked(({ fingerprint }) => this.#sessions.revoke(fingerprint));
  }

  /** Binds. Resolves with the endpoint, its port filled in. Throws DOOR_IN_USE, DOOR_NOT_THIS_MACHINE, DOOR_FORBIDDEN or DOOR_CLOSED. What comes waits for `serve`. */
  async listen(): Promise<string> {
    const { listen } = this.#options;
    try {
      await this.#socket.bind(listen);
    } catch (error) {
      throw bindFault(listen, error);
    }
    const endpoint = this.#socket.lastEndpoint ?? listen;
    this.#port = Number(endpoint.slice(endpoint.lastIndexOf(':') + 1));
    this.#crowd = new Crowd(this.#socket, endpoint, this.#options.log);
    return endpoint;
  }

  /** Begins to serve. Call once, after `listen`. */
  serve(): void {
    this.#loop = this.#serve();
    this.#sweeping = setInterval(() => this.sweep(), this.#limits.sweepMs);
  }

  /** Says STOPPING to every peer, waits at most the limit for their queues and closes. May be called again. */
  stop(): Promise<void> {
    this.#stopped ??= this.#close();
    return this.#stopped;
  }

  /** The live session of an identity, to send to it what it did not ask for. */
  peer(identity: string): Peer | undefined {
    return this.#sessions.of(identity);
  }

  /** How much there is of everything that has a bound. */
  get load() {
    return {
      ...this.#sessions.load,
      ...this.#admission.load,
      stuck: this.#stuck.size,
      throttled: this.#noSessions.size + this.#heloRate.size,
    };
  }

  /** Ends and forgets what is too old. Runs by itself once started. */
  sweep(): void {
    const { clock, log } = this.#options;
    this.#sessions.sweep();
    this.#admission.sweep();
    const now = clock.monotonic();
    this.#noSessions.sweep(now);
    this.#heloRate.sweep(now);
    this.#pubkeys.sweep(now);
    const { unanswered } = this.counters;
    if (unanswered > this.#summarised.unanswered && now - this.#summarised.at >= SUMMARY_MS) {
      log.warn(
        { count: unanswered - this.#summarised.unanswered },
        'more handshakes were refused than could be answered or logged',
      );
      this.#summarised = { at: now, unanswered };
    }
  }

  async #serve(): Promise<void> {
    const socket = this.#socket;
    let frames = 0;
    let turnEndsAt = performance.now() + TURN_MS;
    for (;;) {
      let parts: Buffer[];
      try {
        parts = await socket.receive();
      } catch (error) {
        if (socket.closed) return;
        this.#options.log.error({ reason: reasonOf(error) }, 'the external door could not read');
        await new Promise((resolve) => setTimeout(resolve, 100));
        continue;
      }
      this.#reading = true;
      try {
        this.#take(parts);
      } catch (error) {
        this.#options.log.error({ err: error }, 'a frame of the external door was not handled to its end');
      }
      if (++frames >= FRAMES || !socket.readable) {
        frames = 0;
        this.#sessions.flush();
      }
      this.#reading = false;
      if (performance.now() < turnEndsAt) continue;
      await new Promise((resolve) => setImmediate(resolve));
      turnEndsAt = performance.now() + TURN_MS;
    }
  }

  #take(parts: Buffer[]): void {
    const [id, frame] = parts;
    if (this.#stopped) return;
    if (id === undefined || frame === undefined || parts.length !== 2) {
      this.counters.multipart++;
      return;
    }
    const route = { key: id.toString('latin1'), id };
    if (frame[0] === RECORD) this.#sessions.record(route, frame);
    else if (startsWith(frame, HELO)) this.#hello(route, frame);
    else if (startsWith(frame, GETPUBKEY)) this.#sendPubkey(route);
    else if (frame.length > 0 && !this.#sessions.knows(route.key)) this.#noSession(route);
    // In clear although it has a session: somebody else's voice, or a fault. It can neither act nor end anything.
    else this.counters.ignored++;
  }

  #hello(route: Route, frame: Buffer): void {
    const order = this.#helos++;
    if (!this.#heloRate.take(route.key, this.#options.clock.monotonic())) {
      this.#refuse(route, 'its connection begins too many handshakes', {});
      return;
    }
    this.#admission.admit(frame).then(
      (admitted) => this.#sessions.offer(route, admitted, order),
      (error: unknown) => {
        if (error instanceof Refused) this.#refuse(route, error.message, error.fields);
        else {
          this.#options.log.error({ err: error }, 'a handshake failed here');
          this.#refuse(route, 'it failed here', { reason: reasonOf(error) });
        }
      },
    );
  }

  /** Answers with the words that are the same for every cause; the cause goes to the log. */
  #refuse(route: Route, cause: string, fields: Record<string, unknown>): void {
    this.counters.refused++;
    if (this.#stopped) return;
    if (!this.#refusals.take(this.#options.clock.monotonic())) {
      this.counters.unanswered++;
      return;
    }
    this.#options.log.warn({ ...fields, cause }, 'a handshake was refused');
    this.#sendClear(route, REFUSAL);
  }

  #sendPubkey(route: Route): void {
    if (this.#pubkeys.take(route.key, this.#options.clock.monotonic())) this.#sendClear(route, this.#pubkey);
    else this.counters.ignored++;
  }

  #noSession(route: Route): void {
    if (this.#stopped || !this.#noSessions.take(route.key, this.#options.clock.monotonic())) return;
    this.counters.noSession++;
    this.#sendClear(route, NOSESSION);
  }

  #sendClear(route: Route, text: string): void {
    this.#send(route, text).catch(() => {
      // Nobody waits for it that could still be told.
      this.counters.unsent++;
    });
  }

  #send(route: Route, frame: Buffer | string): Promise<void> {
    try {
      return this.#socket.send([route.id, frame]);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Has what was queued sent: by the loop when it has read all there is, else at the end of this turn. */
  #schedule(): void {
    if (this.#reading || this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#sessions.flush();
    });
  }

  /** The ROUTER does not tell when a queue has room again: tries in a moment. */
  #stall(outbox: Outbox): void {
    this.#stuck.add(outbox);
    this.#retrying ??= setTimeout(() => {
      this.#retrying = undefined;
      const stuck = [...this.#stuck];
      this.#stuck.clear();
      for (const outbox of stuck) outbox.retry();
    }, this.#limits.retryMs);
  }

  async #close(): Promise<void> {
    clearInterval(this.#sweeping);
    this.#crowd?.close();
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#limits.stopMs);
    });
    await Promise.race([this.#sessions.close(), limit]);
    clearTimeout(timer);
    clearTimeout(this.#retrying);
    this.#socket.close();
    await this.#loop;
  }
}

function bindFault(listen: string, error: unknown): CentreondError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'EADDRINUSE') return fault('DOOR_IN_USE', { listen });
  if (code === 'EADDRNOTAVAIL' || code === 'ENODEV') return fault('DOOR_NOT_THIS_MACHINE', { listen });
  if (code === 'EACCES') return fault('DOOR_FORBIDDEN', { listen });
  return fault('DOOR_CLOSED', { listen, reason: reasonOf(error) });
}

function startsWith(frame: Buffer, start: Buffer): boolean {
  return frame.length >= start.length && frame.compare(start, 0, start.length, 0, start.length) === 0;
}
