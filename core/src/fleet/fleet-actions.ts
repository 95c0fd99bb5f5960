import { Action, failure, faultOf, type Json, MAX_ROW_DEPTH, ROW_ROOM } from '@centreond/plugin-sdk';
import { z } from 'zod';
import type { AskContext } from '../host/core-plugin.ts';
import {
  ActionNames,
  NODE_ID,
  ServiceActions,
  type ServiceDependencies,
  SubnodeEntry,
} from '../host/service-actions.ts';
import type { Peer } from '../router/peer.ts';
import type { TokenStore } from '../store/token-store.ts';
import type { Carriers } from './carriers.ts';
import type { LogStreams } from './log-streams.ts';
import type { LogSync } from './log-sync.ts';
import type { Teller, ToldRow } from './logs.ts';
import type { NodeSessions } from './node-sessions.ts';
import type { Routes } from './routes.ts';

const ROWS_AT_ONCE = 1000;

const Nothing = z.strictObject({});
const Anything = z.unknown();
const Id = z
  .int()
  .min(0)
  .max(2 ** 52);
const EPOCH = z.string().min(1).max(64);
const ForeignRow = z.object({
  id: Id,
  token: z.string().regex(/^[A-Za-z0-9._:-]{0,255}$/),
  type: z.string().regex(/^[A-Z][A-Z0-9_-]{0,63}$/),
  node: NODE_ID,
  code: z
    .int()
    .min(0)
    .max(2 ** 31),
  etime: Id,
  data: z.json(),
  origin: z.object({ epoch: EPOCH, id: Id }).exactOptional(),
});
const LogMessage = z.strictObject({
  epoch: EPOCH,
  rows: z.array(ForeignRow).max(ROWS_AT_ONCE),
  last: Id,
});

const Registration = z.strictObject({
  id: NODE_ID,
  name: z.string().max(255).exactOptional(),
  version: z.string().max(64),
  actions: ActionNames,
  nodes: z.array(SubnodeEntry).max(10_000).exactOptional(),
});
const Departure = z.strictObject({ id: NODE_ID });

export interface FleetDependencies extends ServiceDependencies {
  readonly routes: Routes;
  readonly carriers: Carriers;
  readonly nodeSessions: NodeSessions;
  readonly logStreams: LogStreams;
  readonly logSync: LogSync;
  readonly store: TokenStore;
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
    const { routes, logs } = this.services;
    return { nodes: routes.status().map((node) => ({ ...node, cursor: logs.cursorOf(node.id) })) };
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
      'All that the log has after the message before, up to last. A row counts for a request that was routed to its node. Of a plugin, TARGET names the node whose log it is. The answer says where the cursor of that log stands, and which rows were not stored, and why.',
    input: LogMessage,
    output: Anything,
    access: 'node',
    effects: 'write',
    idempotent: true,
    reply: 'ack',
    runs: 'here',
  })
  setLogs(input: z.output<typeof LogMessage>, { caller, target }: AskContext) {
    return this.services.logs.take(caller, this.#tellerOf(caller, target), input);
  }

  @Action('SYNCLOGS', {
    title: "Have this router's log streamed to the session that asks",
    description:
      'Each row comes by SETLOGS, beginning where its answers say that the asker stands. The answer says where the log ends now. With a TARGET the log of that node is brought here first.',
    input: Nothing,
    output: Anything,
    access: 'router',
    effects: 'read',
    idempotent: true,
    reply: 'ack',
    runs: 'here',
  })
  async syncLogs(_: z.output<typeof Nothing>, { caller, target, envelope }: AskContext) {
    const { logStreams, logSync, store } = this.services;
    if (target !== '') await logSync.sync(target, envelope);
    if (caller.roles.has('router')) logStreams.serve(caller);
    return { epoch: store.epoch, last: await store.end() };
  }

  /** Whose log a caller brings, and for whom it may speak: itself and the nodes behind it, or a node that it carries. */
  #tellerOf(caller: Peer, target: string): Teller {
    const { carriers, id } = this.services;
    const { identity, roles } = caller;
    const carries = roles.has('plugin');
    const node = target === '' && !carries ? identity : target;
    const may = carries ? carriers.carries(caller, node) : node === identity || roles.has('admin');
    if (!may || node === id || !NODE_ID.safeParse(node).success) {
      const remedy =
        'A node hands over its own log; a plugin those of the nodes that it carries, each named by TARGET.';
      throw failure('FORBIDDEN', { identity, what: `hand over the log of ${node || 'no node'}`, remedy });
    }
    const speaksFor = (other: string) => {
      if (carries) return other === node || carriers.leads(caller, node, other);
      if (other === node || roles.has('router') || roles.has('admin')) return true;
      return caller.grant.subnodes?.includes(other) ?? false;
    };
    return { node, speaksFor };
  }
}

/** The rows of a GETLOG's answer. What is none is left out. */
export function toldRows(result: readonly unknown[]): ToldRow[] {
  return result.flatMap((value) => ForeignRow.safeParse(value).data ?? []);
}

/** What is wrong with the data of a row that is to be stored: the code of an error, or undefined. */
export function rowFault(text: string, data: Json, maxMessage: number): string | undefined {
  if (Buffer.byteLength(text) > maxMessage - ROW_ROOM) return 'TOO_LARGE';
  return faultOf(data, MAX_ROW_DEPTH) ? 'INVALID_DATA' : undefined;
}
