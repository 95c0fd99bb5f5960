import type { Clock } from '../clock.ts';
import type { Closing } from '../closing.ts';
import type { Chronicle } from '../log/chronicle.ts';
import type { Log } from '../log.ts';
import { stillRefused } from '../router/authorize.ts';
import type { Envelope } from '../router/envelope.ts';
import type { Events } from '../router/events.ts';
import type { Grant } from '../router/peer.ts';
import { type Registry, unknownHere } from '../router/registry.ts';
import type { Requests } from '../router/requests.ts';
import type { Verbs } from '../router/verbs.ts';
import type { Bounds } from '../shares.ts';
import type { TokenStore } from '../store/token-store.ts';
import { Callers } from './callers.ts';
import { Carriers } from './carriers.ts';
import { rowFault, toldRows } from './fleet-actions.ts';
import { Forwarding } from './forwarding.ts';
import { Inquiries } from './inquiries.ts';
import { LogStreams } from './log-streams.ts';
import { LogSync } from './log-sync.ts';
import { Logs } from './logs.ts';
import { LostRequests } from './lost-requests.ts';
import { NodeSessions } from './node-sessions.ts';
import { NodeWatch } from './node-watch.ts';
import { PeerRequests } from './peer-requests.ts';
import { Routes } from './routes.ts';
import { ServedLinks } from './served-links.ts';

/** How long the routers above may take to have the last rows. */
const FLUSH_MS = 500;

export interface FleetOptions {
  /** This router's id. */
  readonly id: string;
  readonly maxMessage: number;
  readonly store: TokenStore;
  readonly registry: Registry;
  readonly requests: Requests;
  readonly verbs: Verbs;
  readonly events: Events;
  readonly chronicle: Pick<Chronicle, 'tell'>;
  /** Who is authorised now. */
  readonly trust: { expects(node: string): boolean; nodes(): string[]; grantOf(identity: string): Grant | undefined };
  readonly held: Bounds;
  readonly clock: Clock;
  readonly log: Log;
  readonly closing: Closing;
}

/** Other nodes: the routes to them, the requests that go there, and the logs that come back. */
export type Fleet = Awaited<ReturnType<typeof openFleet>>;

/** Opens the fleet. Nodes may register, and requests may go to them, from here on. Rejects if the store cannot be read. */
export async function openFleet(options: FleetOptions) {
  const { id, maxMessage, store, registry, requests, verbs, events, chronicle, trust, held, clock, log, closing } =
    options;
  const routes = new Routes({ id, log, expected: (node) => trust.expects(node), nodes: () => trust.nodes() });
  new NodeWatch(routes, chronicle);
  const callers = new Callers({ verbs, registry, isAuthorised: (one) => trust.grantOf(one) !== undefined, log });
  // A caller TYPE/NAME is TYPE.NAME there, which no key here has; of ROUTER/FROM it is FROM.
  const fromOf = (owner: string) =>
    callers.owns(owner) ? owner.replace('/', '.') : owner.slice(owner.indexOf('/') + 1);
  const inquiries = new Inquiries({ id, routes, fromOf });
  const mayStill = (owner: string, action: string, node: string) => {
    const guarded = registry.get(action) ?? unknownHere(action);
    if (!callers.owns(owner)) return stillRefused((identity) => trust.grantOf(identity), owner, guarded, node);
    return callers.stillRefused(owner, guarded, node);
  };
  const forwarding = new Forwarding({
    id,
    routes,
    inquiries,
    requests,
    held,
    clock,
    log,
    fromOf,
    mayStill,
  });
  const askNode = (action: string, target: string, data: object, envelope: Envelope = { text: '' }) =>
    inquiries.ask({ action, token: '', target, data: JSON.stringify(data) }, '@core', envelope);
  const lostRequests = new LostRequests({
    log,
    delivered: (node) => requests.at(node).filter((open) => !forwarding.has(open)),
    ask: askNode,
    fail: (open, error) => requests.fail(open, error),
  });
  const logs = new Logs({
    id,
    store,
    clock,
    log,
    fault: (text, data) => rowFault(text, data, maxMessage),
    renewed: (node) => {
      log.warn({ node }, `the database of ${node} is another one than before`);
      void lostRequests.check(node);
    },
    adopt: (page, reaches) => requests.adopt(page, reaches),
  });
  const peerRequests = new PeerRequests(verbs);
  const logStreams = new LogStreams({ store, requests: peerRequests, log, rowsOf: toldRows });
  const logSync = new LogSync({
    logs,
    log,
    routes,
    ask: askNode,
    rowsOf: toldRows,
  });
  const nodeSessions = new NodeSessions({ id, routes, requests: peerRequests, events, chronicle, clock, log });
  const carriers = new Carriers(routes, verbs);
  const servedLinks = new ServedLinks({ verbs, log, streamLogs: (peer) => logStreams.serve(peer) });

  await logs.start();
  logSync.start();
  closing.push('the links to other nodes', FLUSH_MS + 100, async () => {
    logSync.stop();
    await logStreams.flush(FLUSH_MS);
    nodeSessions.stop();
  });
  return {
    synchronise: (node: string, envelope: Envelope) => logSync.sync(node, envelope),
    mayStill,
    forwarding,
    routes,
    carriers,
    nodeSessions,
    servedLinks,
    logs,
    logStreams,
    logSync,
  };
}
