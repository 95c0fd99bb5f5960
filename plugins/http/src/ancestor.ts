import type { HistoryRow, JsonObject } from '@centreond/plugin-sdk';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Admission } from './admission.ts';
import { dataOf } from './calls.ts';
import { refusal } from './failure.ts';
import { partOf } from './query.ts';

/** Rows of a token that are shown: a script that waits for the last one has to find it. */
const ROWS = 100_000;

const Node = z.object({
  id: z.string(),
  kind: z.string().optional(),
  lastPing: z.number().optional(),
  lastPong: z.number().optional(),
  subnodes: z.array(z.union([z.string(), z.object({ id: z.string() })])).optional(),
});
const Nodes = z.object({ nodes: z.array(Node) });

/**
 * The paths of the daemon that centreond descends from, as scripts use them: a command here and on a node, the log of its token, and two
 * questions.
 */
export function addAncestorPaths(server: FastifyInstance, admission: Admission): void {
  const command = async (request: FastifyRequest, target: string) => {
    const { session } = admission.callerOf(request);
    const traceparent = admission.traceparentOf(request);
    const options = { target, ...(traceparent !== undefined && { traceparent }) };
    const { token } = await session.send('COMMAND', commandOf(request.body), options);
    return { token };
  };
  server.post('/api/core/action/command', (request) => command(request, ''));
  server.post('/api/nodes/:id/core/action/command', (request) => command(request, partOf(request, 'id')));
  server.get('/api/nodes/:id/log/:token', async (request) => {
    const token = partOf(request, 'token');
    const rows = await admission.callerOf(request).session.query({ token, limit: ROWS });
    if (rows.length > 0) return { data: rows.map(asText), message: 'Logs found', token };
    return { error: 'no_log', message: 'No log found for token', data: [], token };
  });
  server.get('/api/internal/thumbprint', async (request) => {
    const { data } = await admission.callerOf(request).session.send('GETTHUMBPRINT', {});
    return { action: 'getthumbprint', data, message: 'ok' };
  });
  server.get('/api/internal/constatus', async (request) => {
    const { data } = await admission.callerOf(request).session.send('CONSTATUS', {});
    const { nodes } = Nodes.parse(data);
    const byId = nodes.map(({ id, kind = 'push', lastPing = -1, lastPong = -1, subnodes = [] }) => [
      id,
      {
        type: `${kind}_zmq`,
        last_ping_sent: lastPing,
        last_ping_recv: lastPong,
        nodes: Object.fromEntries(subnodes.map((subnode) => [typeof subnode === 'string' ? subnode : subnode.id, 1])),
      },
    ]);
    return { action: 'constatus', data: Object.fromEntries(byId), message: 'ok' };
  });
}

/** There the data of a row is JSON text. */
function asText({ id, token, code, ctime, etime, data }: HistoryRow) {
  return { id, token, code, ctime, etime, data: JSON.stringify(data) };
}

/** The DATA of the one command that `[{"command": …}]` holds. */
function commandOf(body: unknown): JsonObject {
  if (!Array.isArray(body)) return dataOf(body);
  const [first, ...more] = body as unknown[];
  if (first === undefined || more.length > 0) {
    throw refusal('MALFORMED_BODY', { reason: 'it holds other than one command; send a request for each' });
  }
  return dataOf(first);
}
