import {
  Action,
  type ActionContext,
  type CentreondError,
  failure,
  type JsonObject,
  Plugin,
} from '@centreond/plugin-sdk';
import { z } from 'zod';
import type { TokenStore } from '../store/token-store.ts';
import { EVERYBODY, TOKEN } from './declaring.ts';
import type { Peer } from './peer.ts';
import type { Requests } from './requests.ts';

const Cancel = z.strictObject({ token: TOKEN });
const Cancelled = z.strictObject({ token: z.string(), cancelled: z.boolean() });

export interface RequestActionsOptions {
  readonly store: Pick<TokenStore, 'find'>;
  readonly requests: Requests;
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
  cancel({ token }: z.output<typeof Cancel>, { identity }: ActionContext): z.input<typeof Cancelled> {
    const { requests } = this.options;
    const open = requests.get(token);
    if (!open || open.state === 'ended') return { token, cancelled: false };
    requests.abort(open, failure('CANCELLED', { token, by: identity }));
    return { token, cancelled: true };
  }

  /** Whether `asking`, who will own the CANCEL, may cancel that token; asked before the CANCEL is recorded. */
  async admit(action: string, data: JsonObject, peer: Peer, asking: string): Promise<CentreondError | undefined> {
    if (action !== 'CANCEL') return undefined;
    const token = String(data.token);
    const { requests, store } = this.options;
    const owner = (requests.get(token) ?? (await store.find(token)))?.owner;
    if (owner === undefined) {
      return failure('INVALID_DATA', { action, reason: `there is no request with the token ${token}` });
    }
    if (owner === asking || peer.roles.has('admin')) return undefined;
    const remedy = 'It belongs to another identity.';
    return failure('FORBIDDEN', { identity: asking, what: `cancel ${token}`, remedy });
  }
}
