// The clients of one measurement, in a process of their own: `inFlight` requests at any time each, counted for `seconds`.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Client, connect } from '@centreond/plugin-sdk/client';
import zmq from 'zeromq';

interface Order {
  address: string;
  router: string;
  keys: string;
  clients: number;
  inFlight: number;
  seconds: number;
  bytes: number;
  /** `ack`: a request counts when its ACK arrived; `done`: when its terminal row did. */
  until: 'ack' | 'done';
}

const WARM_UP_MS = 700;
const CONNECTING_AT_ONCE = 16;

const order = JSON.parse(process.argv[2] ?? '') as Order;
zmq.context.maxSockets = Math.max(1023, order.clients * 2 + 100);
const note = 'x'.repeat(Math.max(0, order.bytes - 80));
const latencies: number[] = [];
let measuring = false;
let going = true;
let count = 0;

async function keepBusy(client: Client): Promise<void> {
  while (going) {
    const startedAt = performance.now();
    const data = { note };
    if (order.until === 'ack') await client.send('ECHO', data);
    else {
      const outcome = await client.call('ECHO', data);
      if (!outcome.ok) throw new Error(`ECHO failed: ${JSON.stringify(outcome.data)}`);
    }
    if (!measuring) continue;
    if (count++ % 8 === 0) latencies.push(performance.now() - startedAt);
  }
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
await new Promise((resolve) => setTimeout(resolve, WARM_UP_MS));
measuring = true;
const startedAt = performance.now();
await new Promise((resolve) => setTimeout(resolve, order.seconds * 1000));
measuring = false;
const perSecond = count / ((performance.now() - startedAt) / 1000);
going = false;
await Promise.all(work);
latencies.sort((a, b) => a - b);
const quantile = (q: number) => Number((latencies[Math.floor(latencies.length * q)] ?? 0).toFixed(3));
process.stdout.write(
  `${JSON.stringify({ perSecond: Math.round(perSecond), p50Ms: quantile(0.5), p99Ms: quantile(0.99), connectMs })}\n`,
);
await Promise.all(clients.map((client) => client.close()));
process.exit(0);
