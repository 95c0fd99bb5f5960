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
    const isRecorded = this.forwarded.follow(request.token);
    // Who asks was authorised by what is declared here; what is not, is authorised there.
    const isAuthorised = this.registry.get(request.action) !== undefined;
    const { data, ...others } = request;
    const isInDatabase = isRecorded && data.length > DATA_CHARACTERS;
    const text = JSON.stringify({ ...others, isAuthorised, ...(!isInDatabase && { data }) });
    return this.bus.ask(this.router, 'carry', text, limitMs);
  }

  async synchronise(node: string): Promise<void> {
    await this.bus.ask(this.router, 'synchronise', JSON.stringify({ node }), SYNCHRONISE_MS);
  }
}
