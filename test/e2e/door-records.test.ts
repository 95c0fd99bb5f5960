import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { DaemonProcess } from '../daemon-process.ts';
import {
  auth,
  b64,
  Client,
  hello,
  Key,
  newToken,
  nonCanonical,
  pack,
  pss,
  readKey,
  routerKey,
  sealRecord,
  type Who,
  Wire,
  whoOf,
} from './second-implementation.ts';

const MAX_MESSAGE = 64 * 1024;
const daemon = new DaemonProcess({ core: { maxMessage: '64KiB' } });
const after: { close(): Promise<void> }[] = [];
const lasting: { close(): Promise<void> }[] = [];
/** Ordinary clients, each good for six handshakes at once. */
const crowd: Who[] = [];
let mallory: Who;
let live: Client;
let admin: Client;
let refusal: string;

beforeAll(async () => {
  const alice = whoOf(daemon.client('alice'));
  const root = whoOf(daemon.client('root', ['admin']));
  for (const [i, key] of (await Key.crowd(10)).entries()) {
    const identity = `client-${i}`;
    crowd.push({ identity, key });
    daemon.clients.push({ identity, fingerprint: key.thumbprint, roles: ['client'] });
  }
  mallory = crowd.pop() as Who;
  await daemon.start();
  live = await Client.connect(daemon, alice);
  admin = await Client.connect(daemon, root);
  lasting.push(live, admin);
  const wire = new Wire(daemon.endpoint);
  refusal = await wire.ask('[HELO] x');
  await wire.close();
});
afterEach(async () => {
  for (const one of after.splice(0)) await one.close();
  // Whatever happened, the sessions that lived before it live on and were told nothing.
  expect((await live.ping()).code).toBe(0);
  expect(live.heard.filter(({ clear, verb }) => clear || verb === 'BYE')).toEqual([]);
});
afterAll(async () => {
  for (const one of lasting) await one.close();
  await daemon.dispose();
});

let turn = 0;
function anybody(): Who {
  return crowd[turn++ % crowd.length] as Who;
}

async function session(): Promise<Client> {
  const client = await Client.connect(daemon, anybody());
  after.push(client);
  return client;
}

describe('a session does not begin', () => {
  const wrong: Record<string, (pending: Client) => Uint8Array | Promise<Uint8Array>> = {
    "by another key's AUTH": (pending) => pending.c2s.seal(auth(pending.handshake, mallory.key)),
    "by another handshake's AUTH": (pending) => pending.c2s.seal(auth({ th: randomBytes(32) }, pending.who.key)),
    'by the signature of its HELO': (pending) =>
      pending.c2s.seal(`[AUTH] [] [] {"s":"${b64(pss(pending.who.key.secret, 'client helo', pending.handshake.th))}"}`),
    'by an AUTH without signature': (pending) => pending.c2s.seal('[AUTH] [] [] {}'),
    'by a request before AUTH': (pending) =>
      pending.c2s.seal(`[PUTLOG] [] [] {}`, auth(pending.handshake, pending.who.key)),
    'by an empty record': (pending) => pending.c2s.seal(),
    'by an AUTH that is not canonical': (pending) => {
      const right = auth(pending.handshake, pending.who.key);
      const { s } = JSON.parse(right.slice(right.indexOf('{'))) as { s: string };
      return pending.c2s.seal(`[AUTH] [] [] {"s":"${nonCanonical(s)}"}`);
    },
    'by a record of more than 8 KiB': (pending) =>
      pending.c2s.seal(auth(pending.handshake, pending.who.key), `[PING] [p] [] {"x":"${'x'.repeat(8192)}"}`),
    'by a record in the direction of the router': (pending) =>
      sealRecord(pending.c2s.parts({ direction: 2 }), pack([auth(pending.handshake, pending.who.key)])),
    "by a record under the router's keys": (pending) =>
      pending.handshake.s2c.seal(auth(pending.handshake, pending.who.key)),
    'by noise': () => Buffer.concat([Buffer.of(1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), randomBytes(300)]),
  };
  test.each(Object.entries(wrong))('%s', async (_, first) => {
    const pending = await Client.begin(daemon, anybody());
    after.push(pending);
    expect(await pending.wire.ask(await first(pending))).toBe(refusal);
    // A second try does not make it better.
    const again = pending.c2s.parts({ seq: 0n });
    const text = await pending.wire.ask(sealRecord(again, pack([auth(pending.handshake, pending.who.key)])));
    expect(text).toBe('[NOSESSION] []');
  });

  test("and does not end another's, when somebody hands on a HELO that is not his", async () => {
    // A HELO that was intercepted: fresh and sound, on the connection of somebody who has no key for its AUTH.
    const victim = await session();
    const stolen = await Client.begin(daemon, victim.who);
    after.push(stolen);
    expect(await stolen.wire.ask(stolen.c2s.seal(auth(stolen.handshake, mallory.key)))).toBe(refusal);
    expect((await victim.ping()).code).toBe(0);
    expect(victim.heard.filter(({ verb }) => verb === 'BYE')).toEqual([]);
  });
});

test('a wrong AUTH on the connection of a live session begins nothing and ends nothing', async () => {
  const client = await session();
  client.wire.listener = undefined;
  const m1 = hello({ ...client.who, router: await routerKey(daemon) });
  const pending = readKey(m1, await client.wire.ask(m1.frame));
  const refused = await client.wire.ask(pending.c2s.seal(auth(pending, mallory.key), '[PING] [never] []'));
  expect(refused).toBe(refusal);
  client.listen();
  expect((await client.ping()).code).toBe(0);
  expect(client.heard.filter(({ verb, token }) => verb === 'BYE' || token === 'never')).toEqual([]);
});

describe('a record that fails in anything ends its session and does nothing:', () => {
  const flip = (at: number) => (client: Client, message: string) => {
    const frame = client.c2s.seal(message);
    frame[at < 0 ? frame.length + at : at] = (frame.at(at) ?? 0) ^ 1;
    return [frame];
  };
  const cases: Record<string, (client: Client, message: string) => Uint8Array[]> = {
    'one that came already': (client) => {
      const frame = client.c2s.seal('[PING] [] []');
      return [frame, frame];
    },
    'one that follows a gap': ({ c2s }, message) => {
      c2s.seq++;
      return [c2s.seal(message)];
    },
    'one that was overtaken': ({ c2s }, message) => [c2s.seal('[PING] [] []'), c2s.seal(message)].reverse(),
    'one with another direction in its header': flip(1),
    'one with another epoch in its header': flip(3),
    'one with another sequence in its header': flip(11),
    'one with a changed byte': flip(12),
    'one with a changed tag': flip(-1),
    'one without its last byte': ({ c2s }, message) => [c2s.seal(message).subarray(0, -1)],
    'one with a byte too many': ({ c2s }, message) => [Buffer.concat([c2s.seal(message), Buffer.of(0)])],
    'one of a header only': ({ c2s }, message) => [c2s.seal(message).subarray(0, 12)],
    'one of a single byte': () => [Buffer.of(1)],
    'one in the direction of the router': ({ c2s }, message) => [
      sealRecord(c2s.parts({ direction: 2 }), pack([message])),
    ],
    "one under the router's keys": ({ handshake: { s2c } }, message) => [
      sealRecord(s2c.parts({ direction: 1, seq: 1n }), pack([message])),
    ],
    'one under the keys of another session': (client, message) => [
      sealRecord(live.c2s.parts({ seq: client.c2s.seq }), pack([message])),
    ],
    'one bound to another session': ({ c2s }, message) => [
      sealRecord(c2s.parts({ session: live.handshake.session }), pack([message])),
    ],
    'one by the cipher that was not chosen': ({ c2s }, message) => [
      sealRecord(c2s.parts({ cipher: 'chacha20-poly1305' }), pack([message])),
    ],
    'one whose message reaches past its end': ({ c2s }, message) => [
      sealRecord(c2s.parts(), Buffer.concat([pack([message]), Buffer.from('00000005414243', 'hex')])),
    ],
    'one with bytes after its last message': ({ c2s }, message) => [
      sealRecord(c2s.parts(), Buffer.concat([pack([message]), Buffer.of(0, 0, 0)])),
    ],
    'one with a message of 4 GiB': ({ c2s }, message) => [
      sealRecord(c2s.parts(), Buffer.concat([pack([message]), Buffer.from('ffffffff', 'hex')])),
    ],
    'one with more than maxMessage + 4 KiB inside': ({ c2s }, message) => [
      c2s.seal(message, 'x'.repeat(MAX_MESSAGE + 4096 - 8 - message.length + 1)),
    ],
    'one of a new epoch under the old keys': ({ c2s }, message) => [
      sealRecord(c2s.parts({ epoch: 1, seq: 0n }), pack([message])),
    ],
    'one that leaves out an epoch': ({ c2s }, message) => [c2s.rekey().rekey().seal(message)],
    'one of a new epoch that does not begin at 0': ({ c2s }, message) => {
      c2s.rekey().seq = 1n;
      return [c2s.seal(message)];
    },
    'one of the epoch before': ({ c2s }, message) => {
      const old = c2s.parts();
      return [c2s.rekey().seal('[PING] [] []'), sealRecord(old, pack([message]))];
    },
    'one of the very first sequence again': ({ c2s }, message) => [sealRecord(c2s.parts({ seq: 0n }), pack([message]))],
  };

  test.each(Object.entries(cases))('%s', async (_, attack) => {
    const client = await Client.connect(daemon, anybody(), { ciphers: ['aes-256-gcm'] });
    after.push(client);
    expect((await client.ping()).code).toBe(0);
    const token = newToken();
    const next = client.c2s.parts();
    for (const frame of attack(client, `[PUTLOG] [] [] {"token":"${token}","code":10,"data":1}`)) {
      await client.wire.send(frame);
    }
    await client.isOver();
    expect(await admin.rows({ token })).toEqual([]);
    // It is over indeed: nor does a sound record act any more, wherever it would have gone on.
    for (const seq of [next.seq, next.seq + 1n]) {
      await client.wire.send(sealRecord({ ...next, seq }, pack(['[PING] [late] []'])));
    }
    for (let i = 0; i < 2; i++) {
      await client.wire.send('[GETPUBKEY]');
      await client.take(({ verb }) => verb === 'PUBKEY', 'PUBKEY');
    }
    expect(client.heard.filter((reply) => reply.token === 'late')).toEqual([]);
  });

  test('and one with exactly maxMessage + 4 KiB inside does not', async () => {
    const client = await session();
    const token = newToken();
    const ping = `[PING] [${token}] []`;
    const { code, data } = await client.ask(
      pack([ping, 'x'.repeat(MAX_MESSAGE + 4096 - 8 - ping.length)]).length === MAX_MESSAGE + 4096 ? ping : '',
      token,
    );
    expect([code, data.id]).toEqual([0, 'central']);
    await client.send(ping, 'x'.repeat(MAX_MESSAGE + 4096 - 8 - ping.length));
    expect((await client.answer('')).data).toMatchObject({ code: 1, data: { error: 'TOO_LARGE' } });
    expect((await client.ping()).code).toBe(0);
  });
});

test('the words of the handshake mean nothing inside a session', async () => {
  const client = await session();
  const words = ['AUTH', 'HELO', 'KEY', 'ACK', 'PONG', 'LOG', 'BYE', 'NOSESSION', 'GETPUBKEY', 'PUBKEY'];
  for (const word of words) {
    const token = newToken();
    expect([word, await client.verdict(`[${word}] [${token}] []`, token)]).toEqual([word, 'UNKNOWN_ACTION']);
  }
  await client.send(auth(client.handshake, client.who.key));
  expect((await client.answer('')).data).toMatchObject({ code: 1 });
  expect((await client.ping()).code).toBe(0);
});

test('a second connection under the routing id of a live one neither hears nor ends it', async () => {
  const wire = new Wire(daemon.endpoint, { routingId: 'mine' });
  const client = await Client.connect(daemon, anybody(), { wire });
  const thief = new Wire(daemon.endpoint, { routingId: 'mine' });
  after.push(client, thief);
  await thief.send(hello({ ...mallory, router: await routerKey(daemon) }).frame);
  await thief.send(client.c2s.seal('[PING] [stolen] []'));
  client.c2s.seq--;
  for (let i = 0; i < 20; i++) expect((await client.ping()).code).toBe(0);
  expect(thief.frames.filter((frame) => frame[0] === 1)).toEqual([]);
  expect(client.heard.filter(({ clear, token }) => clear || token === 'stolen')).toEqual([]);
});
