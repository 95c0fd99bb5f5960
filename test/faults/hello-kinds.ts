import { generatePrime, randomBytes } from 'node:crypto';
import {
  b64,
  hello,
  Key,
  nonCanonical,
  type Plan,
  type RouterKey,
  thumbprintOf,
  type Who,
} from '../e2e/second-implementation.ts';

/** A HELO that a router must refuse: each call gives a frame to send. */
export type Kind = () => string;

const PUBLIC = 65_537n;
const TEN_MINUTES = 600_000;

/** `count` RSA keys of 2048 bits. Their primes are shared, which makes thousands of them in seconds: for tests only. */
export async function manyKeys(count: number): Promise<Key[]> {
  const needed = Math.ceil((1 + Math.sqrt(1 + 8 * count)) / 2);
  const make = () =>
    new Promise<bigint>((resolve, reject) =>
      generatePrime(1024, { bigint: true }, (error, prime) => (error ? reject(error) : resolve(prime))),
    );
  const primes: bigint[] = [];
  while (primes.length < needed) {
    const prime = await make();
    // Only of the upper half: every product has 2048 bits.
    const isLarge = prime >> 1022n === 3n;
    if (isLarge && (prime - 1n) % PUBLIC !== 0n && !primes.includes(prime)) primes.push(prime);
  }
  const keys: Key[] = [];
  for (const [i, p] of primes.entries()) {
    for (const q of primes.slice(0, i)) if (keys.length < count) keys.push(keyOf(p, q));
  }
  return keys;
}

function keyOf(p: bigint, q: bigint): Key {
  const d = inverse(PUBLIC, (p - 1n) * (q - 1n));
  const part = (value: bigint) => b64(bytesOf(value));
  return Key.ofJwk({
    kty: 'RSA',
    e: 'AQAB',
    n: part(p * q),
    d: part(d),
    p: part(p),
    q: part(q),
    dp: part(d % (p - 1n)),
    dq: part(d % (q - 1n)),
    qi: part(inverse(q, p)),
  });
}

function bytesOf(value: bigint): Buffer {
  const hex = value.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
}

function inverse(value: bigint, modulus: bigint): bigint {
  let [r, next] = [modulus, ((value % modulus) + modulus) % modulus];
  let [t, nextT] = [0n, 1n];
  while (next !== 0n) {
    const quotient = r / next;
    [r, next] = [next, r - quotient * next];
    [t, nextT] = [nextT, t - quotient * nextT];
  }
  return ((t % modulus) + modulus) % modulus;
}

/** One frame after the other, from the beginning again after the last. */
function inTurn(frames: readonly string[]): Kind {
  let at = 0;
  return () => frames[at++ % frames.length] as string;
}

/** The names of what {@link helloKinds} makes. */
export const KIND_NAMES = [
  'not base64url',
  'not canonical base64url',
  'truncated',
  'no JSON',
  'of another version',
  'too large',
  'for another router',
  'of a key that it does not name',
  'too old',
  'with a forged signature, of a known key',
  'with a forged signature, of unknown keys',
  'with the HMAC of no join token',
  'with a box that does not open',
  'of unknown keys',
  'replayed',
] as const;
export type KindName = (typeof KIND_NAMES)[number];

/** Every kind of HELO that a router refuses, by its name. `known` is an identity that the router knows, `strangers` are keys that it does not. */
export function helloKinds(router: RouterKey, known: Who, strangers: readonly Key[]): Record<KindName, Kind> {
  const plan: Plan = { ...known, router };
  const sound = hello(plan).frame;
  const stranger = strangers[0] as Key;
  const of = (change: Partial<Plan>) => inTurn([hello({ ...plan, ...change }).frame]);
  const several = (count: number, make: (i: number) => Partial<Plan>) =>
    inTurn(Array.from({ length: count }, (_, i) => hello({ ...plan, ...make(i) }).frame));
  const forged = () => randomBytes(256);
  let cut = 0;
  return {
    'not base64url': inTurn(['[HELO] !!!!.????', '[HELO] .', `[HELO] ${'='.repeat(4000)}.AA`]),
    'not canonical base64url': inTurn([`[HELO] ${nonCanonical(b64(randomBytes(32)))}.AA`]),
    truncated: () => sound.slice(0, 8 + (cut++ % (sound.length - 9))),
    'no JSON': of({ bytesOf: () => Buffer.from('{"v":1,') }),
    'of another version': of({ fields: { v: 2 } }),
    'too large': of({ fields: { more: 'x'.repeat(5200) } }),
    'for another router': of({ fields: { sid: stranger.thumbprint } }),
    'of a key that it does not name': of({ fields: { cid: stranger.thumbprint } }),
    'too old': of({ now: Date.now() - TEN_MINUTES }),
    'with a forged signature, of a known key': several(64, () => ({ signature: forged })),
    'with a forged signature, of unknown keys': inTurn(forgedKeys(2000, plan)),
    'with the HMAC of no join token': inTurn([`${hello({ ...plan, key: stranger }).frame}.${b64(randomBytes(32))}`]),
    'with a box that does not open': several(256, () => ({ box: () => randomBytes(384) })),
    'of unknown keys': inTurn(strangers.map((key) => hello({ ...plan, key }).frame)),
    replayed: inTurn([sound]),
  };
}

/** HELOs of keys that nobody made: their form is sound, their signature cannot be. */
function forgedKeys(count: number, plan: Plan): string[] {
  return Array.from({ length: count }, () => {
    const n = randomBytes(256);
    n[0] = 0xff;
    n[255] = 0xff;
    const jwk = { e: 'AQAB', kty: 'RSA', n: b64(n) } as const;
    const key = { secret: plan.key.secret, jwk, thumbprint: thumbprintOf(jwk) };
    return hello({ ...plan, key, box: () => n, signature: () => n }).frame;
  });
}
