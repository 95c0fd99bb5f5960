import { chmod, mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { decodePack, encodePack, isCentreondError, LINK_VERBS, reasonOf } from '@centreond/plugin-sdk';
import { Router as RouterSocket } from 'zeromq';
import type { Log } from '../log.ts';
import type { InstanceLink, InstancePeer, Tickets } from '../router/instance-link.ts';
import { type Grant, Leaving, type Peer, type PeerRole } from '../router/peer.ts';

const PACK_MESSAGES = 256;
const PACK_CHARACTERS = 1024 * 1024;
const BACKLOG_CHARACTERS = 64 * 1024 * 1024;
const RETRY_MS = 5;
const PROBE_MS = 30_000;
const ENDED_KEPT = 10_000;
const HELLO = Buffer.from('[HELLO] ');

export interface InternalDoorOptions {
  /** The socket's file; its folder is made 0700. */
  file: string;
  maxMessage: number;
  log: Log;
  receive(peer: Peer, message: Buffer): void;
  tickets: Tickets;
}

/** The door for this machine: instances and local clients, in clear. */
export class InternalDoor {
  readonly #socket: RouterSocket;
  readonly #peers = new Map<string, InternalPeer>();
  readonly #dirty = new Set<InternalPeer>();
  /** Routing ids of sessions that were ended: what still comes from them is dropped. */
  readonly #ended = new Set<string>();
  #scheduled = false;
  #probe: NodeJS.Timeout | undefined;
  /** Frames that were not one part, or no pack. */
  dropped = 0;

  constructor(readonly options: InternalDoorOptions) {
    this.#socket = new RouterSocket({
      mandatory: true,
      handover: false,
      sendTimeout: 0,
      linger: 200,
      maxMessageSize: options.maxMessage + 64 * 1024,
    });
  }

  get endpoint(): string {
    return `ipc://${this.options.file}`;
  }

  /** Binds and serves: messages of local clients go to `receive`, those of an instance to its link. Call once. */
  async start(): Promise<void> {
    const folder = path.dirname(this.options.file);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700);
    // A file left by a daemon that was killed; the lock on dataDir says that none lives.
    await rm(this.options.file, { force: true });
    await this.#socket.bind(this.endpoint);
    await chmod(this.options.file, 0o600);
    void this.#pump();
    // ROUTER does not say when a peer is gone; a pack of no messages finds out.
    this.#probe = setInterval(() => {
      for (const peer of this.#peers.values())
        this.#socket.send([peer.routingId, Buffer.of(2)]).catch((error: NodeJS.ErrnoException) => {
          // A full pipe is no death: the peer has only not read yet.
          if (error.code !== 'EAGAIN') this.#end(peer);
        });
    }, PROBE_MS);
    this.#probe.unref();
  }

  /** Sends what is queued and closes. */
  async stop(): Promise<void> {
    clearInterval(this.#probe);
    this.#flush();
    await new Promise((resolve) => setImmediate(resolve));
    this.#socket.close();
    await rm(this.options.file, { force: true });
  }

  async #pump(): Promise<void> {
    while (!this.#socket.closed) {
      try {
        const [routingId, frame, more] = await this.#socket.receive();
        if (routingId === undefined || frame === undefined || more !== undefined) this.dropped++;
        else this.#receive(routingId, frame);
      } catch (error) {
        if (this.#socket.closed) return;
        if (!isCentreondError(error)) this.options.log.error({ err: error }, `internal door: ${reasonOf(error)}`);
        this.dropped++;
      }
    }
  }

  #receive(routingId: Buffer, frame: Buffer): void {
    const key = routingId.toString('latin1');
    if (this.#ended.has(key)) return;
    let peer = this.#peers.get(key);
    if (!peer) {
      peer = new InternalPeer(
        routingId,
        (dirty) => this.#queue(dirty),
        (ended) => this.#end(ended),
      );
      this.#peers.set(key, peer);
    }
    for (const message of decodePack(frame)) {
      if (peer.instance) peer.instance.receive(message);
      else if (message.subarray(0, HELLO.length).equals(HELLO)) this.#welcome(peer, message);
      else this.options.receive(peer, message);
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
    for (const peer of dirty) void this.#drain(peer);
  }

  // One send at a time for each peer: a pack that finds the pipe full must not be overtaken by the next.
  async #drain(peer: InternalPeer): Promise<void> {
    if (peer.draining) return;
    peer.draining = true;
    while (peer.open) {
      if (peer.backlog > BACKLOG_CHARACTERS) {
        this.options.log.warn({ peer: peer.identity }, `internal door: ${peer.identity} does not read; it is given up`);
        this.#end(peer);
        break;
      }
      const pack = peer.take(PACK_MESSAGES, PACK_CHARACTERS);
      if (pack === undefined) break;
      try {
        await this.#socket.send([peer.routingId, pack]);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') {
          this.#end(peer);
          break;
        }
        peer.giveBack(pack);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    peer.draining = false;
  }

  #end(peer: InternalPeer): void {
    if (!peer.open) return;
    peer.open = false;
    const key = peer.routingId.toString('latin1');
    this.#peers.delete(key);
    this.#ended.add(key);
    for (const oldest of this.#ended) {
      if (this.#ended.size <= ENDED_KEPT) break;
      this.#ended.delete(oldest);
    }
    peer.leave();
  }
}

const LOCAL: Grant = { identity: '@local', fingerprint: '', roles: ['admin'] };

class InternalPeer implements InstancePeer {
  grant: Grant = LOCAL;
  roles: ReadonlySet<PeerRole> = new Set(LOCAL.roles);
  open = true;
  draining = false;
  backlog = 0;
  instance: InstanceLink | undefined;
  #outbox: string[] = [];
  #returned: string | Buffer | undefined;
  readonly #leaving = new Leaving();

  constructor(
    readonly routingId: Buffer,
    private readonly queue: (peer: InternalPeer) => void,
    private readonly ended: (peer: InternalPeer) => void,
  ) {}

  get identity(): string {
    return this.grant.identity;
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

  /** Its session is over: its listeners are called. */
  leave(): void {
    this.#leaving.over();
  }

  end(): void {
    this.ended(this);
  }

  send(message: string): void {
    if (!this.open) return;
    this.#outbox.push(message);
    this.backlog += message.length;
    this.queue(this);
  }

  take(messages: number, characters: number): string | Buffer | undefined {
    const returned = this.#returned;
    if (returned !== undefined) {
      this.#returned = undefined;
      this.backlog -= returned.length;
      return returned;
    }
    if (this.#outbox.length === 0) return undefined;
    let count = 0;
    let size = 0;
    while (count < this.#outbox.length && count < messages && size < characters) {
      size += (this.#outbox[count++] as string).length;
    }
    this.backlog -= size;
    return encodePack(this.#outbox.splice(0, count));
  }

  giveBack(pack: string | Buffer): void {
    this.#returned = pack;
    this.backlog += pack.length;
  }
}
