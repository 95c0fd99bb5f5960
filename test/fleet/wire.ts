import net from 'node:net';

/** What may lie in a direction of a connection before its sender is held back. */
const HIGH_WATER = 4 * 2 ** 20;

export interface WireEnd {
  readonly address: string;
  readonly port: number;
}

/** A cable between two daemons, as a TCP proxy: it delays, throttles, breaks, and goes dead without a word. */
export class Wire {
  /** Bytes that went through: `up` from who connects, `down` to it. */
  readonly bytes = { up: 0, down: 0 };
  /** Connections that were made through it. */
  connections = 0;
  /** Milliseconds that each direction takes. */
  delayMs = 0;
  /** Bytes per second of each direction of a connection. */
  bytesPerSecond = Number.POSITIVE_INFINITY;
  readonly #near: WireEnd;
  readonly #far: WireEnd;
  readonly #joints = new Set<Joint>();
  #server: net.Server | undefined;
  #silent = false;

  private constructor(near: WireEnd, far: WireEnd) {
    this.#near = near;
    this.#far = far;
  }

  /** A wire that listens at `near` and leads to `far`, which need not listen yet. */
  static async between(near: WireEnd, far: WireEnd): Promise<Wire> {
    const wire = new Wire(near, far);
    await wire.heal();
    return wire;
  }

  /** `tcp://…` of its near end. */
  get endpoint(): string {
    return `tcp://${this.#near.address}:${this.#near.port}`;
  }

  /** Breaks every connection by RST; new ones are taken. */
  reset(): void {
    for (const joint of this.#joints) joint.break();
  }

  /** Breaks every connection by RST, and refuses new ones until healed. */
  cut(): void {
    this.#server?.close();
    this.#server = undefined;
    this.reset();
  }

  /**
   * Swallows what is sent, takes new connections that lead nowhere, and tells no end that another left. A connection that was
   * there stays dead when the wire is healed: what was swallowed is lost.
   */
  silence(): void {
    this.#silent = true;
    for (const joint of this.#joints) joint.silent = true;
  }

  /** Is whole again, for new connections. */
  async heal(): Promise<void> {
    this.#silent = false;
    if (this.#server) return;
    const server = net.createServer({ noDelay: true, allowHalfOpen: true }, (near) => this.#join(near));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#near.port, this.#near.address, resolve);
    });
  }

  /** Ends it for good. */
  close(): void {
    this.cut();
  }

  #join(near: net.Socket): void {
    this.connections++;
    const { address: host, port } = this.#far;
    const far = this.#silent ? undefined : net.connect({ host, port, noDelay: true, allowHalfOpen: true });
    const joint = new Joint(this, near, far, () => this.#joints.delete(joint));
    joint.silent = this.#silent;
    this.#joints.add(joint);
  }
}

/** One connection through a wire. */
class Joint {
  silent = false;

  constructor(
    wire: Wire,
    private readonly near: net.Socket,
    private readonly far: net.Socket | undefined,
    ended: () => void,
  ) {
    const ends = far ? [near, far] : [near];
    const isOver = () => ends.every((end) => end.destroyed);
    for (const end of ends) {
      end.on('error', () => end.destroy());
      end.on('close', () => {
        // In silence the other end learns nothing, and stays until it leaves by itself.
        if (!this.silent) this.break();
        if (isOver()) ended();
      });
    }
    if (!far) near.on('end', () => near.destroy()).resume();
    else {
      new Direction(wire, near, far, 'up', this);
      new Direction(wire, far, near, 'down', this);
    }
  }

  break(): void {
    for (const end of [this.near, this.far]) if (end && !end.destroyed) end.resetAndDestroy();
  }
}

/** One direction of a connection. */
class Direction {
  readonly #queue: { chunk: Buffer; at: number }[] = [];
  #queued = 0;
  /** When the last byte that was taken has gone, at the wire's speed. */
  #freeAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #blocked = false;
  #ended = false;

  constructor(
    private readonly wire: Wire,
    private readonly from: net.Socket,
    private readonly to: net.Socket,
    private readonly way: 'up' | 'down',
    private readonly joint: Joint,
  ) {
    from.on('data', (chunk: Buffer) => this.#take(chunk));
    from.on('end', () => {
      if (this.joint.silent) from.destroy();
      this.#ended = true;
      this.#pump();
    });
    to.on('drain', () => {
      this.#blocked = false;
      this.#pump();
    });
    to.on('close', () => clearTimeout(this.#timer));
  }

  #take(chunk: Buffer): void {
    if (this.joint.silent) return;
    const { delayMs, bytesPerSecond } = this.wire;
    const now = performance.now();
    this.#freeAt = Math.max(now, this.#freeAt) + (chunk.length / bytesPerSecond) * 1000;
    this.#queue.push({ chunk, at: this.#freeAt + delayMs });
    this.#queued += chunk.length;
    if (this.#queued > HIGH_WATER) this.from.pause();
    this.#pump();
  }

  readonly #pump = (): void => {
    clearTimeout(this.#timer);
    if (this.joint.silent) {
      this.#queue.length = 0;
      this.#queued = 0;
    }
    const now = performance.now();
    for (let head = this.#queue[0]; head && !this.#blocked; head = this.#queue[0]) {
      if (head.at > now) {
        this.#timer = setTimeout(this.#pump, head.at - now);
        return;
      }
      this.#queue.shift();
      this.#queued -= head.chunk.length;
      this.wire.bytes[this.way] += head.chunk.length;
      this.#blocked = !this.to.write(head.chunk);
    }
    if (this.#queued <= HIGH_WATER / 2 && this.from.isPaused()) this.from.resume();
    if (this.#ended && this.#queue.length === 0 && !this.joint.silent) this.to.end();
  };
}
