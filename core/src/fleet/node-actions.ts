import { Action, Plugin } from '@centreond/plugin-sdk';
import { type CentreondError, failure, isCentreondError } from '@centreond/protocol';
import { z } from 'zod';
import { NODE_ID } from '../router/declaring.ts';
import type { Grant } from '../router/peer.ts';
import type { OpenRequest } from '../router/request.ts';
import type { Forwarding } from './forwarding.ts';
import type { Logs } from './logs.ts';
import type { NodeSessions } from './node-sessions.ts';
import type { Routes } from './routes.ts';

const Removal = z.strictObject({ id: NODE_ID });
const Removed = z.strictObject({
  id: z.string(),
  fingerprint: z.string().nullable().describe('Its key, which is revoked; null if it had not joined yet.'),
  ended: z.int().describe('Open requests that have ended.'),
});
const Renaming = z.strictObject({ id: NODE_ID, to: NODE_ID.describe('Its id from now on.') });
const Renamed = z.strictObject({ id: z.string(), to: z.string(), fingerprint: z.string(), ended: z.int() });

export interface NodeActionsOptions {
  /** This router's id. */
  readonly id: string;
  readonly trust: {
    /** Why the grant of an identity cannot be changed here, or undefined. */
    obstacleToChange(identity: string): string | undefined;
    revoke(identity: string): { fingerprint?: string };
    rename(identity: string, to: string): Grant;
  };
  readonly requests: {
    at(node: string): OpenRequest[];
    abort(open: OpenRequest, reason: CentreondError): void;
    fail(open: OpenRequest, reason: CentreondError): void;
  };
  readonly routes: Routes;
  readonly forwarding: Forwarding;
  readonly nodeSessions: NodeSessions;
  readonly logs: Logs;
}

/** Which nodes there are, and by which ids. */
@Plugin({ type: 'core', title: 'The router itself', isolation: 'core' })
export class NodeActions {
  constructor(private readonly options: NodeActionsOptions) {}

  @Action('REMOVENODE', {
    title: 'Forget a node that was let in: its key is revoked, and what is open for it ends',
    description:
      'Its rows stay in the history, and so does how far its log is here. A node that the config file names, or that a plugin carries, is removed there.',
    input: Removal,
    output: Removed,
    access: 'admin',
    effects: 'destructive',
    runs: 'here',
  })
  removeNode({ id }: z.output<typeof Removal>): z.input<typeof Removed> {
    const { trust, nodeSessions } = this.options;
    this.#check('REMOVENODE', id);
    const { fingerprint = null } = trust.revoke(id);
    nodeSessions.forget(id);
    return { id, fingerprint, ended: this.#endAt(id, `was removed from the router ${this.options.id}`) };
  }

  @Action('RENAMENODE', {
    title: 'Let the machine that is a node in under another id, by the key that it has',
    description:
      'The machine itself has to take that id as its core.id. Its rows so far stay under the former one. What is open for that ends.',
    input: Renaming,
    output: Renamed,
    access: 'admin',
    effects: 'destructive',
    runs: 'here',
  })
  async renameNode({ id, to }: z.output<typeof Renaming>): Promise<z.input<typeof Renamed>> {
    const { trust, nodeSessions, logs, routes } = this.options;
    this.#check('RENAMENODE', id);
    if (to === this.options.id || routes.knows(to)) {
      throw refuse('RENAMENODE', `${to} is ${to === this.options.id ? 'this router itself' : 'a node already'}`);
    }
    // Before the key is let in under it: its first message asks where its log stands.
    await logs.inherit(id, to);
    const { fingerprint } = asRefusal('RENAMENODE', () => trust.rename(id, to));
    nodeSessions.forget(id);
    return { id, to, fingerprint, ended: this.#endAt(id, `is ${to} now`) };
  }

  /** Throws a refusal that says where the node is to be changed, if that is not here. */
  #check(action: string, node: string): void {
    const { id, trust, routes } = this.options;
    if (node === id) throw refuse(action, `${node} is this router itself`);
    const obstacle = trust.obstacleToChange(node);
    if (obstacle === undefined) return;
    const way = routes.wayTo(node);
    if (way === undefined) throw refuse(action, obstacle);
    if (way.via !== node) {
      throw refuse(action, `${node} is behind ${way.via}: take it out of the subnodes of ${way.via}`);
    }
    if (way.kind === 'pull') throw refuse(action, obstacle);
    const [plugin, verb] = way.kind === 'ssh' ? ['ssh', 'DELSSHNODE'] : ['proxy', 'DELNODE'];
    throw refuse(
      action,
      `${node} is carried by the plugin ${plugin}: take it out of its config, or run \`centreond call ${verb} id=${node}\` if it was added while it ran`,
    );
  }

  /** Ends what is open for a node to which no way will lead. `why` is a clause after "The node X". */
  #endAt(node: string, why: string): number {
    const { requests, forwarding } = this.options;
    const all = requests.at(node);
    for (const open of all) {
      const { token, action, state } = open;
      const mayRun = state !== 'recording' && forwarding.mayRun(open);
      const reason = mayRun
        ? failure('OUTCOME_UNKNOWN', { token, action: action.manifest.name, cause: `The node ${node} ${why}` })
        : failure('UNKNOWN_TARGET', { target: node, router: this.options.id, why });
      if (state === 'recording') requests.abort(open, reason);
      else {
        forwarding.withdraw(open);
        requests.fail(open, reason);
      }
    }
    return all.length;
  }
}

function refuse(action: string, reason: string): CentreondError {
  return failure('INVALID_DATA', { action, reason: reason.replace(/\.$/, '') });
}

/** Has a refusal of the trust say so as one of the action. */
function asRefusal<T>(action: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw isCentreondError(error) && error.code === 'KEY_REFUSED' ? refuse(action, error.message) : error;
  }
}
