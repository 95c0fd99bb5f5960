import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isCentreondError } from '@centreond/protocol';
import {
  answerHello,
  createHello,
  joinKeyOf,
  openHello,
  type PendingHello,
  parseHello,
  publicKeyFromSpki,
  readKey,
  verifyAuth,
} from '@centreond/protocol/channel';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Admission, Refused } from '../../core/dist/doors/admission.js';
import { Trust } from '../../core/dist/doors/trust.js';
import { aliceKeys, forgeHelo, newKeys, routerKeys } from '../core/doors/attacker.ts';
import { b64, nonCanonical } from '../e2e/second-implementation.ts';
import { fuzz, options, titled } from './campaign.ts';
import type { Dice } from './dice.ts';

const NOW = 1_790_000_000_000;
const clock = { now: () => NOW, monotonic: () => 1000 };
const ANY = { perSecond: 1e9, burst: 1e9 };
const LIMITS = { concurrency: 2, queued: 16, queueMs: 4000, nonces: 16, strangers: { ...ANY, perAddress: ANY } };
const folder = mkdtempSync(path.join(tmpdir(), 'centreond-fuzz-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const grants = [{ identity: 'alice', fingerprint: aliceKeys.thumbprint, roles: ['client' as const] }];
const trusts = (['strict', 'pending'] as const).map(
  (trust) => new Trust({ file: path.join(folder, `${trust}.json`), clients: { trust, authorized: grants }, clock }),
);
const stranger = newKeys();

/** A client's HELO, and the router's KEY to it. */
interface Dialogue {
  readonly pending: PendingHello;
  readonly key: string;
}

let sound: string[] = [];
let dialogues: Dialogue[] = [];

beforeAll(async () => {
  const by = { identity: 'alice', now: NOW };
  sound = await Promise.all([
    forgeHelo({}, { ...by, keys: aliceKeys }),
    forgeHelo({ ciphers: ['x', 'chacha20-poly1305', 'aes-256-gcm'] }, { ...by, keys: aliceKeys }),
    forgeHelo({}, { ...by, keys: stranger }),
    forgeHelo({}, { ...by, keys: aliceKeys, joinKey: joinKeyOf('token') }),
    forgeHelo({}, { ...by, keys: aliceKeys, inBox: '[HELO] [bob]' }),
    forgeHelo({ x: b64(Buffer.alloc(32)) }, { ...by, keys: aliceKeys }),
  ]);
  dialogues = await Promise.all([undefined, joinKeyOf('token')].map(dialogue));
});

async function dialogue(joinKey: Buffer | undefined): Promise<Dialogue> {
  const pending = await createHello({
    keys: aliceKeys,
    router: { key: routerKeys.publicKey, thumbprint: routerKeys.thumbprint },
    identity: 'alice',
    now: NOW,
    ...(joinKey && { joinKey }),
  });
  const hello = parseHello(pending.frame);
  const session = await answerHello(hello, await openHello(hello, routerKeys, joinKey), routerKeys, 'aes-256-gcm');
  return { pending, key: session.frame };
}

type Attempt =
  | { readonly kind: 'HELO'; readonly frame: Buffer; readonly trust: number }
  | { readonly kind: 'KEY'; readonly frame: string; readonly dialogue: number }
  | { readonly kind: 'AUTH'; readonly message: string }
  | { readonly kind: 'PUBKEY'; readonly der: Buffer };

/** The parts of a frame `[VERB] body.sig`, changed in the fields of its body. */
function refilled(dice: Dice, frame: string): string {
  const [verb, body = '', ...rest] = frame.split(/ |\./);
  const fields = JSON.parse(Buffer.from(body, 'base64url').toString()) as Record<string, unknown>;
  const name = dice.pick(Object.keys(fields));
  const value = fields[name];
  fields[name] = dice.one<unknown>([
    () => dice.json(2),
    () => dice.mutatedJson(value, 0.3),
    () => (typeof value === 'string' ? nonCanonical(value) : value),
    () => b64(dice.bytes(dice.size(70))),
    () => modulus(dice),
    () => NOW + dice.pick([120_000, 120_001, -120_001, 1e15]),
  ]);
  const text = dice.chance(0.8) ? JSON.stringify(fields) : JSON.stringify(dice.mutatedJson(fields));
  return `${verb} ${[b64(Buffer.from(text)), ...rest].join('.')}`;
}

/** A JWK of a modulus that nobody made with care. */
function modulus(dice: Dice): object {
  const bytes = dice.bytes(dice.pick([0, 1, 255, 256, 257, 384, 1024, 1025]));
  if (bytes.length > 0 && dice.chance(0.8)) bytes[0] = 0x80;
  return {
    e: dice.chance(0.9) ? 'AQAB' : b64(dice.bytes(3)),
    kty: dice.chance(0.9) ? 'RSA' : dice.word(),
    n: b64(bytes),
  };
}

function mutatedText(dice: Dice, frame: string): string {
  return dice.chance(0.5) ? refilled(dice, frame) : dice.mutated(Buffer.from(frame)).toString('latin1');
}

function attempt(dice: Dice): Attempt {
  return dice.one<Attempt>([
    () => ({ kind: 'HELO', frame: Buffer.from(mutatedText(dice, dice.pick(sound)), 'latin1'), trust: dice.below(2) }),
    () => ({ kind: 'HELO', frame: Buffer.from(mutatedText(dice, dice.pick(sound)), 'latin1'), trust: dice.below(2) }),
    () => ({ kind: 'HELO', frame: Buffer.from(dice.pick(sound)), trust: dice.below(2) }),
    () => {
      const number = dice.below(dialogues.length);
      return { kind: 'KEY', frame: mutatedText(dice, (dialogues[number] as Dialogue).key), dialogue: number };
    },
    () => ({
      kind: 'AUTH',
      message: dice.mutated(Buffer.from(`[AUTH] [] [] {"s":"${b64(dice.bytes(256))}"}`)).toString('latin1'),
    }),
    () => ({ kind: 'PUBKEY', der: dice.mutated(routerKeys.publicKey.export({ type: 'spki', format: 'der' })) }),
  ]);
}

/** Whether it is one of the errors of a handshake; every other is thrown on. */
function isRefusal(error: unknown): true {
  if (error instanceof Refused) return true;
  if (isCentreondError(error) && (error.code === 'BROKEN_HANDSHAKE' || error.code === 'BROKEN_KEY')) return true;
  throw error;
}

async function tryHello(frame: Buffer, trust: Trust): Promise<void> {
  const admission = new Admission({
    routerKeys,
    trust,
    clock,
    ciphers: ['aes-256-gcm', 'chacha20-poly1305'],
    limits: LIMITS,
  });
  const admitted = await admission.admit(frame, '198.18.0.1:1').catch((error: unknown) => void isRefusal(error));
  expect(admission.load).toMatchObject({ working: 0, waiting: 0 });
  const isSound = sound.slice(0, 2).includes(frame.toString('latin1'));
  if (isSound !== (admitted !== undefined)) throw new Error(isSound ? 'a sound HELO was refused' : 'it was admitted');
}

async function tryKey(frame: string, { pending, key }: Dialogue): Promise<void> {
  const session = await readKey(pending, frame).catch((error: unknown) => void isRefusal(error));
  if (session && frame !== key) throw new Error('a KEY that was changed was taken');
}

function tryPubkey(der: Buffer): void {
  try {
    const { thumbprint } = publicKeyFromSpki(der);
    if (!/^[\w-]{43}$/.test(thumbprint)) throw new Error(`its thumbprint is ${thumbprint}`);
  } catch (error) {
    isRefusal(error);
  }
}

test(titled('a handshake that was changed in any place is refused, and nothing else happens'), options, () =>
  fuzz<Attempt>({
    name: 'helo',
    cases: 350_000,
    make: attempt,
    async run(one) {
      if (one.kind === 'HELO') await tryHello(one.frame, trusts[one.trust] as Trust);
      else if (one.kind === 'KEY') await tryKey(one.frame, dialogues[one.dialogue] as Dialogue);
      else if (one.kind === 'PUBKEY') tryPubkey(one.der);
      else if (await verifyAuth(Buffer.alloc(32), aliceKeys.publicKey, one.message)) throw new Error('it was verified');
    },
    show: (one) =>
      JSON.stringify(one, (_, value) =>
        value?.type === 'Buffer' ? Buffer.from(value.data).toString('latin1') : value,
      ),
  }),
);
