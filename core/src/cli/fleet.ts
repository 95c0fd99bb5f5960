import type { Client } from '@centreond/client';
import type { JsonObject } from '@centreond/protocol';
import { z } from 'zod';
import { cliFault } from './connection.ts';

const Figure = z.number().nullable();
const FleetNode = z.object({
  id: z.string(),
  name: z.string(),
  kind: z.string(),
  state: z.string(),
  reason: z.string().nullable().default(null),
  address: z.string().nullable().default(null),
  /** Two addresses that connect with the node's key by turns. */
  sharedBy: z.array(z.string()).default([]),
  /** Requests that are held for it. */
  held: z.number().default(0),
  /** Rows of its log that are known to be missing here. */
  logLag: z.number().default(0),
  labels: z.record(z.string(), z.string()).default({}),
  lastPong: Figure,
  lastPing: Figure,
  roundTripMs: Figure,
  clockSkewSeconds: Figure,
  cursor: Figure,
  version: z.string().nullable(),
  actions: z.array(z.string()),
  subnodes: z.array(z.string()),
  /** The router of the cluster that carries it, where that is another than the one that is asked. */
  router: z.string().exactOptional(),
});
const ConStatus = z.object({ nodes: z.array(FleetNode) });

/** A node as CONSTATUS tells of it: one that is reached from the router without another between. */
export type FleetNode = z.output<typeof FleetNode>;

/** The nodes of a router, as it told of them at one time. */
export interface Fleet {
  /** The router's id. */
  readonly router: string;
  readonly nodes: readonly FleetNode[];
  /** The answer as it came, a node each. */
  readonly raw: readonly JsonObject[];
}

/** Asks the router for its nodes. Rejects as `client.send` does, and where the answer is none. */
export async function fleetOf(client: Pick<Client, 'id' | 'send'>, timeoutMs?: number): Promise<Fleet> {
  const { data } = await client.send('CONSTATUS', {}, timeoutMs === undefined ? {} : { timeoutMs });
  const { success, data: told, error } = ConStatus.safeParse(data);
  if (success) return { router: client.id, nodes: told.nodes, raw: data.nodes as JsonObject[] };
  throw cliFault('UNKNOWN_ANSWER', { router: client.id, action: 'CONSTATUS', reason: z.prettifyError(error) });
}

/** Whether there is a way to a node now. */
export function isReached({ nodes, router }: Fleet, target: string): boolean {
  if (target === router) return true;
  return nodes.some(({ id, state, subnodes }) => state === 'up' && (id === target || subnodes.includes(target)));
}
