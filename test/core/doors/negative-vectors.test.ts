import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { joinedBy, joinKeyOf, openHello, parseHello } from '@centreond/protocol/channel';
import { afterAll, describe, expect, test } from 'vitest';
import { Admission } from '../../../core/dist/doors/admission.js';
import { Trust } from '../../../core/dist/doors/trust.js';
import { client, router } from '../../../plugin-sdk/protocol/vectors/fixed-handshake.ts';
import { type NegativeVectors, vectorsOf } from '../../plugin-sdk/vectors.ts';
import { TestClock } from './attacker.ts';

const ANY = { perSecond: 1e9, burst: 1e9 };

const vectors = vectorsOf<NegativeVectors>('negative.json');
const folder = mkdtempSync(path.join(os.tmpdir(), 'centreond-vectors-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A router that knows the client's key and nothing else, at the time of the vectors. */
function admission(): Admission {
  const clock = new TestClock(vectors.now_ms);
  const authorized = [
    { identity: vectors.identity, fingerprint: client.keys.thumbprint, roles: ['client'] as const, groups: [] },
  ];
  return new Admission({
    routerKeys: router.keys,
    trust: new Trust({ file: path.join(folder, 'trust.json'), clients: { trust: 'strict', authorized }, clock }),
    clock,
    ciphers: ['aes-256-gcm', 'chacha20-poly1305'],
    limits: { concurrency: 1, queued: 1, queueMs: 60_000, nonces: 16, strangers: { ...ANY, perAddress: ANY } },
  });
}

/** What this implementation logs of each step. */
const STEPS: Record<string, object> = {
  form: { message: 'its form is wrong', fields: { reason: expect.stringMatching(/^The handshake cannot go on/) } },
  key: { message: 'its form is wrong', fields: { reason: expect.stringMatching(/^The key cannot be used/) } },
  sid: { message: 'it is meant for another router key' },
  cid: { message: 'its key is not the one it names' },
  ts: { message: 'its clock and this one differ too much' },
  signature: { message: 'its signature is wrong' },
  box: { message: 'its box does not open' },
  identity: { message: 'it claims an identity that is not bound to its key' },
  join: { message: expect.stringContaining('its join token is not open') },
};

describe('a router refuses a HELO', () => {
  test('with nothing wrong: it admits that, once', async () => {
    const door = admission();
    expect((await door.admit(Buffer.from(vectors.m1), '')).grant.identity).toBe(vectors.identity);
    await expect(door.admit(Buffer.from(vectors.m1), '')).rejects.toMatchObject({ message: 'it is a replay' });
  });
  test.each(vectors.hellos)('at the step $step: $name', async ({ step, frame }) => {
    await expect(admission().admit(Buffer.from(frame), '')).rejects.toMatchObject(
      STEPS[step] ?? { message: 'no such step' },
    );
  });
});

describe('a router with an open join token', () => {
  const open = joinKeyOf(vectors.join_token);
  test('finds it by the right HMAC', async () => {
    const hello = parseHello(vectors.m1_joining);
    expect(joinedBy(hello, [open], (key) => key)).toBe(open);
    expect((await openHello(hello, router.keys, open)).identity).toBe(vectors.identity);
  });
  test.each(vectors.hellos.filter(({ step }) => step === 'join'))('opens no box for $name', async ({ frame }) => {
    const hello = parseHello(frame);
    expect(joinedBy(hello, [open], (key) => key)).toBeUndefined();
    await expect(openHello(hello, router.keys, open)).rejects.toMatchObject({ code: 'BROKEN_HANDSHAKE' });
  });
});
