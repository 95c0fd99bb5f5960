import { constants, createPublicKey, generateKeyPairSync, publicEncrypt, randomBytes, sign } from 'node:crypto';
import {
  answerHello,
  b64,
  createHello,
  H,
  HANDSHAKE_LIMIT,
  type Hello,
  type KeyPair,
  keyPairOf,
  openHello,
  parseHello,
  publicKeyFromSpki,
  publicKeyOf,
  readKey,
  signPss,
  unb64,
  verifyAuth,
  verifyHello,
  verifyPss,
} from '@centreond/protocol/channel';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { newKeys } from './test-router.ts';

const router = newKeys();
const client = newKeys();
const stranger = newKeys();
const NOW = 1_790_000_000_000;

const hello = (options: Partial<Parameters<typeof createHello>[0]> = {}) =>
  createHello({
    keys: client,
    router: { key: router.publicKey, thumbprint: router.thumbprint },
    identity: 'alice',
    now: NOW,
    ...options,
  });

/** `[VERB] body.sig` with `fields` put into its body, signed again by `keys` as the true one would be. */
async function forge(frame: string, fields: object, keys: KeyPair, m1?: string): Promise<string> {
  const [verb = '', rest = ''] = frame.split(' ');
  const body = { ...JSON.parse(unb64(rest.split('.')[0]).toString()), ...fields };
  return signed(verb, Buffer.from(JSON.stringify(body)), keys, m1);
}

async function signed(verb: string, body: Buffer, keys: KeyPair, m1?: string): Promise<string> {
  const sig =
    m1 === undefined
      ? await signPss(keys.privateKey, 'client helo', H(body))
      : await signPss(keys.privateKey, 'router key', H(m1, body));
  return `${verb} ${b64(body)}.${b64(sig)}`;
}

const thrown = (act: () => unknown): unknown => {
  try {
    act();
  } catch (error) {
    return error;
  }
  return undefined;
};
const refused = expect.objectContaining({ code: expect.stringMatching(/^BROKEN_(HANDSHAKE|KEY)$/) });

async function session() {
  const pending = await hello();
  const parsed = parseHello(pending.frame);
  const answer = await answerHello(parsed, await openHello(parsed, router), router, 'aes-256-gcm');
  return { pending, parsed, answer };
}

test('both sides come to the same session, and prove it to each other', async () => {
  const { pending, parsed, answer } = await session();
  expect(await verifyHello(parsed)).toBe(true);
  expect(parsed).toMatchObject({ sid: router.thumbprint, cid: client.thumbprint, ts: NOW, mac: undefined });
  expect((await openHello(parsed, router)).identity).toBe('alice');
  const mine = await readKey(pending, answer.frame);
  expect(mine.th).toEqual(answer.th);
  expect(mine.session).toEqual(answer.session);
  const [auth] = answer.opener.open(mine.sealer.seal([mine.auth]), HANDSHAKE_LIMIT);
  expect(await verifyAuth(answer.th, parsed.key, auth ?? '')).toBe(true);
  expect(mine.opener.open(answer.sealer.seal(['welcome']), HANDSHAKE_LIMIT).map(String)).toEqual(['welcome']);
});

test('no two handshakes share a secret or a nonce', async () => {
  const [one, two] = [await session(), await session()];
  expect(one.parsed.n).not.toEqual(two.parsed.n);
  expect(one.parsed.x).not.toEqual(two.parsed.x);
  expect(one.parsed.box).not.toEqual(two.parsed.box);
  expect(one.answer.session).not.toEqual(two.answer.session);
  const record = one.answer.sealer.seal(['x']);
  const mine = await readKey(two.pending, two.answer.frame);
  expect(thrown(() => mine.opener.open(record, 100))).toMatchObject({ code: 'BROKEN_RECORD' });
});

test('a client makes no HELO for an identity that cannot be one, nor without a cipher', async () => {
  for (const identity of ['', '.', '..', 'a b', 'é', 'x'.repeat(65)])
    await expect(hello({ identity })).rejects.toMatchObject({ code: 'BROKEN_HANDSHAKE' });
  await expect(hello({ ciphers: [] })).rejects.toMatchObject({ code: 'BROKEN_HANDSHAKE' });
});

describe('a HELO', async () => {
  const { frame } = await hello();
  const { n: modulus } = client.jwk;

  test.each<[string, object]>([
    ['another version', { v: 2 }],
    ['a version in words', { v: '1' }],
    ['no version', { v: undefined }],
    ['no ciphers', { ciphers: undefined }],
    ['ciphers as a text', { ciphers: 'aes-256-gcm' }],
    ['a cipher that is no name', { ciphers: ['aes-256-gcm', 1] }],
    ['only ciphers that nobody knows', { ciphers: ['rot13'] }],
    ['no sid', { sid: undefined }],
    ['a short sid', { sid: b64(randomBytes(31)) }],
    ['no cid', { cid: undefined }],
    ['a cid with padding', { cid: `${client.thumbprint}=` }],
    ['no x', { x: undefined }],
    ['a short x', { x: b64(randomBytes(31)) }],
    ['a long x', { x: b64(randomBytes(33)) }],
    ['an x that is not canonical', { x: `${'A'.repeat(42)}B` }],
    ['a short n', { n: b64(randomBytes(31)) }],
    ['a number as n', { n: 5 }],
    ['no ts', { ts: undefined }],
    ['a ts in words', { ts: String(NOW) }],
    ['a ts with a fraction', { ts: NOW + 0.5 }],
    ['a negative ts', { ts: -1 }],
    ['a ts beyond counting', { ts: 2 ** 60 }],
    ['no box', { box: undefined }],
    ['a box in another base64', { box: '+/+/' }],
    ['no jwk', { jwk: undefined }],
    ['a jwk that is a list', { jwk: [] }],
    ['a jwk of another kind', { jwk: { e: 'AQAB', kty: 'EC', n: modulus } }],
    ['a jwk with another exponent', { jwk: { e: 'Aw', kty: 'RSA', n: modulus } }],
    ['a jwk whose exponent is not minimal', { jwk: { e: 'AAEAAQ', kty: 'RSA', n: modulus } }],
    [
      'a jwk whose n is not minimal',
      { jwk: { e: 'AQAB', kty: 'RSA', n: b64(Buffer.concat([Buffer.alloc(1), unb64(modulus)])) } },
    ],
    ['a jwk whose n has padding', { jwk: { e: 'AQAB', kty: 'RSA', n: `${modulus}==` } }],
    ['a jwk of 1024 bits', { jwk: { e: 'AQAB', kty: 'RSA', n: b64(Buffer.alloc(128, 255)) } }],
    ['a jwk of 2047 bits', { jwk: { e: 'AQAB', kty: 'RSA', n: b64(Buffer.alloc(256, 127)) } }],
    ['a jwk without n', { jwk: { e: 'AQAB', kty: 'RSA' } }],
    ['an empty n', { jwk: { e: 'AQAB', kty: 'RSA', n: '' } }],
  ])('with %s is refused by its form', async (_, fields) => {
    const forged = await forge(frame, fields, client);
    expect(thrown(() => parseHello(forged))).toEqual(refused);
  });

  test('with what nobody knows yet is taken, and the known ciphers are in the order of the client', async () => {
    const ciphers = ['rot13', 'chacha20-poly1305', 'aes-256-gcm'];
    const forged = await forge(frame, { ciphers, more: { deep: 1 } }, client);
    const parsed = parseHello(forged);
    expect(parsed.ciphers).toEqual(['chacha20-poly1305', 'aes-256-gcm']);
    expect(await verifyHello(parsed)).toBe(true);
  });

  test('is refused as a frame when it is no `[HELO] body.sig`', () => {
    const [, rest = ''] = frame.split(' ');
    const [body = '', sig = ''] = rest.split('.');
    for (const wrong of [
      '',
      '[HELO]',
      '[HELO] ',
      `[helo] ${rest}`,
      `[KEY] ${rest}`,
      `[HELO]  ${rest}`,
      `[HELO] ${body}`,
      `[HELO] ${rest}.`,
      `[HELO] ${rest}.AAAA`,
      `[HELO] ${rest}.${'A'.repeat(43)}.AAAA`,
      `[HELO] ${rest}\n`,
      `[HELO] ${body}=.${sig}`,
      `[HELO] ${body}.${sig}=`,
      `[HELO] ${body} .${sig}`,
      `[HELO] ${b64(Buffer.from('[]'))}.${sig}`,
      `[HELO] ${b64(Buffer.from('null'))}.${sig}`,
      `[HELO] ${b64(Buffer.from('{'))}.${sig}`,
      `[HELO] ${b64(Buffer.from('{"v":1,"x":"\xff"}', 'latin1'))}.${sig}`,
    ])
      expect(
        thrown(() => parseHello(wrong)),
        wrong.slice(0, 30),
      ).toEqual(refused);
    expect(thrown(() => parseHello(Buffer.from(frame)))).toBeUndefined();
    expect(thrown(() => parseHello(Buffer.from(`${frame}é`)))).toEqual(refused);
  });

  test('whose body is not UTF-8 is refused, whatever else it says', async () => {
    const body = unb64(frame.slice('[HELO] '.length).split('.')[0]);
    const odd = Buffer.concat([body.subarray(0, -1), Buffer.from(',"pad":"\xe9"}', 'latin1')]);
    const fine = await signed('[HELO]', Buffer.from(odd.toString('latin1')), client);
    expect(thrown(() => parseHello(fine))).toBeUndefined();
    const forged = await signed('[HELO]', odd, client);
    expect(thrown(() => parseHello(forged))).toEqual(refused);
  });

  test('of more than 8 KiB is refused, one of 8 KiB is read', async () => {
    const size = (length: number) => forge(frame, { pad: 'x'.repeat(length) }, client);
    const base = (await size(0)).length;
    // base64url: three bytes make four characters.
    const fits = Math.floor((HANDSHAKE_LIMIT - base) / 4) * 3;
    const largest = await size(fits);
    expect(largest.length).toBeLessThanOrEqual(HANDSHAKE_LIMIT);
    expect(thrown(() => parseHello(largest))).toBeUndefined();
    const padded = await size(fits + 4);
    expect(padded.length).toBeGreaterThan(HANDSHAKE_LIMIT);
    expect(thrown(() => parseHello(padded))).toEqual(refused);
    expect(thrown(() => parseHello(Buffer.from(padded)))).toEqual(refused);
  });

  test("shows a thumbprint of its own: another one's cid does not go with it", async () => {
    const parsed = parseHello(await forge(frame, { cid: stranger.thumbprint }, client));
    expect(parsed.thumbprint).toBe(client.thumbprint);
    expect(parsed.cid).toBe(stranger.thumbprint);
  });

  test('does not verify when anything in it, its label or its signer is another', async () => {
    const parsed = parseHello(frame);
    expect(await verifyHello(parsed)).toBe(true);
    expect(await verifyHello({ ...parsed, key: stranger.publicKey })).toBe(false);
    expect(await verifyHello({ ...parsed, body: Buffer.concat([parsed.body, Buffer.from(' ')]) })).toBe(false);
    expect(await verifyHello(parseHello(await forge(frame, {}, stranger)))).toBe(false);
    for (const change of [parsed.sig.subarray(1), Buffer.concat([Buffer.alloc(1), parsed.sig]), Buffer.alloc(0)])
      expect(await verifyHello({ ...parsed, sig: change })).toBe(false);
    const sig = await signPss(client.privateKey, 'client auth', H(parsed.body));
    expect(await verifyHello({ ...parsed, sig })).toBe(false);
    const bare = await signPss(client.privateKey, 'client helo', parsed.body);
    expect(await verifyHello({ ...parsed, sig: bare })).toBe(false);
  });

  test('signed with another salt or another padding does not verify', async () => {
    const parsed = parseHello(frame);
    const data = Buffer.concat([Buffer.from('centreond/1 client helo\0'), H(parsed.body)]);
    const { privateKey } = client;
    const make = (padding: number, saltLength?: number) =>
      sign('sha256', data, { key: privateKey, padding, ...(saltLength !== undefined && { saltLength }) });
    expect(await verifyHello({ ...parsed, sig: make(constants.RSA_PKCS1_PSS_PADDING, 32) })).toBe(true);
    expect(await verifyHello({ ...parsed, sig: make(constants.RSA_PKCS1_PSS_PADDING, 20) })).toBe(false);
    expect(await verifyHello({ ...parsed, sig: make(constants.RSA_PKCS1_PADDING) })).toBe(false);
  });

  describe('whose box', () => {
    const box = (inside: string | Buffer, label = 'centreond/1 HELO', key = router.publicKey, oaepHash = 'sha256') =>
      publicEncrypt(
        { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash, oaepLabel: Buffer.from(label) },
        Buffer.isBuffer(inside) ? inside : Buffer.concat([randomBytes(32), Buffer.from(inside, 'latin1')]),
      );
    const open = (bytes: Buffer) => openHello({ ...parseHello(frame), box: bytes }, router);

    test('holds s1 and [HELO] [HOSTNAME] opens', async () => {
      const { s1, identity } = await open(box('[HELO] [paris-1.lan_2]'));
      expect(identity).toBe('paris-1.lan_2');
      expect(s1).toHaveLength(32);
    });

    test.each([
      ['holds nothing', box(Buffer.alloc(0))],
      ['holds less than s1', box(Buffer.alloc(31))],
      ['holds no HOSTNAME', box('[HELO] []')],
      ['holds no HELO', box('[KEY] [alice]')],
      ['holds two spaces', box('[HELO]  [alice]')],
      ['holds more after it', box('[HELO] [alice] ')],
      ['holds an open bracket', box('[HELO] [alice')],
      ['holds one dot', box('[HELO] [.]')],
      ['holds two dots', box('[HELO] [..]')],
      ['holds a slash', box('[HELO] [a/b]')],
      ['holds a bracket in the name', box('[HELO] [a]b]')],
      ['holds letters beyond ASCII', box('[HELO] [\xe9]')],
      ['holds 65 letters', box(`[HELO] [${'x'.repeat(65)}]`)],
      ['bears another label', box('[HELO] [alice]', 'centreond/2 HELO')],
      ['bears no label', box('[HELO] [alice]', '')],
      ['is for another router', box('[HELO] [alice]', 'centreond/1 HELO', stranger.publicKey)],
      ['uses another hash', box('[HELO] [alice]', 'centreond/1 HELO', router.publicKey, 'sha1')],
      ['is too short', randomBytes(255)],
      ['is empty', Buffer.alloc(0)],
      ['is noise', Buffer.concat([Buffer.alloc(1), randomBytes(255)])],
    ])('%s is refused', async (_, bytes) => {
      await expect(open(bytes)).rejects.toMatchObject({ code: 'BROKEN_HANDSHAKE' });
    });
  });

  test('with an HMAC of a join token is parsed, and refused before its box is opened', async () => {
    const mac = randomBytes(32);
    const parsed = parseHello(`${frame}.${b64(mac)}`);
    expect(parsed.mac).toEqual(mac);
    expect(await verifyHello(parsed)).toBe(true);
    await expect(openHello(parsed, router)).rejects.toMatchObject({ code: 'BROKEN_HANDSHAKE' });
  });

  test.each([0, 1])('whose x is the point of order %d is refused: its secret would be known to all', async (point) => {
    const x = Buffer.alloc(32);
    x.writeUInt8(point, 0);
    const parsed: Hello = { ...parseHello(frame), x };
    const opened = await openHello(parsed, router);
    await expect(answerHello(parsed, opened, router, 'aes-256-gcm')).rejects.toMatchObject({
      code: 'BROKEN_HANDSHAKE',
    });
  });
});

describe('a KEY', async () => {
  const { pending, answer } = await session();

  test.each<[string, object]>([
    ['another version', { v: 2 }],
    ['a cipher that was not offered', { cipher: 'rot13' }],
    ['a short x', { x: b64(randomBytes(31)) }],
    ['an x whose secret is all zero', { x: b64(Buffer.alloc(32)) }],
    ['a short n', { n: b64(randomBytes(31)) }],
    ['no n', { n: undefined }],
    ['a short session', { session: b64(randomBytes(15)) }],
    ['a long session', { session: b64(randomBytes(17)) }],
    ["another client's id", { cid: stranger.thumbprint }],
    ["another router's id", { sid: stranger.thumbprint }],
  ])('with %s is refused even when the router signed it', async (_, fields) => {
    const forged = await forge(answer.frame, fields, router, pending.frame);
    await expect(readKey(pending, forged)).rejects.toEqual(refused);
    await expect(readKey(pending, await forge(answer.frame, {}, router, pending.frame))).resolves.toBeDefined();
  });

  test('with a cipher that this client did not offer is refused', async () => {
    const only = await hello({ ciphers: ['chacha20-poly1305'] });
    const forged = await forge(answer.frame, { cipher: 'aes-256-gcm' }, router, only.frame);
    await expect(readKey(only, forged)).rejects.toEqual(refused);
  });

  test('signed by another key, for another HELO or with another label is refused', async () => {
    await expect(readKey(pending, await forge(answer.frame, {}, stranger, pending.frame))).rejects.toEqual(refused);
    const other = await hello();
    await expect(readKey(other, answer.frame)).rejects.toEqual(refused);
    await expect(readKey(pending, await forge(answer.frame, {}, router))).rejects.toEqual(refused);
  });

  test('that is no `[KEY] body.sig` is refused', async () => {
    const [, rest = ''] = answer.frame.split(' ');
    for (const wrong of [`[HELO] ${rest}`, `${answer.frame} `, `${answer.frame}.${'A'.repeat(43)}`, '[KEY] e30.AAAA'])
      await expect(readKey(pending, wrong)).rejects.toEqual(refused);
    await expect(readKey(pending, `[KEY] ${'A'.repeat(HANDSHAKE_LIMIT)}`)).rejects.toThrow('8192');
  });
});

describe('an AUTH', async () => {
  const { pending, parsed, answer } = await session();
  const { auth, th } = await readKey(pending, answer.frame);
  const { s } = JSON.parse(auth.slice('[AUTH] [] [] '.length));

  test('verifies for this handshake and this key only', async () => {
    expect(await verifyAuth(th, parsed.key, auth)).toBe(true);
    expect(await verifyAuth(th, parsed.key, Buffer.from(auth))).toBe(true);
    expect(await verifyAuth((await session()).answer.th, parsed.key, auth)).toBe(false);
    expect(await verifyAuth(th, stranger.publicKey, auth)).toBe(false);
    const helo = b64(await signPss(client.privateKey, 'client helo', th));
    expect(await verifyAuth(th, parsed.key, `[AUTH] [] [] {"s":"${helo}"}`)).toBe(false);
  });

  test.each([
    '',
    '[AUTH]',
    '[AUTH] [] []',
    `[PING] [] [] {"s":"${s}"}`,
    `[AUTH] [t] [] {"s":"${s}"}`,
    `[AUTH] [] [n] {"s":"${s}"}`,
    `[AUTH] [] [] {"s":"${s}="}`,
    `[AUTH] [] [] {"s":1}`,
    '[AUTH] [] [] {}',
    `[AUTH] [] [] "${s}"`,
    '[AUTH] [] [] null',
    '[AUTH] [] [] {',
  ])('does not as %s', async (wrong) => {
    expect(await verifyAuth(th, parsed.key, wrong)).toBe(false);
  });
});

describe('keys', () => {
  const pem = (type: 'pkcs1' | 'pkcs8') => client.privateKey.export({ type, format: 'pem' }).toString();

  test('are read from PKCS#1 and PKCS#8 and have the same thumbprint', () => {
    expect(keyPairOf(pem('pkcs1')).thumbprint).toBe(client.thumbprint);
    expect(keyPairOf(pem('pkcs8')).jwk).toEqual(client.jwk);
  });

  test('have the thumbprint of RFC 7638, section 3.1', () => {
    const n =
      '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw';
    const key = publicKeyOf({ kty: 'RSA', e: 'AQAB', n, alg: 'RS256', kid: '2011-04-29' });
    expect(key.thumbprint).toBe('NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
    expect(key.jwk).toEqual({ e: 'AQAB', kty: 'RSA', n });
  });

  test.each<[string, () => string]>([
    ['no PEM', () => 'no PEM'],
    [
      'an elliptic key',
      () =>
        generateKeyPairSync('ec', { namedCurve: 'P-256' })
          .privateKey.export({ type: 'pkcs8', format: 'pem' })
          .toString(),
    ],
    [
      'an RSA-PSS key',
      () =>
        generateKeyPairSync('rsa-pss', { modulusLength: 2048 })
          .privateKey.export({ type: 'pkcs8', format: 'pem' })
          .toString(),
    ],
    [
      '1024 bits',
      () =>
        generateKeyPairSync('rsa', { modulusLength: 1024 })
          .privateKey.export({ type: 'pkcs8', format: 'pem' })
          .toString(),
    ],
    [
      'the exponent 3',
      () =>
        generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 })
          .privateKey.export({ type: 'pkcs8', format: 'pem' })
          .toString(),
    ],
    ['a public key', () => client.publicKey.export({ type: 'spki', format: 'pem' }).toString()],
    [
      'a key under a passphrase',
      () =>
        client.privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }).toString(),
    ],
  ])('do not come from %s', (_, text) => {
    expect(thrown(() => keyPairOf(text()))).toMatchObject({ code: 'BROKEN_KEY' });
  });

  test('of a router are read from its SubjectPublicKeyInfo', () => {
    const der = router.publicKey.export({ type: 'spki', format: 'der' });
    expect(publicKeyFromSpki(der).thumbprint).toBe(router.thumbprint);
    expect(thrown(() => publicKeyFromSpki(der.subarray(1)))).toMatchObject({ code: 'BROKEN_KEY' });
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ type: 'spki', format: 'der' });
    expect(thrown(() => publicKeyFromSpki(ec))).toMatchObject({ code: 'BROKEN_KEY' });
  });

  test('larger than 8192 bits are refused before they are computed with', () => {
    expect(thrown(() => publicKeyOf({ e: 'AQAB', kty: 'RSA', n: b64(Buffer.alloc(1025, 255)) }))).toMatchObject({
      code: 'BROKEN_KEY',
    });
    expect(
      publicKeyOf({ e: 'AQAB', kty: 'RSA', n: b64(Buffer.alloc(1024, 255)) }).key.asymmetricKeyDetails?.modulusLength,
    ).toBe(8192);
  });

  test('that cannot be computed with verify nothing, and throw nothing', async () => {
    const even = createPublicKey({ key: { e: 'AQAB', kty: 'RSA', n: b64(Buffer.alloc(256, 254)) }, format: 'jwk' });
    expect(await verifyPss(even, 'client helo', H('x'), randomBytes(256))).toBe(false);
  });
});

test('base64url is read in its one canonical form', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      expect(unb64(b64(bytes))).toEqual(Buffer.from(bytes));
    }),
  );
  for (const wrong of ['A', 'AB', 'AA=', 'AA==', 'A A', 'AA\n', 'A+A_', 'A/A-', 'AAA.', 'é', 5, null, undefined])
    expect(
      thrown(() => unb64(wrong)),
      String(wrong),
    ).toEqual(refused);
});

test('H tells its items apart', () => {
  expect(H('ab', 'c')).not.toEqual(H('a', 'bc'));
  expect(H('abc')).not.toEqual(H('abc', ''));
  expect(H('é')).toEqual(H(Buffer.from('é')));
});
