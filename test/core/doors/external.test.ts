import { b64, publicKeyFromSpki } from '@centreond/protocol/channel';
import { afterEach, describe, expect, test } from 'vitest';
import { ExternalDoor } from '../../../core/dist/doors/external.js';
import {
  aliceKeys,
  begin,
  connect,
  forgeHelo,
  inside,
  messages,
  newKeys,
  routerKeys,
  until,
  Wire,
} from './attacker.ts';
import { closeAll, type OpenDoor, openDoor, STRANGERS, stallSignatures } from './door.ts';

afterEach(closeAll);

const alice = (at: OpenDoor) => ({ keys: aliceKeys, identity: 'alice', now: at.clock.now() });
const SEALED = (frame: Buffer) => frame[0] === 1;

/** A live session that reads nothing after its welcome until it is told to. */
async function deaf(at: OpenDoor) {
  const wire = at.wire(undefined, false);
  const receive = async () => ((await wire.socket.receive())[0] ?? Buffer.alloc(0)).toString();
  const { hello, ...session } = await (async () => {
    const asked = begin(Object.assign(Object.create(Wire.prototype), { ask: ask(receive, wire) }), alice(at));
    return asked;
  })();
  await wire.send(session.sealer.seal([session.auth, 'hello']));
  await until(() => at.peers.length > 0);
  return { wire, session, peer: at.peers[0] ?? expect.fail() };
}

function ask(receive: () => Promise<string>, wire: Wire) {
  return async (frame: string) => {
    await wire.send(frame);
    return receive();
  };
}

describe('without a session', () => {
  test('a record or words in clear get NOSESSION, at most once a second for each connection, and do nothing', async () => {
    const at = await openDoor();
    const [one, two] = [at.wire(), at.wire()];
    const record = Buffer.concat([Buffer.from([1, 1]), Buffer.alloc(40)]);
    await one.send(Buffer.alloc(0));
    expect(await one.settled()).toEqual([]);
    for (let i = 0; i < 5; i++) await one.send(record);
    await two.send('[PING] [] []');
    expect(await one.settled()).toEqual(['[NOSESSION] []']);
    expect(await two.settled()).toEqual(['[NOSESSION] []']);
    at.clock.advance(999);
    await one.send(record);
    expect(await one.settled()).toEqual([]);
    at.clock.advance(1);
    await one.send(Buffer.alloc(15_000, 1));
    expect(await one.settled()).toEqual(['[NOSESSION] []']);
    expect(at.got).toEqual([]);
  });

  test('GETPUBKEY is answered with the key that the pinned fingerprint is of', async () => {
    const at = await openDoor();
    const answer = await at.wire().ask('[GETPUBKEY]');
    const der = answer.match(/^\[PUBKEY] \[([A-Za-z0-9_-]+)]$/)?.[1] ?? '';
    expect(publicKeyFromSpki(Buffer.from(der, 'base64url')).thumbprint).toBe(routerKeys.thumbprint);
    expect(b64(Buffer.from(der, 'base64url'))).toBe(der);
  });

  test('GETPUBKEY is answered five times at once and five times a second for each connection, however many ask', async () => {
    const at = await openDoor();
    const wires = Array.from({ length: 30 }, () => at.wire());
    for (const wire of wires) for (let i = 0; i < 7; i++) await wire.send('[GETPUBKEY]');
    await until(() => at.door.counters.ignored === 60);
    for (const wire of wires) await until(() => wire.frames.length === 5);
    at.clock.advance(1000);
    await wires[0]?.send('[GETPUBKEY]');
    await until(() => wires[0]?.frames.length === 6);
  });

  test('a message of several frames costs its sender the connection, with the session on it', async () => {
    const at = await openDoor();
    const wire = at.wire();
    const session = await connect(wire, alice(at));
    await wire.send(session.sealer.seal(['one']), 'more');
    await until(() => at.left.length === 1);
    await at.wire().send('[GETPUBKEY]', '');
    await until(() => at.door.counters.connections?.multipart === 2);
    expect(at.got).toEqual([]);
    expect(at.log.at(-1)?.fields.cause).toBe('it sent a message of several frames');
  });

  test('a connection is closed after ten seconds, and not with one', async () => {
    const at = await openDoor();
    const [silent, own] = [at.wire(), at.wire()];
    await silent.settled();
    const session = await connect(own, alice(at));
    at.clock.advance(10_001);
    await until(() => at.door.counters.connections?.unsettled === 1);
    await own.send(session.sealer.seal(['hello']));
    expect(await inside(own, session)).toEqual(['[PONG] hello']);
    expect(at.left).toEqual([]);
  });
});

describe('words in clear on a connection with a session', () => {
  test('neither act nor end it', async () => {
    const at = await openDoor();
    const wire = at.wire();
    const session = await connect(wire, alice(at));
    for (const text of ['[PING] [] []', '[AUTH] [] [] {}', '[BYE] [] []', 'x', '']) await wire.send(text);
    await wire.send(session.sealer.seal(['sealed']));
    expect(await inside(wire, session)).toEqual(['[PONG] sealed']);
    expect(at.got.map((entry) => entry.message)).toEqual(['sealed']);
    expect(at.door.counters.ignored).toBe(5);
  });
});

describe('what the router sends', () => {
  test('goes out in few records, in order, however much it is', async () => {
    const at = await openDoor();
    const wire = at.wire();
    const session = await connect(wire, alice(at));
    await wire.send(session.sealer.seal(['hello']));
    await inside(wire, session);
    const rows = Array.from({ length: 5000 }, (_, i) => `[LOG] [t] {"id":${i}}`);
    for (const row of rows) at.peers[0]?.send(row);
    expect(await messages(wire, session, rows.length)).toEqual(rows);
    await until(() => wire.frames.length === 0);
    for (const row of rows) at.peers[0]?.send(row);
    await until(() => wire.frames.length > 15);
    await wire.settled();
    expect(wire.frames.filter(SEALED).length).toBe(0);
  });

  test('reaches a peer that was slow to read, every byte in order, though its queue was full in between', async () => {
    const at = await openDoor();
    const { wire, session, peer } = await deaf(at);
    const rows = Array.from({ length: 400 }, (_, i) => `[LOG] [t] ${i} ${'x'.repeat(100_000)}`);
    // One record each, so that the queue of frames fills.
    for (const row of rows) {
      peer.send(row);
      await new Promise(setImmediate);
    }
    expect(peer.backlog).toBeGreaterThan(1_000_000);
    wire.read();
    const heard = await messages(wire, session, rows.length + 2);
    expect(heard.slice(2).map((row) => row.slice(0, 20))).toEqual(rows.map((row) => row.slice(0, 20)));
    expect(at.left).toEqual([]);
  });

  test('ends the session where more waits than the bound, or where it waits too long', async () => {
    const at = await openDoor({}, { limits: { maxBytes: 2_000_000 } });
    const { peer } = await deaf(at);
    await flood(
      () => peer.send(`[LOG] [t] ${'x'.repeat(100_000)}`),
      () => at.left.length > 0,
    );
    expect(at.left).toEqual(['alice']);
    expect(peer.open).toBe(false);
    expect(at.log.at(-1)?.fields.cause).toContain('more than 2000000 bytes wait');

    const slow = await openDoor();
    const other = await deaf(slow);
    await flood(
      () => other.peer.send(`[LOG] [t] ${'x'.repeat(100_000)}`),
      () => other.peer.backlog > 0,
    );
    slow.clock.advance(119_000);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(slow.left).toEqual([]);
    slow.clock.advance(2000);
    await until(() => slow.left.length > 0);
    expect(slow.log.at(-1)?.fields.cause).toContain('full');
  });

  test('is sealed under new keys after an hour by the clock that does not jump', async () => {
    const at = await openDoor();
    const wire = at.wire();
    const session = await connect(wire, alice(at));
    const epochs = [];
    for (const pass of [() => {}, () => at.clock.advance(3_600_000), () => (at.clock.time += 3_600_000)]) {
      pass();
      at.door.peer('alice')?.send('[LOG] [t] {}');
      await until(() => wire.frames.length > 0);
      epochs.push(wire.frames[0]?.readUInt16BE(2));
      expect(await inside(wire, session)).toEqual(['[LOG] [t] {}']);
    }
    expect(epochs).toEqual([0, 1, 1]);
  });

  test('ends the session of a peer whose connection is gone', async () => {
    const at = await openDoor();
    const wire = at.wire();
    const session = await connect(wire, alice(at));
    await wire.send(session.sealer.seal(['hello']));
    await inside(wire, session);
    await wire.close();
    await flood(
      () => at.peers[0]?.send('[LOG] [t] {}'),
      () => at.left.length > 0,
    );
    expect(at.left).toEqual(['alice']);
    expect(at.door.load.live).toBe(0);
    // What the system says first depends on how much was on its way.
    expect(at.log.at(-1)?.fields.cause).toMatch(/^the (peer closed the connection|connection broke)/);
  });
});

describe('under a flood', () => {
  test('memory stays bounded and live sessions are served', async () => {
    const at = await openDoor();
    const wire = at.wire();
    const session = await connect(wire, alice(at));
    const hostile = Array.from({ length: 4 }, () => at.wire());
    const sound = await forgeHelo({}, alice(at));
    const junk = Buffer.concat([Buffer.from([1, 1, 0, 0]), Buffer.alloc(100)]);
    let busy = true;
    const floods = hostile.map(async (attacker) => {
      for (let i = 0; busy && i < 3000; i++) {
        await attacker.send(i % 3 === 0 ? sound : i % 3 === 1 ? junk : '[HELO] AAAA.AAAA');
      }
    });
    for (let i = 0; i < 30; i++) {
      await wire.send(session.sealer.seal([`q${i}`]));
      expect(await inside(wire, session)).toEqual([`[PONG] q${i}`]);
      const { waiting, pending, working } = at.door.load;
      expect(waiting + working).toBeLessThanOrEqual(1024 + 4);
      expect(pending).toBeLessThanOrEqual(4);
    }
    busy = false;
    await Promise.all(floods);
    await until(() => at.door.load.working === 0);
    expect(at.door.load).toMatchObject({ live: 1, waiting: 0, nonces: 2 });
    expect(at.door.counters.refused).toBeGreaterThan(100);
    at.clock.advance(600_000);
    at.door.sweep();
    expect(at.door.load).toMatchObject({ nonces: 0, rates: 0 });
  });

  test('of handshakes only so many wait, strangers fewer, none too long, and the next is served again', async () => {
    const at = await openDoor({ trust: 'pending' }, { limits: { queued: 17, concurrency: 1 } });
    const stranger = { ...alice(at), keys: newKeys(), identity: 'eve' };
    const hellos = (who: typeof stranger, count: number) =>
      Promise.all(Array.from({ length: count }, () => forgeHelo({}, who)));
    const [strange, known] = [await hellos(stranger, 5), await hellos(alice(at), 20)];
    const release = stallSignatures();
    const send = async (frames: string[], refused: number) => {
      const wire = at.wire();
      for (const frame of frames) await wire.send(frame);
      await until(() => wire.frames.length === refused);
      return wire;
    };
    const ofStrangers = await send(strange, 2);
    expect(at.door.load).toMatchObject({ working: 1, waiting: 2 });
    // The oldest give way: those of the strangers, then three of these.
    await send(known, 3);
    expect(ofStrangers.frames.length).toBe(4);
    expect(at.door.load).toMatchObject({ working: 1, waiting: 17 });
    expect(new Set(at.causes())).toEqual(new Set(['too many handshakes are under way']));
    at.clock.advance(4001);
    release();
    await until(() => at.door.load.working === 0);
    expect(at.door.load).toMatchObject({ waiting: 0, nonces: 0 });
    expect(at.causes().filter((cause) => cause === 'it waited too long for its turn').length).toBe(17);
    expect((await connect(at.wire(), alice(at))).welcome).toContain('"code":0');
  });

  test('a handshake whose connection is gone at its turn costs no signature, and is no refusal', async () => {
    const at = await openDoor({}, { limits: { concurrency: 1 } });
    const [hello, late] = [await forgeHelo({}, alice(at)), await forgeHelo({}, alice(at))];
    const release = stallSignatures();
    const [first, leaving] = [at.wire(), at.wire()];
    await first.send(hello);
    await until(() => at.door.load.working === 1);
    await leaving.send(late);
    await until(() => at.door.load.waiting === 1);
    await leaving.close();
    await until(() => at.door.load.connections === 1);
    release();
    await until(() => at.door.load.working === 0);
    expect(at.door.load).toMatchObject({ waiting: 0, nonces: 1 });
    expect(at.door.counters).toMatchObject({ abandoned: 1, refused: 0 });
    expect((await connect(at.wire(), alice(at))).welcome).toContain('"code":0');
  });

  test('keys that nobody knows have as many signatures verified as the config says, and known ones are not concerned', async () => {
    const strangers = { perSecond: 2, perAddress: { perSecond: 1 } };
    const at = await openDoor({ trust: 'pending' }, { strangers });
    const send = async (count: number) => {
      for (let i = 0; i < count; i++) {
        const { refused } = at.door.counters;
        await at.wire().send(await forgeHelo({}, { ...alice(at), keys: newKeys(), identity: `eve${i}` }));
        await until(() => at.door.counters.refused === refused + 1);
      }
      return at.causes().filter((cause) => cause === 'too many unknown keys come at once').length;
    };
    expect(await send(4)).toBe(0);
    expect(await send(2)).toBe(2);
    expect((await connect(at.wire(), alice(at))).welcome).toContain('"code":0');
    at.clock.advance(1000);
    expect(await send(2)).toBe(3);
  });

  test('one connection can have 200 HELOs read at once and 50 a second', async () => {
    const at = await openDoor();
    const wire = at.wire();
    for (let i = 0; i < 200; i++) await wire.send('[HELO] x.y');
    const sound = await forgeHelo({}, alice(at));
    await wire.send(sound);
    await until(() => at.door.counters.refused === 201);
    expect(await at.wire().ask(sound)).toMatch(/^\[KEY] /);
    at.clock.advance(1000);
    for (let i = 0; i < 49; i++) await wire.send('[HELO] x.y');
    await until(() => at.door.counters.refused === 250);
    await wire.settled();
    expect(await wire.ask(await forgeHelo({}, alice(at)))).toMatch(/^\[KEY] /);
  });

  test('a frame that no message could need costs its sender the connection', async () => {
    const at = await openDoor({}, { maxMessage: 1000 });
    const wire = at.wire();
    const session = await connect(wire, alice(at));
    await wire.send(Buffer.alloc(1000 + 64 * 1024, 'x'));
    await until(() => at.door.counters.ignored === 1);
    await wire.send(Buffer.alloc(1000 + 64 * 1024 + 1, 'x'));
    await until(async () => {
      await wire.send(session.sealer.seal(['a']));
      return wire.frames.some((frame) => frame.toString() === '[NOSESSION] []');
    });
    expect(at.door.counters.ignored).toBe(1);
  });
});

describe('the door', () => {
  test('says STOPPING in every session, after what was still to be said, and closes', async () => {
    const at = await openDoor();
    const wire = at.wire();
    const session = await connect(wire, alice(at));
    await wire.send(session.sealer.seal(['hello']));
    await inside(wire, session);
    at.peers[0]?.send('[LOG] [t] {"id":1}');
    await at.door.stop();
    expect(await messages(wire, session, 2)).toEqual(['[LOG] [t] {"id":1}', '[BYE] [] [] {"reason":"STOPPING"}']);
    expect(at.left).toEqual(['alice']);
    await at.door.stop();
    const next = new ExternalDoor({ ...stub(at), listen: at.endpoint });
    expect(await next.listen()).toBe(at.endpoint);
    await next.stop();
  });

  test('stops within its limit though a peer does not read', async () => {
    const at = await openDoor({}, { limits: { stopMs: 100 } });
    const { peer } = await deaf(at);
    await flood(
      () => peer.send(`[LOG] [t] ${'x'.repeat(100_000)}`),
      () => peer.backlog > 0,
    );
    const started = performance.now();
    await at.door.stop();
    expect(performance.now() - started).toBeLessThan(1000);
  });

  test('says which endpoint it cannot have', async () => {
    const at = await openDoor();
    const second = new ExternalDoor({ ...stub(at), listen: at.endpoint });
    await expect(second.listen()).rejects.toThrow(`cannot listen on ${at.endpoint}`);
    await second.stop();
  });

  test('goes on when its router fails on a message', async () => {
    const heard: string[] = [];
    const at = await openDoor(
      {},
      {
        receive(peer, message) {
          if (message.toString() === 'bad') throw new Error('a fault of the router');
          heard.push(message.toString());
          peer.send('[PONG] [] []');
        },
      },
    );
    const wire = at.wire();
    const session = await connect(wire, alice(at));
    await wire.send(session.sealer.seal(['bad']));
    await wire.send(session.sealer.seal(['good']));
    expect(await inside(wire, session)).toEqual(['[PONG] [] []']);
    expect(heard).toEqual(['good']);
    expect(at.log.some((line) => line.message.includes('not handled'))).toBe(true);
  });
});

/** Repeats `act` over many turns until `done`. */
async function flood(act: () => void, done: () => boolean): Promise<void> {
  for (let i = 0; !done(); i++) {
    if (i > 20_000) throw new Error('nothing came of the flood');
    act();
    await new Promise(setImmediate);
  }
}

function stub(at: OpenDoor) {
  return {
    routerKeys,
    trust: at.trust,
    id: 'central',
    version: '0.1.0',
    maxMessage: 1024,
    strangers: STRANGERS,
    idleMs: 1000,
    chronicle: { tell() {} },
    clock: at.clock,
    log: { info() {}, warn() {}, error() {} },
    receive() {},
  };
}
