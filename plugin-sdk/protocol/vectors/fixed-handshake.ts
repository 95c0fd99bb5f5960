/** A handshake of PROTOCOL.md section 5 from fixed inputs, step by step, so that a vector can do one step wrong. */
import { createHash, createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  b64,
  type Cipher,
  clientJoinMac,
  deriveKeys,
  H,
  type KeyPair,
  keyPairOf,
  routerJoinMac,
  type SessionKeys,
  sharedSecret,
} from '@centreond/protocol/channel';
import { sealWithSeed, signWithSalt } from './fixed-rsa.ts';

/** The time of every HELO among the vectors, in milliseconds. */
export const NOW = 1_790_000_000_000;
/** The join token of the vectors. */
export const JOIN_TOKEN = 'Q1dPykjToeSXT2ZjYjLhXCGKwpA8CXX9';

interface Frozen {
  router_test_key_jwk: JsonWebKey;
  client_test_key_jwk: JsonWebKey;
}

const frozen = JSON.parse(readFileSync(new URL('../channel.json', import.meta.url), 'utf8')) as Frozen;

function pair(jwk: JsonWebKey): { keys: KeyPair; pem: string } {
  const pem = createPrivateKey({ key: jwk, format: 'jwk' }).export({ type: 'pkcs8', format: 'pem' }).toString();
  return { keys: keyPairOf(pem), pem };
}

/** The router's and the client's RSA keys: those of channel.json. */
export const router = pair(frozen.router_test_key_jwk);
export const client = pair(frozen.client_test_key_jwk);

/** 32 bytes in place of random ones, the same for the same name. */
export function fixed(name: string): Buffer {
  return createHash('sha256').update(`centreond test vector: ${name}`).digest();
}

/** The X25519 private key with these 32 bytes. */
export function x25519Of(bytes: Buffer): KeyObject {
  const prefix = Buffer.from('302e020100300506032b656e04220420', 'hex');
  return createPrivateKey({ key: Buffer.concat([prefix, bytes]), format: 'der', type: 'pkcs8' });
}

function rawPublic(key: KeyObject): string {
  return createPublicKey(key).export({ format: 'jwk' }).x ?? '';
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** What is signed under `label`. */
export function labelled(label: string, h: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`centreond/1 ${label}\0`), h]);
}

/** What a HELO is made of. Whatever is given replaces the right value. */
export interface HelloPlan {
  /** Names the fixed values in place of random ones. */
  seed: string;
  identity: string;
  joinKey?: Buffer | undefined;
  fields?: Record<string, unknown>;
  boxText?: string;
  boxLabel?: string;
  signer?: KeyPair;
  signLabel?: string;
  salt?: Buffer;
  mac?: Buffer;
}

/** A HELO with all that went into it. */
export interface FixedHello {
  readonly plan: HelloPlan;
  readonly frame: string;
  readonly body: Buffer;
  readonly s1: Buffer;
  readonly x25519: Buffer;
  readonly boxPlaintext: Buffer;
  readonly boxSeed: Buffer;
  readonly salt: Buffer;
  readonly signature: Buffer;
  readonly mac: Buffer | undefined;
}

export function fixedHello(plan: HelloPlan): FixedHello {
  const { seed, identity, joinKey, signer = client.keys, salt = fixed(`${seed}, salt of HELO`) } = plan;
  const s1 = fixed(`${seed}, s1`);
  const x25519 = fixed(`${seed}, client's X25519`);
  const boxPlaintext = Buffer.concat([s1, Buffer.from(plan.boxText ?? `[HELO] [${identity}]`)]);
  const boxSeed = fixed(`${seed}, seed of the box`);
  const box = sealWithSeed(router.keys.publicKey, boxPlaintext, plan.boxLabel ?? 'centreond/1 HELO', boxSeed);
  const body = Buffer.from(
    JSON.stringify({
      v: 1,
      ciphers: ['chacha20-poly1305', 'aes-256-gcm'],
      sid: router.keys.thumbprint,
      cid: client.keys.thumbprint,
      jwk: client.keys.jwk,
      x: rawPublic(x25519Of(x25519)),
      n: b64(fixed(`${seed}, n of HELO`)),
      ts: NOW,
      box: b64(box),
      ...plan.fields,
    }),
  );
  const signature = signWithSalt(signer.privateKey, labelled(plan.signLabel ?? 'client helo', H(body)), salt);
  const mac = plan.mac ?? (joinKey && clientJoinMac(joinKey, body));
  const frame = frameOf('HELO', body, signature, mac);
  return { plan, frame, body, s1, x25519, boxPlaintext, boxSeed, salt, signature, mac };
}

export function frameOf(verb: string, body: Buffer, signature: Buffer, mac: Buffer | undefined): string {
  return `[${verb}] ${b64(body)}.${b64(signature)}${mac ? `.${b64(mac)}` : ''}`;
}

/** What a KEY is made of. Whatever is given replaces the right value. */
export interface KeyPlan {
  cipher: Cipher;
  fields?: Record<string, unknown>;
  signer?: KeyPair;
  signLabel?: string;
  /** The HELO that the signature and the HMAC cover. */
  answering?: string;
  joinKey?: Buffer | undefined;
  mac?: Buffer;
}

/** A KEY with all that went into it. */
export interface FixedKey {
  readonly frame: string;
  readonly body: Buffer;
  readonly x25519: Buffer;
  readonly session: Buffer;
  readonly salt: Buffer;
  readonly signature: Buffer;
  readonly mac: Buffer | undefined;
}

export function fixedKey(hello: FixedHello, plan: KeyPlan): FixedKey {
  const { seed } = hello.plan;
  const { cipher, signer = router.keys, answering = hello.frame, joinKey = hello.plan.joinKey } = plan;
  const x25519 = fixed(`${seed}, router's X25519`);
  const session = fixed(`${seed}, session`).subarray(0, 16);
  const body = Buffer.from(
    JSON.stringify({
      v: 1,
      cipher,
      x: rawPublic(x25519Of(x25519)),
      n: b64(fixed(`${seed}, n of KEY`)),
      session: b64(session),
      cid: client.keys.thumbprint,
      sid: router.keys.thumbprint,
      ...plan.fields,
    }),
  );
  const salt = fixed(`${seed}, salt of KEY`);
  const signature = signWithSalt(signer.privateKey, labelled(plan.signLabel ?? 'router key', H(answering, body)), salt);
  const mac = plan.mac ?? (joinKey && routerJoinMac(joinKey, answering, body));
  return { frame: frameOf('KEY', body, signature, mac), body, x25519, session, salt, signature, mac };
}

/** The secrets of a finished handshake. */
export function fixedSecrets(hello: FixedHello, key: FixedKey): { th: Buffer; shared: Buffer; keys: SessionKeys } {
  const th = H(hello.frame, key.frame);
  const peer = Buffer.from(rawPublic(x25519Of(hello.x25519)), 'base64url');
  const shared = sharedSecret(x25519Of(key.x25519), peer);
  return { th, shared, keys: deriveKeys(th, shared, hello.s1) };
}

/** The AUTH message, signed with a fixed salt. */
export function fixedAuth(
  seed: string,
  th: Buffer,
  { signer = client.keys, label = 'client auth', salt = fixed(`${seed}, salt of AUTH`) } = {},
): { message: string; salt: Buffer; signature: Buffer } {
  const signature = signWithSalt(signer.privateKey, labelled(label, th), salt);
  return { message: `[AUTH] [] [] ${JSON.stringify({ s: b64(signature) })}`, salt, signature };
}
