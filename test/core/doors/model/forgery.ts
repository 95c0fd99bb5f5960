import { generateKeyPairSync, randomBytes } from 'node:crypto';
import type { KeyPair } from '@centreond/protocol/channel';
import type { Modules } from './modules.ts';
import type { Person } from './witness.ts';

/** What is wrong with a HELO that an attacker makes. All but one need a key that the attacker has: mallory's, or bob's as a thief. */
export const FORGERIES = [
  'unknown key',
  'wrong signature',
  'another router',
  'the key of another',
  'too old',
  'too new',
  'the identity of another',
  'no identity',
] as const;
export type Forgery = (typeof FORGERIES)[number];

export interface Forgeable {
  readonly channel: Modules['channel'];
  readonly alice: Person;
  readonly bob: Person;
  readonly mallory: Person;
  readonly router: KeyPair;
  readonly now: number;
}

interface Forged {
  readonly frame: Buffer;
  /** Whose key it names. */
  readonly person: Person;
  readonly identity: string;
  readonly isSound: boolean;
}

/** Makes a HELO that must not begin a session. */
export async function forge(kind: Forgery, { channel, alice, bob, mallory, router, now }: Forgeable): Promise<Forged> {
  const { b64, H, sealBox, signPss } = channel;
  const person = { 'unknown key': mallory, 'wrong signature': alice, 'the key of another': alice }[String(kind)] ?? bob;
  const signer = kind === 'wrong signature' || kind === 'the key of another' ? mallory : person;
  const identity = { 'the identity of another': 'alice', 'no identity': '' }[String(kind)] ?? person.identity;
  const ts = now + ({ 'too old': -120_001, 'too new': 120_001 }[String(kind)] ?? 0);
  const text = kind === 'no identity' ? '[HELO] []' : `[HELO] [${identity}]`;
  const box = await sealBox(router.publicKey, Buffer.concat([randomBytes(32), Buffer.from(text)]));
  const body = Buffer.from(
    JSON.stringify({
      v: 1,
      ciphers: ['aes-256-gcm'],
      sid: kind === 'another router' ? mallory.keys.thumbprint : router.thumbprint,
      cid: person.keys.thumbprint,
      jwk: kind === 'the key of another' ? mallory.keys.jwk : person.keys.jwk,
      x: generateKeyPairSync('x25519').publicKey.export({ format: 'jwk' }).x,
      n: b64(randomBytes(32)),
      ts,
      box: b64(box),
    }),
  );
  const sig = await signPss(signer.keys.privateKey, 'client helo', H(body));
  const isSound = signer === person && kind !== 'another router';
  return { frame: Buffer.from(`[HELO] ${b64(body)}.${b64(sig)}`), person, identity, isSound };
}
