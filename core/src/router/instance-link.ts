import { randomBytes } from 'node:crypto';
import type { Peer } from './peer.ts';

/** The session of an instance, which its host ends when the process is gone. */
export interface InstancePeer extends Peer {
  /** Ends the session. Messages that are still on their way from it are dropped. */
  end(): void;
}

/** An instance as the internal door sees it. The host implements it. */
export interface InstanceLink {
  /** The plugin's type: the identity of its session is `@TYPE`. */
  readonly type: string;
  /** Whether the operator lets its plugin make requests as users of its own. */
  readonly allowsCallers: boolean;
  /** Its process showed the ticket: `peer` is its session. */
  enter(peer: InstancePeer): void;
  /** Takes each message of its session. Must not throw. */
  receive(message: Buffer): void;
  /** The door ends its session for what it sent, or did not read: its process is to end. `what` is a part of a sentence. */
  condemn(what: string): void;
}

/** One-time tickets: the host gives one to each process that it starts, and the internal door redeems it. */
export class Tickets {
  readonly #links = new Map<string, InstanceLink>();

  /** Makes a ticket for `link`. */
  issue(link: InstanceLink): string {
    const ticket = randomBytes(32).toString('base64url');
    this.#links.set(ticket, link);
    return ticket;
  }

  /** The link to which `ticket` belongs, once; undefined for any other ticket. */
  redeem(ticket: string): InstanceLink | undefined {
    const link = this.#links.get(ticket);
    this.#links.delete(ticket);
    return link;
  }

  /** Makes `ticket` void: its process is gone. */
  withdraw(ticket: string): void {
    this.#links.delete(ticket);
  }
}
