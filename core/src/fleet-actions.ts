import { Action, failure, faultOf, isCentreondError, MAX_ROW_DEPTH, ROW_ROOM } from '@centreond/plugin-sdk';
import { z } from 'zod';
import type { Carriers } from './carriers.ts';
import type { AskContext } from './core-plugin.ts';
import type { NodeSessions } from './node-sessions.ts';
import type { Router } from './router.ts';
import type { Routes } from './routes.ts';
import { ActionNames, NODE_ID, ServiceActions, type ServiceDependencies, SubnodeEntry } from './service-actions.ts';
import type { Peer } from './transport/peer.ts';

const ROWS_AT_ONCE = 1000;

const Nothing = z.strictObject({});
const Anything = z.unknown();
const Id = z
  .int()
  .min(0)
  .max(2 ** 52);
const ForeignRow = z.object({
  id: Id,
  token: z.string().regex(/^[A-Za-z0-9._:-]{1,255}$/),
  type: z.string().regex(/^[A-Z][A-Z0-9_-]{0,63}$/),
  node: NODE_ID,
  code: z
    .int()
    .min(0)
    .max(2 ** 31),
  etime: Id,
  data: z.unknown(),
});
const Logs = z.strictObject({
  epoch: z.string().min(1).max(64),
  rows: z.array(ForeignRow).max(ROWS_AT_ONCE),
  last: Id,
});

const Registration = z.strictObject({
  id: NODE_ID,
  name: z.string().max(255).exactOptional(),
  version: z.string().max(64),
  actions: ActionNames,
  nodes: z.array(SubnodeEntry).max(10_000).default([]),
});
const Departure = z.strictObject({ id: NODE_ID });

export interface FleetDependencies extends ServiceDependencies {
  readonly router: Router;
  readonly routes: Routes;
  readonly carriers: Carriers;
  readonly nodeSessions: NodeSessions;
  readonly maxMessage: number;
}

/** What nodes and those who carry them say, and what is told of them. */
export abstract class FleetActions extends ServiceActions {
  abstract override readonly services: FleetDependencies;

  @Action('CONSTATUS', {
    title: 'Ask which nodes are reached from here, and how they are',
    input: Nothing,
    output: Anything,
    access: ['client', 'node'],
    effects: 'read',
    idempotent: true,
    reply: 'ack',
  })
  conStatus() {
    return { nodes: this.services.routes.status() };
  }

  @Action('REGISTERNODE', {
    title: 'Be a node of this router, reached by the session that asks',
    description:
      'id is the identity of the session. The answer names those of nodes that this router does not accept from it. Registering again replaces what was said before.',
    input: Registration,
    output: Anything,
    access: 'node',
    effects: 'write',
    idempotent: true,
    reply: 'ack',
    runs: 'here',
  })
  registerNode({ id, ...registration }: z.output<typeof Registration>, { caller }: AskContext) {
    this.#checkNode('REGISTERNODE', id, caller);
    return { refused: this.services.nodeSessions.register(caller, registration) };
  }

  @Action('UNREGISTERNODE', {
    title: 'Be a node of this router no more',
    input: Departure,
    output: Anything,
    access: 'node',
    effects: 'write',
    idempotent: true,
    reply: 'ack',
    runs: 'here',
  })
  unregisterNode({ id }: z.output<typeof Departure>, { caller }: AskContext) {
    this.#checkNode('UNREGISTERNODE', id, caller);
    return { registered: this.services.nodeSessions.unregister(caller) };
  }

  /** A node can only speak of the identity that it proved. */
  #checkNode(action: string, id: string, { identity, roles }: Peer): void {
    if (identity === id && roles.has('node')) return;
    const remedy = `A node registers under the identity of its own key, with the role node.`;
    throw failure('FORBIDDEN', { identity, what: `${action} ${id}`, remedy });
  }

  @Action('SETLOGS', {
    title: "Hand over rows of a node's log",
    description:
      'A row counts for a request that was routed to its node. The answer names the rows that were not stored, and why.',
    input: Logs,
    output: Anything,
    access: 'node',
    effects: 'write',
    idempotent: true,
    reply: 'ack',
    runs: 'here',
  })
  async setLogs({ epoch, rows }: z.output<typeof Logs>, { caller }: AskContext) {
    const { router, maxMessage } = this.services;
    const counts = { stored: 0, known: 0 };
    const refused: { id: number; error: string }[] = [];
    const adopt = async ({ id: originId, data: value, ...row }: z.output<typeof ForeignRow>) => {
      const data = JSON.stringify(value ?? null);
      if (!this.#speaksFor(caller, row.node)) refused.push({ id: originId, error: 'FORBIDDEN' });
      else if (Buffer.byteLength(data) > maxMessage - ROW_ROOM) refused.push({ id: originId, error: 'TOO_LARGE' });
      else if (faultOf(value, MAX_ROW_DEPTH)) refused.push({ id: originId, error: 'INVALID_DATA' });
      else if (await router.adopt({ ...row, epoch, originId, data })) counts.stored++;
      else counts.known++;
    };
    // At once: they share a transaction, and the store keeps their order.
    const settled = await Promise.allSettled(rows.map(adopt));
    for (const [i, result] of settled.entries()) {
      if (result.status === 'fulfilled') continue;
      const { reason } = result;
      const row = rows[i] as z.output<typeof ForeignRow>;
      // What the disk refuses is not the row's fault: the sender keeps all of them.
      if (!isCentreondError(reason) || (reason.code !== 'UNKNOWN_TOKEN' && reason.code !== 'TOKEN_ENDED')) throw reason;
      refused.push({ id: row.id, error: reason.code });
    }
    return { ...counts, refused };
  }

  /** Whether a caller may hand over rows of `node`: itself, a node behind it, or one that it carries. */
  #speaksFor(caller: Peer, node: string): boolean {
    if (caller.roles.has('plugin')) return this.services.carriers.carries(caller, node);
    if (caller.roles.has('router') || caller.roles.has('admin')) return true;
    return caller.identity === node || (caller.grant.subnodes?.includes(node) ?? false);
  }
}
