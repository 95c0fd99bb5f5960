import { Action, Plugin } from '@centreond/plugin-sdk';
import { failure, faultOf, type Json, MAX_ROW_DEPTH, ROW_ROOM } from '@centreond/protocol';
import { z } from 'zod';
import { type AskContext, CHANGE, EVERYBODY, NODE_ID, NOTHING, READ } from '../router/declaring.ts';
import type { Peer } from '../router/peer.ts';
import type { TokenStore } from '../store/token-store.ts';
import type { Carriers } from './carriers.ts';
import type { Forwarding } from './forwarding.ts';
import type { LogStreams } from './log-streams.ts';
import type { LogSync } from './log-sync.ts';
import type { Logs, Teller, ToldRow } from './logs.ts';
import type { NodeSessions } from './node-sessions.ts';
import type { Routes } from './routes.ts';

const ROWS_AT_ONCE = 1000;

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

const NODE_STATE = z.enum(['up', 'connecting', 'unreachable']);
const SCORE = z.number().min(0).max(1e9);
const SECONDS = z.number().min(0);
const ActionNames = z.array(z.string().max(64)).max(10_000);
const Subnode = z.strictObject({
  id: NODE_ID,
  score: SCORE.exactOptional(),
  actions: ActionNames.exactOptional(),
  state: NODE_STATE.exactOptional(),
});
/** A node behind another: its id, or with what is known of it. */
const SubnodeEntry = z.union([NODE_ID, Subnode]);
const Labels = z
  .record(z.string().regex(/^[A-Za-z0-9._/-]{1,64}$/), z.string().max(255))
  .refine((labels) => Object.keys(labels).length <= 64, 'at most 64 labels');
/** What a carrier says of a node. */
export const ToldNode = z.strictObject({
  id: NODE_ID,
  name: z.string().max(255).exactOptional(),
  actions: ActionNames.exactOptional(),
  subnodes: z.array(SubnodeEntry).max(10_000).exactOptional(),
  state: NODE_STATE,
  kind: z.enum(['push', 'pull', 'ssh']).exactOptional(),
  address: z.string().max(300).exactOptional(),
  score: SCORE.exactOptional(),
  version: z.string().max(64).exactOptional(),
  lastPing: SECONDS.exactOptional(),
  lastPong: SECONDS.exactOptional(),
  roundTripMs: z.number().min(0).exactOptional(),
  clockSkewSeconds: z.number().exactOptional(),
  reason: z.string().max(1024).exactOptional(),
  labels: Labels.exactOptional(),
});
const Announcement = z.strictObject({ nodes: z.array(ToldNode).max(10_000), gone: z.array(NODE_ID).max(10_000) });
const Registration = z.strictObject({
  id: NODE_ID,
  name: z.string().max(255).exactOptional(),
  labels: Labels.exactOptional(),
  version: z.string().max(64),
  actions: ActionNames,
  nodes: z.array(SubnodeEntry).max(10_000).exactOptional(),
});
const Departure = z.strictObject({ id: NODE_ID });

export interface FleetActionsOptions {
  /** This router's id. */
  readonly id: string;
  readonly routes: Routes;
  readonly carriers: Carriers;
  readonly forwarding: Pick<Forwarding, 'heldByNode'>;
  readonly nodeSessions: NodeSessions;
  readonly logs: Logs;
  readonly logStreams: LogStreams;
  readonly logSync: LogSync;
  readonly store: TokenStore;
}

/** What nodes and their carriers say, and what is told of them. */
@Plugin({ type: 'core', title: 'The router itself', isolation: 'core' })
export class FleetActions {
  constructor(private readonly options: FleetActionsOptions) {}

  @Action('ANNOUNCE', {
    ...CHANGE,
    title: 'Say which nodes the asking instance carries: those that are new or changed, and those no more',
    input: Announcement,
    access: 'internal',
  })
  announce({ nodes, gone }: z.output<typeof Announcement>, { caller }: AskContext) {
    this.options.carriers.announce(caller, nodes, gone);
    // The one that came last carries them: a version that was replaced brings no more of their logs.
    const { logs } = this.options;
    for (const { id, state } of nodes) logs.carriedBy(id, caller, state === 'up');
  }

  @Action('CONSTATUS', {
    ...READ,
    title: 'Ask which nodes are reached from here, and how they are',
    input: NOTHING,
    access: EVERYBODY,
  })
  conStatus() {
    const { routes, logs, nodeSessions, forwarding } = this.options;
    const heldByNode = forwarding.heldByNode();
    // What is as it should be is omitted.
    const nodes = routes.status().map((node) => {
      const sharedBy = nodeSessions.addressesOf(node.id);
      // Of a node that another router carries, that one knows.
      const isHere = node.router === undefined;
      const [held = 0, logLag] = [heldByNode.get(node.id), isHere ? logs.lagOf(node.id) : 0];
      return {
        ...{ ...node, cursor: isHere ? logs.cursorOf(node.id) : null },
        ...(sharedBy.length > 0 && { sharedBy }),
        ...(held > 0 && { held }),
        ...(logLag > 0 && { logLag }),
      };
    });
    return { nodes };
  }

  @Action('REGISTERNODE', {
    ...CHANGE,
    title: 'Be a node of this router, reached by the session that asks',
    description:
      'id is the identity of the session. The answer names those of nodes that this router does not accept from it. Registering again replaces what was said before.',
    input: Registration,
    access: 'node',
    runs: 'here',
  })
  registerNode({ id, ...registration }: z.output<typeof Registration>, { caller }: AskContext) {
    this.#checkNode('REGISTERNODE', id, caller);
    return { refused: this.options.nodeSessions.register(caller, registration) };
  }

  @Action('UNREGISTERNODE', {
    ...CHANGE,
    title: 'Be a node of this router no more',
    input: Departure,
    access: 'node',
    runs: 'here',
  })
  unregisterNode({ id }: z.output<typeof Departure>, { caller }: AskContext) {
    this.#checkNode('UNREGISTERNODE', id, caller);
    return { registered: this.options.nodeSessions.unregister(caller) };
  }

  /** A node can only speak of the identity that it proved. */
  #checkNode(action: string, id: string, { identity, roles }: Peer): void {
    if (identity === id && roles.has('node')) return;
    const remedy = `A node registers under the identity of its own key, with the role node.`;
    throw failure('FORBIDDEN', { identity, what: `${action} ${id}`, remedy });
  }

  @Action('SETLOGS', {
    ...CHANGE,
    title: "Hand over rows of a node's log",
    description:
      'All that the log has after the message before, up to last. A row counts for a request that was routed to its node. Of a plugin, TARGET names the node whose log it is. The answer says where the cursor of that log stands, and which rows were not stored, and why.',
    input: LogMessage,
    access: 'node',
    runs: 'here',
  })
  setLogs(input: z.output<typeof LogMessage>, { caller, target }: AskContext) {
    return this.options.logs.take(caller, this.#tellerOf(caller, target), input);
  }

  @Action('SYNCLOGS', {
    ...READ,
    title: "Have this router's log streamed to the session that asks",
    description:
      'Each row comes by SETLOGS, beginning where its answers say that the asker stands. The answer says where the log ends now. With a TARGET the log of that node is brought here first.',
    input: NOTHING,
    access: 'router',
    runs: 'here',
  })
  async syncLogs(_: z.output<typeof NOTHING>, { caller, target, envelope }: AskContext) {
    const { logStreams, logSync, store } = this.options;
    if (target !== '') await logSync.sync(target, envelope);
    if (caller.roles.has('router')) logStreams.serve(caller);
    return { epoch: store.epoch, last: await store.end() };
  }

  /** Whose log a caller brings, and for whom it may speak: itself and the nodes behind it, or a node that it carries. */
  #tellerOf(caller: Peer, target: string): Teller {
    const { carriers, routes, id } = this.options;
    const { identity, roles } = caller;
    const carries = roles.has('plugin');
    const carrier = carriers.of(caller);
    const node = target === '' && !carries ? identity : target;
    const may = carries ? carrier && routes.carries(carrier, node) : node === identity || roles.has('admin');
    if (!may || node === id || !NODE_ID.safeParse(node).success) {
      const remedy =
        'A node hands over its own log; a plugin those of the nodes that it carries, each named by TARGET.';
      throw failure('FORBIDDEN', { identity, what: `hand over the log of ${node || 'no node'}`, remedy });
    }
    const speaksFor = (other: string) => {
      if (carrier) return other === node || routes.leads(carrier, node, other);
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
