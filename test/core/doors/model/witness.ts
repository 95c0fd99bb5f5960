import { createHash } from 'node:crypto';
import type { Cipher, KeyPair } from '@centreond/protocol/channel';
import type { Verdict } from './promises.ts';
import type { TestClock } from './test-clock.ts';

const SKEW_MS = 120_000;
/** A key may begin so many handshakes at once, and one more each second. */
const BURST = 6;

/** A key and who it is, in the model's own books. */
export interface Person {
  readonly identity: string;
  readonly keys: KeyPair;
  readonly cipher: Cipher;
  /** Whether the operator lets this key in now. */
  isTrusted: boolean;
}

/** A HELO that somebody made. */
interface Greeting {
  readonly person: Person;
  /** The identity in its box. */
  readonly identity: string;
  readonly ts: number;
  /** Whether its key ids, its key and its signature fit. */
  readonly isSound: boolean;
  readonly hash: string;
  /** It reached this router at a time when its key was trusted and its clock right. */
  isAdmissible: boolean;
  isVerified: boolean;
  /** When this router last opened its box. */
  opened: { ticks: number; wall: number } | undefined;
}

function bodyOf(frame: Buffer): Buffer {
  return Buffer.from(frame.toString('latin1').slice('[HELO] '.length).split('.')[0] ?? '', 'base64url');
}

/** `H` of one item, as PROTOCOL.md defines it. */
function hashOf(bytes: Buffer): string {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return createHash('sha256').update(length).update(bytes).digest('hex');
}

/** Watches one router's private key: each use has to follow from a HELO that passed every check before it. */
export class Witness {
  readonly #byBox = new Map<string, Greeting>();
  readonly #byHash = new Map<string, Greeting>();
  #begun = new Map<Person, number[]>();
  /** KEYs that the router may sign. */
  #owed = 0;
  #latestWall = 0;
  /** How often the router's private key was taken, and how often something was done with it. */
  readonly taken = { count: 0, accounted: 0 };

  constructor(
    private readonly verdict: Verdict,
    private readonly clock: TestClock,
  ) {}

  /** A new router: it remembers nothing. */
  restarted(): void {
    this.#begun = new Map();
    this.#owed = 0;
    this.#latestWall = 0;
    for (const greeting of this.#byHash.values()) {
      greeting.isAdmissible = greeting.isVerified = false;
      greeting.opened = undefined;
    }
  }

  /** `person` made a HELO. */
  made(frame: Buffer, person: Person, identity: string, isSound: boolean): void {
    const body = bodyOf(frame);
    const { box, ts } = JSON.parse(body.toString()) as { box: string; ts: number };
    const hash = hashOf(body);
    const fate = { isAdmissible: false, isVerified: false, opened: undefined };
    const greeting: Greeting = { person, identity, ts, isSound, hash, ...fate };
    this.#byBox.set(box, greeting);
    this.#byHash.set(hash, greeting);
  }

  /** A HELO reaches the router. */
  arrived(frame: Buffer): void {
    const greeting = this.#byHash.get(hashOf(bodyOf(frame)));
    if (greeting?.person.isTrusted && Math.abs(greeting.ts - this.clock.now()) <= SKEW_MS) greeting.isAdmissible = true;
  }

  /** The router verified the signature of a HELO. */
  verified(hash: string): void {
    const greeting = this.#byHash.get(hash);
    if (greeting) greeting.isVerified = true;
  }

  /** The router opens a box. */
  opening(box: Buffer): void {
    this.taken.accounted++;
    const greeting = this.#byBox.get(box.toString('base64url'));
    if (!greeting) {
      this.verdict.break('cheap', 'it opens the box of a HELO that nobody made');
      return;
    }
    const { person, isSound, isAdmissible, isVerified, opened, ts, identity } = greeting;
    this.verdict.expect(isSound, 'cheap', 'it opens the box of a HELO whose form, key or signature is wrong');
    this.verdict.expect(isAdmissible, 'cheap', 'it opens the box of a HELO of an unknown key or of another time');
    this.verdict.expect(isVerified, 'cheap', 'it opens the box before it verified the signature');
    this.#latestWall = Math.max(this.#latestWall, this.clock.now());
    const ticks = this.clock.monotonic();
    // A nonce is remembered until its HELO is too old: a wall clock that is set back after that is no fault here.
    const isForgotten = opened && this.#latestWall > ts + SKEW_MS && ticks - opened.ticks > 2 * SKEW_MS;
    this.verdict.expect(!opened || isForgotten === true, 'cheap', 'it opens the box of one HELO twice');
    greeting.opened = { ticks, wall: this.clock.now() };
    const begun = this.#begun.get(person) ?? [];
    begun.push(ticks);
    this.#begun.set(person, begun);
    const isMany = begun.some((since, i) => begun.length - i > BURST + (ticks - since) / 1000);
    this.verdict.expect(!isMany, 'cheap', `it begins ${begun.length} handshakes of one key`);
    if (identity === person.identity) this.#owed++;
  }

  /** Wall time passed: what the router could have seen. */
  saw(): void {
    this.#latestWall = Math.max(this.#latestWall, this.clock.now());
  }

  /** The router signs a KEY. */
  signing(): void {
    this.taken.accounted++;
    this.verdict.expect(--this.#owed >= 0, 'cheap', 'it signs a KEY for an identity that is not bound to the key');
    this.#owed = Math.max(0, this.#owed);
  }

  /** To be called when nothing is being computed. */
  check(): void {
    const { count, accounted } = this.taken;
    this.verdict.expect(count === accounted, 'cheap', `the private key was taken ${count} times for ${accounted} uses`);
  }
}
