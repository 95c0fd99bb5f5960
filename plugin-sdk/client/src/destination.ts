import type { PublicKey } from '@centreond/protocol/channel';

/** A router that a link may lead to. */
export interface RouterPlace {
  /** `tcp://host:port`, or `ipc://path` for the internal door. */
  readonly address: string;
  /** The only fingerprint that its key may have; undefined pins the first one seen. */
  readonly fingerprint: string | undefined;
}

/** A router that a link may lead to, and what the link has learned of it. */
export class Destination {
  readonly address: string;
  fingerprint: string | undefined;
  /** Its key, once a session or a handshake has shown it. */
  routerKey: PublicKey | undefined;
  /** Whether the next attempt shows the join token. */
  isJoining = true;
  /** Why the last attempt failed or the last session ended. */
  reason = 'it was not tried yet';
  /** When the first of the latest refusals in a row came; undefined after any other end of an attempt. */
  refusedSince: number | undefined;
  #refusals = 0;

  constructor({ address, fingerprint }: RouterPlace) {
    this.address = address;
    this.fingerprint = fingerprint;
  }

  /** Whether it has refused to let us join with the token, and without where it is pinned. */
  get hasRefusedJoin(): boolean {
    return this.#refusals >= (this.fingerprint === undefined ? 1 : 2);
  }

  /** Keeps the key that it showed and proved. */
  pin(key: PublicKey | undefined): void {
    this.routerKey = key;
    this.fingerprint = key?.thumbprint;
  }

  /**
   * An attempt to join has ended. One whose answer was lost, maybe that of a process before this one, may have used the token up; then
   * our key is known. So every second attempt goes without it, but only to a router that was pinned, or has shown the token.
   */
  alternate(refused: boolean): void {
    this.#refusals = refused ? this.#refusals + 1 : 0;
    if (this.fingerprint !== undefined) this.isJoining = !this.isJoining;
  }
}
