import { z } from 'zod';

/** What a process of emulated nodes is told to do. */
export const Order = z.discriminatedUnion('order', [
  /** Connect the nodes from number `first` on, and keep them connected. */
  z.strictObject({
    order: z.literal('connect'),
    address: z.string(),
    router: z.string(),
    primes: z.array(z.string()),
    first: z.int(),
    count: z.int(),
    /** Whether they all come from the address of this machine, as behind one NAT; else each has one of its own. */
    oneAddress: z.boolean(),
  }),
  /** Have each node write a row a second, evenly spread. */
  z.strictObject({ order: z.literal('write'), seconds: z.number() }),
]);
export type Order = z.output<typeof Order>;

/** What such a process tells. */
export const Told = z.discriminatedUnion('told', [
  z.strictObject({ told: z.literal('registered'), nodes: z.int() }),
  z.strictObject({
    told: z.literal('written'),
    rows: z.int(),
    /** Rows that the router had on disk when the last one was written. */
    storedInTime: z.int(),
    /** From writing a row to the router's word that it is on disk, in milliseconds. */
    lagsMs: z.array(z.number()),
  }),
]);
export type Told = z.output<typeof Told>;

/** The id of the emulated node number `index`. */
export function emulatedId(index: number): string {
  return `node-${String(index).padStart(5, '0')}`;
}
