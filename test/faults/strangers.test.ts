import { createConnection, type Socket } from 'node:net';
import path from 'node:path';
import { connect } from '@centreond/client';
import { expect, onTestFinished, test } from 'vitest';
import { DaemonProcess, ROOT, until } from '../daemon-process.ts';
import { seedOfRun } from './ledger.ts';
import { pause, print, type Seen, Siege, type Timings } from './siege.ts';

const LONG = process.env.LONG === '1';
const SECONDS = LONG ? 60 : 6;
/** Longer than the listener lets anybody be silent. */
const BEYOND_LIMIT = 14;
const CALM_MS = 4000;

async function besieged(wrapper?: string[]): Promise<{ siege: Siege; calm: Timings }> {
  const daemon = new DaemonProcess({ plugins: [{ package: path.join(ROOT, 'test/fixtures/probe') }] });
  onTestFinished(() => daemon.dispose());
  const siege = await Siege.begin(daemon, wrapper);
  return { siege, calm: await siege.calm(CALM_MS) };
}

/** Three times and 64 MiB are promised, of a machine that does nothing else; a busy one collects garbage later. */
function expectHarmless({ during, memoryMiB, lost, logged }: Seen, calm: Timings, lines: number): void {
  expect(memoryMiB).toBeLessThan(96);
  expect(during.calls).toBeGreaterThan(50);
  expect(during.p50).toBeLessThan(3 * calm.p50 + 2);
  expect(during.p99).toBeLessThan(4 * calm.p99 + 30);
  expect(lost).toBe(0);
  expect(logged.lines).toBeLessThanOrEqual(lines);
}

test('five thousand silent connections cost nobody anything, are gone after ten seconds, and are logged once for each cause', async () => {
  const { siege, calm } = await besieged();
  const seen = await siege.attack({ attack: 'silent', count: 5000, seconds: BEYOND_LIMIT });
  print({ calm, ...seen });
  expect(seen.attack.open).toBeGreaterThan(3000);
  expect(seen.attack.goneAfter).toBeGreaterThan(0);
  expectHarmless(seen, calm, 3);
});

test('a thousand connections that send a byte a second cost nobody anything, and are gone as soon as silent ones', async () => {
  const { siege, calm } = await besieged();
  const seen = await siege.attack({ attack: 'slow', count: 1000, seconds: BEYOND_LIMIT });
  print({ calm, ...seen });
  expect(seen.attack.open).toBe(1000);
  expect(seen.attack.sent).toBeGreaterThan(5);
  expect(seen.attack.goneAfter).toBeGreaterThan(0);
  expectHarmless(seen, calm, 2);
});

test('messages of a gibibyte and parts without an end, from strangers that come again and again, take no memory', async () => {
  const { siege, calm } = await besieged();
  const seen = await siege.attack({ attack: 'multipart', count: 4, bytes: 2 ** 30, seconds: SECONDS });
  print({ calm, ...seen });
  expect(seen.attack.connections).toBeGreaterThan(100);
  expectHarmless(seen, calm, 2 + Math.ceil(SECONDS / 30));
});

test('a flood of greetings slows nobody down', async () => {
  const { siege, calm } = await besieged();
  const seen = await siege.attack({ attack: 'greetings', seconds: SECONDS });
  print({ calm, ...seen });
  expect(seen.attack.connections).toBeGreaterThan(1000);
  expectHarmless(seen, calm, 2 + Math.ceil(SECONDS / 30));
});

test('garbage in each state of a connection slows nobody down, and fills no log', async () => {
  const { siege, calm } = await besieged();
  const seed = seedOfRun();
  const seen = await siege.attack({ attack: 'garbage', seed, seconds: SECONDS });
  print({ seed, calm, ...seen });
  expect(seen.attack.connections).toBeGreaterThan(100);
  expectHarmless(seen, calm, 50 + SECONDS);
});

test('connections up to the limit of open files: local calls and sessions go on, and new clients get in, during and after', async () => {
  const { siege } = await besieged(['prlimit', '--nofile=600:600']);
  const { daemon, client } = siege;
  const port = Number(daemon.endpoint.split(':').at(-1));
  const sockets = new Set<Socket>();
  let isOver = false;
  let connections = 0;
  const closeAll = () => {
    isOver = true;
    for (const socket of sockets) socket.destroy();
  };
  onTestFinished(closeAll);
  const flooding = Promise.all(
    Array.from({ length: 900 }, async (_, i) => {
      while (!isOver) {
        const socket = createConnection({ host: '127.0.0.1', port, localAddress: `127.0.3.${1 + (i % 50)}` });
        connections++;
        sockets.add(socket);
        socket.on('error', () => {}).resume();
        await new Promise<void>((resolve) => socket.once('close', () => resolve()));
        sockets.delete(socket);
        await pause(200);
      }
    }),
  );
  await until('there are as many as may be', () => daemon.stderr.includes('a newer connection took its place'));
  const newcomer = async () => {
    const bob = await connect({ ...daemon.door(siege.another), timeoutMs: 30_000 });
    expect((await bob.call('ECHO', {})).ok).toBe(true);
    await bob.close();
  };
  const untilMs = performance.now() + (LONG ? 30_000 : 5_000);
  let rounds = 0;
  for (; performance.now() < untilMs; rounds++) {
    expect((await daemon.cli('call', 'ECHO')).code).toBe(0);
    await siege.echo();
    await newcomer();
  }
  closeAll();
  await flooding;
  await newcomer();
  await client.ping();
  print({ connections, rounds, lost: siege.lost });
  expect(siege.lost).toBe(0);
  expect(connections).toBeGreaterThan(900);
});
