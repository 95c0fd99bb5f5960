import {
  type CentreondError,
  failure,
  isCentreondError,
  type JsonObject,
  parseJson,
  reasonOf,
} from '@centreond/protocol';
import { z } from 'zod';
import { Unanswered } from '../fleet/pending.ts';
import type { Routes } from '../fleet/routes.ts';
import type { Grant, Peer, PeerRole } from '../router/peer.ts';
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

const Carry = z.object({
  action: z.string(),
  token: z.string(),
  target: z.string(),
  owner: z.string(),
  envelope: z.record(z.string(), z.json()),
  /** Whether the router that asks has it as an open request. */
  isRecorded: z.boolean(),
  /** Whether the router that asks knows the action, and so has authorised who asks by what it declares. */
  isKnown: z.boolean(),
  /** Missing where it is in the database. */
  data: z.string().exactOptional(),
  /** How often the router that asks has kept it; missing where it never did. */
  kept: z.int().exactOptional(),
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
  /** Who an identity is, and what it may. */
  grantOf(identity: string): Grant | undefined;
  synchronise(node: string): Promise<void>;
  /** Nobody knows whether a request was taken from the router that asked. */
  unsure(): void;
}

/** What other routers of the cluster ask of this one: to run requests, to hand them to its nodes, to end them. */
export class ServedRequests {
  /** Requests that are being taken from another router, by their tokens. */
  readonly #claiming = new Map<string, Promise<void>>();
  #isStopping = false;

  constructor(private readonly options: ServedRequestsOptions) {}

  /** Whether a request is being taken from another router at this moment. */
  isClaiming(token: string): boolean {
    return this.#claiming.has(token);
  }

  /** Takes no request any more. */
  stop(): void {
    this.#isStopping = true;
  }

  /** Resolves with the answer as JSON text. Rejects with a refusal, or with Unanswered where nobody knows what came of it. */
  async answer(from: string, what: string, text: string): Promise<string> {
    const { id, routes, synchronise } = this.options;
    const asked = parseJson(text);
    if (what === 'carry') {
      if (this.#isStopping) throw failure('STOPPING', { router: id });
      return this.#carry(from, Carry.parse(asked));
    }
    if (what === 'cancel') {
      const { token, by } = Cancel.parse(asked);
      return JSON.stringify({ cancelled: this.#cancel(token, by) });
    }
    if (what === 'synchronise') {
      const { node } = Synchronise.parse(asked);
      // Two that take each other for its carrier would ask in circles.
      if (routes.pick(node)?.carrier.router !== undefined) throw this.#notCarried(node);
      await synchronise(node);
      return '{}';
    }
    const why = `does not know the question ${what} of another router; upgrade it`;
    throw failure('NODE_UNREACHABLE', { target: id, why });
  }

  #notCarried(target: string): CentreondError {
    return failure('NODE_UNREACHABLE', { target, why: `is not carried by ${this.options.id} any more` });
  }

  #carry(from: string, carry: Carry): Promise<string> {
    return sameTarget(carry.target, '', this.options.id) ? this.#runHere(from, carry) : this.#handOver(from, carry);
  }

  /** Hands a request to a node that this router carries. The router that asks has it open. */
  async #handOver(from: string, { data, isRecorded, isKnown: _, kept: __, ...carry }: Carry): Promise<string> {
    const { routes, watches } = this.options;
    const { target, token } = carry;
    const carrier = routes.pick(target)?.carrier;
    if (!carrier || carrier.router !== undefined) throw this.#notCarried(target);
    if (isRecorded) watches.wants(from, token, target);
    return carrier.carry({ ...carry, data: data ?? (await this.#dataOf(token, target)) }, CARRY_MS);
  }

  /** DATA that is too large for a message. */
  async #dataOf(token: string, target: string): Promise<string> {
    const known = await this.options.store.find(token).catch((error: unknown) => {
      const why = `is not reached: its request was not read from the database (${reasonOf(error)})`;
      throw failure('NODE_UNREACHABLE', { target, why });
    });
    if (!known) throw failure('UNKNOWN_TOKEN', { token });
    return known.data;
  }

  async #runHere(from: string, carry: Carry): Promise<string> {
    const { registry, id, receive, watches } = this.options;
    const { action: name, token, owner, data, isRecorded } = carry;
    if (name === 'CANCEL') return JSON.stringify({ cancelled: this.#cancel(tokenOf(data ?? '{}'), owner) });
    const action = registry.get(name);
    if (!action) throw failure('NODE_LACKS_ACTION', { target: id, action: name, have: [] });
    const refusal = this.#refusalFor(carry);
    if (refusal) throw refusal;
    if (action.manifest.reply === 'ack') {
      const { hold: _, from: __, hops: ___, ...$ } = carry.envelope;
      return this.#peerOf(owner).ask({ ...carry, data: data ?? '{}', $ }, receive);
    }
    if (!isRecorded) throw failure('UNKNOWN_TOKEN', { token });
    watches.wants(from, token);
    await this.#take(from, carry, action);
    return '{}';
  }

  /** Why who asks may not ask for it here. */
  #refusalFor({ owner, action, isKnown }: Carry): CentreondError | undefined {
    const { id, mayStill } = this.options;
    // A user of a plugin of the router that asks.
    if (owner.includes('/') && isKnown) return undefined;
    const refusal = mayStill(owner, action, id);
    if (refusal !== 'later') return refusal;
    return failure('NODE_UNREACHABLE', { target: id, why: `does not know ${owner} yet` });
  }

  #peerOf(owner: string): RouterPeer {
    const grant = this.options.grantOf(owner);
    if (grant) return new RouterPeer(grant, grant.roles);
    const roles: PeerRole[] =
      owner === '@local' ? ['client', 'admin'] : owner.startsWith('@') ? ['plugin'] : ['client'];
    return new RouterPeer({ identity: owner, fingerprint: '', roles: [] }, roles);
  }

  /** Takes a request that is open at the router `from`, and runs it. Does nothing where it was taken before, or has ended. */
  #take(from: string, carry: Carry, action: RegisteredAction): Promise<void> {
    const { token } = carry;
    // One that comes again meanwhile has the same answer.
    const under = this.#claiming.get(token);
    if (under) return under;
    const taking = this.#claim(from, carry, action).finally(() => this.#claiming.delete(token));
    this.#claiming.set(token, taking);
    return taking;
  }

  async #claim(from: string, { token, owner, kept = 0 }: Carry, action: RegisteredAction): Promise<void> {
    const { membership, requests, id } = this.options;
    const claimed = await membership.claim(token, from, kept).catch((error: unknown) => {
      this.options.unsure();
      const { code, message } = failure('NODE_UNREACHABLE', { target: id, why: reasonOf(error) });
      throw new Unanswered(code, message);
    });
    if (claimed === from) throw failure('NODE_UNREACHABLE', { target: id, why: 'may not take requests now' });
    if (typeof claimed === 'object') await this.#run(claimed, action, owner);
    // It was taken before, and its answer was lost; if it is in no memory either, it is found by comparing.
    else if (claimed === id && requests.get(token) === undefined) this.options.unsure();
  }

  /** Runs a request that was handed over: it is open here now, and ends here. */
  async #run(record: RequestRecord, action: RegisteredAction, owner: string): Promise<void> {
    const { requests, clock } = this.options;
    const open = reopen(record, action, record.etime * 1000, { requests, clock });
    const data = parseJson(record.data) as JsonObject;
    const fault = action.fault(data);
    const invalid = fault && failure('INVALID_DATA', { action: record.action, reason: fault });
    const refusal = invalid ?? (await this.#refusal(open, data, owner));
    if (refusal) requests.fail(open, refusal);
    else action.executor.submit(open);
  }

  async #refusal(open: OpenRequest, data: JsonObject, owner: string): Promise<CentreondError | undefined> {
    try {
      return await open.action.executor.admit(open, data, this.#peerOf(owner));
    } catch (error) {
      return isCentreondError(error)
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
