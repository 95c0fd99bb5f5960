import { failure, reasonOf } from '@centreond/protocol';
import {
  answerHello,
  type Cipher,
  CLOCK_SKEW,
  type Hello,
  type KeyPair,
  openHello,
  parseHello,
  type RouterSession,
  type SealLimits,
  unb64,
  verifyHello,
} from '@centreond/protocol/channel';
import type { Clock } from '../clock.ts';
import type { Grant } from '../router/peer.ts';
import { HandshakeQueue, type HandshakeQueueLimits } from './handshake-queue.ts';
import { Bucket, Buckets, Nonces } from './limits.ts';
import { type Invitation, joinGrant, type Trust } from './trust.ts';

/** A HELO that passed every check, and the session it began. */
export interface Admitted {
  readonly hello: Hello;
  /** What the key is, or will be once it took `invitation` up. */
  readonly grant: Grant;
  readonly invitation?: Invitation | undefined;
  readonly session: RouterSession;
}

/** Why a handshake was refused: for the router's log, never for the wire. */
export class Refused extends Error {
  override readonly name = 'Refused';
  constructor(
    cause: string,
    readonly fields: Record<string, unknown> = {},
  ) {
    super(cause);
  }
}

/** The client has left before its handshake had its turn. */
export class Abandoned extends Error {
  override readonly name = 'Abandoned';
}

export interface AdmissionOptions {
  routerKeys: KeyPair;
  trust: Trust;
  clock: Clock;
  ciphers: readonly Cipher[];
  limits: AdmissionLimits;
}

export interface AdmissionLimits extends HandshakeQueueLimits {
  /** Nonces remembered per key. */
  nonces: number;
  /** Signatures of unknown keys that are verified in a second, in all and from one address. */
  strangers: { readonly perSecond: number; readonly perAddress: { readonly perSecond: number } };
}

/** How many seconds' signatures of unknown keys may be verified at once, in all and from one address. */
const BURST_SECONDS = { all: 2, address: 5 };

/** Addresses of unknown keys that are remembered at a time. */
const ADDRESSES = 4096;

/**
 * Decides on HELOs, in the protocol's order: nothing costs a private-key operation before every check that can be made
 * without one. Signatures are computed off the event loop, a few at a time.
 */
export class Admission {
  readonly #nonces: Nonces;
  // One handshake a second, and five more: "no more than one in the last second beyond a burst of 5".
  readonly #rate = new Buckets(1, 6, 65_536);
  readonly #strangers: Bucket;
  readonly #strangersOfAddress: Buckets;
  readonly #queue: HandshakeQueue;
  /** When sessions take their next keys. */
  readonly #sealing: SealLimits;

  constructor(readonly options: AdmissionOptions) {
    const { nonces, strangers } = options.limits;
    this.#nonces = new Nonces(CLOCK_SKEW, nonces);
    const { perSecond, perAddress } = strangers;
    this.#queue = new HandshakeQueue(options.limits, options.clock);
    this.#sealing = { clock: { now: () => options.clock.monotonic() } };
    this.#strangers = new Bucket(perSecond, perSecond * BURST_SECONDS.all);
    this.#strangersOfAddress = new Buckets(
      perAddress.perSecond,
      perAddress.perSecond * BURST_SECONDS.address,
      ADDRESSES,
    );
  }

  /**
   * Admits the HELO `frame` that came from `address`. Rejects with {@link Refused}; with {@link Abandoned} if `isGone` says, at its
   * turn, that nobody waits for the answer.
   */
  async admit(frame: Buffer, address: string, isGone: () => boolean = () => false): Promise<Admitted> {
    const { trust, clock, routerKeys } = this.options;
    let hello: Hello;
    try {
      hello = parseHello(frame);
    } catch (error) {
      throw new Refused('its form is wrong', { reason: reasonOf(error) });
    }
    const { cid } = hello;
    if (hello.sid !== routerKeys.thumbprint)
      throw new Refused('it is meant for another router key', {
        cid,
        sid: hello.sid,
      });
    if (hello.thumbprint !== cid)
      throw new Refused('its key is not the one it names', {
        cid,
        thumbprint: hello.thumbprint,
      });
    const invitation = this.#invitationOf(hello);
    const known = invitation ? joinGrant(invitation, cid) : trust.lookup(cid);
    if (!known && (trust.mode === 'strict' || trust.isRevoked(cid))) {
      throw new Refused(trust.isRevoked(cid) ? 'its key was revoked' : 'its key is unknown', { cid });
    }
    const identity = known?.identity;
    const who = { cid, ...(identity && { identity }) };
    const skew = hello.ts - clock.now();
    if (Math.abs(skew) > CLOCK_SKEW)
      throw new Refused('its clock and this one differ too much', {
        ...who,
        skewMs: skew,
      });

    // To list an unknown key is worth few signatures.
    if (!known && !this.#mayVerify(address)) throw new Refused('too many unknown keys come at once', { cid });
    const turn = await this.#queue.turn(known !== undefined);
    if (turn === 'full') throw new Refused('too many handshakes are under way', who);
    if (turn === 'late') throw new Refused('it waited too long for its turn', who);
    try {
      if (isGone()) throw new Abandoned();
      const isSigned = await verifyHello(hello).catch((error: unknown) => {
        throw new Refused('its form is wrong', { ...who, reason: reasonOf(error) });
      });
      if (!isSigned) throw new Refused('its signature is wrong', who);
      if (!known) {
        // A replay of an unknown key's HELO can do no more than count twice.
        trust.seenUnknown(cid, address);
        throw new Refused('its key is unknown; it is listed now, `centreond keys accept` lets it in', {
          cid,
          listed: true,
        });
      }
      const nonce = this.#nonces.add(cid, hello.n.toString('latin1'), hello.ts, clock);
      if (nonce === 'seen') throw new Refused('it is a replay', who);
      if (nonce === 'full' || !this.#rate.take(cid, clock.monotonic())) {
        throw new Refused('this key begins too many handshakes', who);
      }
      const opened = await openHello(hello, routerKeys, invitation && unb64(invitation.key)).catch((error: unknown) => {
        throw new Refused('its box does not open', {
          ...who,
          reason: reasonOf(error),
        });
      });
      if (opened.identity !== identity) {
        const cause = invitation
          ? 'it claims an identity that its join token is not for'
          : 'it claims an identity that is not bound to its key';
        throw new Refused(cause, { ...who, claimed: opened.identity });
      }
      const cipher = hello.ciphers.find((name) => this.options.ciphers.includes(name));
      if (!cipher) throw new Refused('it offers no cipher that is allowed here', who);
      const session = await answerHello(hello, opened, routerKeys, cipher, this.#sealing).catch((error: unknown) => {
        throw new Refused('no session can be made of it', {
          ...who,
          reason: reasonOf(error),
        });
      });
      return { hello, grant: known, invitation, session };
    } finally {
      this.#queue.done();
    }
  }

  /** The invitation that a HELO with an HMAC takes up; undefined for one without. */
  #invitationOf(hello: Hello): Invitation | undefined {
    if (hello.mac === undefined) return undefined;
    const { trust } = this.options;
    const { cid } = hello;
    const invitation = trust.invitationOf(hello);
    if (!invitation) throw new Refused('its join token is not open: unknown, used, withdrawn or too old', { cid });
    const obstacle = trust.obstacleTo(invitation, cid);
    if (obstacle) throw new Refused('it cannot join', { cid, identity: invitation.identity, reason: obstacle });
    return invitation;
  }

  /** Whether the signature of one more unknown key is verified. */
  #mayVerify(address: string): boolean {
    const now = this.options.clock.monotonic();
    return this.#strangersOfAddress.take(address, now) && this.#strangers.take(now);
  }

  /** Forgets what is too old. */
  sweep(): void {
    this.#queue.sweep();
    this.#nonces.sweep(this.options.clock);
    this.#strangersOfAddress.sweep(this.options.clock.monotonic());
    this.#rate.sweep(this.options.clock.monotonic());
  }

  /** What is remembered or waits: the figures that have bounds. */
  get load(): {
    nonces: number;
    rates: number;
    working: number;
    waiting: number;
  } {
    return {
      nonces: this.#nonces.size,
      rates: this.#rate.size,
      ...this.#queue.load,
    };
  }
}

/** What a refused client is told: the same words for every cause. */
export const REFUSAL = `[ACK] [] {"code":1,"data":${JSON.stringify(failure('HANDSHAKE_REFUSED').toData())}}`;
