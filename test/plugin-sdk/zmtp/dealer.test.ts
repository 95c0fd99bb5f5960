import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { Router } from 'zeromq';
import type { Dealer, DealerOptions } from '../../../plugin-sdk/client/dist/dealer/dealer.js';
import { LibzmqDealer } from '../../../plugin-sdk/client/dist/dealer/libzmq-dealer.js';
import { OwnDealer } from '../../../plugin-sdk/client/dist/dealer/own-dealer.js';
import { until } from '../../core/doors/attacker.ts';
import { closeAll, newFolder, openAt, openTcp } from '../../core/doors/zmtp/listening.ts';

afterEach(closeAll);

const MAX = 2 * 1024 * 1024;
const NOT_A_ROUTER = 'what listens at this address is not a router';
const echo = (options: Parameters<typeof openTcp>[0] = {}) =>
  openTcp({ maxFrame: MAX, onFrame: (connection, frame) => connection.send(Buffer.from(frame)), ...options });

describe.each([
  ['own', OwnDealer],
  ['libzmq', LibzmqDealer],
])('a dealer, %s,', (name, Implementation) => {
  function dealing(address: string, options: Partial<DealerOptions> = {}) {
    const heard: Buffer[] = [];
    const told: string[] = [];
    const dealer: Dealer = new Implementation(
      { address, maxFrame: MAX, ...options },
      {
        frame: (frame) => heard.push(Buffer.from(frame)),
        drained: () => told.push('drained'),
        over: (reason) => told.push(reason),
      },
    );
    onTestFinished(() => dealer.close(0));
    return { dealer, heard, told };
  }

  test.each(['tcp', 'ipc', 'tcp over IPv6', 'tcp by name'])(
    'has frames of every size back over %s',
    async (transport) => {
      const endpoints: Record<string, string> = {
        ipc: `ipc://${newFolder()}/run/router.ipc`,
        'tcp over IPv6': 'tcp://[::1]:*',
      };
      const at = await openAt(endpoints[transport] ?? 'tcp://127.0.0.1:*', {
        maxFrame: MAX,
        onFrame: (connection, frame) => connection.send(Buffer.from(frame)),
      });
      const { endpoint } = at.listener;
      const { dealer, heard, told } = dealing(
        transport === 'tcp by name' ? endpoint.replace('127.0.0.1', 'localhost') : endpoint,
      );
      const sizes = [0, 1, 254, 255, 256, 16_384, 16_385, 65_535, 65_536, MAX - 1, MAX];
      const sent = sizes.map((size) => randomBytes(size));
      for (const body of sent) dealer.send(body);
      await until(() => heard.length === sent.length, 'all of them');
      expect(heard.every((body, i) => body.equals(sent[i] as Buffer))).toBe(true);
      expect(told.filter((one) => one !== 'drained')).toEqual([]);
    },
  );

  test('sends what was asked for before there is a connection, and all in order', async () => {
    const at = await openTcp();
    const { dealer, heard } = dealing(at.listener.endpoint);
    const lines = Array.from({ length: 10_000 }, (_, i) => `${i} ${'é'.repeat((i * 7919) % 700)}`);
    for (const line of lines) dealer.send(line);
    await until(() => at.frames.length === lines.length, 'all of them', 20_000);
    expect(at.frames.every((frame, i) => frame.toString() === lines[i])).toBe(true);
    for (const line of lines) at.connections[0]?.send(line);
    await until(() => heard.length === lines.length, 'all of them', 20_000);
    expect(heard.every((frame, i) => frame.toString() === lines[i])).toBe(true);
  });

  test('says why it is over, once', async () => {
    const free = await openTcp();
    const { endpoint } = free.listener;
    await free.listener.close(0);
    const refused = dealing(endpoint);
    const absent = dealing(`ipc://${newFolder()}/none.ipc`);
    const server = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'.repeat(10)));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const { port } = server.address() as { port: number };
    const stranger = dealing(`tcp://127.0.0.1:${port}`);
    const at = await openTcp();
    const lost = dealing(at.listener.endpoint);
    await until(() => at.connections.length === 1);
    at.connections[0]?.close('for the test');
    for (const [{ told }, reason] of [
      [refused, 'nobody listens at this address'],
      [absent, 'nobody listens at this address'],
      [stranger, NOT_A_ROUTER],
      [lost, 'the connection was lost'],
    ] as const) {
      await until(() => told.length > 0, reason);
      expect(told.length).toBe(1);
      // libzmq takes one that speaks HTTP for a router of long ago.
      if (name === 'own' || reason !== NOT_A_ROUTER) expect(told).toEqual([reason]);
    }
    for (const { dealer } of [refused, absent, stranger, lost]) {
      dealer.send('in vain');
      await dealer.close(1000);
    }
  });

  test('ends at a frame that is larger than allowed', async () => {
    const at = await openTcp({ maxFrame: MAX });
    const { heard, told } = dealing(at.listener.endpoint, { maxFrame: 100_000 });
    await until(() => at.connections.length === 1);
    at.connections[0]?.send('x'.repeat(100_000));
    at.connections[0]?.send('x'.repeat(100_001));
    await until(() => told.length > 0);
    // libzmq may drop what came right before.
    if (name === 'own') expect(heard.map(({ length }) => length)).toEqual([100_000]);
    expect(heard.length).toBeLessThan(2);
  });

  test('is told nothing once it was closed', async () => {
    const at = await echo();
    const { dealer, heard, told } = dealing(at.listener.endpoint);
    dealer.send('one');
    await until(() => heard.length === 1);
    await dealer.close(0);
    at.connections[0]?.send('two');
    await until(() => at.closed.length === 1);
    expect([heard.length, told]).toEqual([1, []]);
    await dealer.close(0);
  });

  test('sends what waits before it closes, also where it was only just made', async () => {
    const at = await openTcp({ maxFrame: MAX });
    for (let i = 0; i < 20; i++) {
      const { dealer } = dealing(at.listener.endpoint);
      for (let k = 0; k < 10; k++) dealer.send(Buffer.alloc(100_000, k));
      await dealer.close(5000);
    }
    await until(() => at.frames.length === 200);
    await until(() => at.closed.length === 20);
  });

  test('closes after its time where nobody reads', async () => {
    const at = await openTcp({ maxFrame: MAX });
    const { dealer } = dealing(at.listener.endpoint);
    await until(() => at.connections.length === 1);
    at.connections[0]?.pause();
    for (let i = 0; i < 100; i++) dealer.send(Buffer.alloc(MAX));
    const started = performance.now();
    await dealer.close(200);
    expect(performance.now() - started).toBeLessThan(5000);
  });

  test('is full while its router does not read, and says when it takes more', async () => {
    const at = await openTcp({ maxFrame: MAX });
    const { dealer, told } = dealing(at.listener.endpoint);
    await until(() => at.connections.length === 1);
    at.connections[0]?.pause();
    let sent = 0;
    // More than the system holds by itself.
    while (!dealer.full || sent < 100) {
      dealer.send(Buffer.alloc(100_000));
      sent++;
      await new Promise(setImmediate);
    }
    const before = told.length;
    at.connections[0]?.resume();
    await until(() => told.length > before, 'it drains', 20_000);
    await until(() => at.frames.length === sent, 'all arrive', 20_000);
  });

  test('talks to a ROUTER of the zeromq package, which asks whether it lives', async () => {
    const router = new Router({ heartbeatInterval: 50, heartbeatTimeout: 500, heartbeatTimeToLive: 500, linger: 0 });
    await router.bind('tcp://127.0.0.1:*');
    onTestFinished(() => router.close());
    const { dealer, heard, told } = dealing(router.lastEndpoint ?? '');
    dealer.send('hello');
    const [id = Buffer.alloc(0), hello] = await router.receive();
    expect(String(hello)).toBe('hello');
    // Twice as long as a peer may be silent.
    const until1 = performance.now() + 1000;
    await until(() => performance.now() > until1);
    for (const size of [0, 1, 255, 256, 70_000]) await router.send([id, Buffer.alloc(size, 1)]);
    await until(() => heard.length === 5);
    expect(heard.map(({ length }) => length)).toEqual([0, 1, 255, 256, 70_000]);
    expect(told).toEqual([]);
  });

  test.each(['', 'tcp://', 'tcp://host', 'tcp://host:', 'tcp://host:0', 'tcp://host:70000', 'udp://host:1', 'ipc://'])(
    'does not take the address %j',
    (address) => {
      // libzmq takes these ports.
      if (name === 'libzmq' && /:(0|70000)$/.test(address)) return;
      expect(() => dealing(address)).toThrow();
    },
  );
});
