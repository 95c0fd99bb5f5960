import { failure, isCentreondError, isUnsure, newToken } from '@centreond/protocol';
import { type Envelope, forwarded } from '../router/envelope.ts';
import { Unanswered } from './pending.ts';
import { type Carried, type Routes, unreachable } from './routes.ts';

/** A node has this long to answer, over all tries. */
const ANSWER_LIMIT_MS = 60_000;
/** How long one that was asked waits for another way when the way to its node is gone. */
const PATIENCE_MS = 5000;
const RETRY_MS = 100;

/** Whether the node may have a request that failed with `error`. */
export function mayHaveArrived(error: unknown): boolean {
  return error instanceof Unanswered || (isCentreondError(error) && isUnsure(error.code));
}

export interface InquiriesOptions {
  /** This router's id. */
  readonly id: string;
  readonly routes: Routes;
  /** The identity by which another router knows `owner`. */
  fromOf(owner: string): string;
}

/** What is asked of nodes and answered in the ACK: it is on no disk, and is asked again where its way breaks. */
export class Inquiries {
  constructor(private readonly options: InquiriesOptions) {}

  /**
   * Asks a node, under a new token where the request bears none; what is asked must bear being asked twice. Resolves with the
   * data of its ACK, as JSON text; rejects with its refusal, or NODE_UNREACHABLE where there is no way or no answer within 60 s.
   */
  async ask(request: Omit<Carried, 'envelope' | 'owner'>, owner: string, envelope: Envelope): Promise<string> {
    const { id, routes, fromOf } = this.options;
    const { target } = request;
    const token = request.token || newToken();
    const carried = { ...request, token, owner, envelope: forwarded(id, fromOf(owner), envelope, undefined) };
    const until = performance.now() + ANSWER_LIMIT_MS;
    // Where there was no way from the beginning it is not waited for.
    let patientUntil = 0;
    for (let now = performance.now(); until - now > RETRY_MS; now = performance.now()) {
      const carrier = routes.pick(target, envelope.hops)?.carrier;
      if (carrier) {
        try {
          return await carrier.carry(carried, until - now);
        } catch (error) {
          if (!mayHaveArrived(error)) throw error;
          patientUntil = performance.now() + PATIENCE_MS;
          if (error instanceof Unanswered) continue;
        }
      } else if (now > patientUntil) throw unreachable(routes, target);
      await new Promise<void>((resolve) => void setTimeout(resolve, RETRY_MS).unref());
    }
    const why = `did not answer within ${ANSWER_LIMIT_MS / 1000} s`;
    throw failure('NODE_UNREACHABLE', { target, why });
  }
}
