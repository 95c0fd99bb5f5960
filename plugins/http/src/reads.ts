import type { JsonObject } from '@centreond/plugin-sdk';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Admission } from './admission.ts';
import { refusal } from './failure.ts';
import { partOf, queryOf, Whole } from './query.ts';
import { type ServerSentEvent, stream } from './stream.ts';

/** How long the core holds back the answer to a question for events when there is none. */
const EVENTS_WAIT_SECONDS = 20;

const Page = z.strictObject({ after: Whole.exactOptional(), limit: Whole.exactOptional() });
const Filters = z.strictObject({
  token: z.string().exactOptional(),
  owner: z.string().exactOptional(),
  action: z.string().exactOptional(),
  node: z.string().exactOptional(),
  state: z.enum(['open', 'finished', 'failed']).exactOptional(),
  since: Whole.exactOptional(),
  until: Whole.exactOptional(),
  before: Whole.exactOptional(),
  limit: Whole.exactOptional(),
});
const Happened = z.object({
  events: z.array(z.looseObject({ id: z.number(), kind: z.string() })),
  last: z.number(),
});

export interface ReadsOptions {
  readonly admission: Admission;
  /** Aborts when the plugin stops. */
  readonly stopping: AbortSignal;
}

/** Routes that read: history, requests, the fleet, what runs, and what happens. */
export function addReads(server: FastifyInstance, { admission, stopping }: ReadsOptions): void {
  const ask = async (request: FastifyRequest, action: string, data: object = {}): Promise<JsonObject> =>
    (await admission.callerOf(request).session.send(action, data)).data;

  server.get('/api/whoami', async (request) => {
    const { name, roles, session } = admission.callerOf(request);
    const { id, version } = await ask(request, 'PING');
    return { name, identity: session.identity, roles, router: { id, version } };
  });
  server.get('/api/status', (request) => ask(request, 'INFORMATION'));
  server.get('/api/nodes', (request) => ask(request, 'CONSTATUS'));
  server.get('/api/routers', (request) => ask(request, 'GETROUTERS'));
  server.get('/api/plugins', (request) => ask(request, 'GETMANIFESTS'));
  server.get('/api/requests', (request) => ask(request, 'GETREQUESTS', queryOf(request, Filters)));
  server.delete('/api/requests/:token', async (request) => {
    const token = partOf(request, 'token');
    const { ok, data } = await admission.callerOf(request).session.call('CANCEL', { token }, { timeoutMs: 30_000 });
    return { ...(data as JsonObject), token, ok };
  });
  server.get('/api/log/:token', async (request) => {
    const { after, limit } = queryOf(request, Page);
    const { result, more } = await ask(request, 'GETLOG', {
      token: partOf(request, 'token'),
      ...(after !== undefined && { id: after }),
      ...(limit !== undefined && { limit }),
    });
    return { rows: result, more };
  });
  server.get('/api/log/:token/stream', (request, reply) => {
    const token = partOf(request, 'token');
    return stream(
      admission.callerOf(request),
      reply,
      stopping,
      async function* (session, signal): AsyncGenerator<ServerSentEvent> {
        let last = lastSeen(request);
        for await (const row of session.follow(token, { afterId: last, signal })) {
          last = row.id;
          yield { id: row.id, event: 'row', data: row };
        }
        if (!signal.aborted) yield { id: last, event: 'end', data: { token } };
      },
    );
  });
  server.get('/api/events', (request, reply) => {
    return stream(
      admission.callerOf(request),
      reply,
      stopping,
      async function* (session, signal): AsyncGenerator<ServerSentEvent> {
        let after: number | undefined = lastSeen(request) || undefined;
        while (!signal.aborted) {
          const asked = { waitSeconds: EVENTS_WAIT_SECONDS, ...(after !== undefined && { after }) };
          const { events, last } = Happened.parse((await session.send('GETEVENTS', asked, { signal })).data);
          for (const event of events) yield { id: event.id, event: event.kind, data: event };
          after = last;
        }
      },
    );
  });
}

/** The id of the last event that a reader saw, which it says when it comes back. */
function lastSeen({ headers }: FastifyRequest): number {
  const text = headers['last-event-id'];
  if (text === undefined || text === '') return 0;
  if (typeof text !== 'string' || !/^\d{1,15}$/.test(text)) {
    throw refusal('INVALID_QUERY', { reason: 'Last-Event-ID is not an id of this stream' });
  }
  return Number(text);
}
