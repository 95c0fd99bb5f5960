import { hostOf } from '../router/peer.ts';
import type { Admitted } from './admission.ts';
import { Bucket } from './limits.ts';
import type { Session } from './session.ts';
import type { Connection } from './zmtp/connection.ts';

/** A session whose KEY went out and whose AUTH has not come. */
export interface Pending extends Admitted {
  readonly caller: Caller;
  /** The HELO's place in the order of arrival. */
  readonly order: number;
  readonly since: number;
}

/** One connection of the external door: the sessions on it, and what it may still ask without one. */
export class Caller {
  live: Session | undefined;
  pending: Pending | undefined;
  /** Its AUTH is being verified; its connection is paused meanwhile. */
  proving = false;
  /** The place of the newest HELO that was answered. */
  order = -1;
  readonly pubkeys = new Bucket(5, 5);
  readonly noSessions = new Bucket(1, 1);
  // Reading a HELO costs some tens of microseconds: one connection must not spend them all.
  readonly hellos = new Bucket(50, 200);

  constructor(readonly connection: Connection) {}

  /** `host:port`, for logs. */
  get address(): string {
    return this.connection.address;
  }

  /** The address without its port, for what outlasts the connection. */
  get host(): string {
    return hostOf(this.connection.address);
  }

  /** Whether it has a session, alive or about to be. */
  get isKnown(): boolean {
    return this.live !== undefined || this.pending !== undefined || this.proving;
  }
}
