import { constants, createPrivateKey, publicEncrypt, randomBytes } from 'node:crypto';
import { b64, createHello, H, type KeyPair, signPss } from '@centreond/protocol/channel';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { aliceKeys, begin, forgeHelo, inside, newKeys, routerKeys, until, type Wire } from './attacker.ts';
import { closeAll, type OpenDoor, openDoor, stallSignatures } from './door.ts';

const REFUSED =
  /^\[ACK] \[] \{"code":1,"data":\{"error":"HANDSHAKE_REFUSED","message":"The handshake was refused\. .*"\}\}$/;

let mallory: KeyPair;
beforeAll(() => {
  mallory = newKeys();
});
afterEach(closeAll);

/** Sends a HELO, wants it refused in the common words, and returns what the log has as its cause. */
async function refused(at: OpenDoor, wire: Wire, frame: string): Promise<string> {
  const before = at.causes().length;
  expect(await wire.ask(frame)).toMatch(REFUSED);
  return at.causes().slice(before).join();
}

/** Router keys that tell whether their private half was asked for. */
function watched(): { keys: KeyPair; used: () => number } {
  let count = 0;
  const keys: KeyPair = {
    ...routerKeys,
    get privateKey() {
      count++;
      return routerKeys.privateKey;
    },
  };
  return { keys, used: () => count };
}

const alice = (at: OpenDoor) => ({ keys: aliceKeys, identity: 'alice', now: at.clock.now() });

describe('a HELO', () => {
  test('is refused before any private-key operation, in the same words, for each cause that shows without one', async () => {
    const { keys, used } = watched();
    const at = await openDoor({}, { routerKeys: keys });
    const wire = at.wire();
    const who = alice(at);
    const sound = await forgeHelo({}, who);
    const [body = '', sig = ''] = sound.slice('[HELO] '.length).split('.');
    const small = newSmallJwk();

    const cases: [string, string][] = [
      ['form', `[HELO] ${body}`],
      ['form', `[HELO] ${body}.${sig}.x.y`],
      ['form', `[HELO] ${body}=.${sig}`],
      ['form', `[HELO]  ${body}.${sig}`],
      ['form', `[HELO] ${b64(Buffer.from('[1]'))}.${sig}`],
      ['form', `${sound}${'A'.repeat(8192)}`],
      ['form', await forgeHelo({ v: 2 }, who)],
      ['form', await forgeHelo({ ciphers: ['rot13'] }, who)],
      ['form', await forgeHelo({ x: b64(randomBytes(31)) }, who)],
      ['form', await forgeHelo({ n: b64(randomBytes(16)) }, who)],
      ['form', await forgeHelo({ n: `${b64(randomBytes(31))}==` }, who)],
      ['form', await forgeHelo({ ts: String(who.now) }, who)],
      ['form', await forgeHelo({ jwk: { ...aliceKeys.jwk, e: 'Aw' } }, who)],
      ['form', await forgeHelo({ jwk: small }, who)],
      ['another router key', await forgeHelo({ sid: mallory.thumbprint }, who)],
      // A stolen cid: alice's name tag over mallory's key.
      [
        'not the one it names',
        await forgeHelo({ cid: aliceKeys.thumbprint, jwk: mallory.jwk }, { ...who, signer: mallory }),
      ],
      ['not the one it names', await forgeHelo({ cid: mallory.thumbprint }, who)],
      ['unknown', await forgeHelo({}, { ...who, keys: mallory })],
      ['clock', await forgeHelo({ ts: who.now - 120_001 }, who)],
      ['clock', await forgeHelo({ ts: who.now + 120_001 }, who)],
      // Alice's cid and key, which anybody may know, under a foreign signature.
      ['signature', await forgeHelo({}, { ...who, signer: mallory })],
      ['signature', `[HELO] ${body}.${b64(randomBytes(256))}`],
      ['signature', `[HELO] ${b64(Buffer.concat([Buffer.from(body, 'base64url'), Buffer.from(' ')]))}.${sig}`],
      [
        'signature',
        `[HELO] ${body}.${b64(await signPss(aliceKeys.privateKey, 'client auth', H(Buffer.from(body, 'base64url'))))}`,
      ],
    ];
    for (const [cause, frame] of cases) expect(await refused(at, wire, frame), frame.slice(0, 60)).toContain(cause);
    expect(used()).toBe(0);
    expect(at.got).toEqual([]);

    expect(await wire.ask(sound)).toMatch(/^\[KEY] /);
    expect(used()).toBeGreaterThan(0);
  });

  test('is taken up to 120 s away from the clock of the router, on either side', async () => {
    const at = await openDoor();
    for (const off of [-120_000, 120_000]) {
      expect(await at.wire().ask(await forgeHelo({ ts: at.clock.now() + off }, alice(at)))).toMatch(/^\[KEY] /);
    }
  });

  test('is refused when its box holds another identity than the one bound to its key, or does not open', async () => {
    const at = await openDoor({
      authorized: [
        { identity: 'alice', fingerprint: aliceKeys.thumbprint, roles: ['client'] },
        { identity: 'root', fingerprint: mallory.thumbprint, roles: ['admin'] },
      ],
    });
    const wire = at.wire();
    const who = alice(at);
    expect(await refused(at, wire, await forgeHelo({}, { ...who, identity: 'root' }))).toContain('not bound');
    at.clock.advance(1000);
    expect(await refused(at, wire, await forgeHelo({}, { ...who, inBox: '[HELO] alice' }))).toContain('box');
    expect(await refused(at, wire, await forgeHelo({}, { ...who, inBox: '[HELO] [..]' }))).toContain('box');
    const foreign = publicEncrypt(
      { key: mallory.publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' },
      Buffer.concat([randomBytes(32), Buffer.from('[HELO] [alice]')]),
    );
    expect(await refused(at, wire, await forgeHelo({ box: b64(foreign) }, who))).toContain('box');
    expect(at.door.load.pending).toBe(0);
  });

  test('is taken once: a replay is refused from any connection until it is too old anyway', async () => {
    const at = await openDoor();
    const frame = await forgeHelo({ ts: at.clock.now() + 100_000 }, alice(at));
    expect(await at.wire().ask(frame)).toMatch(/^\[KEY] /);
    expect(await refused(at, at.wire(), frame)).toContain('replay');
    at.clock.advance(219_000); // 119 s after its ts
    at.door.sweep();
    expect(await refused(at, at.wire(), frame)).toContain('replay');
    at.clock.advance(2000);
    at.door.sweep();
    expect(await refused(at, at.wire(), frame)).toContain('clock');
    at.clock.advance(120_000);
    at.door.sweep();
    expect(at.door.load.nonces).toBe(0);
  });

  test('stays a replay when the clock jumps ahead and comes back', async () => {
    const at = await openDoor();
    const frame = await forgeHelo({}, alice(at));
    expect(await at.wire().ask(frame)).toMatch(/^\[KEY] /);
    at.clock.time += 3_600_000;
    at.door.sweep();
    at.clock.time -= 3_600_000;
    expect(await refused(at, at.wire(), frame)).toContain('replay');
  });

  test('of one key is taken six times in a second, then once a second, while others are not held up', async () => {
    const at = await openDoor({
      authorized: [
        { identity: 'alice', fingerprint: aliceKeys.thumbprint, roles: ['client'] },
        { identity: 'bob', fingerprint: mallory.thumbprint, roles: ['client'] },
      ],
    });
    const wire = at.wire();
    for (let i = 0; i < 6; i++) expect(await wire.ask(await forgeHelo({}, alice(at)))).toMatch(/^\[KEY] /);
    const seventh = await forgeHelo({}, alice(at));
    expect(await refused(at, wire, seventh)).toContain('too many');
    expect(await at.wire().ask(await forgeHelo({}, { ...alice(at), keys: mallory, identity: 'bob' }))).toMatch(
      /^\[KEY] /,
    );
    at.clock.advance(1000);
    expect(await refused(at, wire, seventh)).toContain('replay');
    expect(await wire.ask(await forgeHelo({}, alice(at)))).toMatch(/^\[KEY] /);
    expect(await refused(at, wire, await forgeHelo({}, alice(at)))).toContain('too many');
  });

  test('chooses the first cipher offered that the router allows', async () => {
    const choose = async (at: OpenDoor, ciphers: string[]) => {
      const answer = await at.wire().ask(await forgeHelo({ ciphers }, alice(at)));
      return answer.startsWith('[KEY] ')
        ? JSON.parse(Buffer.from(answer.slice(6).split('.')[0] ?? '', 'base64url').toString()).cipher
        : 'refused';
    };
    const both = await openDoor();
    expect(await choose(both, ['unheard-of', 'chacha20-poly1305', 'aes-256-gcm'])).toBe('chacha20-poly1305');
    const one = await openDoor({}, { ciphers: ['aes-256-gcm'] });
    expect(await choose(one, ['chacha20-poly1305', 'aes-256-gcm'])).toBe('aes-256-gcm');
    expect(await choose(one, ['chacha20-poly1305'])).toBe('refused');
  });

  test('of an unknown key is listed only once it proved that it holds the key, and refused all the same', async () => {
    const { keys, used } = watched();
    const at = await openDoor({ trust: 'pending' }, { routerKeys: keys });
    const wire = at.wire();
    const eve = { keys: mallory, identity: 'eve', now: at.clock.now() };
    expect(await refused(at, wire, await forgeHelo({}, { ...eve, signer: aliceKeys }))).toContain('signature');
    expect(await refused(at, wire, await forgeHelo({ ts: 0 }, eve))).toContain('clock');
    expect(at.trust.list().filter((entry) => entry.state === 'pending')).toEqual([]);
    expect(await refused(at, wire, await forgeHelo({}, eve))).toContain('unknown');
    expect(at.trust.list()).toContainEqual(
      expect.objectContaining({
        state: 'pending',
        fingerprint: mallory.thumbprint,
        lastAddress: '127.0.0.1',
        count: 1,
      }),
    );
    expect(used()).toBe(0);
    at.trust.accept({ fingerprint: mallory.thumbprint, identity: 'eve', roles: ['client'] });
    expect(await wire.ask(await forgeHelo({}, eve))).toMatch(/^\[KEY] /);
  });

  test('of a revoked key is refused unlisted, whatever the configuration says', async () => {
    const at = await openDoor({ trust: 'pending' });
    at.trust.revoke('alice');
    expect(await refused(at, at.wire(), await forgeHelo({}, alice(at)))).toContain('revoked');
    expect(at.trust.list().map((entry) => entry.state)).toEqual(['revoked']);
  });
});

describe('refusals', () => {
  test('are answered a hundred times at once and twenty times a second, and counted beyond', async () => {
    const at = await openDoor();
    const wire = at.wire();
    for (let i = 0; i < 150; i++) await wire.send('[HELO] x.y');
    await until(() => at.door.counters.refused === 150);
    expect((await wire.settled()).length).toBe(100);
    expect(at.door.counters.unanswered).toBe(50);
    at.clock.advance(1000);
    for (let i = 0; i < 50; i++) await wire.send('[HELO] x.y');
    await until(() => at.door.counters.refused === 200);
    expect((await wire.settled()).length).toBe(20);
    at.clock.advance(10_000);
    at.door.sweep();
    // Twenty were logged one by one.
    expect(at.causes()).toHaveLength(20);
    const fields = { count: 180, causes: { 'its form is wrong': 180 } };
    expect(at.log.at(-1)).toEqual({ fields, message: expect.stringContaining('more handshakes') });
  });
});

test('a flood of refused handshakes is logged as counts, once a minute, and hides no other cause', async () => {
  const at = await openDoor();
  for (let second = 0; second < 120; second++) {
    // A connection that does not say who it is lasts ten seconds.
    const wire = at.wire();
    for (let i = 0; i < 40; i++) await wire.send('[HELO] x.y');
    await until(() => at.door.counters.refused === (second + 1) * 40);
    at.clock.advance(1000);
    at.door.sweep();
  }
  const summaries = at.log.filter(({ message }) => message.startsWith('more handshakes'));
  expect(summaries.length).toBeLessThanOrEqual(3);
  expect(at.causes().length).toBeLessThanOrEqual(20 + 12);
  const late = await forgeHelo({ ts: at.clock.now() - 500_000 }, alice(at));
  await at.wire().send(late);
  await until(() => at.causes().at(-1)?.includes('clock') === true);
});

describe('an AUTH', () => {
  test('begins the session: the welcome, then what followed in its record, in order', async () => {
    const at = await openDoor();
    const wire = at.wire();
    const session = await begin(wire, alice(at));
    await wire.send(session.sealer.seal([session.auth, 'one', 'two']));
    const first = await inside(wire, session);
    expect(first).toEqual([
      '[ACK] [] {"code":0,"data":{"id":"central","identity":"alice","roles":["client"],"version":"0.1.0","maxMessage":1048576}}',
      '[PONG] one',
      '[PONG] two',
    ]);
    expect(at.pinned).toEqual([['alice', aliceKeys.jwk.n]]);
    expect([...(at.peers[0]?.roles ?? [])]).toEqual(['client']);
  });

  test('lets nothing act before it, and ends only the pending session when it is wrong', async () => {
    const at = await openDoor();
    const wrong: ((session: Awaited<ReturnType<typeof begin>>) => Promise<string[]> | string[])[] = [
      () => ['[PING] [] []'],
      (session) => ['[PING] [] []', session.auth],
      () => [],
      () => ['[AUTH] [] [] {}'],
      () => ['[AUTH] [] [] {"s":"AAAA"}'],
      () => ['[AUTH] [] [] not json'],
      async (session) => [await auth(mallory, 'client auth', session.th)],
      async (session) => [await auth(aliceKeys, 'client helo', session.th)],
      async () => [await auth(aliceKeys, 'client auth', randomBytes(32))],
      (session) => [session.auth.replace('[AUTH] []', '[AUTH] [t]')],
      (session) => [session.auth, 'x'.repeat(8192 - 28 - 8 - session.auth.length + 1)],
    ];
    for (const make of wrong) {
      at.clock.advance(1000);
      const wire = at.wire();
      const session = await begin(wire, alice(at));
      await wire.send(session.sealer.seal(await make(session)));
      expect((await wire.next()).toString()).toMatch(REFUSED);
      await wire.send(session.sealer.seal(['[PING] [] []']));
      expect((await wire.next()).toString()).toBe('[NOSESSION] []');
    }
    expect(at.got).toEqual([]);
    expect(at.door.load).toMatchObject({ live: 0, pending: 0 });
  });

  test('may have 8 KiB in its record, and not one byte more', async () => {
    const at = await openDoor();
    const wire = at.wire();
    const session = await begin(wire, alice(at));
    const record = session.sealer.seal([session.auth, 'x'.repeat(8192 - 28 - 8 - session.auth.length)]);
    expect(record.length).toBe(8192);
    await wire.send(record);
    expect((await inside(wire, session))[0]).toContain('"code":0');
  });

  test('is refused when its key was revoked after the KEY', async () => {
    const at = await openDoor();
    const wire = at.wire();
    const session = await begin(wire, alice(at));
    at.trust.revoke('alice');
    await wire.send(session.sealer.seal([session.auth, '[PING] [] []']));
    expect((await wire.next()).toString()).toBe('[NOSESSION] []');
    expect(at.got).toEqual([]);
  });

  test('is refused when its key is revoked while it is verified', async () => {
    const at = await openDoor();
    const wire = at.wire();
    const session = await begin(wire, alice(at));
    const { lookup } = at.trust;
    at.trust.lookup = (cid) => {
      at.trust.lookup = lookup;
      at.trust.revoke('alice');
      return at.trust.lookup(cid);
    };
    await wire.send(session.sealer.seal([session.auth, '[PING] [] []']));
    expect((await wire.next()).toString()).toMatch(REFUSED);
    expect(at.causes().at(-1)).toContain('revoked');
    expect(at.got).toEqual([]);
  });

  test('is refused when its key became another identity while it is verified', async () => {
    const at = await openDoor();
    const wire = at.wire();
    const session = await begin(wire, alice(at));
    at.trust.lookup = (fingerprint) => ({ identity: 'root', fingerprint, roles: ['admin'] });
    await wire.send(session.sealer.seal([session.auth, '[PING] [] []']));
    expect((await wire.next()).toString()).toMatch(REFUSED);
    expect(at.got).toEqual([]);
  });

  test('counts with the roles that the key has when it is verified; a change before that ends the handshake', async () => {
    const at = await openDoor({ trust: 'strict', authorized: [] });
    at.trust.accept({ fingerprint: aliceKeys.thumbprint, identity: 'alice', roles: ['admin'] });
    const early = at.wire();
    const ended = await begin(early, alice(at));
    at.trust.accept({ fingerprint: aliceKeys.thumbprint, identity: 'alice', roles: ['client'] });
    await early.send(ended.sealer.seal([ended.auth]));
    expect((await early.next()).toString()).toBe('[NOSESSION] []');

    const late = at.wire();
    const session = await begin(late, alice(at));
    const release = stallSignatures();
    await late.send(session.sealer.seal([session.auth]));
    await until(() => at.door.load.pending === 0);
    at.trust.accept({ fingerprint: aliceKeys.thumbprint, identity: 'alice', roles: ['node'] });
    release();
    expect((await inside(late, session))[0]).toContain('"roles":["node"]');
  });
});

async function auth(keys: KeyPair, label: string, th: Buffer): Promise<string> {
  return `[AUTH] [] [] ${JSON.stringify({ s: b64(await signPss(keys.privateKey, label, th)) })}`;
}

function newSmallJwk(): object {
  // The modulus of a key that is too small, made by cutting a sound one: nobody could use it anyway.
  const n = Buffer.from(
    createPrivateKey(aliceKeys.privateKey.export({ type: 'pkcs8', format: 'pem' })).export({ format: 'jwk' }).n ?? '',
    'base64url',
  );
  return { ...aliceKeys.jwk, n: b64(n.subarray(0, 128)) };
}

test('a HELO that a client made is one that the door takes', async () => {
  const at = await openDoor();
  const hello = await createHello({
    ...alice(at),
    router: { key: routerKeys.publicKey, thumbprint: routerKeys.thumbprint },
  });
  expect(await at.wire().ask(hello.frame)).toMatch(/^\[KEY] /);
});
