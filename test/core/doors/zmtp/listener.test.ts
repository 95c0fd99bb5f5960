import { once } from 'node:events';
import { closeSync, existsSync, lstatSync, mkdirSync, openSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { Push, Request } from 'zeromq';
import { isShortOfFiles, openFileLimits } from '../../../../core/dist/doors/open-files.js';
import type { Connection } from '../../../../core/dist/doors/zmtp/connection.js';
import { GREETING, READY } from '../../../../plugin-sdk/protocol/dist/zmtp/wire.js';
import { until } from '../attacker.ts';
import {
  closeAll,
  command,
  dealer,
  dealerReady,
  frame,
  newFolder,
  type OpenListener,
  openAt,
  openTcp,
  property,
  RawPeer,
} from './listening.ts';

afterEach(closeAll);

const text = (at: OpenListener) => at.frames.map(String);
const only = (at: OpenListener): Connection => at.connections[0] ?? expect.fail('no connection');

describe('a peer that is not a DEALER of ZMTP 3 is closed and counted:', () => {
  const old = Buffer.from(GREETING);
  old[10] = 1;
  const curve = Buffer.from(GREETING);
  curve.write('CURVE', 12);
  const unsigned = Buffer.from(GREETING);
  unsigned[9] = 0x7e;
  test.each([
    ['a web browser', [Buffer.from('GET / HTTP/1.1\r\n')], 'notZmtp'],
    ['a TLS client', [Buffer.of(0x16, 3, 1, 2, 0)], 'notZmtp'],
    ['ZMTP 1.0 with a short identity', [Buffer.of(1, 0)], 'notZmtp'],
    ['a signature that does not end', [unsigned], 'notZmtp'],
    ['ZMTP 2.0, by its first 11 bytes', [old.subarray(0, 11)], 'oldZmtp'],
    ['CURVE', [curve], 'mechanism'],
    ['a message before READY', [GREETING, frame('hello')], 'malformed'],
    ['another command before READY', [GREETING, command('HELLO')], 'malformed'],
    ['a READY without a Socket-Type', [GREETING, command('READY')], 'socketType'],
    ['a REQ', [GREETING, dealerReady('REQ')], 'socketType'],
    ['a PUB', [GREETING, dealerReady('PUB')], 'socketType'],
    ['a READY whose property is cut', [GREETING, command('READY', Buffer.of(11, 83))], 'malformed'],
    [
      'a READY whose value is cut',
      [GREETING, command('READY', property('Identity', 'abc').subarray(0, -1))],
      'malformed',
    ],
    ['a READY with an unnamed property', [GREETING, command('READY', property('', 'abc'))], 'malformed'],
    ['an Identity of 256 bytes', [GREETING, dealerReadyLong()], 'malformed'],
    ['a READY of 9 KiB', [GREETING, Buffer.of(6, 0, 0, 0, 0, 0, 0, 0x24, 0)], 'tooLarge'],
  ] as const)('%s', async (_, bytes, cause) => {
    for (const bytewise of [false, true]) {
      const at = await openTcp();
      const peer = new RawPeer(at.listener.endpoint);
      if (bytewise) for (const byte of Buffer.concat([...bytes])) peer.send(Buffer.of(byte));
      else peer.send(...bytes);
      await until(() => peer.closed, 'the end of the connection');
      expect(at.listener.counters[cause]).toBe(1);
      expect(at.connections).toEqual([]);
      await until(() => at.listener.load.connections === 0);
      expect(at.log).toEqual([
        {
          fields: expect.objectContaining({ address: expect.stringMatching(/^127\.0\.0\.1:\d+$/) }),
          message: expect.any(String),
        },
      ]);
    }
  });

  function dealerReadyLong(): Buffer {
    const body = Buffer.concat([
      Buffer.from('\x05READY'),
      property('Socket-Type', 'DEALER'),
      property('Identity', Buffer.alloc(256)),
    ]);
    const head = Buffer.alloc(9);
    head[0] = 6;
    head.writeUInt32BE(body.length, 5);
    return Buffer.concat([head, body]);
  }

  test('a peer of another type is told so', async () => {
    const at = await openTcp();
    const peer = new RawPeer(at.listener.endpoint).send(GREETING, dealerReady('SUB'));
    await until(() => peer.closed);
    expect(peer.received.subarray(64 + READY.ROUTER.length).toString()).toContain('\x05ERROR');
  });

  test('REQ and PUSH sockets of the zeromq package', async () => {
    const at = await openTcp();
    const sockets = [new Request({ linger: 0 }), new Push({ linger: 0 })];
    for (const socket of sockets) socket.connect(at.listener.endpoint);
    await until(() => at.listener.counters.socketType >= 1);
    for (const socket of sockets) socket.close();
    expect(at.connections).toEqual([]);
  });
});

describe('a handshake', () => {
  test.each([
    ['3.0', 3, 0],
    ['3.1', 3, 1],
    ['4.2', 4, 2],
  ])('of ZMTP %s is answered with 3.1 and a ROUTER', async (_, major, minor) => {
    const at = await openTcp();
    const greeting = Buffer.from(GREETING);
    greeting[10] = major;
    greeting[11] = minor;
    // Padding, case and further properties mean nothing.
    greeting.fill(7, 1, 9);
    const peer = new RawPeer(at.listener.endpoint);
    const ready = command(
      'READY',
      Buffer.concat([property('X-Name', 'x'), property('SOCKET-type', 'DEALER'), property('Identity', 'me')]),
    );
    peer.send(greeting, ready, frame('hello'));
    await until(() => at.frames.length === 1);
    expect(text(at)).toEqual(['hello']);
    await until(() => peer.received.length >= GREETING.length + READY.ROUTER.length);
    expect(peer.received.subarray(0, 64)).toEqual(GREETING);
    expect(peer.received.subarray(10, 16)).toEqual(Buffer.from('\x03\x01NULL'));
    expect(peer.received.subarray(64)).toEqual(
      command('READY', Buffer.concat([property('Socket-Type', 'ROUTER'), property('Identity', '')])),
    );
    expect(only(at).address).toBe(`127.0.0.1:${peer.socket.localPort}`);
  });

  test('a byte at a time is one as well', async () => {
    const at = await openTcp();
    const peer = new RawPeer(at.listener.endpoint);
    for (const byte of Buffer.concat([GREETING, dealerReady(), frame('hello')])) {
      peer.send(Buffer.of(byte));
      await new Promise(setImmediate);
    }
    await until(() => at.frames.length === 1);
    expect(text(at)).toEqual(['hello']);
  });

  test('has five seconds, and the owner ten to settle the peer', async () => {
    const at = await openTcp({ settle: false });
    const silent = new RawPeer(at.listener.endpoint);
    const half = new RawPeer(at.listener.endpoint).send(GREETING);
    await until(() => silent.received.length === 64 && half.received.length === 64 + READY.ROUTER.length);
    const [unsettled, settled] = [new RawPeer(at.listener.endpoint), new RawPeer(at.listener.endpoint)];
    await unsettled.shake();
    await settled.shake();
    await until(() => at.connections.length === 2);
    at.connections[1]?.settle();
    at.clock.advance(5000);
    at.listener.sweep();
    expect(at.listener.load.connections).toBe(4);
    at.clock.advance(1);
    at.listener.sweep();
    await until(() => silent.closed && half.closed);
    expect(at.listener.counters.late).toBe(2);
    at.clock.advance(4999);
    at.listener.sweep();
    expect(at.listener.load).toMatchObject({ connections: 2, unsettled: 1 });
    at.clock.advance(1);
    at.listener.sweep();
    await until(() => unsettled.closed);
    expect(at.listener.counters.unsettled).toBe(1);
    expect(at.closed).toEqual(['it did not say who it is in time']);
    at.clock.advance(3_600_000);
    at.listener.sweep();
    expect(at.listener.load).toMatchObject({ connections: 1, unsettled: 0 });
    at.connections[1]?.unsettle();
    at.clock.advance(10_000);
    at.listener.sweep();
    expect(at.listener.load).toMatchObject({ connections: 1, unsettled: 1 });
    at.clock.advance(1);
    at.listener.sweep();
    await until(() => settled.closed);
  });

  test('is awaited by a timer of its own', async () => {
    const at = await openTcp({
      clock: { monotonic: () => performance.now() },
      limits: { handshakeMs: 50, sweepMs: 10 },
    });
    const peer = new RawPeer(at.listener.endpoint);
    await until(() => peer.closed);
    expect(at.listener.counters.late).toBe(1);
  });
});

describe('a connection', () => {
  test('ends by MORE, before memory is taken for the message', async () => {
    const at = await openTcp();
    const peer = await new RawPeer(at.listener.endpoint).shake();
    peer.send(frame('one'), frame('two', 1), frame('three'));
    await until(() => at.closed.length === 1);
    expect(text(at)).toEqual(['one']);
    expect(at.closed).toEqual(['it sent a message of several frames']);
    expect(at.listener.counters.multipart).toBe(1);
    expect(only(at).open).toBe(false);
  });

  test('that sends MORE endlessly costs no memory', async () => {
    const at = await openTcp();
    const peer = await new RawPeer(at.listener.endpoint).shake();
    const part = frame(Buffer.alloc(60_000), 1);
    for (let i = 0; !peer.closed && i < 10_000; i++) {
      peer.send(part);
      await new Promise(setImmediate);
    }
    expect(peer.closed).toBe(true);
    expect(at.listener.load).toEqual({ connections: 0, unsettled: 0, pendingBytes: 0, retainedBytes: 0 });
  });

  test('takes frames up to its bound, and no larger one before it was settled', async () => {
    const at = await openTcp({ maxFrame: 100_000, settle: false });
    const peer = await new RawPeer(at.listener.endpoint).shake();
    peer.send(frame(Buffer.alloc(16_384)));
    await until(() => at.frames.length === 1);
    only(at).settle();
    peer.send(frame(Buffer.alloc(100_000)));
    await until(() => at.frames.length === 2);
    only(at).unsettle();
    peer.send(frame(Buffer.alloc(100_000)));
    await until(() => at.frames.length === 3);
    peer.send(frame(Buffer.alloc(100_001)));
    await until(() => at.closed.length === 1);
    const stranger = await new RawPeer(at.listener.endpoint).shake();
    stranger.send(frame(Buffer.alloc(16_385)));
    await until(() => at.closed.length === 2);
    expect(at.listener.counters.tooLarge).toBe(2);
    expect(at.frames.length).toBe(3);
  });

  test('takes at most 1 MiB for a frame before that arrives', async () => {
    const at = await openTcp({ maxFrame: 64 * 1024 * 1024 });
    const peer = await new RawPeer(at.listener.endpoint).shake();
    peer.send(Buffer.of(2, 0, 0, 0, 0, 3, 0, 0, 0), Buffer.alloc(5000));
    await until(() => at.listener.load.retainedBytes > 0);
    expect(at.listener.load.retainedBytes).toBeLessThanOrEqual(1024 * 1024);
  });

  test('has its PING answered with the context, and other commands ignored', async () => {
    const at = await openTcp();
    const peer = await new RawPeer(at.listener.endpoint).shake();
    peer.send(command('SUBSCRIBE', 'x'), command('CANCEL', 'x'), command('PONG', 'x'), command('LATER', 'x'));
    peer.send(command('PING', '\0\0'), command('PING', '\0\x05sixteen bytes ok'));
    const expected = Buffer.concat([command('PONG'), command('PONG', 'sixteen bytes ok')]);
    await until(() => peer.received.length >= expected.length);
    expect(peer.received).toEqual(expected);
    expect(at.frames).toEqual([]);
    expect(at.closed).toEqual([]);
  });

  test.each([
    ['a PING without a TTL', command('PING', '\0')],
    ['a PING with 17 bytes of context', command('PING', `\0\0${'x'.repeat(17)}`)],
    ['a second READY', dealerReady()],
    ['an ERROR', command('ERROR', '\0')],
    ['a command without a name', Buffer.of(4, 0)],
    ['a command whose name is cut', Buffer.of(4, 2, 9, 65)],
  ])('ends by %s', async (_, bytes) => {
    const at = await openTcp();
    (await new RawPeer(at.listener.endpoint).shake()).send(bytes);
    await until(() => at.closed.length === 1);
    expect(at.listener.counters.malformed).toBe(1);
  });

  test('is told once when its peer leaves, after everything that it sent', async () => {
    const at = await openTcp();
    for (const leave of ['end', 'resetAndDestroy'] as const) {
      const peer = await new RawPeer(at.listener.endpoint).shake();
      peer.send(frame(leave));
      if (leave === 'resetAndDestroy') await until(() => text(at).includes(leave));
      peer.socket[leave]();
      await until(() => at.closed.length > 0);
      expect(text(at)).toContain(leave);
      expect(at.closed.splice(0)).toEqual([
        leave === 'end' ? 'the peer closed the connection' : expect.stringContaining('ECONNRESET'),
      ]);
    }
    expect(at.listener.load.connections).toBe(0);
  });

  test('closed by its owner hears and sends nothing more, within one chunk too', async () => {
    const at: OpenListener = await openTcp({
      onFrame(connection, bytes) {
        at.frames.push(bytes);
        connection.send('never sent');
        connection.close('enough');
        connection.send('never sent');
        connection.close('again');
        expect(at.closed).toEqual([]);
      },
    });
    const peer = await new RawPeer(at.listener.endpoint).shake();
    peer.send(frame('one'), frame('two'));
    await until(() => peer.closed);
    expect(text(at)).toEqual(['one']);
    expect(at.closed).toEqual(['enough']);
    expect(peer.received.length).toBe(0);
  });

  test('writes what was queued in one turn at once', async () => {
    const at = await openTcp();
    const peer = await new RawPeer(at.listener.endpoint).shake();
    await until(() => at.connections.length === 1);
    const chunks: number[] = [];
    peer.socket.on('data', (chunk: Buffer) => chunks.push(chunk.length));
    for (let i = 0; i < 50; i++) only(at).send(`message ${i}`);
    expect(only(at).pendingBytes).toBeGreaterThan(50 * 10);
    await Promise.resolve();
    only(at).send('from a microtask');
    await until(() => peer.received.includes('from a microtask'));
    expect(chunks.length).toBe(1);
    expect(only(at).pendingBytes).toBe(0);
  });

  test('that is paused hands nothing up, slows its peer down, and goes on where it stopped', async () => {
    const at = await openTcp({ maxFrame: 100_000 });
    const peer = await new RawPeer(at.listener.endpoint).shake();
    await until(() => at.connections.length === 1);
    only(at).pause();
    const body = Buffer.alloc(60_000);
    let sent = 0;
    const accepted = () => peer.socket.bytesWritten - peer.socket.writableLength;
    while (peer.socket.writableLength < 1_000_000) {
      body.writeUInt32BE(sent++);
      peer.send(frame(body));
      await new Promise(setImmediate);
    }
    const before = accepted();
    expect(at.frames).toEqual([]);
    expect(at.listener.load.retainedBytes).toBeLessThan(200_000);
    peer.socket.end();
    only(at).resume();
    await until(() => at.closed.length === 1);
    expect(at.frames.map((one) => one.readUInt32BE())).toEqual(Array.from({ length: sent }, (_, i) => i));
    expect(before).toBeLessThan(sent * 60_000);
  });
});

describe('a peer that does not read', () => {
  test('makes its connection full, which drains when it reads again', async () => {
    const at = await openTcp();
    const peer = await new RawPeer(at.listener.endpoint).shake();
    await until(() => at.connections.length === 1);
    peer.socket.pause();
    let sent = 0;
    const line = 'x'.repeat(100_000);
    // The system's buffers take some of it.
    for (let turns = 0; turns < 20; turns++) {
      if (!only(at).full) {
        only(at).send(line);
        sent += line.length + 9;
        turns = 0;
      }
      await new Promise(setImmediate);
    }
    expect(only(at).pendingBytes).toBeGreaterThanOrEqual(64 * 1024);
    const { drained } = at;
    peer.socket.resume();
    await until(() => at.drained === drained + 1);
    expect(only(at).full).toBe(false);
    await until(() => peer.received.length === sent);
    expect(at.closed).toEqual([]);
  });

  test('loses its connection beyond the bound, and gets no PONG that it does not read', async () => {
    const bound = 3 * 1024 * 1024;
    const at = await openTcp({ limits: { maxPending: bound } });
    const peer = await new RawPeer(at.listener.endpoint).shake();
    await until(() => at.connections.length === 1);
    peer.socket.pause();
    for (let i = 0; at.closed.length === 0 && i < 10_000; i++) {
      only(at).send(Buffer.alloc(100_000));
      expect(only(at).pendingBytes).toBeLessThan(bound + 200_000);
      await new Promise(setImmediate);
    }
    expect(at.closed).toEqual(['too many bytes wait for it, and it does not read them']);
    expect(at.listener.counters.unread).toBe(1);
    const pinging = await new RawPeer(at.listener.endpoint).shake();
    pinging.socket.pause();
    const pings = Buffer.concat(Array.from({ length: 2000 }, () => command('PING', '\0\0sixteen bytes ok')));
    for (let i = 0; i < 500; i++) {
      pinging.send(pings);
      await new Promise(setImmediate);
      expect(at.connections[1]?.pendingBytes ?? 0).toBeLessThan(200_000);
    }
    expect(at.connections[1]?.full).toBe(true);
  });
});

describe('connections are bounded', () => {
  test('in all, where unsettled ones give way to newer ones', async () => {
    const at = await openTcp({ limits: { connections: 3 }, settle: false });
    const peers: RawPeer[] = [];
    const come = async () => peers.push(await new RawPeer(at.listener.endpoint).shake());
    for (let i = 0; i < 3; i++) await come();
    await until(() => at.connections.length === 3);
    at.connections[0]?.settle();
    at.connections[2]?.settle();
    await come();
    await until(() => peers[1]?.closed);
    expect(at.listener.counters.displaced).toBe(1);
    await until(() => at.connections.length === 4);
    at.connections[3]?.settle();
    const refused = new RawPeer(at.listener.endpoint);
    await until(() => refused.closed);
    expect(at.listener.counters.connections).toBe(1);
    peers[0]?.socket.destroy();
    await until(() => at.listener.load.connections === 2);
    await come();
    expect(peers.map(({ closed }) => closed)).toEqual([true, true, false, false, false]);
  });

  test('for one address', async () => {
    const at = await openAt('tcp://0.0.0.0:*', { limits: { perAddress: 2 } });
    const endpoint = at.listener.endpoint.replace('0.0.0.0', '127.0.0.1');
    await new RawPeer(endpoint).shake();
    await new RawPeer(endpoint).shake();
    await until(() => at.connections.length === 2);
    const third = new RawPeer(endpoint);
    await until(() => third.closed);
    expect(at.listener.counters.connectionsOfAddress).toBe(1);
    await new RawPeer(endpoint, '127.0.0.2').shake();
    await until(() => at.connections.length === 3);
  });

  test('while they are unsettled: the oldest gives way, and one that speaks gets in', async () => {
    const at = await openTcp({ limits: { unsettled: 50 } });
    const silent = Array.from({ length: 200 }, () => new RawPeer(at.listener.endpoint));
    await until(() => silent.filter(({ closed }) => closed).length >= 150);
    expect(at.listener.load.unsettled).toBeLessThanOrEqual(50);
    await new RawPeer(at.listener.endpoint).shake();
    expect(at.connections.length).toBe(1);
    // Said once, not for each.
    expect(at.log.length).toBe(1);
  });

  test('while they are unsettled, for one address: it displaces its own, and others only where it has no more than they', async () => {
    const limits = { unsettled: 6, unsettledPerAddress: 4 };
    const at = await openAt('tcp://0.0.0.0:*', { limits, settle: false });
    const endpoint = at.listener.endpoint.replace('0.0.0.0', '127.0.0.1');
    const quiet = await new RawPeer(endpoint, '127.0.0.2').shake();
    const noisy = Array.from({ length: 10 }, () => new RawPeer(endpoint, '127.0.0.3'));
    await until(() => noisy.filter(({ closed }) => closed).length === 6);
    expect(at.listener.load.unsettled).toBe(5);
    const more = await new RawPeer(endpoint, '127.0.0.4').shake();
    await new RawPeer(endpoint, '127.0.0.5').shake();
    await until(() => noisy.filter(({ closed }) => closed).length === 7);
    expect([quiet.closed, more.closed]).toEqual([false, false]);
  });

  test('by the descriptors that are left', async () => {
    let short = false;
    const at = await openTcp({ isShort: () => short });
    await new RawPeer(at.listener.endpoint).shake();
    await until(() => at.connections.length === 1);
    short = true;
    const refused = [new RawPeer(at.listener.endpoint), new RawPeer(at.listener.endpoint)];
    await until(() => refused.every(({ closed }) => closed));
    expect(at.listener.counters.descriptors).toBe(2);
    expect(at.log.map(({ message }) => message)).toEqual([expect.stringContaining('allow more open files')]);
    expect(only(at).open).toBe(true);
    short = false;
    await new RawPeer(at.listener.endpoint).shake();
  });
});

test('files are short once the next one is among those kept in reserve', () => {
  const { soft = 0 } = openFileLimits() ?? {};
  const next = openSync('/dev/null', 'r');
  closeSync(next);
  expect(isShortOfFiles(soft - next)).toBe(true);
  expect(isShortOfFiles(soft - next - 100)).toBe(false);
});

describe('a listener', () => {
  test('on * is reached over both families, and shows an IPv4 peer as one', async () => {
    const at = await openAt('tcp://*:*');
    const port = at.listener.endpoint.split(':').at(-1);
    const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'));
    expect(at.listener.endpoint).toBe(hasIpv6 ? `tcp://[::]:${port}` : `tcp://0.0.0.0:${port}`);
    await new RawPeer(`tcp://127.0.0.1:${port}`).shake();
    await until(() => at.connections.length === 1);
    expect(only(at).address).toMatch(/^127\.0\.0\.1:\d+$/);
    if (!hasIpv6) return;
    await new RawPeer(`tcp://[::1]:${port}`).shake();
    await until(() => at.connections.length === 2);
    expect(at.connections[1]?.address).toMatch(/^\[::1\]:\d+$/);
  });

  test('rejects with the system’s code', async () => {
    const at = await openTcp();
    await expect(openAt(at.listener.endpoint)).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await expect(openAt('tcp://192.0.2.1:*')).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' });
    await expect(openAt('tcp://nowhere:1')).rejects.toMatchObject({ code: 'ENODEV' });
    const folder = newFolder();
    writeFileSync(join(folder, 'file'), '');
    await expect(openAt(`ipc://${folder}/file`)).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await expect(openAt(`ipc://${folder}/file/socket`)).rejects.toMatchObject({ code: 'EEXIST' });
  });

  test('on ipc has a private file in a private folder, takes over a stale one, and leaves none', async () => {
    const folder = join(newFolder(), 'run');
    mkdirSync(folder, { mode: 0o755 });
    const file = join(folder, 'router.ipc');
    const stale = createServer().listen(`${file}.stale`);
    await once(stale, 'listening');
    // As after a process that was killed: the file stays.
    renameSync(`${file}.stale`, file);
    stale.close();
    const at = await openAt(`ipc://${file}`);
    expect(at.listener.endpoint).toBe(`ipc://${file}`);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(lstatSync(file).mode & 0o777).toBe(0o600);
    await at.listener.close(0);
    expect(existsSync(file)).toBe(false);
    const again = await openAt(`ipc://${file}`);
    const peer = dealer(again.listener.endpoint);
    await peer.send('hello');
    await until(() => again.frames.length === 1);
    expect(only(again).address).toBe('');
  });

  test('that closes sends what waits, takes nobody, and ends who does not leave', async () => {
    const at = await openTcp();
    const socket = dealer(at.listener.endpoint);
    await socket.send('hello');
    await until(() => at.frames.length === 1);
    const deaf = await new RawPeer(at.listener.endpoint).shake();
    const silent = new RawPeer(at.listener.endpoint);
    await until(() => at.listener.load.connections === 3);
    deaf.socket.pause();
    const lines = Array.from({ length: 500 }, (_, i) => `${i} ${'x'.repeat(10_000)}`);
    for (const line of lines) for (const connection of at.connections) connection.send(line);
    const closing = at.listener.close(500);
    expect(at.listener.close(500)).toBe(closing);
    for (const line of lines) expect(String((await socket.receive())[0])).toBe(line);
    await closing;
    expect(at.closed).toEqual(Array.from({ length: 2 }, () => 'the listener was closed'));
    expect(at.listener.load.connections).toBe(0);
    await until(() => silent.closed);
    const late = new RawPeer(at.listener.endpoint);
    await until(() => late.closed);
    await openAt(at.listener.endpoint);
  });
});
