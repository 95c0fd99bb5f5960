import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { failure } from '../errors.ts';
import { H } from './keys.ts';

const TOKEN = /^[\x21-\x7e]{1,255}$/;

/** What a router keeps of a join token, and what keys both HMACs: itself a secret. Throws BROKEN_HANDSHAKE for a text that is no token. */
export function joinKeyOf(token: string): Buffer {
  if (!TOKEN.test(token))
    throw failure('BROKEN_HANDSHAKE', { reason: 'a join token is 1 to 255 characters of ASCII without spaces' });
  return createHash('sha256').update('centreond/1 join\0').update(token, 'latin1').digest();
}

/** The HMAC that a HELO with this body bears. */
export function clientJoinMac(joinKey: Uint8Array, body: Uint8Array): Buffer {
  return createHmac('sha256', joinKey).update('centreond/1 join client\0').update(body).digest();
}

/** The HMAC that the KEY with this body bears in answer to the frame `m1`. */
export function routerJoinMac(joinKey: Uint8Array, m1: string, body: Uint8Array): Buffer {
  return createHmac('sha256', joinKey).update('centreond/1 join router\0').update(H(m1, body)).digest();
}

/** Whether both are the same HMAC; takes the same time wherever they differ. */
export function isSameMac(mac: Uint8Array, expected: Uint8Array): boolean {
  return mac.length === expected.length && timingSafeEqual(mac, expected);
}

/**
 * The one of `candidates` whose join key made the HMAC of a HELO, or undefined. Tries every one, so that the time tells
 * nothing.
 */
export function joinedBy<T>(
  hello: { readonly body: Buffer; readonly mac: Buffer | undefined },
  candidates: Iterable<T>,
  joinKey: (candidate: T) => Uint8Array,
): T | undefined {
  const { body, mac } = hello;
  if (mac === undefined) return undefined;
  let found: T | undefined;
  for (const candidate of candidates) {
    if (isSameMac(mac, clientJoinMac(joinKey(candidate), body))) found = candidate;
  }
  return found;
}
