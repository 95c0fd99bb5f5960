/** What the channel promises, whatever the network does. A violation names one of these. */
export const PROMISES = {
  oneLive: 'an identity and a connection have at most one live session',
  survives: 'a live session lasts until a newer AUTH is verified, or something that may end it happens to it',
  auth: 'nothing acts before its AUTH is verified, and no AUTH is taken late',
  nonce: 'no (key, epoch, direction, seq) seals twice',
  cheap: 'no private-key operation before the cheap checks, and no KEY for an identity that is not bound to the key',
  revoked: 'a revoked key is not heard, and is sent nothing but its BYE',
  intact: 'what is heard was said by that identity, once and in its order',
  works: 'an intact connection with a live session delivers all that is sent',
  recovers: 'an honest network brings every authorised session back',
  sound: 'no error inside the router',
} as const;
export type Promised = keyof typeof PROMISES;

/** A broken promise. */
export class Violation extends Error {
  override readonly name = 'Violation';
  constructor(
    readonly promised: Promised,
    what: string,
  ) {
    super(`${promised} (${PROMISES[promised]}): ${what}`);
  }
}

/** Collects violations, since what is thrown inside the router is caught there. */
export class Verdict {
  #first: Violation | undefined;

  break(promised: Promised, what: string): void {
    this.#first ??= new Violation(promised, what);
  }

  expect(holds: boolean, promised: Promised, what: string): void {
    if (!holds) this.break(promised, what);
  }

  /** Throws the first violation. */
  check(): void {
    if (this.#first) throw this.#first;
  }
}
