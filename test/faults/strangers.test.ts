import { createConnection, type Socket } from 'node:net';
import path from 'node:path';
import { connect } from '@centreond/plugin-sdk/client';
import { GREETING, READY } from '@centreond/plugin-sdk/zmtp';
import { afterEach, expect, onTestFinished, test } from 'vitest';
import { DaemonProcess, memoryOf, ROOT, until } from '../daemon-process.ts';

const MIB = 2 ** 20;
const SILENT = 5000;

const daemons: DaemonProcess[] = [];
afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.dispose();
});

async function started(): Promise<DaemonProcess> {
  const daemon = new DaemonProcess({ plugins: [{ package: path.join(ROOT, 'test/fixtures/probe') }] });
  daemons.push(daemon);
  const alice = daemon.client('alice');
  await daemon.start();
  const client = await connect({ ...daemon.door(alice), timeoutMs: 30_000 });
  onTestFinished(() => client.close());
  echo = async () => expect((await client.call('ECHO', {})).ok).toBe(true);
  return daemon;
}
let echo: () => Promise<void>;

/** A connection that says `words` and reads nothing. */
function stranger(daemon: DaemonProcess, from: string, words: Buffer[] = []): Socket {
  const port = Number(daemon.endpoint.split(':').at(-1));
  const socket = createConnection({ host: '127.0.0.1', port, localAddress: from });
  socket.on('error', () => {});
  for (const word of words) socket.write(word);
  onTestFinished(() => void socket.destroy());
  return socket;
}

async function median(times: number): Promise<number> {
  const taken: number[] = [];
  for (let i = 0; i < times; i++) {
    const since = performance.now();
    await echo();
    taken.push(performance.now() - since);
  }
  return taken.sort((a, b) => a - b)[Math.floor(times / 2)] ?? 0;
}

test('five thousand silent connections cost nobody anything, and are gone after ten seconds', async () => {
  const daemon = await started();
  await median(300);
  const calm = await median(300);
  const before = memoryOf(daemon.pid);
  const sockets: Socket[] = [];
  for (let i = 0; i < SILENT; i++) {
    // Every other one shakes hands as a DEALER, and is silent then.
    sockets.push(stranger(daemon, `127.0.1.${1 + (i % 50)}`, i % 2 === 0 ? [] : [GREETING, READY.DEALER]));
    if (i % 100 === 99) await new Promise(setImmediate);
  }
  const open = () => sockets.filter(({ closed }) => !closed).length;
  await until('they are there', () => sockets.every(({ connecting }) => !connecting), 20_000);
  const most = open();
  const during = await median(300);
  const memory = memoryOf(daemon.pid) - before;
  for (const socket of sockets) socket.resume();
  await until('they are gone', () => open() === 0, 20_000);
  process.stdout.write(`silent: ${JSON.stringify({ calm, during, most, memory: memory / MIB })}\n`);
  expect(most).toBeGreaterThan(3000);
  expect(memory).toBeLessThan(200 * MIB);
  expect(during).toBeLessThan(3 * calm + 2);
  await echo();
});

test('frames without an end, from strangers that come again and again, take no memory', async () => {
  const daemon = await started();
  await median(300);
  const before = memoryOf(daemon.pid);
  let highest = before;
  // The flags of a long frame that is not the last of its message.
  const head = Buffer.from([3, 0, 0, 0, 0, 0, 0, 0x28, 0]);
  const part = Buffer.concat([head, Buffer.alloc(0x2800)]);
  let ended = 0;
  let isOver = false;
  const sending = Array.from({ length: 10 }, async (_, i) => {
    while (!isOver) {
      const socket = stranger(daemon, `127.0.2.${1 + i}`, [GREETING, READY.DEALER]);
      while (!socket.destroyed && !isOver) {
        if (!socket.write(part)) await new Promise((resolve) => setTimeout(resolve, 1));
        else await new Promise(setImmediate);
      }
      ended++;
    }
  });
  const until10 = performance.now() + 10_000;
  while (performance.now() < until10) {
    await echo();
    highest = Math.max(highest, memoryOf(daemon.pid));
  }
  isOver = true;
  await Promise.all(sending);
  process.stdout.write(`multipart: ${JSON.stringify({ ended, grown: (highest - before) / MIB })}\n`);
  expect(ended).toBeGreaterThan(100);
  expect(highest - before).toBeLessThan(64 * MIB);
});
