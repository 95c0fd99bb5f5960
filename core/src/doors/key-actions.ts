import { Action, Plugin } from '@centreond/plugin-sdk';
import { failure, isCentreondError } from '@centreond/protocol';
import { z } from 'zod';
import type { OtherRouter } from '../config/poller-config.ts';
import type { Chronicle } from '../log/chronicle.ts';
import { type AskContext, NODE_ID, NOTHING, READ } from '../router/declaring.ts';
import { isDoorAddress, MOST_OTHERS } from './join-code.ts';
import { type Reach, reachOf } from './reach.ts';
import { LONGEST_INVITATION, type Trust } from './trust.ts';
import { isFingerprint } from './trust-file.ts';

const FINGERPRINT = z.string().regex(/^[A-Za-z0-9_-]{43}$/);
const IDENTITY = z.string().regex(/^[A-Za-z0-9._-]{1,64}$/);
const ROLE = z.enum(['client', 'node', 'router', 'admin']);

const AcceptKey = z.strictObject({ fingerprint: FINGERPRINT, identity: IDENTITY, roles: z.array(ROLE).min(1) });
const RevokeKey = z.strictObject({ key: z.string().min(1).max(64) });
const Join = z.strictObject({
  identity: NODE_ID.describe('The id of the node that is to come.'),
  seconds: z
    .int()
    .min(1)
    .max(LONGEST_INVITATION)
    .describe(`How long the token is open; ${LONGEST_INVITATION} when left out.`)
    .exactOptional(),
  subnodes: z.array(NODE_ID).max(10_000).describe('Nodes that may be reached through this node.').exactOptional(),
});
const Joining = z.strictObject({
  identity: z.string(),
  token: z.string().describe('The join token; it works once.'),
  fingerprint: z.string().describe("The router's key."),
  reach: z.enum(['address', 'loopback', 'any']).describe('What the external door listens on.'),
  addresses: z.array(z.string()).describe('Where nodes may reach it, best first.'),
  others: z
    .array(z.strictObject({ address: z.string(), fingerprint: z.string() }))
    .describe('The other routers of its cluster.'),
  until: z.number().describe('When the token ends, in milliseconds since the epoch.'),
});
export interface KeyActionsOptions {
  /** This router's id. */
  readonly id: string;
  readonly trust: Trust;
  readonly chronicle: Pick<Chronicle, 'tell'>;
  /** The router key's. */
  readonly thumbprint: string;
  /** What the external door listens on; undefined if there is none. */
  readonly endpoint: string | undefined;
  /** The address by which other machines reach that door, where the config names it. */
  readonly advertise?: string | undefined;
  readonly cluster?: {
    /** The other routers of this router's cluster, as nodes reach them. */
    others(): readonly OtherRouter[];
  };
}

/** Who may connect. */
@Plugin({ type: 'core', title: 'The router itself', isolation: 'core' })
export class KeyActions {
  constructor(private readonly options: KeyActionsOptions) {}

  @Action('KEYS', {
    ...READ,
    title: 'List the keys that this router accepts, revoked, or was shown',
    input: NOTHING,
    access: 'admin',
  })
  keys() {
    return { keys: this.options.trust.list() };
  }

  @Action('ACCEPTKEY', {
    title: 'Let a key in, bound to an identity and roles',
    input: AcceptKey,
    output: z.unknown(),
    access: 'admin',
    effects: 'write',
    idempotent: true,
  })
  async acceptKey(input: z.output<typeof AcceptKey>) {
    await this.options.trust.accept(input);
    this.options.chronicle.tell('KEY_ACCEPTED', input);
    return input;
  }

  @Action('REVOKEKEY', {
    title: 'Shut a key out, by its fingerprint or identity; its session ends',
    input: RevokeKey,
    output: z.unknown(),
    access: 'admin',
    effects: 'destructive',
    idempotent: true,
  })
  async revokeKey({ key }: z.output<typeof RevokeKey>) {
    const revoked = await this.options.trust.revoke(key);
    const { identity, fingerprint } = revoked;
    const who = { ...(identity !== undefined && { identity }), ...(fingerprint !== undefined && { fingerprint }) };
    this.options.chronicle.tell('KEY_REVOKED', { key, ...who });
    return { revoked };
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
    const { id, trust, thumbprint } = this.options;
    const { identity } = input;
    const refuse = (reason: string) => failure('INVALID_DATA', { action: 'JOIN', reason: reason.replace(/\.$/, '') });
    if (target !== '' && target !== id) throw refuse(`nodes join the router that is asked; ask ${target} itself`);
    if (identity === id) throw refuse(`${identity} is the id of this router itself; give the node another`);
    const { endpoint } = this.options;
    if (endpoint === undefined) {
      throw refuse(
        'there is no external door, by which nodes come; set core.external.listen and start the daemon again',
      );
    }
    const { kind: reach, addresses } = this.#reach(endpoint);
    try {
      const { token, until } = trust.invite({ seconds: LONGEST_INVITATION, ...input, by: caller.identity });
      this.options.chronicle.tell('KEY_INVITED', { identity, by: caller.identity });
      const others = this.#others();
      return { identity, token, fingerprint: thumbprint, reach, addresses: [...addresses], others, until };
    } catch (error) {
      throw isCentreondError(error) && error.code === 'KEY_REFUSED' ? refuse(error.message) : error;
    }
  }

  #reach(endpoint: string): Reach {
    const { advertise } = this.options;
    return advertise === undefined ? reachOf(endpoint) : { kind: 'address', addresses: [advertise] };
  }

  /** Those that a join code can name. */
  #others(): OtherRouter[] {
    const { thumbprint, cluster } = this.options;
    return (cluster?.others() ?? [])
      .filter(({ address, fingerprint }) => isDoorAddress(address) && isFingerprint(fingerprint))
      .filter(({ fingerprint }) => fingerprint !== thumbprint)
      .slice(0, MOST_OTHERS)
      .map(({ address, fingerprint }) => ({ address, fingerprint }));
  }
}
