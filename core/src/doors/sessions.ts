import { formatAck, formatMessage, reasonOf } from '@centreond/plugin-sdk';
import { HANDSHAKE_LIMIT, isFirstRecord, type PublicJwk, verifyAuth } from '@centreond/plugin-sdk/channel';
import type { Grant, Peer } from '../router/peer.ts';
import type { Admitted } from './admission.ts';
import type { Clock } from './limits.ts';
import type { Outbox, OutboxLimits } from './outbox.ts';
import { Session } from './session.ts';
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
  /** Bytes held back for a connection while its AUTH is verified, and for all of them. */
  heldBytes: number;
  allHeldBytes: number;
}

/** What the table needs of its door. */
export interface SessionsIo {
  /** Hands a frame to the socket; rejects at once where it cannot. */
  send(route: Route, frame: Buffer | string): Promise<void>;
  /** Something was queued: call {@link Sessions.flush} soon. */
  queued(): void;
  /** See OutboxIo. */
  stuck(outbox: Outbox): void;
  /** A message of a live session, in the order of sending. Must not throw. */
  receive(peer: Peer, message: Buffer): void;
  /** A session came to life with this key. */
  pinned(identity: string, jwk: PublicJwk): void;
  /** A record belongs to nothing here. */
  noSession(route: Route): void;
  /** A handshake failed after its KEY. */
  refuse(route: Route, cause: string, fields: Record<string, unknown>): void;
  /** A session began or ended: for the log. */
  note(event: string, fields: Record<string, unknown>): void;
}

/** One ZeroMQ connection, by its routing id; `key` is the same as text. */
export interface Route {
  readonly key: string;
  readonly id: Buffer;
}

/** A session whose KEY went out and whose AUTH has not come. */
interface Pending extends Admitted {
  readonly entry: Entry;
  /** The HELO's place in the order of arrival. */
  readonly order: number;
  readonly since: number;
}

interface Held {
  readonly frames: Buffer[];
  bytes: number;
  /** More came than may be held: the AUTH fails, whatever it says. */
  over: boolean;
}

interface Entry extends Route {
  live: Session | undefined;
  pending: Pending | undefined;
  /** The frames that arrived while an AUTH is being verified; undefined while none is. */
  held: Held | undefined;
  /** The place of the newest HELO that was answered. */
  order: number;
}

// What a held frame costs besides its bytes.
const FRAME_COST = 128;

/**
 * The sessions of the external door: at most one live and one pending for each connection, at most one live for each
 * identity. A connection finds its session by routing id; what is believed of it comes from its keys alone.
 */
export class Sessions {
  readonly #entries = new Map<string, Entry>();
  readonly #byIdentity = new Map<string, { session: Session; entry: Entry }>();
  /** In the order of their beginning: the oldest is first. */
  readonly #pending = new Set<Pending>();
  readonly #closing = new Set<Promise<void>>();
  #dirty: Session[] = [];
  #held = 0;
  #closed = false;

  constructor(readonly options: SessionsOptions) {}

  /** How much there is of what has bounds. */
  get load(): {
    live: number;
    pending: number;
    connections: number;
    heldBytes: number;
  } {
    return {
      live: this.#byIdentity.size,
      pending: this.#pending.size,
      connections: this.#entries.size,
      heldBytes: this.#held,
    };
  }

  /** Whether the connection has a session, alive or about to be. */
  knows(key: string): boolean {
    return this.#entries.has(key);
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
  offer(route: Route, admitted: Admitted, order: number): void {
    let entry = this.#entries.get(route.key);
    if (!entry) {
      entry = {
        ...route,
        live: undefined,
        pending: undefined,
        held: undefined,
        order: -1,
      };
    }
    if (entry.order > order) return;
    entry.order = order;
    this.#forget(entry.pending);
    this.#entries.set(entry.key, entry);
    const { clock, limits, io } = this.options;
    const pending: Pending = {
      ...admitted,
      entry,
      order,
      since: clock.monotonic(),
    };
    entry.pending = pending;
    this.#pending.add(pending);
    if (this.#pending.size > limits.maxPending) {
      const [oldest] = this.#pending;
      this.#forget(oldest);
    }
    io.send(route, admitted.session.frame).catch(() => {
      // The connection is gone, or does not read: its client begins again.
      this.#forget(pending);
    });
  }

  /** Takes a record to the session that it belongs to. */
  record(route: Route, frame: Buffer): void {
    const entry = this.#entries.get(route.key);
    if (!entry) this.options.io.noSession(route);
    else if (entry.held) this.#hold(entry.held, frame);
    else this.#dispatch(entry, frame);
  }

  /** Seals and sends what was queued, one record for each peer. */
  flush(): void {
    const dirty = this.#dirty;
    if (dirty.length === 0) return;
    this.#dirty = [];
    for (const session of dirty) session.flush();
  }

  /** Ends what belongs to a key, at once. */
  revoke(fingerprint: string): void {
    for (const { session, entry } of this.#byIdentity.values()) {
      if (session.grant.fingerprint === fingerprint)
        this.#end(entry, session, 'the key was revoked, or its grant changed', 'REVOKED');
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
    for (const { session, entry } of this.#byIdentity.values()) {
      if (now - session.lastUsed > this.options.idleMs) this.#end(entry, session, 'it was idle', 'IDLE');
    }
  }

  /** Tells every peer STOPPING and ends its session. Resolves when the socket took it all, or no longer can. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { session, entry } of this.#byIdentity.values())
      this.#end(entry, session, 'the router stops', 'STOPPING');
    await Promise.all(this.#closing);
  }

  #dispatch(entry: Entry, frame: Buffer): void {
    const { clock, limits, io } = this.options;
    if (entry.pending && isFirstRecord(frame)) {
      const { pending } = entry;
      this.#forget(pending, true);
      if (clock.monotonic() - pending.since <= limits.pendingMs) {
        this.#prove(entry, pending, frame);
        return;
      }
    }
    if (!entry.live) {
      this.#tidy(entry);
      io.noSession(entry);
      return;
    }
    this.#read(entry, entry.live, frame);
  }

  #read(entry: Entry, session: Session, frame: Buffer): void {
    const { clock, io } = this.options;
    let messages: Buffer[];
    try {
      messages = session.read(frame);
    } catch (error) {
      this.#end(entry, session, reasonOf(error));
      // So that its client need not find out by silence; one that is in a handshake is left in peace.
      if (!entry.pending) io.noSession(entry);
      return;
    }
    session.heardAt = clock.monotonic();
    session.lastUsed = session.heardAt;
    session.deliver(messages, 0, io.receive);
  }

  /** Opens the first record of a pending session and has its AUTH verified; the session is no longer pending then. */
  #prove(entry: Entry, pending: Pending, frame: Buffer): void {
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
    entry.held = { frames: [], bytes: 0, over: false };
    verifyAuth(pending.session.th, pending.hello.key, auth).then(
      (proved) => this.#settle(pending, proved ? undefined : 'its AUTH is wrong', messages),
      (error: unknown) => this.#settle(pending, reasonOf(error), messages),
    );
  }

  /** Ends the wait for an AUTH: a session comes to life, or not; then goes on with the frames that came meanwhile. */
  #settle(pending: Pending, fault: string | undefined, messages: Buffer[]): void {
    const { entry } = pending;
    const { held } = entry;
    entry.held = undefined;
    this.#held -= held?.bytes ?? 0;
    if (this.#closed) return;
    const obstacle = fault ?? (held?.over ? 'too much came before its AUTH was verified' : this.#enrol(pending));
    const grant = this.options.trust.lookup(pending.hello.cid);
    if (obstacle !== undefined) this.#fail(pending, obstacle);
    else if (!grant || grant.identity !== pending.grant.identity) this.#fail(pending, 'its key was revoked meanwhile');
    else this.#begin(pending, grant, messages);
    for (const frame of held?.frames ?? []) {
      if (entry.held) this.#hold(entry.held, frame);
      else this.#dispatch(entry, frame);
    }
    this.#tidy(entry);
  }

  /** Binds the key of who joins, on disk, before anything is answered. Says what stands against it. */
  #enrol({ invitation, hello }: Pending): string | undefined {
    if (!invitation) return undefined;
    const { trust, io } = this.options;
    try {
      const { identity, roles } = trust.enrol(invitation, hello.cid);
      io.note('a node joined', { identity, cid: hello.cid, roles, by: invitation.by });
      return undefined;
    } catch (error) {
      return `it cannot join: ${reasonOf(error)}`;
    }
  }

  #begin({ entry, hello, session: keys }: Pending, grant: Grant, messages: Buffer[]): void {
    const { clock, io, limits, welcome } = this.options;
    const { identity, roles } = grant;
    const older = this.#byIdentity.get(identity);
    if (older) this.#end(older.entry, older.session, 'a newer session of its identity began', 'REPLACED');
    if (entry.live) this.#end(entry, entry.live, 'a newer session of its connection began', 'REPLACED');
    const session = new Session(
      grant,
      keys,
      {
        send: (record) => {
          session.lastUsed = clock.monotonic();
          return io.send(entry, record);
        },
        stuck: io.stuck,
        now: () => clock.monotonic(),
        broken: (cause) => this.#end(entry, session, cause),
      },
      { ...limits, maxMessage: welcome.maxMessage },
      (dirty) => {
        this.#dirty.push(dirty);
        io.queued();
      },
    );
    session.lastUsed = clock.monotonic();
    entry.live = session;
    this.#entries.set(entry.key, entry);
    this.#byIdentity.set(identity, { session, entry });
    io.note('a session began', {
      identity,
      cid: hello.cid,
      roles,
      cipher: keys.cipher,
    });
    io.pinned(identity, hello.jwk);
    const { id, version, maxMessage } = welcome;
    session.send(formatAck('', 0, JSON.stringify({ id, identity, roles, version, maxMessage })));
    session.deliver(messages, 1, io.receive);
  }

  #hold(held: Held, frame: Buffer): void {
    const { heldBytes, allHeldBytes } = this.options.limits;
    const cost = frame.length + FRAME_COST;
    held.over ||= held.bytes + cost > heldBytes || this.#held + cost > allHeldBytes;
    if (held.over) return;
    held.frames.push(frame);
    held.bytes += cost;
    this.#held += cost;
  }

  #fail(pending: Pending, cause: string): void {
    const { entry, hello, grant } = pending;
    this.options.io.refuse(entry, cause, {
      cid: hello.cid,
      identity: grant.identity,
    });
    this.#tidy(entry);
  }

  #end(entry: Entry, session: Session, cause: string, reason?: ByeReason): void {
    if (!session.open) return;
    const { io } = this.options;
    // Nothing is sent or read from here on; those that keep something of it are told at the end.
    session.open = false;
    entry.live = undefined;
    this.#byIdentity.delete(session.identity);
    if (reason === undefined) session.outbox.abandon();
    else {
      if (reason === 'REVOKED') session.outbox.clear();
      const said: Promise<void> = new Promise<void>((resolve) => {
        session.outbox.finish(formatMessage('BYE', '', '', { reason }), resolve);
      }).then(() => void this.#closing.delete(said));
      this.#closing.add(said);
    }
    this.#tidy(entry);
    io.note('a session ended', { identity: session.identity, cause });
    session.leave();
  }

  /** Ends a pending session; `keep` leaves its connection known. */
  #forget(pending: Pending | undefined, keep = false): void {
    if (!pending) return;
    this.#pending.delete(pending);
    if (pending.entry.pending === pending) pending.entry.pending = undefined;
    if (!keep) this.#tidy(pending.entry);
  }

  #tidy(entry: Entry): void {
    if (!entry.live && !entry.pending && !entry.held && this.#entries.get(entry.key) === entry) {
      this.#entries.delete(entry.key);
    }
  }
}
