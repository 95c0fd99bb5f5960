import { availableParallelism } from 'node:os';
import { reasonOf } from '@centreond/protocol';
import { b64, CIPHERS, type Cipher, type KeyPair, type PublicJwk } from '@centreond/protocol/channel';
import type { Clock } from '../clock.ts';
import type { Chronicle } from '../log/chronicle.ts';
import type { Peer } from '../router/peer.ts';
import { Abandoned, Admission, type AdmissionLimits, REFUSAL, Refused } from './admission.ts';
import { bindFault } from './bindable.ts';
import { Caller } from './caller.ts';
import { Bucket } from './limits.ts';
import { openFileLimits } from './open-files.ts';
import { RefusalLog } from './refusal-log.ts';
import { type SessionLimits, Sessions } from './sessions.ts';
import type { Trust } from './trust.ts';
import type { Connection, ConnectionHandlers } from './zmtp/connection.ts';
import { type Listener, openListener } from './zmtp/listener.ts';

/** What the door logs with: pino's shape. */
export interface DoorLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface DoorLimits extends SessionLimits, AdmissionLimits {
  /** How often old things are looked for, in milliseconds. */
  sweepMs: number;
  /** How long `stop` waits for the peers' queues, in milliseconds. */
  stopMs: number;
}

const LIMITS: Omit<DoorLimits, 'strangers'> = {
  pendingMs: 10_000,
  maxPending: 4096,
  maxBytes: 64 * 1024 * 1024,
  stallMs: 120_000,
  // More at once than there are cores only makes each of them late.
  concurrency: Math.min(4, Math.max(2, availableParallelism())),
  queued: 1024,
  queueMs: 4000,
  nonces: 1024,
  sweepMs: 1000,
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
  /** Connections in all, and from one address. */
  connections?: { count: number; perAddress: { count: number } };
  strangers: DoorLimits['strangers'];
  idleMs: number;
  chronicle: Pick<Chronicle, 'tell'>;
  clock: Clock;
  log: DoorLog;
  limits?: Partial<Omit<DoorLimits, 'strangers'>>;
  /** Each message of a live session, in the order in which its peer sent it. `message` may be kept. */
  receive(peer: Peer, message: Buffer): void;
  /** A session began with this key: what `centreond_identity` keeps. */
  pinned?(identity: string, jwk: PublicJwk): void;
  /** A handshake with the key of `identity` was refused for `cause`, a clause. It may be a forgery: its signature may be unread. */
  refused?(identity: string, cause: string): void;
}

const RECORD = 0x01;
const HELO = Buffer.from('[HELO] ');
const GETPUBKEY = Buffer.from('[GETPUBKEY]');
const NOSESSION = '[NOSESSION] []';
/** Files that strangers' connections may not take: the store, plugins, commands and local clients need them. */
const RESERVE = { part: 0.25, least: 128, most: 4096 };

/**
 * The external door, at which only encrypted sessions act (PROTOCOL.md, section 5). It knows connections, sessions and
 * messages and nothing of what they mean.
 */
export class ExternalDoor {
  readonly #counters = { refused: 0, abandoned: 0, unanswered: 0, noSession: 0, ignored: 0, unsent: 0 };
  readonly #options: DoorOptions;
  readonly #limits: DoorLimits;
  readonly #sessions: Sessions;
  readonly #admission: Admission;
  readonly #pubkey: string;
  readonly #refusals = new Bucket(20, 100);
  readonly #refusalLog: RefusalLog;
  /** Connections that wait for `serve`; undefined from then on. */
  #early: Set<Connection> | undefined = new Set();
  #listener: Listener | undefined;
  #helos = 0;
  #scheduled = false;
  #sweeping: NodeJS.Timeout | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: DoorOptions) {
    const { routerKeys, trust, id, version, maxMessage, strangers, clock, log, idleMs } = options;
    this.#options = options;
    this.#limits = { ...LIMITS, strangers, ...options.limits };
    this.#pubkey = `[PUBKEY] [${b64(routerKeys.publicKey.export({ type: 'spki', format: 'der' }))}]`;
    this.#refusalLog = new RefusalLog({ clock, log, chronicle: options.chronicle });
    this.#admission = new Admission({
      routerKeys,
      trust,
      clock,
      ciphers: options.ciphers ?? CIPHERS,
      limits: this.#limits,
    });
    this.#sessions = new Sessions({
      trust,
      clock,
      welcome: { id, version, maxMessage },
      idleMs,
      limits: this.#limits,
      io: {
        queued: () => this.#schedule(),
        receive: (peer, message) => options.receive(peer, message),
        pinned: (identity, jwk) => options.pinned?.(identity, jwk),
        guard: (work) => this.#guard('an AUTH', work),
        noSession: (caller) => this.#noSession(caller),
        refuse: (caller, cause, fields) => this.#refuse(caller, cause, fields),
        note: (event, fields) => log.info(fields, event),
        joined: (joined) => options.chronicle.tell('KEY_JOINED', joined),
      },
    });
    trust.onRevoked(({ fingerprint }) => this.#sessions.revoke(fingerprint));
  }

  /** Binds. Resolves with the endpoint, its port filled in. Throws DOOR_IN_USE, DOOR_NOT_THIS_MACHINE, DOOR_FORBIDDEN or DOOR_CLOSED. What comes waits for `serve`. */
  async listen(): Promise<string> {
    const { listen, maxMessage, connections, clock, log } = this.#options;
    const files = openFileLimits()?.soft ?? 0;
    try {
      this.#listener = await openListener({
        endpoint: listen,
        maxFrame: maxMessage + 64 * 1024,
        clock,
        log,
        limits: {
          ...(connections && { connections: connections.count, perAddress: connections.perAddress.count }),
          maxPending: this.#limits.maxBytes,
          reserve: Math.min(RESERVE.most, Math.max(RESERVE.least, Math.floor(files * RESERVE.part))),
        },
        onConnection: (connection) => this.#enter(connection),
      });
    } catch (error) {
      throw bindFault(listen, error);
    }
    return this.#listener.endpoint;
  }

  /** Begins to serve. Call once, after `listen`. */
  serve(): void {
    const early = this.#early ?? new Set();
    this.#early = undefined;
    for (const connection of early) connection.resume();
    this.#sweeping = setInterval(() => this.sweep(), this.#limits.sweepMs);
  }

  /** Says STOPPING to every peer, waits at most `withinMs` for their queues and closes. May be called again. */
  stop(withinMs = this.#limits.stopMs): Promise<void> {
    this.#stopped ??= this.#close(Math.min(withinMs, this.#limits.stopMs));
    return this.#stopped;
  }

  /** The live session of an identity, to send to it what it did not ask for. */
  peer(identity: string): Peer | undefined {
    return this.#sessions.of(identity);
  }

  /** What was dropped or refused since the start, and why. */
  get counters() {
    return { ...this.#counters, connections: this.#listener?.counters };
  }

  /** How much there is of everything that has a bound. */
  get load() {
    return { ...this.#sessions.load, ...this.#admission.load, ...this.#listener?.load };
  }

  /** Ends and forgets what is too old. Runs by itself once started. */
  sweep(): void {
    this.#sessions.sweep();
    this.#admission.sweep();
    this.#refusalLog.sweep();
  }

  #enter(connection: Connection): ConnectionHandlers {
    const caller = new Caller(connection);
    if (this.#early) {
      connection.pause();
      this.#early.add(connection);
    }
    return {
      onFrame: (frame) => this.#guard('a frame', () => this.#take(caller, frame)),
      onDrain: () => this.#guard('a drain', () => this.#sessions.drained(caller)),
      onClosed: (reason) => {
        this.#early?.delete(connection);
        this.#guard('an end', () => this.#sessions.left(caller, reason));
      },
    };
  }

  /** A bug in what one peer causes must not end all the others. */
  #guard(what: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#options.log.error({ err: error }, `${what} of the external door was not handled to its end`);
    }
  }

  #take(caller: Caller, frame: Buffer): void {
    if (this.#stopped) return;
    if (frame[0] === RECORD) this.#sessions.record(caller, frame);
    else if (startsWith(frame, HELO)) this.#hello(caller, frame);
    else if (startsWith(frame, GETPUBKEY)) this.#sendPubkey(caller);
    else if (frame.length > 0 && !caller.isKnown) this.#noSession(caller);
    // In clear although it has a session: somebody else's voice, or a fault. It can neither act nor end anything.
    else this.#counters.ignored++;
  }

  #hello(caller: Caller, frame: Buffer): void {
    const order = this.#helos++;
    if (!caller.hellos.take(this.#options.clock.monotonic())) {
      this.#refuse(caller, 'its connection begins too many handshakes', {});
      return;
    }
    this.#admission
      .admit(frame, caller.host, () => !caller.connection.open)
      .then(
        (admitted) => this.#guard('a handshake', () => this.#sessions.offer(caller, admitted, order)),
        (error: unknown) => {
          if (error instanceof Abandoned) this.#counters.abandoned++;
          else if (error instanceof Refused) this.#refuse(caller, error.message, error.fields);
          else {
            this.#options.log.error({ err: error }, 'a handshake failed here');
            this.#refuse(caller, 'it failed here', { reason: reasonOf(error) });
          }
        },
      );
  }

  /** Answers with the words that are the same for every cause; the cause goes to the log. */
  #refuse(caller: Caller, cause: string, fields: Record<string, unknown>): void {
    this.#counters.refused++;
    if (this.#stopped) return;
    if (typeof fields.identity === 'string') this.#options.refused?.(fields.identity, cause);
    this.#refusalLog.refused(cause, { ...fields, address: caller.address });
    if (this.#refusals.take(this.#options.clock.monotonic())) this.#sendClear(caller, REFUSAL);
    else this.#counters.unanswered++;
  }

  #sendPubkey(caller: Caller): void {
    if (caller.pubkeys.take(this.#options.clock.monotonic())) this.#sendClear(caller, this.#pubkey);
    else this.#counters.ignored++;
  }

  #noSession(caller: Caller): void {
    if (this.#stopped || !caller.noSessions.take(this.#options.clock.monotonic())) return;
    this.#counters.noSession++;
    this.#sendClear(caller, NOSESSION);
  }

  #sendClear({ connection }: Caller, text: string): void {
    // One that does not read is owed nothing more.
    if (connection.full) this.#counters.unsent++;
    else connection.send(text);
  }

  /** Has what was queued sent when this turn of the event loop has read all there is. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#guard('a flush', () => this.#sessions.flush());
    });
  }

  async #close(withinMs: number): Promise<void> {
    clearInterval(this.#sweeping);
    this.#sessions.close();
    await this.#listener?.close(withinMs);
  }
}

function startsWith(frame: Buffer, start: Buffer): boolean {
  return frame.length >= start.length && frame.compare(start, 0, start.length, 0, start.length) === 0;
}
