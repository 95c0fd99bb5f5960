import { formatAck, formatMessage, reasonOf } from '@centreond/protocol';
import { HANDSHAKE_LIMIT, isFirstRecord, type PublicJwk, verifyAuth } from '@centreond/protocol/channel';
import type { Clock } from '../clock.ts';
import type { Grant, Peer } from '../router/peer.ts';
import type { Admitted } from './admission.ts';
import type { Caller, Pending } from './caller.ts';
import type { OutboxLimits } from './outbox.ts';
import { Session, type SessionTable } from './session.ts';
import type { Trust } from './trust.ts';

/** Why a session ends, as its peer is told. */
export type ByeReason = 'REPLACED' | 'REVOKED' | 'STOPPING' | 'IDLE';

export interface SessionsOptions {
  trust: Trust;
  clock: Clock;
  /** What a session's first answer says of this router. */
  welcome: { id: string; version: string; maxMessage: number };
  idleMs: number;
  limits: SessionLimits;
  io: SessionsIo;
}

export interface SessionLimits extends Omit<OutboxLimits, 'maxMessage'> {
  /** How long a session may wait for its AUTH, in milliseconds, and how many may wait at once. */
  pendingMs: number;
  maxPending: number;
}

/** What the table needs of its door. */
export interface SessionsIo {
  /** Something was queued: call {@link Sessions.flush} soon. */
  queued(): void;
  /** A message of a live session, in the order of sending. Must not throw. */
  receive(peer: Peer, message: Buffer): void;
  /** A session came to life with this key. */
  pinned(identity: string, jwk: PublicJwk): void;
  /** Does `work`; what it throws is logged. */
  guard(work: () => void): void;
  /** A record belongs to nothing here. */
  noSession(caller: Caller): void;
  /** A handshake failed after its KEY. */
  refuse(caller: Caller, cause: string, fields: Record<string, unknown>): void;
  /** A session began or ended: for the log. */
  note(event: string, fields: Record<string, unknown>): void;
  /** A machine enrolled itself with a join token that `by` made. */
  joined(node: { identity: string; fingerprint: string; by: string; address: string }): void;
}

/**
 * The sessions of the external door: at most one live and one pending for each connection, at most one live for each
 * identity. What is believed of a connection comes from its keys alone.
 */
export class Sessions {
  readonly #byIdentity = new Map<string, { session: Session; caller: Caller }>();
  /** In the order of their beginning: the oldest is first. */
  readonly #pending = new Set<Pending>();
  readonly #table: SessionTable;
  #dirty: Session[] = [];
  #closed = false;

  constructor(readonly options: SessionsOptions) {
    const { clock, io, limits, welcome } = options;
    this.#table = {
      limits: { ...limits, maxMessage: welcome.maxMessage },
      now: () => clock.monotonic(),
      queued: (session) => {
        this.#dirty.push(session);
        io.queued();
      },
      broken: (session, cause) => {
        const live = this.#byIdentity.get(session.identity);
        if (live?.session === session) this.#end(live.caller, session, cause);
      },
    };
  }

  /** How much there is of what has bounds. */
  get load(): { live: number; pending: number } {
    return { live: this.#byIdentity.size, pending: this.#pending.size };
  }

  /** The live session of an identity. */
  of(identity: string): Peer | undefined {
    return this.#byIdentity.get(identity)?.session;
  }

  /**
   * Begins a session that waits for its AUTH, in the place of an older one that waits on the same connection, and sends
   * its KEY. Nothing that lives is touched. `order` is the HELO's place in the order of arrival: answers may be ready
   * in another one.
   */
  offer(caller: Caller, admitted: Admitted, order: number): void {
    if (caller.order > order || !caller.connection.open) return;
    caller.order = order;
    this.#forget(caller.pending);
    const { clock, limits } = this.options;
    const pending: Pending = { ...admitted, caller, order, since: clock.monotonic() };
    caller.pending = pending;
    this.#pending.add(pending);
    if (this.#pending.size > limits.maxPending) {
      const [oldest] = this.#pending;
      this.#forget(oldest);
    }
    caller.connection.send(admitted.session.frame);
  }

  /** Takes a record to the session that it belongs to. */
  record(caller: Caller, frame: Buffer): void {
    const { clock, limits, io } = this.options;
    const { pending } = caller;
    if (pending && isFirstRecord(frame)) {
      this.#forget(pending);
      if (clock.monotonic() - pending.since <= limits.pendingMs) {
        this.#prove(pending, frame);
        return;
      }
    }
    if (caller.live) this.#read(caller, caller.live, frame);
    else io.noSession(caller);
  }

  /** The connection takes records again. */
  drained(caller: Caller): void {
    caller.live?.flush();
  }

  /** The connection is gone, and with it what lived on it. */
  left(caller: Caller, reason: string): void {
    this.#forget(caller.pending);
    if (caller.live) this.#end(caller, caller.live, reason);
  }

  /** Seals and sends what was queued. */
  flush(): void {
    const dirty = this.#dirty;
    if (dirty.length === 0) return;
    this.#dirty = [];
    for (const session of dirty) session.flush();
  }

  /** Ends what belongs to a key, at once. */
  revoke(fingerprint: string): void {
    for (const { session, caller } of this.#byIdentity.values()) {
      if (session.grant.fingerprint === fingerprint)
        this.#end(caller, session, 'the key was revoked, or its grant changed', 'REVOKED');
    }
    for (const pending of this.#pending) if (pending.hello.cid === fingerprint) this.#forget(pending);
  }

  /** Ends what waited or was idle too long. */
  sweep(): void {
    const now = this.options.clock.monotonic();
    for (const pending of this.#pending) {
      if (now - pending.since <= this.options.limits.pendingMs) break;
      this.#forget(pending);
    }
    for (const { session, caller } of this.#byIdentity.values()) {
      if (now - session.lastUsed > this.options.idleMs) this.#end(caller, session, 'it was idle', 'IDLE');
      else session.outbox.sweep();
    }
  }

  /** Tells every peer STOPPING and ends its session. */
  close(): void {
    this.#closed = true;
    for (const { session, caller } of this.#byIdentity.values())
      this.#end(caller, session, 'the router stops', 'STOPPING');
  }

  #read(caller: Caller, session: Session, frame: Buffer): void {
    const { clock, io } = this.options;
    let messages: Buffer[];
    try {
      messages = session.read(frame);
    } catch (error) {
      this.#end(caller, session, reasonOf(error));
      // So that its client need not find out by silence; one that is in a handshake is left in peace.
      if (!caller.pending) io.noSession(caller);
      return;
    }
    session.heardAt = clock.monotonic();
    session.lastUsed = session.heardAt;
    session.deliver(messages, 0, io.receive);
  }

  /** Opens the first record of a pending session and has its AUTH verified; the session is no longer pending then. */
  #prove(pending: Pending, frame: Buffer): void {
    const { caller } = pending;
    let messages: Buffer[];
    try {
      if (frame.length > HANDSHAKE_LIMIT) throw new Error(`its first record has more than ${HANDSHAKE_LIMIT} bytes`);
      messages = pending.session.opener.open(frame, HANDSHAKE_LIMIT);
    } catch (error) {
      this.#fail(pending, `its first record does not open: ${reasonOf(error)}`);
      return;
    }
    const [auth] = messages;
    if (!auth) {
      this.#fail(pending, 'its first record is empty');
      return;
    }
    caller.proving = true;
    caller.connection.pause();
    verifyAuth(pending.session.th, pending.hello.key, auth)
      .then(
        (proved) => (proved ? undefined : 'its AUTH is wrong'),
        (error: unknown) => reasonOf(error),
      )
      .then((fault) => {
        this.options.io.guard(() => this.#settle(pending, fault, messages));
        caller.connection.resume();
      });
  }

  /** Ends the wait for an AUTH: a session comes to life, or not; then goes on with what came meanwhile. */
  #settle(pending: Pending, fault: string | undefined, messages: Buffer[]): void {
    const { caller } = pending;
    caller.proving = false;
    if (this.#closed || !caller.connection.open) return;
    const obstacle = fault ?? this.#enrol(pending);
    const grant = this.options.trust.lookup(pending.hello.cid);
    if (obstacle !== undefined) this.#fail(pending, obstacle);
    else if (!grant || grant.identity !== pending.grant.identity) this.#fail(pending, 'its key was revoked meanwhile');
    else this.#begin(pending, grant, messages);
  }

  /** Binds the key of who joins, on disk, before anything is answered. Says what stands against it. */
  #enrol({ invitation, hello, caller }: Pending): string | undefined {
    if (!invitation) return undefined;
    const { trust, io } = this.options;
    try {
      const { identity, roles } = trust.enrol(invitation, hello.cid);
      io.note('a node joined', { identity, cid: hello.cid, roles, by: invitation.by, address: caller.address });
      io.joined({ identity, fingerprint: hello.cid, by: invitation.by, address: caller.address });
      return undefined;
    } catch (error) {
      return `it cannot join: ${reasonOf(error)}`;
    }
  }

  #begin({ caller, hello, session: keys }: Pending, grant: Grant, messages: Buffer[]): void {
    const { io, welcome } = this.options;
    const { connection } = caller;
    const { identity, roles } = grant;
    const older = this.#byIdentity.get(identity);
    if (older) this.#end(older.caller, older.session, 'a newer session of its identity began', 'REPLACED');
    if (caller.live) this.#end(caller, caller.live, 'a newer session of its connection began', 'REPLACED');
    const session = new Session(grant, caller.address, keys, connection, this.#table);
    caller.live = session;
    connection.settle();
    this.#byIdentity.set(identity, { session, caller });
    io.note('a session began', { identity, cid: hello.cid, roles, cipher: keys.cipher, address: caller.address });
    io.pinned(identity, hello.jwk);
    const { id, version, maxMessage } = welcome;
    session.send(formatAck('', 0, JSON.stringify({ id, identity, roles, version, maxMessage })));
    session.deliver(messages, 1, io.receive);
  }

  #fail({ caller, hello, grant }: Pending, cause: string): void {
    this.options.io.refuse(caller, cause, { cid: hello.cid, identity: grant.identity });
  }

  #end(caller: Caller, session: Session, cause: string, reason?: ByeReason): void {
    if (!session.open) return;
    // Nothing is sent or read from here on; those that keep something of it are told at the end.
    session.open = false;
    session.replaced = reason === 'REPLACED';
    caller.live = undefined;
    this.#byIdentity.delete(session.identity);
    // A client that comes again asks again for what it did not get; its old connection may be one that nobody reads.
    if (reason === 'REVOKED' || (reason === 'REPLACED' && caller.connection.full)) session.outbox.clear();
    if (reason === undefined) session.outbox.abandon();
    else session.outbox.finish(formatMessage('BYE', '', '', { reason }));
    caller.connection.unsettle();
    this.options.io.note('a session ended', { identity: session.identity, cause, address: caller.address });
    session.leave();
  }

  #forget(pending: Pending | undefined): void {
    if (!pending) return;
    this.#pending.delete(pending);
    if (pending.caller.pending === pending) pending.caller.pending = undefined;
  }
}
