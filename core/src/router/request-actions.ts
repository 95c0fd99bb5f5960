import { Action, type ActionContext, Plugin } from '@centreond/plugin-sdk';
import { type CentreondError, failure, type JsonObject } from '@centreond/protocol';
import { z } from 'zod';
import type { TokenStore } from '../store/token-store.ts';
import { seesAll } from './authorize.ts';
import { type AskContext, EVERYBODY, READ, TOKEN } from './declaring.ts';
import { type Envelope, ownerOf } from './envelope.ts';
import type { Peer } from './peer.ts';
import { Answer } from './request.ts';
import type { Requests } from './requests.ts';

const Cancel = z.strictObject({ token: TOKEN });
const Cancelled = z.strictObject({ token: z.string(), cancelled: z.boolean() });

const SECONDS = z
  .int()
  .min(0)
  .max(2 ** 52);
const GetRequests = z.strictObject({
  token: TOKEN.exactOptional(),
  owner: z.string().min(1).max(200).describe('Who asked for it.').exactOptional(),
  action: z.string().min(1).max(64).exactOptional(),
  node: z
    .string()
    .max(64)
    .describe('Its TARGET; empty, or the id of the router, for the router itself.')
    .exactOptional(),
  state: z.enum(['open', 'finished', 'failed']).exactOptional(),
  since: SECONDS.describe('Accepted at this second or later.').exactOptional(),
  until: SECONDS.describe('Accepted at this second or before.').exactOptional(),
  before: SECONDS.describe('The id of the last request of the page before.').exactOptional(),
  limit: z.int().min(1).max(1000).describe('100 if omitted.').exactOptional(),
});

export interface RequestActionsOptions {
  /** This router's id. */
  readonly id: string;
  readonly maxMessage: number;
  readonly store: Pick<TokenStore, 'find' | 'requests'>;
  readonly requests: Requests;
  readonly cluster: {
    /** Ends a request that is open at another router. Resolves with whether it was. */
    cancelElsewhere(token: string, by: string): Promise<boolean>;
  };
}

/**
 * Whether `caller` may list everybody's requests. A router asks for a client of its own too: it is shown what it forwarded for that
 * client, and everything only for its operator, its plugins and itself.
 */
function seesAllThrough(caller: Peer, { from }: Envelope): boolean {
  if (caller.roles.has('router') && from !== undefined && !from.startsWith('@')) return false;
  return seesAll(caller);
}

/** What a caller may do with requests that were accepted. */
@Plugin({ type: 'core', title: 'The router itself', isolation: 'core' })
export class RequestActions {
  constructor(private readonly options: RequestActionsOptions) {}

  @Action('CANCEL', {
    title: 'End a request of one’s own',
    input: Cancel,
    output: Cancelled,
    access: EVERYBODY,
    effects: 'write',
    idempotent: true,
    runs: 'here',
  })
  async cancel({ token }: z.output<typeof Cancel>, { identity }: ActionContext): Promise<z.input<typeof Cancelled>> {
    const { requests, cluster } = this.options;
    const open = requests.get(token);
    if (!open) return { token, cancelled: await cluster.cancelElsewhere(token, identity) };
    if (open.state === 'ended') return { token, cancelled: false };
    requests.abort(open, failure('CANCELLED', { token, by: identity }));
    return { token, cancelled: true };
  }

  @Action('GETREQUESTS', {
    ...READ,
    title: 'List requests, the newest first',
    description:
      'All filters that are given must hold. data is the DATA of the request; if its JSON has more than 4 KiB, the first 4 KiB of that as a string.',
    input: GetRequests,
    access: EVERYBODY,
  })
  async getRequests(input: z.output<typeof GetRequests>, { caller, envelope }: AskContext): Promise<Answer> {
    const { maxMessage, store } = this.options;
    const { limit = 100, ...filter } = input;
    const page = await store.requests({
      ...filter,
      ...(!seesAllThrough(caller, envelope) && { mine: ownerOf(caller, envelope) }),
      as: caller.identity,
      limit,
      maxBytes: Math.floor(maxMessage * 0.75),
    });
    const texts = page.requests.map(
      ({ data, ...request }) => `${JSON.stringify(request).slice(0, -1)},"data":${data}}`,
    );
    return new Answer(`{"requests":[${texts.join(',')}],"more":${page.more}}`);
  }

  /** Whether `asking`, who will own the CANCEL, may cancel that token; asked before the CANCEL is recorded. */
  async admit(action: string, data: JsonObject, peer: Peer, asking: string): Promise<CentreondError | undefined> {
    if (action !== 'CANCEL') return undefined;
    const token = String(data.token);
    const { requests, store } = this.options;
    const owner = (requests.get(token) ?? (await store.find(token, peer.identity)))?.owner;
    if (owner === undefined) {
      return failure('INVALID_DATA', { action, reason: `there is no request with the token ${token}` });
    }
    if (owner === asking || peer.roles.has('admin')) return undefined;
    const remedy = 'It belongs to another identity.';
    return failure('FORBIDDEN', { identity: asking, what: `cancel ${token}`, remedy });
  }
}
