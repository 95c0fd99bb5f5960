import { CentreondError, failure, type JsonObject, parseJson } from '@centreond/protocol';
import { z } from 'zod';
import type { Routes } from '../fleet/routes.ts';
import type { Peer } from '../router/peer.ts';
import { reopen } from '../router/recovery.ts';
import type { Registry } from '../router/registry.ts';
import { sameTarget } from '../router/repeat.ts';
import type { OpenRequest, RegisteredAction } from '../router/request.ts';
import type { Requests } from '../router/requests.ts';
import type { Membership } from '../store/membership.ts';
import type { RequestRecord, TokenStore } from '../store/token-store.ts';
import { RouterPeer } from './router-peer.ts';
import type { Watches } from './watches.ts';

/** A node that is carried here has so long to answer: less than who asks waits. */
const CARRY_MS = 55_000;

const Carry = z.strictObject({
  action: z.string(),
  token: z.string(),
  target: z.string(),
  owner: z.string(),
  envelope: z.record(z.string(), z.json()),
  isAuthorised: z.boolean(),
  /** Missing where it is in the database. */
  data: z.string().exactOptional(),
});
type Carry = z.output<typeof Carry>;
const Cancel = z.strictObject({ token: z.string(), by: z.string() });
const Synchronise = z.strictObject({ node: z.string() });

export interface ServedRequestsOptions {
  /** This router's id. */
  readonly id: string;
  readonly membership: Membership;
  readonly store: Pick<TokenStore, 'find'>;
  readonly registry: Registry;
  readonly requests: Requests;
  readonly routes: Routes;
  readonly watches: Watches;
  readonly clock: { now(): number };
  /** Takes the messages of peers. */
  receive(peer: Peer, message: Buffer): void;
  mayStill(owner: string, action: string, target: string): CentreondError | 'later' | undefined;
  synchronise(node: string): Promise<void>;
}

/** What other routers of the cluster ask of this one: to run requests, to hand them to its nodes, to end them. */
export class ServedRequests {
  constructor(private readonly options: ServedRequestsOptions) {}

  /** Resolves with the answer as JSON text. Rejects with a refusal, or with Unanswered where nobody knows what came of it. */
  async answer(from: string, what: string, text: string): Promise<string> {
    const asked = parseJson(text);
    if (what === 'carry') return this.#carry(from, Carry.parse(asked));
    if (what === 'cancel') {
      const { token, by } = Cancel.parse(asked);
      return JSON.stringify({ cancelled: this.#cancel(token, by) });
    }
    if (what === 'synchronise') {
      await this.options.synchronise(Synchronise.parse(asked).node);
      return '{}';
    }
    const why = `asks for ${what}, which this version does not know; upgrade it`;
    throw failure('NODE_UNREACHABLE', { target: this.options.id, why });
  }

  #carry(from: string, carry: Carry): Promise<string> {
    return sameTarget(carry.target, '', this.options.id) ? this.#runHere(from, carry) : this.#handOver(from, carry);
  }

  /** Hands a request to a node that this router carries. The router that asks has it open. */
  async #handOver(from: string, { data, ...carry }: Carry): Promise<string> {
    const { routes, watches, store, id } = this.options;
    const { target, token } = carry;
    const carrier = routes.pick(target)?.carrier;
    if (!carrier || carrier.router !== undefined) {
      throw failure('NODE_UNREACHABLE', { target, why: `is not carried by ${id} any more` });
    }
    watches.wants(from, token);
    const stored = data ?? (await store.find(token))?.data;
    if (stored === undefined) throw failure('UNKNOWN_TOKEN', { token });
    return carrier.carry({ ...carry, data: stored }, CARRY_MS);
  }

  async #runHere(from: string, carry: Carry): Promise<string> {
    const { registry, id } = this.options;
    const { action: name, token, owner, isAuthorised, data = '{}' } = carry;
    if (name === 'CANCEL') return JSON.stringify({ cancelled: this.#cancel(tokenOf(data), owner) });
    const action = registry.get(name);
    if (!action) throw failure('NODE_LACKS_ACTION', { target: id, action: name, have: [] });
    const refusal = isAuthorised ? undefined : this.options.mayStill(owner, name, id);
    if (refusal === 'later') throw failure('NODE_UNREACHABLE', { target: id, why: `does not know ${owner} yet` });
    if (refusal) throw refusal;
    if (action.manifest.reply === 'ack') {
      return new RouterPeer(from).ask({ ...carry, data }, (peer, message) => this.options.receive(peer, message));
    }
    const claimed = await this.options.membership.claim(token, from);
    // It came a second time, or it has ended: who asks finds its rows.
    if (typeof claimed !== 'object') return '{}';
    this.options.watches.wants(from, token);
    await this.#run(claimed, action, from);
    return '{}';
  }

  /** Runs a request that was handed over: it is open here now, and ends here. */
  async #run(record: RequestRecord, action: RegisteredAction, from: string): Promise<void> {
    const { requests, clock } = this.options;
    const open = reopen(record, action, record.etime * 1000, { requests, clock });
    const data = parseJson(record.data) as JsonObject;
    const fault = action.fault(data);
    const invalid = fault && failure('INVALID_DATA', { action: record.action, reason: fault });
    const refusal = invalid ?? (await this.#refusal(open, data, from));
    if (refusal) requests.fail(open, refusal);
    else action.executor.submit(open);
  }

  async #refusal(open: OpenRequest, data: JsonObject, from: string): Promise<CentreondError | undefined> {
    try {
      return await open.action.executor.admit(open, data, new RouterPeer(from));
    } catch (error) {
      return error instanceof CentreondError
        ? error
        : failure('OUTCOME_UNKNOWN', { token: open.token, action: open.action.manifest.name });
    }
  }

  #cancel(token: string, by: string): boolean {
    const { requests } = this.options;
    const open = requests.get(token);
    if (!open || open.state === 'ended') return false;
    requests.abort(open, failure('CANCELLED', { token, by }));
    return true;
  }
}

function tokenOf(data: string): string {
  const { token } = parseJson(data) as { token?: unknown };
  return typeof token === 'string' ? token : '';
}
