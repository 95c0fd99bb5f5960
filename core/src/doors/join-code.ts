import { createHash } from 'node:crypto';
import { isIdentity } from '@centreond/protocol';
import type { OtherRouter } from '../config/poller-config.ts';
import { fault } from '../errors.ts';
import { isFingerprint } from './trust-file.ts';

/** All that a machine needs to become a node: which one, of which router, reached where, and the token that lets it in. */
export interface JoinCode {
  readonly identity: string;
  readonly address: string;
  /** The router's fingerprint. */
  readonly router: string;
  readonly token: string;
  /** More routers of its cluster, at most {@link MOST_OTHERS}. */
  readonly others: readonly OtherRouter[];
}

/** So many that the line stays one that people paste. */
export const MOST_OTHERS = 15;

const MARK = 'join1.';
const SUM_BYTES = 6;
const ADDRESS = /^tcp:\/\/(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]{1,253}):([0-9]{1,5})$/;
const TOKEN = /^[A-Za-z0-9_-]{22,255}$/;

/** Whether nodes can be told to connect to it: `tcp://host:port`, no wildcard. */
export function isDoorAddress(address: string): boolean {
  const [, host, port] = ADDRESS.exec(address) ?? [];
  return host !== '0.0.0.0' && host !== '[::]' && Number(port) >= 1 && Number(port) <= 65_535;
}

/**
 * The code as one word that no shell changes, whose last characters tell whether it is whole. Others stand behind the token: a node
 * that knows of none refuses such a code as that of another version.
 */
export function formatJoinCode({ identity, address, router, token, others }: JoinCode): string {
  const more = others.flatMap((other) => [other.address, other.fingerprint]);
  const text = Buffer.from([identity, address, router, token, ...more].join(' '));
  return MARK + Buffer.concat([text, sumOf(text)]).toString('base64url');
}

/** Reads a code. Throws JOIN_CODE, saying whether it was cut, changed or is none. */
export function parseJoinCode(code: string): JoinCode {
  const broken = (what: string) => fault('JOIN_CODE', { what });
  if (!code.startsWith(MARK)) throw broken(`does not begin with ${MARK}`);
  const word = code.slice(MARK.length);
  const bytes = Buffer.from(word, 'base64url');
  const text = bytes.subarray(0, -SUM_BYTES);
  const [identity = '', address = '', router = '', token = '', ...more] = text.toString('latin1').split(' ');
  if (bytes.toString('base64url') !== word || !sumOf(text).equals(bytes.subarray(text.length))) {
    throw broken(`is not whole, or was changed: it has ${code.length} characters and they do not add up`);
  }
  const others = othersIn(more);
  const isSound = isIdentity(identity) && isDoorAddress(address) && isFingerprint(router) && TOKEN.test(token);
  if (!isSound || others === undefined) throw broken('is of another version of centreond');
  return { identity, address, router, token, others };
}

/** The routers that the words behind the token name; undefined if they are something else. */
function othersIn(words: readonly string[]): OtherRouter[] | undefined {
  if (words.length % 2 !== 0 || words.length > 2 * MOST_OTHERS) return undefined;
  const others: OtherRouter[] = [];
  for (let i = 0; i < words.length; i += 2) {
    const [address = '', fingerprint = ''] = words.slice(i);
    if (!isDoorAddress(address) || !isFingerprint(fingerprint)) return undefined;
    others.push({ address, fingerprint });
  }
  return others;
}

function sumOf(text: Uint8Array): Buffer {
  return createHash('sha256').update('centreond join code\0').update(text).digest().subarray(0, SUM_BYTES);
}
