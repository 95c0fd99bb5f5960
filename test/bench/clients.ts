// The clients of one measurement, in a process of their own: `inFlight` requests at any time each, counted in a window of
// `seconds` for each of `windows`. Prints one line of JSON.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Client, connect } from '@centreond/client';
import { cpuMicros } from './cpu.ts';

/** What the clients are to do. */
export interface Order {
  readonly address: string;
  readonly router: string;
  readonly keys: string;
  readonly clients: number;
  readonly inFlight: number;
  readonly bytes: number;
  readonly action: string;
  /** `ack`: a request counts when its ACK arrived; `done`: when its terminal row did. */
  readonly until: 'ack' | 'done';
  readonly seconds: number;
  /** When each window begins, in milliseconds after the first request. */
  readonly windows: readonly number[];
  /** Processes whose CPU time is read beside that of the clients. */
  readonly pids: Readonly<Record<string, number>>;
}

/** What one window showed. */
export interface Window {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU time for a request, in microseconds, of each process. */
  readonly cpuMicros: Readonly<Record<string, number>>;
}

export interface Counted {
  /** How long all clients took to connect, none of which knew the router's key. */
  readonly connectMs: number;
  readonly windows: readonly Window[];
}

const CONNECTING_AT_ONCE = 16;

const order = JSON.parse(process.argv[2] ?? '') as Order;
const note = 'x'.repeat(Math.max(0, order.bytes - 80));
const pids = { clients: process.pid, ...order.pids };
let latencies: number[] = [];
let measuring = false;
let going = true;
let count = 0;

async function keepBusy(client: Client): Promise<void> {
  while (going) {
    const startedAt = performance.now();
    const data = { note };
    if (order.until === 'ack') await client.send(order.action, data);
    else {
      const outcome = await client.call(order.action, data);
      if (!outcome.ok) throw new Error(`${order.action} failed: ${JSON.stringify(outcome.data)}`);
    }
    if (!measuring) continue;
    if (count++ % 8 === 0) latencies.push(performance.now() - startedAt);
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const cpuOfAll = () => Object.entries(pids).map(([name, pid]) => [name, cpuMicros(pid)] as const);

async function measure(): Promise<Window> {
  latencies = [];
  count = 0;
  const before = new Map(cpuOfAll());
  const startedAt = performance.now();
  measuring = true;
  await pause(order.seconds * 1000);
  measuring = false;
  const perSecond = count / ((performance.now() - startedAt) / 1000);
  const used = cpuOfAll().map(([name, micros]) => [name, Math.round((micros - (before.get(name) ?? 0)) / count)]);
  latencies.sort((a, b) => a - b);
  const quantile = (q: number) => Number((latencies[Math.floor(latencies.length * q)] ?? 0).toFixed(3));
  return {
    perSecond: Math.round(perSecond),
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    cpuMicros: Object.fromEntries(used),
  };
}

const clients: Client[] = [];
const connectingAt = performance.now();
for (let first = 0; first < order.clients; first += CONNECTING_AT_ONCE) {
  const batch = Array.from({ length: Math.min(CONNECTING_AT_ONCE, order.clients - first) }, (_, i) => {
    const key = readFileSync(path.join(order.keys, `${first + i}.pem`), 'utf8');
    const { address, router } = order;
    return connect({ address, router, key, identity: `bench-${first + i}`, timeoutMs: 60_000 });
  });
  clients.push(...(await Promise.all(batch)));
}
const connectMs = Math.round(performance.now() - connectingAt);

const work = clients.flatMap((client) => Array.from({ length: order.inFlight }, () => keepBusy(client)));
const begunAt = performance.now();
const windows: Window[] = [];
for (const at of order.windows) {
  await pause(Math.max(0, at - (performance.now() - begunAt)));
  windows.push(await measure());
}
going = false;
await Promise.all(work);
process.stdout.write(`${JSON.stringify({ connectMs, windows } satisfies Counted)}\n`);
await Promise.all(clients.map((client) => client.close()));
process.exit(0);
