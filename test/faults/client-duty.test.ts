import net from 'node:net';
import { connect } from '@centreond/client';
import type { HistoryRow } from '@centreond/protocol';
import { afterEach, expect, test } from 'vitest';
import { type DaemonProcess, until } from '../daemon-process.ts';
import { daemonWithLedger, runs, seeded, seedOfRun, terminalRows } from './ledger.ts';

/** A TCP proxy that can cut every connection through it. */
class CuttingProxy {
  readonly #sockets = new Set<net.Socket>();
  readonly #server: net.Server;

  constructor(targetPort: number) {
    this.#server = net.createServer((near) => {
      const far = net.connect(targetPort, '127.0.0.1');
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on('error', () => socket.destroy());
        socket.on('close', () => {
          this.#sockets.delete(socket);
          near.destroy();
          far.destroy();
        });
      }
      near.pipe(far);
      far.pipe(near);
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `tcp://127.0.0.1:${(this.#server.address() as net.AddressInfo).port}`;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): void {
    this.#server.close();
    this.cut();
  }
}

const REQUESTS = 30_000;
const RESTARTS = 20;
const CUTS = 20;

let daemon: DaemonProcess | undefined;
let proxy: CuttingProxy | undefined;
afterEach(async () => {
  proxy?.close();
  await daemon?.dispose();
});

const seed = seedOfRun();
test(`30,000 requests across 20 restarts and 20 cuts: each ends once, none runs twice, each row is seen once and in order (SEED=${seed})`, async () => {
  const random = seeded(seed);
  daemon = daemonWithLedger();
  const alice = daemon.client('alice');
  await daemon.start();
  proxy = new CuttingProxy(Number(daemon.endpoint.split(':').at(-1)));
  const client = await connect({ ...daemon.door(alice), address: await proxy.listen() });

  const ended = new Map<string, number>();
  const faults: string[] = [];
  let next = 0;
  const lane = async () => {
    while (next < REQUESTS) {
      const token = `duty-${next++}`;
      const seen: number[] = [];
      const onRow = (row: HistoryRow) => {
        if (row.token !== token || row.id <= (seen.at(-1) ?? 0)) faults.push(`${token}: row ${row.id} after ${seen}`);
        seen.push(row.id);
      };
      const outcome = await client.call('ONCE', { ms: 0 }, { token, onRow });
      if (seen.length < 2 || outcome.row.id !== seen.at(-1)) faults.push(`${token}: rows ${seen}`);
      ended.set(token, outcome.code);
    }
  };
  const lanes = Array.from({ length: 300 }, lane);
  const step = REQUESTS / (RESTARTS + CUTS + 1);
  for (let event = 1; event <= RESTARTS + CUTS; event++) {
    await until(`request ${event * step}`, () => ended.size >= event * step, 60_000);
    await new Promise((resolve) => setTimeout(resolve, random() * 30));
    if (event % 2 === 0) proxy.cut();
    else {
      await daemon.end(event % 4 === 1 ? 'SIGKILL' : 'SIGTERM');
      await daemon.start();
    }
  }
  await Promise.all(lanes);
  await client.close();
  await daemon.end('SIGTERM');

  expect(faults).toEqual([]);
  expect(ended.size).toBe(REQUESTS);
  const terminal = terminalRows(daemon);
  expect([...ended.keys()].filter((token) => terminal.get(token) !== 1)).toEqual([]);
  const ran = runs(daemon);
  expect([...ran].filter(([, times]) => times > 1)).toEqual([]);
  const finished = [...ended].filter(([, code]) => code === 2);
  expect(finished.filter(([token]) => !ran.has(token))).toEqual([]);
  // What was running when the daemon was killed ends with code 1; all else finishes.
  expect(finished.length).toBeGreaterThan(REQUESTS * 0.8);
});
