import { failure } from '@centreond/protocol';
import { Unanswered } from '../fleet/pending.ts';
import type { Carried, Carrier } from '../fleet/routes.ts';
import type { Registry } from '../router/registry.ts';
import type { Bus } from './bus.ts';
import type { ForwardedRequests } from './forwarded-requests.ts';

/** DATA beyond this is read in the database by who gets the request. */
const DATA_CHARACTERS = 64 * 1024;
const SYNCHRONISE_MS = 15_000;

/** Another router of the cluster as the way to itself, and to the nodes that it carries. */
export class RouterCarrier implements Carrier {
  constructor(
    readonly router: string,
    private readonly bus: Bus,
    private readonly forwarded: ForwardedRequests,
    private readonly registry: Pick<Registry, 'get'>,
  ) {}

  get name(): string {
    return `the router ${this.router}`;
  }

  get congested(): boolean {
    return this.bus.away !== undefined;
  }

  async carry(request: Carried, limitMs: number): Promise<string> {
    const { router, bus, forwarded, registry } = this;
    const { data, action, token } = request;
    const isRecorded = forwarded.follow(token, action);
    // Of a user of a plugin here, only this router knows what it may.
    const isKnown = registry.get(action) !== undefined;
    const isInDatabase = isRecorded && data.length > DATA_CHARACTERS;
    const { data: _, ...others } = request;
    const kept = isRecorded ? forwarded.keptOf(token) : undefined;
    const text = JSON.stringify({ ...others, kept, isRecorded, isKnown, ...(!isInDatabase && { data }) });
    try {
      return await bus.ask(router, 'carry', text, limitMs);
    } catch (error) {
      if (!(error instanceof Unanswered) || !isRecorded || request.target !== router) throw error;
      // What is open here still, it has not taken, and cannot take any more.
      if (!(await forwarded.keep(token).catch(() => false))) throw error;
      throw failure('NODE_UNREACHABLE', { target: router, why: 'did not answer' });
    }
  }

  async synchronise(node: string): Promise<void> {
    await this.bus.ask(this.router, 'synchronise', JSON.stringify({ node }), SYNCHRONISE_MS);
  }
}
