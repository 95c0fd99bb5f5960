import { chmodSync, lstatSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import path from 'node:path';
import type { Clock } from '../../clock.ts';
import { isShortOfFiles } from '../open-files.ts';
import { CAUSES, type Cause, Connection, type ConnectionHandlers, type ConnectionHost } from './connection.ts';
import { formatAddress, lacksFamily, originOf, parseEndpoint } from './endpoint.ts';

export interface ListenerLimits {
  /** Connections in all, and from one address (of IPv6: one /64 network). */
  connections: number;
  perAddress: number;
  /** Connections that are not settled. Beyond that the oldest of the address that has the most of them gives way to a new one. */
  unsettled: number;
  /** Those of one address. Beyond that its own oldest gives way. */
  unsettledPerAddress: number;
  /** How long a peer may take for the ZMTP handshake, and until the owner settles it, in milliseconds. */
  handshakeMs: number;
  settleMs: number;
  /** How often the two limits of time are looked at, in milliseconds. */
  sweepMs: number;
  /** Bytes of the largest frame before a connection was ever settled; `maxFrame` of the listener applies after that. */
  maxStrangerFrame: number;
  /** Bytes that may wait for one peer before it is sent another frame. */
  maxPending: number;
  /** Files that connections leave to be opened by everything else. */
  reserve: number;
}

const LIMITS: ListenerLimits = {
  connections: 32_768,
  perAddress: 8192,
  unsettled: 4096,
  unsettledPerAddress: 1024,
  handshakeMs: 5000,
  settleMs: 10_000,
  sweepMs: 500,
  maxStrangerFrame: 16 * 1024,
  maxPending: 64 * 1024 * 1024,
  reserve: 64,
};

export interface ListenerOptions {
  /** See parseEndpoint. */
  endpoint: string;
  /** Bytes of the largest frame of a settled peer. A larger one ends its connection before memory is taken for it. */
  maxFrame: number;
  clock: Pick<Clock, 'monotonic'>;
  log: { warn(fields: object, message: string): void };
  /** A peer completed the ZMTP handshake. Returns what to do with its connection. Must not throw. */
  onConnection(connection: Connection): ConnectionHandlers;
  limits?: Partial<ListenerLimits>;
  /** See isShortOfFiles. */
  isShort?(reserve: number): boolean;
}

const BACKLOG = 1024;
const KEEP_ALIVE_MS = 60_000;
// The same cause is logged at most this often, with how many connections it has cost.
const LOG_MS = 60_000;
const CLOSED = 'the listener was closed';
// libzmq drops what it received and its owner did not yet take when a connection ends that it does not make again.
const GRACE_MS = 100;

/**
 * Listens at `options.endpoint` for DEALER peers of ZMTP 3.0 and later with the NULL mechanism. Rejects with the system's
 * error, its `code` unchanged. Of an `ipc://` endpoint the folder is made 0700 and the file 0600; a socket that is left there
 * is removed, so the caller makes sure that no other process listens on it.
 */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const listener = new Listener(options);
  await listener.listen();
  return listener;
}

/** Made by {@link openListener}. */
export class Listener {
  /** How many connections were refused or ended here, by cause. */
  readonly counters = Object.fromEntries(Object.keys(CAUSES).map((cause) => [cause, 0])) as Record<Cause, number>;
  readonly #options: ListenerOptions;
  readonly #limits: ListenerLimits;
  readonly #server: Server;
  readonly #host: ConnectionHost;
  readonly #connections = new Map<Connection, { origin: string; since: number }>();
  /** How many connections each origin has, and how many of them are not settled. */
  readonly #origins = new Map<string, { all: number; unsettled: number }>();
  /** The oldest is first. */
  readonly #unsettled = new Set<Connection>();
  readonly #logged = new Map<Cause, { at: number; count: number }>();
  #endpoint = '';
  #sweeping: NodeJS.Timeout | undefined;
  #closed: Promise<void> | undefined;
  #emptied: () => void = () => {};

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#limits = { ...LIMITS, ...options.limits };
    const { maxStrangerFrame, maxPending } = this.#limits;
    const { maxFrame, onConnection } = options;
    this.#host = {
      limits: { maxFrame, maxStrangerFrame: Math.min(maxStrangerFrame, maxFrame), maxPending },
      opened: onConnection,
      settled: (connection, isSettled) => this.#settled(connection, isSettled),
      ended: (cause, address) => this.#count(cause, address),
      closed: (connection) => this.#forget(connection),
    };
    this.#server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }, (socket) =>
      this.#accept(socket),
    );
  }

  /** Where it listens, the port filled in. */
  get endpoint(): string {
    return this.#endpoint;
  }

  /** How much there is of what has bounds. */
  get load(): { connections: number; unsettled: number; pendingBytes: number; retainedBytes: number } {
    const all = [...this.#connections.keys()];
    return {
      connections: all.length,
      unsettled: this.#unsettled.size,
      pendingBytes: all.reduce((sum, { pendingBytes }) => sum + pendingBytes, 0),
      retainedBytes: all.reduce((sum, { retainedBytes }) => sum + retainedBytes, 0),
    };
  }

  /** Binds. Called once, by {@link openListener}. */
  async listen(): Promise<void> {
    const { endpoint } = this.#options;
    const binding = parseEndpoint(endpoint);
    if ('path' in binding) {
      clearSocket(binding.path);
      await this.#bind({ path: binding.path });
      chmodSync(binding.path, 0o600);
      this.#endpoint = endpoint;
    } else {
      const { hosts, port } = binding;
      for (const [i, host] of hosts.entries()) {
        try {
          await this.#bind({ host, port });
          break;
        } catch (error) {
          if (i === hosts.length - 1 || !lacksFamily(error)) throw error;
        }
      }
      const address = this.#server.address();
      if (address === null || typeof address === 'string') throw new Error(`${endpoint} has no address`);
      this.#endpoint = `tcp://${formatAddress(address.address, address.port)}`;
    }
    // An accept that failed, for want of files as a rule.
    this.#server.on('error', () => this.#count('descriptors', ''));
    this.#sweeping = setInterval(() => this.sweep(), this.#limits.sweepMs).unref();
  }

  /** Ends the connections whose time is over. Runs by itself. */
  sweep(): void {
    const now = this.#options.clock.monotonic();
    const { handshakeMs, settleMs } = this.#limits;
    for (const connection of this.#unsettled) {
      const age = now - (this.#connections.get(connection)?.since ?? now);
      if (age > settleMs) connection.end('unsettled');
      else if (age > handshakeMs && !connection.open) connection.end('late');
    }
  }

  /**
   * Takes no more connections, sends what waits on those there are, and closes them; what has not left after `lingerMs` is
   * dropped. Resolves when nothing is left, the file of an `ipc://` endpoint included. May be called again.
   */
  close(lingerMs: number): Promise<void> {
    this.#closed ??= this.#close(lingerMs);
    return this.#closed;
  }

  async #close(lingerMs: number): Promise<void> {
    clearInterval(this.#sweeping);
    const released = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const connection of [...this.#connections.keys()]) {
      if (connection.open) connection.finish(CLOSED, Math.min(GRACE_MS, lingerMs));
      else connection.close(CLOSED);
    }
    const timer = setTimeout(() => {
      for (const connection of [...this.#connections.keys()]) connection.close(CLOSED);
    }, lingerMs);
    await released;
    // The last one's owner is told after the server's end.
    if (this.#connections.size > 0) await new Promise<void>((resolve) => (this.#emptied = resolve));
    clearTimeout(timer);
  }

  #bind(options: ListenOptions): Promise<void> {
    const server = this.#server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ ...options, backlog: BACKLOG }, () => {
        server.off('error', reject);
        resolve();
      });
    });
  }

  #accept(socket: Socket): void {
    const isLocal = this.#endpoint.startsWith('ipc://');
    const { remoteAddress = '', remotePort = 0 } = socket;
    if (!isLocal && remoteAddress === '') {
      socket.destroy(); // its peer is gone already
      return;
    }
    const origin = originOf(remoteAddress);
    const address = isLocal ? '' : formatAddress(remoteAddress, remotePort);
    const refusal = this.#refusal(origin);
    if (refusal !== undefined) {
      socket.destroy();
      this.#count(refusal, address);
      return;
    }
    const connection = new Connection(address, socket, this.#host);
    this.#connections.set(connection, { origin, since: this.#options.clock.monotonic() });
    const counts = this.#origins.get(origin) ?? { all: 0, unsettled: 0 };
    this.#origins.set(origin, counts);
    counts.all++;
    this.#addUnsettled(connection, origin);
  }

  #addUnsettled(connection: Connection, origin: string): void {
    if (this.#unsettled.has(connection)) return;
    this.#unsettled.add(connection);
    const counts = this.#origins.get(origin);
    if (counts) counts.unsettled++;
  }

  #deleteUnsettled(connection: Connection, origin: string): void {
    if (!this.#unsettled.delete(connection)) return;
    const counts = this.#origins.get(origin);
    if (counts) counts.unsettled--;
  }

  #settled(connection: Connection, isSettled: boolean): void {
    const entry = this.#connections.get(connection);
    if (entry === undefined) return;
    // Again the youngest.
    this.#deleteUnsettled(connection, entry.origin);
    if (isSettled) return;
    entry.since = this.#options.clock.monotonic();
    this.#addUnsettled(connection, entry.origin);
  }

  /** Why one more connection from `origin` cannot be taken; makes room for it where an unsettled one can give way. */
  #refusal(origin: string): Cause | undefined {
    const { connections, perAddress, unsettled, unsettledPerAddress, reserve } = this.#limits;
    const isShort = () => (this.#options.isShort ?? isShortOfFiles)(reserve);
    const own = this.#origins.get(origin) ?? { all: 0, unsettled: 0 };
    if (origin !== '' && own.all >= perAddress && !this.#displace(origin)) return 'connectionsOfAddress';
    if (this.#connections.size >= connections && !this.#displace()) return 'connections';
    if (own.unsettled >= unsettledPerAddress) this.#displace(origin);
    else if (this.#unsettled.size >= unsettled) this.#displace();
    if (!isShort()) return undefined;
    this.#displace();
    return isShort() ? 'descriptors' : undefined;
  }

  /** The origin that has the most unsettled connections. */
  #busiest(): string | undefined {
    let busiest: string | undefined;
    let most = 0;
    for (const [origin, { unsettled }] of this.#origins) {
      if (unsettled <= most) continue;
      busiest = origin;
      most = unsettled;
    }
    return busiest;
  }

  /** Ends the oldest unsettled connection of `origin`. Returns whether there was one. */
  #displace(origin = this.#busiest()): boolean {
    for (const connection of this.#unsettled) {
      if (this.#connections.get(connection)?.origin !== origin) continue;
      connection.end('displaced');
      this.#forget(connection);
      return true;
    }
    return false;
  }

  #forget(connection: Connection): void {
    const entry = this.#connections.get(connection);
    if (entry === undefined) return;
    this.#connections.delete(connection);
    this.#deleteUnsettled(connection, entry.origin);
    const counts = this.#origins.get(entry.origin);
    if (counts && --counts.all === 0) this.#origins.delete(entry.origin);
    if (this.#connections.size === 0) this.#emptied();
  }

  #count(cause: Cause, address: string): void {
    this.counters[cause]++;
    const now = this.#options.clock.monotonic();
    const logged = this.#logged.get(cause);
    if (logged && now - logged.at < LOG_MS) return;
    const count = this.counters[cause] - (logged?.count ?? 0);
    this.#logged.set(cause, { at: now, count: this.counters[cause] });
    this.#options.log.warn(
      { listener: this.#endpoint, count, ...(address && { address }) },
      `a connection was refused or ended: ${CAUSES[cause]}`,
    );
  }
}

/** Removes what a process that was killed left at `file`, and makes its folder private. */
function clearSocket(file: string): void {
  const folder = path.dirname(file);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
  if (lstatSync(file, { throwIfNoEntry: false })?.isSocket()) rmSync(file);
}
