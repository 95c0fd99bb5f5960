import type { ConnectionHandlers } from '../../../../core/dist/doors/zmtp/connection.js';
import type { Dealer, DealerHandlers } from '../../../../plugin-sdk/client/dist/dealer/dealer.js';

/** `up`: from client to router. */
export type Way = 'up' | 'down';

export interface Frame {
  readonly bytes: Buffer;
  /** Where it was sent; undefined for what the attacker made or altered. */
  readonly wire: Wire | undefined;
  readonly way: Way;
  /** Its place among the records of its wire and way; undefined for other frames. */
  readonly place: number | undefined;
  /** The client closed the connection. */
  readonly isEnd?: true;
}

/** The state of one way of a wire. */
class Lane {
  readonly queue: Frame[] = [];
  /** Records that were sent, and how many of them arrived in their order. */
  sent = 0;
  arrived = 0;
  /** Whether the attacker touched what its receiver relies on. */
  isIntact = true;
}

export function isRecord(bytes: Buffer): boolean {
  return bytes[0] === 1;
}

/** One connection. What is sent on it waits until somebody delivers it, and that may be the attacker. */
export class Wire {
  readonly up = new Lane();
  readonly down = new Lane();
  readonly address: string;
  isOpen = true;
  /** The router's end takes no more for now. */
  isFull = false;
  isPaused = false;
  router: ConnectionHandlers | undefined;
  client: DealerHandlers | undefined;
  readonly #held: Buffer[] = [];

  constructor(
    readonly number: number,
    private readonly network: Network,
  ) {
    this.address = `192.0.2.1:${number}`;
  }

  send(way: Way, bytes: Buffer): void {
    const lane = this[way];
    const frame = { bytes, wire: this, way, place: isRecord(bytes) ? lane.sent++ : undefined };
    lane.queue.push(frame);
    this.network.history.push(frame);
  }

  /** The client's end. */
  dealer(handlers: DealerHandlers): Dealer {
    this.client = handlers;
    return {
      full: false,
      send: (frame) => {
        if (this.isOpen) this.send('up', Buffer.from(frame));
      },
      close: async () => {
        if (this.client)
          this.up.queue.push({ bytes: Buffer.alloc(0), wire: this, way: 'up', place: undefined, isEnd: true });
        this.client = undefined;
      },
    };
  }

  /** Gives a frame to the end that it goes to. */
  deliver(frame: Frame): void {
    const { bytes, way } = frame;
    if (!this.isOpen) return;
    if (frame.isEnd) {
      this.cut();
      return;
    }
    const lane = this[way];
    if (isRecord(bytes) || (way === 'down' && frame.wire !== this)) {
      if (frame.wire === this && frame.way === way && frame.place === lane.arrived) lane.arrived++;
      else lane.isIntact = false;
    }
    // Receivers may keep views of a frame, and the attacker may deliver it again.
    if (way === 'down') this.client?.frame(Buffer.from(bytes));
    else if (this.isPaused) this.#held.push(Buffer.from(bytes));
    else this.#hand(Buffer.from(bytes));
  }

  #hand(bytes: Buffer): void {
    this.network.arriving(this, bytes);
    this.router?.onFrame(bytes);
  }

  resume(): void {
    this.isPaused = false;
    while (!this.isPaused && this.isOpen) {
      const frame = this.#held.shift();
      if (!frame) return;
      this.#hand(frame);
    }
  }

  drain(): void {
    if (!this.isFull) return;
    this.isFull = false;
    if (this.isOpen) this.router?.onDrain();
  }

  cut(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.up.queue.length = this.down.queue.length = 0;
    this.network.forget(this);
    this.router?.onClosed('cut', false);
    this.client?.over('cut');
  }
}

/** Every wire, and every frame that was ever sent: the attacker keeps them all. */
export class Network {
  readonly wires: Wire[] = [];
  readonly history: Frame[] = [];
  #count = 0;

  /** `arriving` is told each frame that the router is about to take. */
  constructor(readonly arriving: (wire: Wire, bytes: Buffer) => void) {}

  open(): Wire {
    const wire = new Wire(++this.#count, this);
    this.wires.push(wire);
    return wire;
  }

  forget(wire: Wire): void {
    const at = this.wires.indexOf(wire);
    if (at >= 0) this.wires.splice(at, 1);
  }

  wire(pick: number): Wire | undefined {
    return this.wires[pick % Math.max(1, this.wires.length)];
  }

  /** A lane with something in it. */
  busy(pick: number): { wire: Wire; way: Way } | undefined {
    const lanes = this.wires.flatMap((wire) => [
      ...(wire.up.queue.length > 0 ? [{ wire, way: 'up' as const }] : []),
      ...(wire.down.queue.length > 0 ? [{ wire, way: 'down' as const }] : []),
    ]);
    return lanes[pick % Math.max(1, lanes.length)];
  }
}
