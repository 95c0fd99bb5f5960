import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodePack, encodePack } from '@centreond/protocol';
import pino from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { Dealer } from 'zeromq';
import { CLOCK } from '../../../core/dist/clock.js';
import { InternalDoor } from '../../../core/dist/doors/internal.js';
import { type InstanceLink, type InstancePeer, Tickets } from '../../../core/dist/router/instance-link.js';
import type { Peer } from '../../../core/dist/router/peer.js';
import { until } from './attacker.ts';

const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo();
});

/** An internal door at which one ticket is open, and what was heard behind it. */
async function openDoor() {
  const folder = mkdtempSync(join(tmpdir(), 'internal-'));
  cleanup.push(() => rmSync(folder, { recursive: true }));
  const at = {
    /** Of local clients. */
    got: [] as { peer: Peer; message: string }[],
    /** Of the instance. */
    heard: [] as string[],
    instance: undefined as InstancePeer | undefined,
    left: [] as string[],
    refused: [] as string[],
    warnings: [] as string[],
    file: join(folder, 'run', 'router.ipc'),
  };
  const link: InstanceLink = {
    type: 'probe',
    allowsCallers: false,
    enter(peer) {
      at.instance = peer;
      peer.onLeft(() => at.left.push(peer.identity));
    },
    receive(message) {
      if (message.toString() === 'bad') throw new Error('a fault of the host');
      at.heard.push(message.toString());
    },
    condemn(what) {
      at.refused.push(what);
    },
  };
  const tickets = new Tickets();
  const hello = `[HELLO] [] [] {"ticket":"${tickets.issue(link)}"}`;
  const door = new InternalDoor({
    file: at.file,
    maxMessage: 1024 * 1024,
    clock: CLOCK,
    log: pino({ level: 'warn' }, { write: (line) => at.warnings.push(JSON.parse(line).msg) }),
    receive(peer, message) {
      if (at.got.length === 0) peer.onLeft(() => at.left.push(peer.identity));
      at.got.push({ peer, message: message.toString() });
    },
    tickets,
  });
  await door.start();
  cleanup.push(() => door.stop());
  const connect = (options = {}) => {
    const socket = new Dealer({ linger: 0, reconnectInterval: -1, receiveHighWaterMark: 1, ...options });
    socket.connect(door.endpoint);
    cleanup.push(() => socket.close());
    return socket;
  };
  return Object.assign(at, { door, hello, connect });
}

/** The next `count` messages, out of as many packs as they come in. */
async function messages(socket: Dealer, count: number): Promise<string[]> {
  const all: string[] = [];
  while (all.length < count) all.push(...decodePack((await socket.receive())[0] ?? Buffer.alloc(0)).map(String));
  return all;
}

describe('a connection is a peer', () => {
  test('an instance by its ticket, once; any other a local client with the role admin', async () => {
    const at = await openDoor();
    const [instance, client, late] = [at.connect(), at.connect(), at.connect()];
    await instance.send(encodePack([at.hello, '[READY] [] [] {}']));
    await until(() => at.heard.length === 1);
    expect([...(at.instance?.roles ?? [])]).toEqual(['plugin']);
    expect(at.instance?.identity).toBe('@probe');
    await client.send('[PING] [1] []');
    await until(() => at.got.length === 1);
    expect(at.got[0]?.peer.identity).toBe('@local');
    expect([...(at.got[0]?.peer.roles ?? [])]).toEqual(['admin']);
    await late.send(at.hello);
    await until(() => at.warnings.length === 1);
    at.got[0]?.peer.send('[PONG] [1] []');
    expect(await messages(client, 1)).toEqual(['[PONG] [1] []']);
    expect(at.heard).toEqual(['[READY] [] [] {}']);
  });

  test('that reads nothing for as long as it likes stays the instance that it is, and gets everything in order', async () => {
    const at = await openDoor();
    const socket = at.connect();
    await socket.send(at.hello);
    await until(() => at.instance);
    const rows = Array.from({ length: 400 }, (_, i) => `[ROW] [${i}] [] ${'x'.repeat(40_000)}`);
    for (const row of rows) {
      at.instance?.send(row);
      await new Promise(setImmediate);
    }
    expect(at.instance?.backlog).toBeGreaterThan(1024 * 1024);
    await socket.send('[ROW] [t] [1] {}');
    await until(() => at.heard.length === 1);
    expect(at.got).toEqual([]);
    expect(await messages(socket, rows.length)).toEqual(rows);
    await until(() => at.instance?.backlog === 0);
    expect(at.left).toEqual([]);
  });

  test('until its socket closes: it is left once, at once, and nobody comes back as it', async () => {
    const at = await openDoor();
    const socket = at.connect();
    await socket.send(encodePack([at.hello, 'last words']));
    await until(() => at.heard.length === 1);
    const instance = at.instance ?? expect.fail();
    socket.close();
    await until(() => at.left.length > 0);
    expect(at.left).toEqual(['@probe']);
    expect(instance.open).toBe(false);
    instance.send('nobody reads this');
    expect(instance.backlog).toBe(0);
    const next = at.connect();
    await next.send('[PING] [] []');
    await until(() => at.got.length === 1);
    expect(at.got[0]?.peer).not.toBe(instance);
    expect(at.heard).toEqual(['last words']);
  });

  test('that lets more wait than the bound is given up', async () => {
    const at = await openDoor();
    const socket = at.connect();
    await socket.send('[PING] [] []');
    await until(() => at.got.length === 1);
    const peer = at.got[0]?.peer ?? expect.fail();
    for (let i = 0; at.left.length === 0 && i < 1000; i++) {
      peer.send('x'.repeat(500_000));
      await new Promise(setImmediate);
      expect(peer.backlog).toBeLessThan(66 * 1024 * 1024);
    }
    expect(at.left).toEqual(['@local']);
    expect(at.warnings).toEqual(['internal door: @local does not read; it is given up']);
  });
});

test('an instance that sends more than it may is named with that as the cause; one that leaves by itself is not', async () => {
  const at = await openDoor();
  const socket = at.connect();
  await socket.send(at.hello);
  await until(() => at.instance);
  await socket.send(Buffer.alloc(2 * 1024 * 1024));
  await until(() => at.left.length === 1);
  expect(at.refused).toEqual(['it sent a frame that is larger than allowed']);
  const other = await openDoor();
  const leaving = other.connect();
  await leaving.send(other.hello);
  await until(() => other.instance);
  leaving.close();
  await until(() => other.left.length === 1);
  expect(other.refused).toEqual([]);
});

test('what is sent in one turn goes in few frames', async () => {
  const at = await openDoor();
  const socket = at.connect({ receiveHighWaterMark: 0 });
  await socket.send('[PING] [] []');
  await until(() => at.got.length === 1);
  const rows = Array.from({ length: 600 }, (_, i) => `[LOG] [t] ${i}`);
  for (const row of rows) at.got[0]?.peer.send(row);
  const packs = [];
  while (packs.flat().length < rows.length) packs.push(await messages(socket, 1));
  expect(packs.flat()).toEqual(rows);
  expect(packs.map((pack) => pack.length)).toEqual([256, 256, 88]);
});

test('a frame that is no pack, or that the host fails on, is counted, and the next is served', async () => {
  const at = await openDoor();
  const socket = at.connect();
  await socket.send(Buffer.of(2, 0, 0, 0, 9, 1));
  await socket.send(at.hello);
  await socket.send('bad');
  await socket.send('good');
  await until(() => at.heard.length === 1);
  expect(at.heard).toEqual(['good']);
  expect(at.door.dropped).toBe(2);
  expect(at.warnings).toEqual(['internal door: a fault of the host']);
});

test('a stop sends what is queued and leaves no file', async () => {
  const at = await openDoor();
  const socket = at.connect({ receiveHighWaterMark: 0 });
  await socket.send('[PING] [] []');
  await until(() => at.got.length === 1);
  at.got[0]?.peer.send('last words');
  const heard = messages(socket, 1);
  await at.door.stop();
  expect(await heard).toEqual(['last words']);
  expect(at.left).toEqual(['@local']);
  expect(existsSync(at.file)).toBe(false);
});
