import {
  type CallOptions,
  failure,
  isCentreondError,
  type JsonObject,
  newToken,
  type Outcome,
} from '@centreond/plugin-sdk';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Admission } from './admission.ts';
import { refusal } from './failure.ts';
import type { DeclaredActions } from './manifests.ts';
import { Duration, partOf, queryOf } from './query.ts';

/** The longest that a request may wait for its outcome. */
const WAIT_LIMIT_MS = 600_000;
/** How long an ACK may take: the store's fsync, and for a node the way there. */
const ACK_MS = 60_000;

const Options = z.strictObject({
  wait: Duration.refine((ms) => ms <= WAIT_LIMIT_MS, 'at most 600s').exactOptional(),
  token: z
    .string()
    .regex(/^[A-Za-z0-9._:-]{1,255}$/, 'a token has 1 to 255 of A-Z a-z 0-9 . _ : -')
    .exactOptional(),
  hold: Duration.exactOptional(),
});

export interface CallsOptions {
  readonly declared: DeclaredActions;
  readonly admission: Admission;
  /** Aborts when the plugin stops. */
  readonly stopping: AbortSignal;
}

/** Routes that make requests: here, and on a node. */
export function addCalls(server: FastifyInstance, { declared, admission, stopping }: CallsOptions): void {
  const call = async (request: FastifyRequest, reply: FastifyReply, target: string) => {
    const name = partOf(request, 'action');
    const { wait, token = newToken(), hold } = queryOf(request, Options);
    if (hold !== undefined && target === '')
      throw refusal('INVALID_QUERY', { reason: 'hold is for a request to a node' });
    // Its rows would go nowhere.
    if (name === 'FOLLOW') throw refusal('NOT_FOUND', { method: 'POST', path: '/api/actions/FOLLOW' });
    const data = dataOf(request.body);
    const { session } = admission.callerOf(request);
    const traceparent = admission.traceparentOf(request);
    const options = {
      token,
      target,
      ...(hold !== undefined && { hold: true, deadline: Math.ceil((Date.now() + hold) / 1000) }),
      ...(traceparent !== undefined && { traceparent }),
    };
    const action = await declared.get(name);
    if (action?.reply === 'ack') return (await session.send(name, data, { ...options, timeoutMs: ACK_MS })).data;
    if (wait === undefined) {
      const ack = await session.send(name, data, { ...options, timeoutMs: ACK_MS });
      return reply.code(202).send({ token, ...(ack.data.duplicate === true && { duplicate: true }) });
    }
    const over = AbortSignal.any([leftOf(reply), stopping]);
    const outcome = await outcomeWithin(token, wait, over, (more) => session.call(name, data, { ...options, ...more }));
    if (!outcome) return reply.code(202).send({ token });
    const { ok, code, data: output, row } = outcome;
    return { token, ok, code, data: output, node: row.node };
  };
  server.post('/api/actions/:action', (request, reply) => call(request, reply, ''));
  server.post('/api/nodes/:id/actions/:action', (request, reply) => call(request, reply, partOf(request, 'id')));
}

/**
 * How a request ends, if it does within `waitMs` of being accepted; undefined if it was accepted and goes on alone, since that time is over
 * or `over` aborts. Rejects with its refusal, or with what the wait for its ACK ended by: nothing is said to be accepted that may not be.
 */
async function outcomeWithin(
  token: string,
  waitMs: number,
  over: AbortSignal,
  call: (options: Pick<CallOptions, 'signal' | 'onRow' | 'timeoutMs'>) => Promise<Outcome>,
): Promise<Outcome | undefined> {
  const enough = new AbortController();
  const signal = AbortSignal.any([over, enough.signal]);
  const began = performance.now();
  let isAccepted = false;
  let timer: NodeJS.Timeout | undefined;
  const onRow = () => {
    isAccepted = true;
    timer ??= setTimeout(() => enough.abort(), waitMs);
  };
  try {
    return await call({ signal, onRow, timeoutMs: ACK_MS + waitMs });
  } catch (error) {
    if (isAccepted && (signal.aborted || (isCentreondError(error) && error.code === 'WAIT_OVER'))) return undefined;
    throw over.aborted
      ? failure('NOT_ACKNOWLEDGED', { token, seconds: Math.ceil((performance.now() - began) / 1000) })
      : error;
  } finally {
    clearTimeout(timer);
  }
}

/** Aborts when the reader of `reply` leaves before it has its answer. */
export function leftOf({ raw }: FastifyReply): AbortSignal {
  const left = new AbortController();
  raw.once('close', () => left.abort());
  return left.signal;
}

/** DATA of a body: an object, or none. Throws MALFORMED_BODY. */
export function dataOf(body: unknown): JsonObject {
  if (body === undefined || body === null) return {};
  if (typeof body !== 'object' || Array.isArray(body)) throw refusal('MALFORMED_BODY', { reason: 'it is no object' });
  const { $, ...data } = body as JsonObject;
  if ($ !== undefined) throw refusal('MALFORMED_BODY', { reason: 'the key "$" is not taken here; use the query' });
  return data;
}
