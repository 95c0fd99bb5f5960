import { answerHello, type KeyPair, openHello, parseHello } from '@centreond/protocol/channel';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Admitted } from '../../../core/dist/doors/admission.js';
import { Caller } from '../../../core/dist/doors/caller.js';
import { Sessions } from '../../../core/dist/doors/sessions.js';
import type { Trust } from '../../../core/dist/doors/trust.js';
import type { Connection } from '../../../core/dist/doors/zmtp/connection.js';
import {
  aliceKeys,
  begin,
  connect,
  forgeHelo,
  inside,
  messages,
  newKeys,
  routerKeys,
  TestClock,
  until,
} from './attacker.ts';
import { closeAll, type OpenDoor, openDoor, stallSignatures } from './door.ts';

let bobKeys: KeyPair;
beforeAll(() => {
  bobKeys = newKeys();
});
afterEach(closeAll);

const alice = (at: OpenDoor) => ({ keys: aliceKeys, identity: 'alice', now: at.clock.now() });
const bob = (at: OpenDoor) => ({ keys: bobKeys, identity: 'bob', now: at.clock.now() });

function openForTwo(options?: Parameters<typeof openDoor>[1]): Promise<OpenDoor> {
  return openDoor(
    {
      authorized: [
        { identity: 'alice', fingerprint: aliceKeys.thumbprint, roles: ['client'] },
        { identity: 'bob', fingerprint: bobKeys.thumbprint, roles: ['node'] },
      ],
    },
    options,
  );
}

/** A live session of alice, with a way to ask whether it still lives. */
async function live(at: OpenDoor, routingId?: string) {
  const wire = at.wire(routingId);
  const session = await connect(wire, alice(at));
  let count = 0;
  return {
    wire,
    session,
    async answers(): Promise<boolean> {
      const question = `still ${++count}`;
      await wire.send(session.sealer.seal([question]));
      return (await inside(wire, session))[0] === `[PONG] ${question}`;
    },
  };
}

describe('a live session', () => {
  test('is not touched by a HELO, a replayed HELO, a wrong AUTH or a bad first record of another connection', async () => {
    const at = await openDoor();
    const own = await live(at);
    const other = at.wire();
    const hello = await forgeHelo({}, alice(at));
    expect(await other.ask(hello)).toMatch(/^\[KEY] /);
    expect(await own.answers()).toBe(true);
    expect(await at.wire().ask(hello)).toContain('HANDSHAKE_REFUSED');
    expect(await own.answers()).toBe(true);
    // A sound handshake up to here, so that the record opens: only the signature in it is missing.
    const half = await begin(other, alice(at));
    await other.send(half.sealer.seal(['[AUTH] [] [] {"s":"AAAA"}', 'intruder']));
    expect((await other.next()).toString()).toContain('HANDSHAKE_REFUSED');
    expect(await own.answers()).toBe(true);
    const third = at.wire();
    const broken = await begin(third, alice(at));
    const record = broken.sealer.seal([broken.auth]);
    record[20] = (record[20] ?? 0) ^ 1;
    await third.send(record);
    expect((await third.next()).toString()).toContain('HANDSHAKE_REFUSED');
    expect(await own.answers()).toBe(true);
    expect(at.left).toEqual([]);
    expect(at.got.every((entry) => entry.message.startsWith('still'))).toBe(true);
  });

  test('is not touched by what goes wrong with a handshake on its own connection', async () => {
    const at = await openDoor();
    const { wire, session, answers } = await live(at);
    expect(await wire.ask('[HELO] x.y')).toContain('HANDSHAKE_REFUSED');
    expect(await answers()).toBe(true);
    const wrongs = [
      (next: Awaited<ReturnType<typeof begin>>) => next.sealer.seal(['[AUTH] [] [] {"s":"AAAA"}', 'intruder']),
      (next: Awaited<ReturnType<typeof begin>>) => {
        const record = next.sealer.seal([next.auth]);
        record[record.length - 1] = (record[record.length - 1] ?? 0) ^ 1;
        return record;
      },
      (next: Awaited<ReturnType<typeof begin>>) => next.sealer.seal([next.auth, 'x'.repeat(8192)]),
      () => Buffer.concat([Buffer.from([1, 1]), Buffer.alloc(26)]),
    ];
    for (const wrong of wrongs) {
      const next = await begin(wire, alice(at));
      // The old session goes on meanwhile, before and after.
      expect(await answers()).toBe(true);
      await wire.send(wrong(next));
      const question = session.sealer.seal(['right behind']);
      await wire.send(question);
      const replies = [await wire.next(), await wire.next()];
      expect(replies.some((frame) => frame.toString().includes('HANDSHAKE_REFUSED'))).toBe(true);
      const sealed = replies.find((frame) => frame[0] === 1) ?? Buffer.alloc(0);
      expect(session.opener.open(sealed, 1000).map(String)).toEqual(['[PONG] right behind']);
      expect(await answers()).toBe(true);
    }
    expect(at.left).toEqual([]);
    expect(at.got.some((entry) => entry.message === 'intruder')).toBe(false);
  });

  test.each<[string, (records: [Buffer, Buffer, Buffer]) => Buffer[]]>([
    ['replayed', ([one]) => [one, one]],
    ['left out', ([, two]) => [two]],
    ['put in another order', ([one, two, three]) => [one, three, two]],
    ['cut', ([one]) => [one.subarray(0, one.length - 1)]],
    ['cut to its header', ([one]) => [one.subarray(0, 12)]],
    ['lengthened', ([one]) => [Buffer.concat([one, Buffer.from([0])])]],
    ['flipped in its text', ([one]) => [flip(one, 14)]],
    ['flipped in its tag', ([one]) => [flip(one, one.length - 1)]],
    ['turned into the other direction', ([one]) => [flip(one, 1, 3)]],
    ['moved to the next epoch', ([one]) => [flip(one, 3)]],
    ['moved to the first place', ([one]) => [flip(one, 11)]],
  ])(
    'ends by a record that was %s; what was heard before stays heard, and nothing after it acts',
    async (_, attack) => {
      const at = await openDoor();
      const { wire, session } = await live(at);
      const records: [Buffer, Buffer, Buffer] = [
        session.sealer.seal(['one']),
        session.sealer.seal(['two']),
        session.sealer.seal(['three']),
      ];
      for (const record of attack(records)) await wire.send(record);
      await until(() => at.left.length === 1, 'the end of the session');
      expect(at.peers.every((peer) => !peer.open)).toBe(true);
      expect(at.door.load.live).toBe(0);
      const sound = attack(records)[0] === records[0] ? ['one'] : [];
      for (const record of records) await wire.send(record);
      const seen = await wire.settled();
      expect(at.got.map((entry) => entry.message)).toEqual(sound);
      expect(seen.filter((text) => text === '[NOSESSION] []').length).toBe(1);
    },
  );

  test('ends by a repetition of its own first record, which nothing pending waits for', async () => {
    const at = await openDoor();
    const wire = at.wire();
    const session = await begin(wire, alice(at));
    const first = session.sealer.seal([session.auth]);
    await wire.send(first);
    await inside(wire, session);
    await wire.send(first);
    expect((await wire.next()).toString()).toBe('[NOSESSION] []');
    expect(at.left).toEqual(['alice']);
  });

  test('does not open the records of another session', async () => {
    const at = await openForTwo();
    const own = await live(at);
    const wire = at.wire();
    const session = await connect(wire, bob(at));
    session.sealer.seal(['skipped']);
    own.session.sealer.seal(['skipped too']);
    await own.wire.send(session.sealer.seal(['for bob']));
    await until(() => at.left.length === 1);
    expect(at.left).toEqual(['alice']);
    expect(at.got).toEqual([]);
  });

  test('gives way to a newer one of its identity on another connection, which it is told in its own keys', async () => {
    const at = await openDoor();
    const own = await live(at);
    await own.answers();
    const newer = at.wire();
    const session = await connect(newer, alice(at));
    expect(await inside(own.wire, own.session)).toEqual(['[BYE] [] [] {"reason":"REPLACED"}']);
    expect(at.left).toEqual(['alice']);
    expect(at.peers[0]).toMatchObject({ open: false, replaced: true });
    await own.wire.send(own.session.sealer.seal(['from the grave']));
    expect((await own.wire.next()).toString()).toBe('[NOSESSION] []');
    await newer.send(session.sealer.seal(['hello']));
    expect(await inside(newer, session)).toEqual(['[PONG] hello']);
    expect(at.got.map((entry) => entry.message)).toEqual(['still 1', 'hello']);
    expect(at.door.load.live).toBe(1);
  });

  test('gives way to a newer one of its connection, of the same identity or another', async () => {
    const at = await openForTwo();
    const own = await live(at);
    for (const who of [alice, bob]) {
      const next = await begin(own.wire, who(at));
      expect(at.left.length).toBe(who === alice ? 0 : 1);
      await own.wire.send(next.sealer.seal([next.auth]));
      expect(await inside(own.wire, own.session)).toEqual(['[BYE] [] [] {"reason":"REPLACED"}']);
      expect((await inside(own.wire, next))[0]).toContain(`"identity":"${next.hello.frame && who(at).identity}"`);
      own.session = { ...next, welcome: '' };
    }
    expect(at.left).toEqual(['alice', 'alice']);
    expect(at.door.load).toMatchObject({ live: 1, connections: 1 });
    expect(at.door.peer('alice')).toBeUndefined();
    expect(at.door.peer('bob')?.open).toBe(true);
  });

  test('ends within the same turn when its key is revoked: told so, and nothing else', async () => {
    const at = await openDoor();
    const { wire, session, answers } = await live(at);
    await answers();
    const [peer] = at.peers;
    peer?.send('[LOG] [t] a secret row');
    at.trust.revoke('alice');
    peer?.send('[LOG] [t] another');
    expect(peer?.open).toBe(false);
    expect(at.left).toEqual(['alice']);
    expect(await inside(wire, session)).toEqual(['[BYE] [] [] {"reason":"REVOKED"}']);
    await wire.send(session.sealer.seal(['too late']));
    expect((await wire.next()).toString()).toBe('[NOSESSION] []');
    expect(at.got.map((entry) => entry.message)).toEqual(['still 1']);
  });

  test('ends when a new configuration leaves its key out or gives it other roles', async () => {
    const at = await openForTwo();
    const own = await live(at);
    const bobs = at.wire();
    const session = await connect(bobs, bob(at));
    const grants = [{ identity: 'alice', fingerprint: aliceKeys.thumbprint, roles: ['admin'] as const }];
    at.trust.configure({ trust: 'strict', authorized: grants });
    expect(at.left.sort()).toEqual(['alice', 'bob']);
    expect(await inside(own.wire, own.session)).toEqual(['[BYE] [] [] {"reason":"REVOKED"}']);
    expect(await inside(bobs, session)).toEqual(['[BYE] [] [] {"reason":"REVOKED"}']);
    const again = await connect(at.wire(), alice(at));
    expect(again.welcome).toContain('"roles":["admin"]');
    at.trust.configure({ trust: 'strict', authorized: grants });
    expect(at.left.length).toBe(2);
  });

  test('that was revoked by a message of a record does not hear the rest of it', async () => {
    const heard: string[] = [];
    const at = await openDoor(
      {},
      {
        receive: (peer, message) => {
          heard.push(message.toString());
          if (message.toString() === 'revoke me') at.trust.revoke(peer.identity);
        },
      },
    );
    const { wire, session } = await live(at);
    await wire.send(session.sealer.seal(['revoke me', 'and then this']));
    await until(() => at.left.length === 1);
    await wire.settled();
    expect(heard).toEqual(['revoke me']);
  });

  test.each([
    ['in', (own: Awaited<ReturnType<typeof live>>) => own.wire.send(own.session.sealer.seal(['quiet']))],
    ['out', (_: unknown, at: OpenDoor) => at.door.peer('alice')?.send('[LOG] [t] {}')],
  ])('ends when nothing went %s for the idle time', async (_, use) => {
    let heard = 0;
    const at = await openDoor({}, { idleMs: 60_000, receive: () => heard++ });
    const own = await live(at);
    at.clock.advance(59_000);
    await use(own, at);
    await until(() => heard > 0 || own.wire.frames.length > 0);
    if (heard === 0) await inside(own.wire, own.session);
    at.clock.advance(60_000);
    at.door.sweep();
    expect(at.left).toEqual([]);
    at.clock.advance(1);
    at.door.sweep();
    expect(await inside(own.wire, own.session)).toEqual(['[BYE] [] [] {"reason":"IDLE"}']);
    expect(at.left).toEqual(['alice']);
  });

  test('answers a message over the limit with TOO_LARGE under its token, and goes on', async () => {
    const sizes: number[] = [];
    const at = await openDoor(
      {},
      {
        maxMessage: 1000,
        receive(peer, message) {
          sizes.push(message.length);
          peer.send('[PONG] [] [] {}');
        },
      },
    );
    const { wire, session } = await live(at);
    const tooLarge = `[X] [tok:1] [] {"a":"${'x'.repeat(1000)}"}`;
    await wire.send(session.sealer.seal([tooLarge, 'y'.repeat(1001), 'z'.repeat(1000)]));
    const [first, second, third] = await messages(wire, session, 3);
    expect(first).toContain('[ACK] [tok:1] {"code":1,"data":{"error":"TOO_LARGE"');
    expect(first).toContain(`has ${tooLarge.length} bytes and the limit is 1000`);
    expect(second).toContain('[ACK] [] {"code":1,"data":{"error":"TOO_LARGE"');
    expect(third).toBe('[PONG] [] [] {}');
    expect(sizes).toEqual([1000]);
    await wire.send(session.sealer.seal(['x'.repeat(1000 + 4096 - 4)]));
    expect((await inside(wire, session))[0]).toContain('TOO_LARGE');
    await wire.send(session.sealer.seal(['x'.repeat(1000 + 4096 - 3)]));
    expect((await wire.next()).toString()).toBe('[NOSESSION] []');
  });

  test('cannot be taken over by a second connection that claims its routing id', async () => {
    const at = await openDoor();
    const own = await live(at, 'the-same');
    const thief = at.wire('the-same');
    expect(await thief.settled()).toEqual([]);
    expect(await own.answers()).toBe(true);
    at.peers[0]?.send('[LOG] [t] a row');
    expect(await inside(own.wire, own.session)).toEqual(['[LOG] [t] a row']);
    expect(thief.frames).toEqual([]);
  });
});

describe('while an AUTH is verified', () => {
  test('what follows it waits, and is heard in its order', async () => {
    const at = await openDoor();
    const wire = at.wire();
    const session = await begin(wire, alice(at));
    const sent = Array.from({ length: 200 }, (_, i) => `m${i}`);
    const release = stallSignatures();
    await wire.send(session.sealer.seal([session.auth, 'with it']));
    for (const message of sent) await wire.send(session.sealer.seal([message]));
    // What came with it has arrived long before.
    await at.wire().settled();
    expect(at.got).toEqual([]);
    release();
    const heard = await messages(wire, session, 202);
    expect(heard.slice(1)).toEqual(['with it', ...sent].map((message) => `[PONG] ${message}`));
  });

  test('what follows it slows its sender down, and takes no memory here', async () => {
    const at = await openDoor();
    const wire = at.wire();
    const session = await begin(wire, alice(at));
    const release = stallSignatures();
    await wire.send(session.sealer.seal([session.auth]));
    const sent = Array.from({ length: 300 }, (_, i) => `${i} ${'x'.repeat(60_000)}`);
    for (const message of sent) await wire.send(session.sealer.seal([message]));
    await at.wire().settled();
    expect(at.door.load.retainedBytes).toBeLessThan(200_000);
    expect(at.got).toEqual([]);
    release();
    await until(() => at.got.length === sent.length);
    expect(at.got.map(({ message }) => message)).toEqual(sent);
  });

  test('a further handshake of the connection waits for its turn too', async () => {
    const at = await openDoor();
    const wire = at.wire();
    const first = await begin(wire, alice(at));
    const second = await forgeHelo({}, alice(at));
    const release = stallSignatures();
    await Promise.all([
      wire.send(first.sealer.seal([first.auth, 'one'])),
      wire.send(first.sealer.seal(['two'])),
      wire.send(second),
      wire.send(first.sealer.seal(['three'])),
    ]);
    await at.wire().settled();
    release();
    const frames = [await wire.next(), await wire.next()];
    while (at.got.length < 3) await wire.next();
    expect(at.got.map((entry) => entry.message)).toEqual(['one', 'two', 'three']);
    expect(frames.length).toBe(2);
    await until(() => at.door.load.pending === 1);
    expect(at.left).toEqual([]);
  });
});

describe('a pending session', () => {
  test('gives way to the newer HELO of its connection', async () => {
    const at = await openDoor();
    const wire = at.wire();
    const older = await begin(wire, alice(at));
    const newer = await begin(wire, alice(at));
    expect(at.door.load.pending).toBe(1);
    await wire.send(older.sealer.seal([older.auth]));
    expect((await wire.next()).toString()).toContain('HANDSHAKE_REFUSED');
    await wire.send(newer.sealer.seal([newer.auth]));
    expect((await wire.next()).toString()).toBe('[NOSESSION] []');
    const last = await connect(wire, alice(at));
    expect(last.welcome).toContain('"code":0');
  });

  test('is over after 10 s, swept or not', async () => {
    const at = await openDoor();
    const [wire, late] = [at.wire(), at.wire()];
    const intime = await begin(wire, alice(at));
    at.clock.advance(10_000);
    at.door.sweep();
    await wire.send(intime.sealer.seal([intime.auth]));
    expect((await inside(wire, intime))[0]).toContain('"code":0');

    const session = await begin(late, alice(at));
    at.clock.advance(10_001);
    await late.send(session.sealer.seal([session.auth]));
    expect((await late.next()).toString()).toBe('[NOSESSION] []');
    await begin(at.wire(), alice(at));
    at.clock.advance(10_001);
    at.door.sweep();
    expect(at.door.load).toMatchObject({ pending: 0, live: 1 });
  });

  test('that is the oldest of too many gives way', async () => {
    const at = await openDoor({}, { limits: { maxPending: 3 } });
    const begun = [];
    for (let i = 0; i < 5; i++) {
      const wire = at.wire();
      begun.push({ wire, session: await begin(wire, alice(at)) });
    }
    expect(at.door.load.pending).toBe(3);
    const answers = [];
    for (const { wire, session } of begun) {
      await wire.send(session.sealer.seal([session.auth]));
      answers.push((await wire.next())[0] === 1);
    }
    expect(answers).toEqual([false, false, true, true, true]);
  });

  test('waits on through records that are not its first', async () => {
    const at = await openDoor();
    const wire = at.wire();
    const session = await begin(wire, alice(at));
    const first = session.sealer.seal([session.auth]);
    const second = session.sealer.seal(['second']);
    await wire.send(second);
    expect((await wire.next()).toString()).toBe('[NOSESSION] []');
    await wire.send(first);
    expect((await inside(wire, session))[0]).toContain('"code":0');
    await wire.send(second);
    expect(await inside(wire, session)).toEqual(['[PONG] second']);
  });
});

describe('the table', () => {
  test('lets an older HELO, ready late, not take the place of a newer one, and forgets what it could not answer', async () => {
    const clock = new TestClock();
    const trust = { lookup: () => undefined } as unknown as Trust;
    const sent: (Buffer | string)[] = [];
    const nothing = () => {};
    const sessions = new Sessions({
      trust,
      clock,
      welcome: { id: 'c', version: '1', maxMessage: 1000 },
      idleMs: 1000,
      limits: { pendingMs: 1000, maxPending: 10, maxBytes: 1, stallMs: 1 },
      io: {
        queued: nothing,
        guard: (work) => work(),
        receive: nothing,
        pinned: nothing,
        noSession: nothing,
        refuse: nothing,
        note: nothing,
        joined: nothing,
      },
    });
    const connection = { open: true, address: '10.0.0.7:4711', send: (frame: Buffer | string) => sent.push(frame) };
    const caller = new Caller(connection as unknown as Connection);
    const admit = async (): Promise<Admitted> => {
      const hello = parseHello(await forgeHelo({}, { keys: aliceKeys, identity: 'alice', now: clock.now() }));
      const session = await answerHello(hello, await openHello(hello, routerKeys), routerKeys, 'aes-256-gcm');
      return { hello, session, grant: { identity: 'alice', fingerprint: hello.cid, roles: ['client'] } };
    };
    const [older, newer] = [await admit(), await admit()];
    sessions.offer(caller, newer, 2);
    sessions.offer(caller, older, 1);
    expect(sent).toEqual([newer.session.frame]);
    expect(sessions.load.pending).toBe(1);
    connection.open = false;
    sessions.left(caller, 'the connection is gone');
    sessions.offer(caller, older, 3);
    expect(sent.length).toBe(1);
    expect(sessions.load.pending).toBe(0);
  });
});

function flip(record: Buffer, at: number, bits = 1): Buffer {
  const copy = Buffer.from(record);
  copy[at] = (copy[at] ?? 0) ^ bits;
  return copy;
}
