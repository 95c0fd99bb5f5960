import { CentreondError, failure, newToken } from '@centreond/plugin-sdk';
import { type Envelope, forwarded } from '../router/envelope.ts';
import type { Carried, Carrier, Delivered, Routes } from './routes.ts';

/** A node has this long to answer, over all tries. */
const ANSWER_LIMIT_MS = 60_000;
/** How long one that was asked waits for another way when the way to its node is gone. */
const PATIENCE_MS = 5000;
const RETRY_MS = 100;

/** Refusals after which nobody knows whether the node has it. */
export const UNSURE: ReadonlySet<string> = new Set(['WAIT_OVER', 'NOT_CONNECTED', 'CLIENT_CLOSED', 'CLIENT_REPLACED']);

export interface InquiriesOptions {
  /** This router's id. */
  readonly id: string;
  readonly routes: Routes;
}

/** What is asked of nodes and answered in the ACK: it is on no disk, and is asked again where its way breaks. */
export class Inquiries {
  readonly #options: InquiriesOptions;
  readonly #underWay = new Set<Inquiry>();

  constructor(options: InquiriesOptions) {
    this.#options = options;
    options.routes.onLeft((carrier) => {
      for (const inquiry of this.#underWay) inquiry.left(carrier);
    });
  }

  /**
   * Asks a node, under a new token where the request bears none; what is asked must bear being asked twice. Resolves with the
   * data of its ACK, as JSON text; rejects with its refusal, or NODE_UNREACHABLE where there is no way or no answer within 60 s.
   */
  async ask(request: Omit<Carried, 'envelope'>, owner: string, envelope: Envelope): Promise<string> {
    const { id, routes } = this.#options;
    const token = request.token || newToken();
    const carried = { ...request, token, envelope: forwarded(id, owner, envelope, undefined) };
    const inquiry = new Inquiry(carried, () => routes.pick(request.target, envelope.hops)?.carrier);
    this.#underWay.add(inquiry);
    try {
      return await inquiry.answer;
    } finally {
      inquiry.end();
      this.#underWay.delete(inquiry);
    }
  }
}

/** One question on its way. */
class Inquiry {
  readonly answer: Promise<string>;
  #resolve: (ack: string) => void = () => {};
  #reject: (error: CentreondError) => void = () => {};
  #carrier: Carrier | undefined;
  #tries = 0;
  /** Since when there has been no way; undefined while there is one. */
  #lostAt: number | undefined;
  #retry: NodeJS.Timeout | undefined;
  readonly #limit: NodeJS.Timeout;

  constructor(
    private readonly request: Carried,
    private readonly way: () => Carrier | undefined,
  ) {
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    const { target } = request;
    const why = `did not answer within ${ANSWER_LIMIT_MS / 1000} s`;
    this.#limit = setTimeout(() => this.#reject(failure('NODE_UNREACHABLE', { target, why })), ANSWER_LIMIT_MS).unref();
    this.#try();
  }

  #try(): void {
    const carrier = this.way();
    this.#carrier = carrier;
    if (carrier) {
      this.#lostAt = undefined;
      const attempt = ++this.#tries;
      carrier.carry(this.request, (delivered) => {
        if (attempt === this.#tries) this.#take(delivered);
      });
      return;
    }
    const now = performance.now();
    this.#lostAt ??= now;
    // Where there was no way from the beginning it is not waited for.
    if (this.#tries === 0 || now - this.#lostAt > PATIENCE_MS) {
      this.#reject(failure('NODE_UNREACHABLE', { target: this.request.target }));
    } else this.#again();
  }

  #again(): void {
    this.#retry = setTimeout(() => this.#try(), RETRY_MS).unref();
  }

  #take(delivered: Delivered): void {
    if ('ack' in delivered) this.#resolve(delivered.ack);
    else if (UNSURE.has(delivered.error.code)) this.#again();
    else this.#reject(new CentreondError(delivered.error.code, delivered.error.message));
  }

  /** A carrier left: what it had is asked again. */
  left(carrier: Carrier): void {
    if (carrier !== this.#carrier) return;
    this.#tries++;
    this.#try();
  }

  end(): void {
    clearTimeout(this.#limit);
    clearTimeout(this.#retry);
  }
}
