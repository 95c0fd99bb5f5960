import { type Ack, type CarriedRequest, failure } from '@centreond/plugin-sdk';

const REQUESTS_LIMIT = 1000;
const CHARACTERS_LIMIT = 64 * 1024 * 1024;

/** The requests that one node has and has not answered: bounded, so that a node that is slow or gone costs the others nothing. */
export class InFlight {
  #requests = 0;
  #characters = 0;

  /** Hands a request over. Rejects with BUSY where the node has too much to answer: the core then tries again. */
  async run(request: CarriedRequest, deliver: (request: CarriedRequest) => Promise<Ack>): Promise<Ack> {
    const { length } = JSON.stringify(request.data);
    const what = `the list of requests that ${request.target} has to answer`;
    if (this.#requests >= REQUESTS_LIMIT) throw failure('BUSY', { what, limit: REQUESTS_LIMIT });
    // One that is larger by itself goes alone.
    if (this.#requests > 0 && this.#characters + length > CHARACTERS_LIMIT) {
      throw failure('BUSY', { what: `${what} (in characters)`, limit: CHARACTERS_LIMIT });
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
