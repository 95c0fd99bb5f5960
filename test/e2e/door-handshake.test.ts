import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { DaemonProcess } from '../daemon-process.ts';
import {
  ackOf,
  auth,
  b64,
  Client,
  type ConnectOptions,
  hello,
  Key,
  type RouterKey,
  readKey,
  routerKey,
  type Who,
  Wire,
  whoOf,
} from './second-implementation.ts';

const daemon = new DaemonProcess({ core: { maxMessage: '64KiB' } });
const after: { close(): Promise<void> }[] = [];
let alice: Who;
let bob: Who;
let carol: Who;
const others: Who[] = [];
let router: RouterKey;

beforeAll(async () => {
  alice = whoOf(daemon.client('alice'));
  bob = whoOf(daemon.client('bob', ['client', 'node']));
  carol = { identity: 'carol', key: Key.generate(3072) };
  daemon.clients.push({ identity: 'carol', fingerprint: carol.key.thumbprint, roles: ['admin'] });
  for (const name of ['dora', 'emil', 'fred', 'gina']) others.push(whoOf(daemon.client(name)));
  await daemon.start();
  router = await routerKey(daemon);
});
afterEach(async () => {
  for (const one of after.splice(0)) await one.close();
});
afterAll(() => daemon.dispose());

async function connect(who: Who, options?: ConnectOptions): Promise<Client> {
  const client = await Client.connect(daemon, who, options);
  after.push(client);
  return client;
}

function wire(): Wire {
  const made = new Wire(daemon.endpoint);
  after.push(made);
  return made;
}

test.each([
  [['aes-256-gcm', 'chacha20-poly1305'], 'aes-256-gcm'],
  [['chacha20-poly1305', 'aes-256-gcm'], 'chacha20-poly1305'],
  [['rot13', 'chacha20-poly1305'], 'chacha20-poly1305'],
])('of the ciphers %j the first that both know carries the session', async (ciphers, chosen) => {
  const client = await connect(alice, { ciphers });
  expect(client.handshake.cipher).toBe(chosen);
  expect((await client.ping()).code).toBe(0);
});

test('a HELO may hold fields that nobody knows, in any order and spacing', async () => {
  const m1 = hello({
    ...bob,
    router,
    fields: { zeta: { deep: [1, null] }, box2: 'x', hostname: 'mallory' },
    bytesOf: (body) => Buffer.from(JSON.stringify(Object.fromEntries(Object.entries(body).reverse()), null, 2)),
  });
  expect(readKey(m1, await wire().ask(m1.frame)).session).toHaveLength(16);
});

test('the welcome says who is who, and requests in the record of AUTH are answered after it, in order', async () => {
  const client = await connect(bob, { also: ['[PING] [one] []', '[NO_SUCH] [two] []', '[PING] [three] []'] });
  expect(client.welcome?.data).toEqual({
    id: 'central',
    identity: 'bob',
    roles: ['client', 'node'],
    version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    maxMessage: 65_536,
  });
  await client.answer('three');
  expect(client.heard.slice(0, 4).map(({ verb, token }) => [verb, token])).toEqual([
    ['ACK', ''],
    ['PONG', 'one'],
    ['ACK', 'two'],
    ['PONG', 'three'],
  ]);
});

test('records may follow that of AUTH at once: they are heard when it is verified, in order', async () => {
  const client = await Client.begin(daemon, bob);
  after.push(client);
  client.listen();
  const pings = Array.from({ length: 100 }, (_, i) => `[PING] [at-once.${i}] []`);
  await client.send(auth(client.handshake, bob.key));
  for (const ping of pings) await client.send(ping);
  await client.answer('at-once.99');
  const heard = client.heard.map(({ verb, token }) => `[${verb}] [${token}]`);
  expect(heard).toEqual(['[ACK] []', ...pings.map((_, i) => `[PONG] [at-once.${i}]`)]);
});

test('a key of 3072 bits begins a session, and PONG has its four parts', async () => {
  const client = await connect(carol);
  await client.send('[PING] [p.1] []');
  const pong = await client.answer('p.1');
  expect(pong).toMatchObject({ verb: 'PONG', token: 'p.1', target: '' });
  expect(ackOf(pong).data).toEqual({
    id: 'central',
    hostname: expect.stringMatching(/./),
    version: client.welcome?.data.version,
  });
});

test('M2 is fresh each time: no session, nonce or X25519 key comes twice', async () => {
  const answers: Record<string, unknown>[] = [];
  const one = wire();
  for (let i = 0; i < 2; i++) {
    const m1 = hello({ ...carol, router });
    answers.push({ ...readKey(m1, await one.ask(m1.frame)).answer });
  }
  for (const field of ['session', 'n', 'x']) expect(new Set(answers.map((body) => body[field])).size).toBe(2);
  expect(Object.keys(answers[0] ?? {}).sort()).toEqual(['cid', 'cipher', 'n', 'session', 'sid', 'v', 'x']);
});

test('GETTHUMBPRINT tells the pinned fingerprint to a session', async () => {
  const client = await connect(carol);
  const { data } = await client.request('GETTHUMBPRINT', {});
  expect(Object.values(data)).toContain(daemon.fingerprint);
});

describe('a session', () => {
  test('lives on beside a new handshake on its connection, until that brings its AUTH', async () => {
    const [dora] = others as [Who];
    const older = await connect(dora);
    const m1 = hello({ ...dora, router });
    older.wire.listener = undefined;
    const newer = readKey(m1, await older.wire.ask(m1.frame));
    older.listen();
    expect((await older.ping()).code).toBe(0);
    older.wire.listener = undefined;
    await older.wire.send(newer.c2s.seal(auth(newer, dora.key)));
    const [bye] = older.handshake.s2c.open(await older.wire.next('BYE'));
    expect(String(bye)).toBe('[BYE] [] [] {"reason":"REPLACED"}');
    const [welcome] = newer.s2c.open(await older.wire.next('the welcome'));
    expect(String(welcome)).toContain('"identity":"dora"');
  });

  test('gives way to another identity that comes by its connection', async () => {
    const [, , fred, gina] = others as [Who, Who, Who, Who];
    const older = await connect(fred);
    older.wire.listener = undefined;
    const m1 = hello({ ...gina, router });
    const newer = readKey(m1, await older.wire.ask(m1.frame));
    await older.wire.send(newer.c2s.seal(auth(newer, gina.key)));
    const [bye] = older.handshake.s2c.open(await older.wire.next('BYE'));
    expect(String(bye)).toBe('[BYE] [] [] {"reason":"REPLACED"}');
    const [welcome] = newer.s2c.open(await older.wire.next('the welcome'));
    expect(String(welcome)).toContain('"identity":"gina"');
    // What is sealed in the older one now breaks the newer: it belongs to nobody.
    expect(await older.wire.ask(older.c2s.seal('[PING] [old] []'))).toBe('[NOSESSION] []');
  });

  test('is told REPLACED, sealed, when its identity comes by another connection, and is over then', async () => {
    const [, emil] = others as [Who, Who];
    const older = await connect(emil);
    const newer = await connect(emil);
    const bye = await older.take(({ verb }) => verb === 'BYE', 'BYE');
    expect(bye).toMatchObject({ data: { reason: 'REPLACED' }, clear: false });
    await older.send('[PING] [late] []');
    await older.isOver();
    expect((await newer.ping()).code).toBe(0);
    expect(older.heard.some(({ token }) => token === 'late')).toBe(false);
  });

  test('waits alone on its connection: a newer HELO takes the place of the one that waited', async () => {
    const [, , fred] = others as [Who, Who, Who];
    const one = wire();
    const first = hello({ ...fred, router });
    const kept = readKey(first, await one.ask(first.frame));
    const second = hello({ ...fred, router });
    readKey(second, await one.ask(second.frame));
    const answer = await one.ask(kept.c2s.seal(auth(kept, fred.key)));
    expect(answer).toContain('HANDSHAKE_REFUSED');
  });

  test('takes empty records, records of many messages, and new keys whenever its client changes them', async () => {
    const client = await connect(others[3] as Who);
    await client.send();
    await client.send(...Array.from({ length: 500 }, (_, i) => `[PING] [many.${i}] []`));
    for (let i = 0; i < 500; i++) await client.answer(`many.${i}`);
    const order = client.heard.map(({ token }) => token).filter((token) => token.startsWith('many.'));
    expect(order).toEqual(Array.from({ length: 500 }, (_, i) => `many.${i}`));
    for (let epoch = 1; epoch <= 3; epoch++) {
      client.c2s.rekey();
      expect((await client.ping()).code).toBe(0);
      expect((await client.ping()).code).toBe(0);
    }
  });

  test('hears nothing of what is said in clear on its connection, and does not end of it', async () => {
    const client = await connect(others[3] as Who);
    const clear = [
      '[PING] [clear] []',
      '[AUTH] [] [] {}',
      '[BYE] [] []',
      '[NOSESSION] []',
      '',
      'x',
      '\u0002',
      '[HELO]',
    ];
    for (const text of clear) await client.wire.send(text);
    await client.wire.send('[HELO] x.y');
    expect((await client.ping()).code).toBe(0);
    const said = client.heard.filter((reply) => reply.clear);
    expect(said.every(({ text }) => text.includes('HANDSHAKE_REFUSED'))).toBe(true);
    expect(client.heard.some(({ token }) => token === 'clear')).toBe(false);
  });
});

test('a record without a session is answered NOSESSION, at most once a second', async () => {
  const one = wire();
  const record = Buffer.concat([Buffer.of(1, 1, 0, 0), randomBytes(60)]);
  expect(await one.ask(record)).toBe('[NOSESSION] []');
  for (let i = 0; i < 30; i++) await one.send(record);
  expect(await one.settled()).toEqual([]);
});

test('[GETPUBKEY] is answered with the DER of the key that the fingerprint pins', async () => {
  const answer = await wire().ask('[GETPUBKEY]');
  const der = router.key.export({ type: 'spki', format: 'der' });
  expect(answer).toBe(`[PUBKEY] [${b64(der)}]`);
});
