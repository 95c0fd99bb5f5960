import { type Ack, failure } from '@centreond/plugin-sdk';
import type { CarriedRequest } from '@centreond/plugin-sdk/nodes';

const LIMITS = { requests: 1000, characters: 64 * 1024 * 1024 };

/** The requests that one node has and has not answered: bounded, so that a node that is slow or gone costs the others nothing. */
export class InFlight {
  #requests = 0;
  #characters = 0;

  constructor(private readonly limits: Readonly<typeof LIMITS> = LIMITS) {}

  /** Hands a request over. Rejects with BUSY where the node has too much to answer: the core then tries again. */
  async run(request: CarriedRequest, deliver: (request: CarriedRequest) => Promise<Ack>): Promise<Ack> {
    const { requests, characters } = this.limits;
    const { length } = JSON.stringify(request.data);
    const what = `the list of requests that ${request.target} has to answer`;
    if (this.#requests >= requests) throw failure('BUSY', { what, limit: requests });
    // One that is larger by itself goes alone.
    if (this.#requests > 0 && this.#characters + length > characters) {
      throw failure('BUSY', { what: `${what} (in characters)`, limit: characters });
    }
    this.#requests++;
    this.#characters += length;
    try {
      return await deliver(request);
    } finally {
      this.#requests--;
      this.#characters -= length;
    }
  }
}
