import { type CentreondError, failure, formatMessage, isIdentity, parseJson, parseReply } from '@centreond/protocol';
import { z } from 'zod';
import type { Log } from '../log.ts';
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
 * Those for whom plugins call that are doors of their own, such as an HTTP API: each is a peer TYPE/NAME with roles, shares and
 * limits of its own, as if it had come with a key. Who it is, is the plugin's word: the operator lets a plugin say so by
 * `allowCallers`.
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
    const { actions, targets, address, roles } = Caller.parse(parseJson(data));
    const source = `The plugin ${type}`;
    const grant = { identity, fingerprint: '', roles, actions, targets, source };
    const refusal = this.#refusal(type, name);
    if (!refusal && this.#callers.add(instance, number, grant, address)) return true;
    const error =
      refusal ?? failure('BUSY', { what: `the list of callers of the plugin ${type}`, limit: PER_INSTANCE });
    this.options.log.warn({ plugin: type, caller: identity }, `${error.code} ${error.message}`);
    instance.send(formatMessage('CALLERDOWN', number, '', error.toData()));
    return true;
  }

  #refusal(type: string, name: string): CentreondError | undefined {
    const refuse = (remedy: string) => failure('FORBIDDEN', { identity: `@${type}`, what: `call for ${name}`, remedy });
    if (!this.options.registry.executorOf(type)?.allowsCallers) {
      return refuse(`Allow that with allowCallers: true in the entry of the plugin ${type}.`);
    }
    if (!isIdentity(name)) return refuse('The name of a caller has 1 to 64 of A-Z a-z 0-9 . _ -.');
    // Owners would be ambiguous: the router TYPE forwards as TYPE/NAME too.
    if (this.options.isAuthorised(type))
      return refuse(`A key is authorised as ${type}; give the plugin another type (as).`);
    return undefined;
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
