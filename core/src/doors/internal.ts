import { decodePack, encodePack, isCentreondError, LINK_VERBS, reasonOf } from '@centreond/protocol';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { InstanceLink, InstancePeer, Tickets } from '../router/instance-link.ts';
import { type Grant, Leaving, type Peer, type PeerRole } from '../router/peer.ts';
import type { Connection, ConnectionHandlers } from './zmtp/connection.ts';
import { type Listener, openListener } from './zmtp/listener.ts';

const PACK_MESSAGES = 256;
const PACK_CHARACTERS = 1024 * 1024;
const BACKLOG_CHARACTERS = 64 * 1024 * 1024;
/** How long a stop waits for what peers have not read, in milliseconds. */
const LINGER_MS = 200;
const HELLO = Buffer.from('[HELLO] ');

export interface InternalDoorOptions {
  /** The socket's file; its folder is made 0700. */
  file: string;
  maxMessage: number;
  clock: Clock;
  log: Log;
  receive(peer: Peer, message: Buffer): void;
  tickets: Tickets;
}

/** The door for this machine: instances and local clients, in clear. A connection is a peer for as long as it lives. */
export class InternalDoor {
  readonly #dirty = new Set<InternalPeer>();
  #listener: Listener | undefined;
  #scheduled = false;
  /** Frames that were no pack, or whose messages were not handled to their end. */
  dropped = 0;

  constructor(readonly options: InternalDoorOptions) {}

  get endpoint(): string {
    return `ipc://${this.options.file}`;
  }

  /** Binds and serves: messages of local clients go to `receive`, those of an instance to its link. Call once. */
  async start(): Promise<void> {
    const { maxMessage, clock, log } = this.options;
    this.#listener = await openListener({
      endpoint: this.endpoint,
      maxFrame: maxMessage + 64 * 1024,
      clock,
      log,
      // A plugin that is loading something large says nothing for a while; the host bounds that.
      limits: { handshakeMs: Number.POSITIVE_INFINITY, settleMs: Number.POSITIVE_INFINITY },
      onConnection: (connection) => this.#enter(connection),
    });
  }

  /** Sends what is queued and closes. */
  async stop(): Promise<void> {
    for (const peer of this.#dirty) peer.flush(true);
    await this.#listener?.close(LINGER_MS);
  }

  #enter(connection: Connection): ConnectionHandlers {
    // Those who may open the file may act, so there is nothing more to wait for.
    connection.settle();
    const peer = new InternalPeer(connection, (dirty) => this.#queue(dirty));
    return {
      onFrame: (frame) => this.#take(peer, frame),
      onDrain: () => this.#queue(peer),
      onClosed: (reason, byListener) => {
        this.#dirty.delete(peer);
        try {
          if (byListener) peer.instance?.condemn(reason);
          peer.end();
        } catch (error) {
          this.options.log.error(
            { err: error },
            `internal door: the end of ${peer.identity} was not handled to its end`,
          );
        }
      },
    };
  }

  #take(peer: InternalPeer, frame: Buffer): void {
    try {
      for (const message of decodePack(frame)) {
        if (!peer.open) return;
        if (peer.instance) peer.instance.receive(message);
        else if (message.subarray(0, HELLO.length).equals(HELLO)) this.#welcome(peer, message);
        else this.options.receive(peer, message);
      }
    } catch (error) {
      if (!isCentreondError(error)) this.options.log.error({ err: error }, `internal door: ${reasonOf(error)}`);
      this.dropped++;
    }
  }

  #welcome(peer: InternalPeer, message: Buffer): void {
    const ticket = /"ticket":"([^"]+)"/.exec(message.toString('latin1'))?.[1] ?? '';
    const instance = this.options.tickets.redeem(ticket);
    if (instance) peer.become(instance);
    else
      this.options.log.warn(
        `internal door: a process showed a ticket that is not open (${LINK_VERBS[0]}); it is ignored`,
      );
  }

  #queue(peer: InternalPeer): void {
    this.#dirty.add(peer);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = false;
    const dirty = [...this.#dirty];
    this.#dirty.clear();
    for (const peer of dirty) {
      peer.flush();
      if (peer.backlog <= BACKLOG_CHARACTERS) continue;
      this.options.log.warn({ peer: peer.identity }, `internal door: ${peer.identity} does not read; it is given up`);
      peer.instance?.condemn('it does not read what it is sent');
      peer.end();
    }
  }
}

const LOCAL: Grant = { identity: '@local', fingerprint: '', roles: ['admin'] };

class InternalPeer implements InstancePeer {
  grant: Grant = LOCAL;
  roles: ReadonlySet<PeerRole> = new Set(LOCAL.roles);
  instance: InstanceLink | undefined;
  #outbox: string[] = [];
  #queued = 0;
  readonly #leaving = new Leaving();

  constructor(
    private readonly connection: Connection,
    private readonly queue: (peer: InternalPeer) => void,
  ) {}

  get identity(): string {
    return this.grant.identity;
  }

  get allowsCallers(): boolean {
    return this.instance?.allowsCallers ?? false;
  }

  get open(): boolean {
    return this.connection.open;
  }

  get backlog(): number {
    return this.#queued + this.connection.pendingBytes;
  }

  become(instance: InstanceLink): void {
    this.instance = instance;
    this.grant = { identity: `@${instance.type}`, fingerprint: '', roles: [] };
    this.roles = new Set<PeerRole>(['plugin']);
    instance.enter(this);
  }

  onLeft(listener: () => void): void {
    this.#leaving.add(listener);
  }

  end(): void {
    this.connection.close('its session was ended');
    this.#outbox = [];
    this.#queued = 0;
    this.#leaving.over();
  }

  send(message: string): void {
    if (!this.open) return;
    this.#outbox.push(message);
    this.#queued += message.length;
    this.queue(this);
  }

  /** Hands packs to the connection until it is full, or all of them. */
  flush(isLast = false): void {
    const outbox = this.#outbox;
    let from = 0;
    while (from < outbox.length && this.open && (isLast || !this.connection.full)) {
      let to = from;
      let size = 0;
      while (to < outbox.length && to - from < PACK_MESSAGES && size < PACK_CHARACTERS) {
        size += (outbox[to++] as string).length;
      }
      this.connection.send(encodePack(outbox.slice(from, to)));
      this.#queued -= size;
      from = to;
    }
    if (from > 0) this.#outbox = outbox.slice(from);
  }
}
