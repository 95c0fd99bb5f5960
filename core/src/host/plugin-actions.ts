import {
  Action,
  type ActionContext,
  type CentreondError,
  failure,
  isCentreondError,
  type JsonObject,
} from '@centreond/plugin-sdk';
import { z } from 'zod';
import { reachOf } from '../doors/reach.ts';
import { LONGEST_INVITATION, type Trust } from '../doors/trust.ts';
import { CORE_TYPE } from '../router/authorize.ts';
import { HistoryActions, type HistoryDependencies } from '../router/history-actions.ts';
import type { Registry } from '../router/registry.ts';
import type { AskContext } from './core-plugin.ts';
import type { Loader } from './loader.ts';

const Nothing = z.strictObject({});
const Anything = z.unknown();
const FINGERPRINT = z.string().regex(/^[A-Za-z0-9_-]{43}$/);
const IDENTITY = z.string().regex(/^[A-Za-z0-9._-]{1,64}$/);
const ROLE = z.enum(['client', 'node', 'router', 'admin']);
const TYPE = z.string().regex(/^[a-z][a-z0-9-]{0,63}$/);

const AcceptKey = z.strictObject({ fingerprint: FINGERPRINT, identity: IDENTITY, roles: z.array(ROLE).min(1) });
const RevokeKey = z.strictObject({ key: z.string().min(1).max(64) });
const NODE = z.string().regex(/^(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}$/);
const Join = z.strictObject({
  identity: NODE.describe('The id of the node that is to come.'),
  seconds: z
    .int()
    .min(1)
    .max(LONGEST_INVITATION)
    .describe(`How long the token is open; ${LONGEST_INVITATION} when left out.`)
    .exactOptional(),
  subnodes: z.array(NODE).max(10_000).describe('Nodes that may be reached through this node.').exactOptional(),
});
const Joining = z.strictObject({
  identity: z.string(),
  token: z.string().describe('The join token; it works once.'),
  fingerprint: z.string().describe("The router's key."),
  reach: z.enum(['address', 'loopback', 'any']).describe('What the external door listens on.'),
  addresses: z.array(z.string()).describe('Where nodes may reach it, best first.'),
  until: z.number().describe('When the token ends, in milliseconds since the epoch.'),
});
const OfType = z.strictObject({ type: TYPE });
const KillInput = z.strictObject({ type: TYPE, id: z.string().max(1024).exactOptional() });
const LoadInput = z.strictObject({
  package: z.string().min(1).max(4096),
  config: z.record(z.string(), z.json()).exactOptional(),
});
/** Ends and starts take as long as plugins declare; each step in them has its own limit. */
const LIFECYCLE_SECONDS = 600;

/** What the operator's actions work on. */
export interface OperatorDependencies extends HistoryDependencies {
  readonly registry: Registry;
  readonly trust: Trust;
  readonly thumbprint: string;
  /** What the external door listens on; undefined where there is none. */
  readonly endpoint: string | undefined;
  readonly loader: Loader;
}

/** Who may connect, and what runs. */
export abstract class OperatorActions extends HistoryActions {
  abstract override readonly services: OperatorDependencies;

  @Action('KEYS', {
    title: 'List the keys that this router accepts, revoked, or was shown',
    input: Nothing,
    output: Anything,
    access: 'admin',
    effects: 'read',
    idempotent: true,
    reply: 'ack',
  })
  keys() {
    return { keys: this.services.trust.list() };
  }

  @Action('ACCEPTKEY', {
    title: 'Let a key in, bound to an identity and roles',
    input: AcceptKey,
    output: Anything,
    access: 'admin',
    effects: 'write',
    idempotent: true,
  })
  async acceptKey(input: z.output<typeof AcceptKey>) {
    await this.services.trust.accept(input);
    return input;
  }

  @Action('REVOKEKEY', {
    title: 'Shut a key out, by its fingerprint or identity; its session ends',
    input: RevokeKey,
    output: Anything,
    access: 'admin',
    effects: 'destructive',
    idempotent: true,
  })
  async revokeKey({ key }: z.output<typeof RevokeKey>) {
    return { revoked: await this.services.trust.revoke(key) };
  }

  // Answered in the ACK, which is kept nowhere: the token must be in no history.
  @Action('JOIN', {
    title: 'Make a join token, with which a machine enrols itself as a node of this router',
    description:
      'It works once, for this identity, and makes the one before void. REVOKEKEY with the identity withdraws it.',
    input: Join,
    output: Joining,
    access: 'admin',
    effects: 'write',
    reply: 'ack',
    runs: 'here',
  })
  join(input: z.output<typeof Join>, { caller, target }: AskContext): z.input<typeof Joining> {
    const { id, trust, thumbprint } = this.services;
    const { identity } = input;
    const refuse = (reason: string) => failure('INVALID_DATA', { action: 'JOIN', reason: reason.replace(/\.$/, '') });
    if (target !== '' && target !== id) throw refuse(`nodes join the router that is asked; ask ${target} itself`);
    if (identity === id) throw refuse(`${identity} is the id of this router itself; give the node another`);
    const { endpoint } = this.services;
    if (endpoint === undefined) {
      throw refuse(
        'there is no external door, by which nodes come; set core.external.listen and start the daemon again',
      );
    }
    const { kind: reach, addresses } = reachOf(endpoint);
    try {
      const { token, until } = trust.invite({ seconds: LONGEST_INVITATION, ...input, by: caller.identity });
      return { identity, token, fingerprint: thumbprint, reach, addresses: [...addresses], until };
    } catch (error) {
      throw isCentreondError(error) && error.code === 'KEY_REFUSED' ? refuse(error.message) : error;
    }
  }

  @Action('KILL', {
    title: 'End an instance of a plugin, or all; they start again as declared',
    input: KillInput,
    output: z.strictObject({ type: z.string(), ended: z.array(z.string()) }),
    access: 'router',
    effects: 'destructive',
    timeoutSeconds: LIFECYCLE_SECONDS,
  })
  async kill({ type, id = '' }: z.output<typeof KillInput>, context: ActionContext) {
    const executor = this.services.registry.executorOf(type);
    const ended = (executor?.ids() ?? []).filter((one) => id === '' || one === id);
    await executor?.kill(id, (step) => void context.progress(0, { step }));
    return { type, ended };
  }

  @Action('LOADPLUGIN', {
    title: 'Load a plugin package, until the daemon stops',
    input: LoadInput,
    output: z.strictObject({ type: z.string(), actions: z.array(z.string()) }),
    access: 'admin',
    effects: 'write',
    timeoutSeconds: LIFECYCLE_SECONDS,
  })
  loadPlugin(input: z.output<typeof LoadInput>) {
    return this.services.loader.load(input as { package: string; config?: JsonObject });
  }

  @Action('UNLOADPLUGIN', {
    title: 'Take a plugin out of service; what it accepted may finish',
    input: OfType,
    output: OfType,
    access: 'admin',
    effects: 'destructive',
    timeoutSeconds: LIFECYCLE_SECONDS,
  })
  unloadPlugin({ type }: z.output<typeof OfType>) {
    return this.services.loader.unload(type);
  }

  @Action('RELOADPLUGIN', {
    title: 'Replace a plugin by what its package holds now; nothing is lost, nothing runs twice',
    input: OfType,
    output: z.strictObject({ type: z.string(), version: z.string(), actions: z.array(z.string()) }),
    access: 'admin',
    effects: 'write',
    timeoutSeconds: LIFECYCLE_SECONDS,
  })
  reloadPlugin({ type }: z.output<typeof OfType>) {
    return this.services.loader.reload(type);
  }

  @Action('WHY', {
    title: 'Ask how the instances of a plugin ended lately, with their last log lines',
    input: OfType,
    output: Anything,
    access: 'admin',
    effects: 'read',
    idempotent: true,
    reply: 'ack',
  })
  why({ type }: z.output<typeof OfType>) {
    const host = this.services.loader.host(type);
    if (!host) throw this.#unknownInstance(type, '');
    const { state, reason = null } = host.status();
    return { type, state, reason, exits: host.exits() };
  }

  /** Why KILL cannot mean what it says, or undefined. */
  protected killRefusal(type: string, id: string): CentreondError | undefined {
    const ids = type === CORE_TYPE ? undefined : this.services.registry.executorOf(type)?.ids();
    return ids && (id === '' || ids.includes(id)) ? undefined : this.#unknownInstance(type, id);
  }

  #unknownInstance(type: string, id: string): CentreondError {
    const { registry } = this.services;
    const types = registry.plugins.map(({ manifest }) => manifest.type).filter((one) => one !== CORE_TYPE);
    const ids = types.includes(type) ? registry.executorOf(type)?.ids() : undefined;
    return failure('UNKNOWN_INSTANCE', { type, id, known: ids ? ids.map((one) => `${type}/${one}`) : types });
  }
}
