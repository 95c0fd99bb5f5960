// Emulated nodes in a process of their own, which ends with its parent. See emulated-orders.ts for what it is told and tells.
import { setTimeout as pause } from 'node:timers/promises';
import { EmulatedNode } from './emulated-node.ts';
import { emulatedId, Order, type Told } from './emulated-orders.ts';
import { asMachine, useOwnAddresses } from './own-address.ts';
import { PrimePairs } from './prime-pairs.ts';

const TELL_EVERY_MS = 20;
/** Machines are not switched on at the same moment. After that each connects again as its back-off says. */
const CONNECTING_AT_ONCE = 64;
const WRITE_EVERY_MS = 20;
/** How long the last rows may take. */
const LAST_ROWS_MS = 30_000;
/** Of a row at rest: the size of a measurement or of a line of a cron job. */
const NOTE = 'x'.repeat(100);

const nodes: EmulatedNode[] = [];
const registered = new Set<number>();
let isTelling = false;

function tell(told: Told): void {
  // Its parent may be about to end it.
  process.send?.(told, () => undefined);
}

function count(index: number, isRegistered: boolean): void {
  if (isRegistered) registered.add(index);
  else registered.delete(index);
  if (isTelling) return;
  isTelling = true;
  setTimeout(() => {
    isTelling = false;
    tell({ told: 'registered', nodes: registered.size });
  }, TELL_EVERY_MS);
}

async function connect(order: Extract<Order, { order: 'connect' }>): Promise<void> {
  const { address, router, primes, first, count: many, oneAddress } = order;
  if (!oneAddress) useOwnAddresses();
  const pairs = PrimePairs.from(primes);
  let next = 0;
  const lane = async () => {
    for (let i = next++; i < many; i = next++) {
      await new Promise<void>((resolve) => {
        const registered = (isRegistered: boolean) => {
          count(i, isRegistered);
          if (isRegistered) resolve();
        };
        const options = { id: emulatedId(first + i), keys: pairs.key(first + i), address, router, registered };
        nodes.push(asMachine(first + i, () => new EmulatedNode(options)));
      });
    }
  };
  await Promise.all(Array.from({ length: CONNECTING_AT_ONCE }, lane));
}

async function write(seconds: number): Promise<void> {
  const lagsMs: number[] = [];
  const total = nodes.length * seconds;
  const startedAt = performance.now();
  for (let rows = 0; rows < total; ) {
    const due = Math.min(total, Math.floor(((performance.now() - startedAt) / 1000) * nodes.length));
    for (; rows < due; rows++) {
      const number = rows % nodes.length;
      const row = { token: `at-rest:${emulatedId(number)}`, type: 'PUTLOG', code: 10, data: { rows, note: NOTE } };
      nodes[number]?.log.write(row, (tookMs) => lagsMs.push(tookMs));
    }
    await pause(WRITE_EVERY_MS);
  }
  const storedInTime = lagsMs.length;
  const limit = performance.now() + LAST_ROWS_MS;
  while (lagsMs.length < total && performance.now() < limit) await pause(WRITE_EVERY_MS);
  tell({ told: 'written', rows: total, storedInTime, lagsMs });
}

process.on('message', (message) => {
  const order = Order.parse(message);
  if (order.order === 'connect') void connect(order);
  else void write(order.seconds);
});
process.once('disconnect', () => process.exit(0));
