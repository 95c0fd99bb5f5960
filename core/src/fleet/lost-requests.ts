import { type CentreondError, failure, parseData, reasonOf } from '@centreond/protocol';
import { z } from 'zod';
import type { Log } from '../log.ts';
import type { OpenRequest } from '../router/request.ts';

/** Tokens that a node is asked after at once. */
const AT_ONCE = 16;
const Rows = z.object({ result: z.array(z.unknown()) });

export interface LostRequestsOptions {
  readonly log: Log;
  /** The open requests that were handed to a node and that it acknowledged. */
  delivered(node: string): OpenRequest[];
  /** Asks a node; rejects with its refusal. */
  ask(action: string, target: string, data: object): Promise<string>;
  fail(open: OpenRequest, error: CentreondError): void;
}

/** Ends what a node was given and has forgotten: no row of it can come any more. */
export class LostRequests {
  readonly #options: LostRequestsOptions;

  constructor(options: LostRequestsOptions) {
    this.#options = options;
  }

  /** The database of `node` is another one than before. Asks after each request that it had; never rejects. */
  async check(node: string): Promise<void> {
    const due = this.#options.delivered(node);
    const work = async () => {
      for (let open = due.pop(); open; open = due.pop()) await this.#checkOne(node, open);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  async #checkOne(node: string, open: OpenRequest): Promise<void> {
    const { token } = open;
    const { ask, fail, log } = this.#options;
    try {
      const { result } = Rows.parse(parseData(await ask('GETLOG', node, { token, limit: 1 })));
      if (result.length > 0 || open.state === 'ended') return;
    } catch (error) {
      log.warn({ err: error, node, token }, `${node} was not asked after ${token}: ${reasonOf(error)}`);
      return;
    }
    const { name, idempotent } = open.action.manifest;
    if (idempotent) {
      if (open.state === 'running') open.requeued();
      open.action.executor.submit(open);
    } else fail(open, failure('OUTCOME_UNKNOWN', { token, action: name, cause: `The database of ${node} was lost` }));
  }
}
