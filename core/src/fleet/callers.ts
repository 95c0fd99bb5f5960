import { type CentreondError, failure, formatMessage, isIdentity, parseJson, parseReply } from '@centreond/protocol';
import { z } from 'zod';
import type { Log } from '../log.ts';
import { type Guarded, refusalFor } from '../router/authorize.ts';
import type { Peer } from '../router/peer.ts';
import type { Registry } from '../router/registry.ts';
import type { Receive, Verbs } from '../router/verbs.ts';
import { InstancePeers } from './instance-peers.ts';

/** Callers of one instance at once. */
const PER_INSTANCE = 10_000;

const Caller = z.strictObject({
  roles: z.array(z.enum(['client', 'admin'])).min(1),
  actions: z.array(z.string()).optional(),
  targets: z.array(z.string()).optional(),
  address: z.string().max(256).optional(),
});

export interface CallersOptions {
  readonly verbs: Verbs;
  readonly registry: Registry;
  /** Whether a key is authorised as this identity. */
  isAuthorised(identity: string): boolean;
  readonly log: Log;
}

/**
 * Users of plugins that serve a network themselves, such as an HTTP API: each is a peer TYPE/NAME with roles, shares and limits of its
 * own, as if it had come with a key. The router trusts the plugin to authenticate them, if the operator allows that.
 */
export class Callers {
  readonly #callers = new InstancePeers('CALLED', PER_INSTANCE);

  constructor(private readonly options: CallersOptions) {
    const { verbs } = options;
    verbs.on('CALLERUP', 'plugin', (instance, message) => this.#up(instance, message));
    verbs.on('CALLERDOWN', 'plugin', (instance, message) => this.#down(instance, message));
    verbs.on('CALLED', 'plugin', (instance, message, receive) => this.#called(instance, message, receive));
  }

  #up(instance: Peer, message: Buffer): true {
    const { token: number, target: name, data } = parseReply(message.toString());
    const type = instance.identity.slice(1);
    const identity = `${type}/${name}`;
    const read = Caller.safeParse(parseJson(data));
    const error = this.#refusal(instance, type, name) ?? (read.success ? undefined : malformed(read.error));
    const { address, ...granted } = read.data ?? { roles: [] };
    const grant = { identity, fingerprint: '', source: `The plugin ${type}`, ...granted };
    if (!error && this.#callers.add(instance, number, grant, address)) return true;
    const why = error ?? failure('BUSY', { what: `the list of callers of the plugin ${type}`, limit: PER_INSTANCE });
    this.options.log.warn({ plugin: type, caller: identity }, `${why.code} ${why.message}`);
    instance.send(formatMessage('CALLERDOWN', number, '', why.toData()));
    return true;
  }

  /** Whether `owner` is TYPE/NAME of a plugin that may have callers. */
  owns(owner: string): boolean {
    const [type = '', ...name] = owner.split('/');
    return name.length > 0 && this.options.registry.executorOf(type)?.allowsCallers === true;
  }

  /** Why a caller may no longer call `action` on `node`, or undefined; `later` while its plugin does not serve. */
  stillRefused(owner: string, action: Guarded, node: string): CentreondError | 'later' | undefined {
    const grant = this.#callers.grantOf(owner);
    if (grant) return refusalFor({ identity: owner, grant, roles: new Set(grant.roles) }, action, node, true);
    const type = owner.split('/')[0] ?? '';
    if (this.options.registry.executorOf(type)?.hearers().length === 0) return 'later';
    const what = `call ${action.manifest.name} on ${node}`;
    return failure('FORBIDDEN', { identity: owner, what, remedy: `The plugin ${type} no longer lets it in.` });
  }

  #refusal({ allowsCallers }: Peer, type: string, name: string): CentreondError | undefined {
    const refuse = (remedy: string) => failure('FORBIDDEN', { identity: `@${type}`, what: `call for ${name}`, remedy });
    if (!allowsCallers) {
      return refuse(`Allow that with allowCallers: true in the entry of the plugin ${type}.`);
    }
    if (!isIdentity(name)) return refuse('The name of a caller has 1 to 64 of A-Z a-z 0-9 . _ -.');
    // Owners would be ambiguous: the router TYPE forwards as TYPE/NAME, and nodes know TYPE/NAME as TYPE.NAME.
    const taken = [type, `${type}.${name}`].find((one) => this.options.isAuthorised(one));
    return taken === undefined
      ? undefined
      : refuse(`A key is authorised as ${taken}; give the plugin another type (as).`);
  }

  #down(instance: Peer, message: Buffer): true {
    this.#callers.remove(instance, parseReply(message.toString()).token);
    return true;
  }

  #called(instance: Peer, message: Buffer, receive: Receive): true {
    const { token: number, data } = parseReply(message.toString());
    const peer = this.#callers.get(instance, number);
    if (peer) receive(peer, Buffer.from(data));
    return true;
  }
}

function malformed(error: z.ZodError): CentreondError {
  const reason = error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
  return failure('INVALID_DATA', { action: 'callAs', reason });
}
