import { createPrivateKey, generatePrime } from 'node:crypto';
import { promisify } from 'node:util';
import { type KeyPair, keyPairOf } from '@centreond/protocol/channel';

/** Bits of a prime: of two, a key of 2048. */
const BITS = 1024;
const E = 65_537n;

/**
 * RSA keys for a bench, as many as wanted within seconds: each is another pair out of a few primes. A key of its own for each node
 * is what a router asks for; the same prime in two keys gives both away, so that these are of use nowhere else.
 */
export class PrimePairs {
  readonly #primes: readonly bigint[];

  private constructor(primes: readonly bigint[]) {
    this.#primes = primes;
  }

  /** Makes the primes for `count` keys. */
  static async for(count: number): Promise<PrimePairs> {
    const wanted = Math.ceil((1 + Math.sqrt(1 + 8 * count)) / 2);
    const primes = new Set<bigint>();
    const make = async () => {
      while (primes.size < wanted) {
        const prime = await promisify(generateBigPrime)();
        if (prime % E !== 1n) primes.add(prime);
      }
    };
    await Promise.all([make(), make()]);
    return new PrimePairs([...primes].slice(0, wanted));
  }

  /** The same primes in another process. */
  static from(texts: readonly string[]): PrimePairs {
    return new PrimePairs(texts.map((text) => BigInt(`0x${text}`)));
  }

  /** The primes as text, for {@link from}. */
  get texts(): string[] {
    return this.#primes.map((prime) => prime.toString(16));
  }

  /** The key number `index`, from 0 on. */
  key(index: number): KeyPair {
    // Row after row of a triangle.
    const second = Math.floor((1 + Math.sqrt(1 + 8 * index)) / 2);
    const first = index - (second * (second - 1)) / 2;
    const [p, q] = [this.#primes[second], this.#primes[first]];
    if (p === undefined || q === undefined) throw new Error(`there are too few primes for the key ${index}`);
    const d = inverse(E, (p - 1n) * (q - 1n));
    const numbers = { n: p * q, e: E, d, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qi: inverse(q, p) };
    const jwk = Object.fromEntries(Object.entries(numbers).map(([name, number]) => [name, bytesOf(number)]));
    const privateKey = createPrivateKey({ key: { kty: 'RSA', ...jwk }, format: 'jwk' });
    return keyPairOf(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
  }
}

function generateBigPrime(done: (error: Error | null, prime: bigint) => void): void {
  generatePrime(BITS, { bigint: true }, done);
}

function bytesOf(number: bigint): string {
  const hex = number.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex').toString('base64url');
}

/** The number that times `value` is 1 modulo `modulus`. */
function inverse(value: bigint, modulus: bigint): bigint {
  let [a, b] = [modulus, value % modulus];
  let [x, y] = [0n, 1n];
  while (b !== 0n) {
    const times = a / b;
    [a, b] = [b, a - times * b];
    [x, y] = [y, x - times * y];
  }
  return x < 0n ? x + modulus : x;
}
