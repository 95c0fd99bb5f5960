import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { type Clock, isCentreondError, type Logger, type Transport } from '@centreond/plugin-sdk';
import cors from '@fastify/cors';
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { Admission, type Spans } from './admission.ts';
import { addAncestorPaths } from './ancestor.ts';
import { parseBody } from './body.ts';
import { Callers } from './callers.ts';
import { addCalls } from './calls.ts';
import { askCluster, type Readiness, readiness } from './cluster.ts';
import type { Config } from './config.ts';
import { addDashboard } from './dashboard.ts';
import { answerOf, refusal } from './failure.ts';
import { networkOf } from './logins.ts';
import { DeclaredActions } from './manifests.ts';
import { HttpMetrics, routerMetrics } from './metrics.ts';
import { openApiOf } from './openapi.ts';
import { addReads } from './reads.ts';

/** Connections at once; more are refused. */
const CONNECTIONS = 4096;
const CONNECTIONS_PER_ADDRESS = 1024;
/** A request has to have arrived within this time. */
const REQUEST_MS = 30_000;
/** Characters of a part of a path: a token has 255 at most, of which some may be encoded. */
const LONGEST_TOKEN = 3 * 255;

const STREAMS = new Set(['/api/log/:token/stream', '/api/events']);

export interface ServerOptions {
  readonly config: Config;
  readonly version: string;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Logger;
  /** Makes spans, where an endpoint for them is configured. */
  readonly traces: Spans | undefined;
  /** Aborts when the plugin stops: streams end. */
  readonly stopping: AbortSignal;
}

/** The HTTP server with all its routes, not yet listening. Rejects if the files of `tls` cannot be read, or the router does not let a caller in. */
export async function makeServer(options: ServerOptions): Promise<FastifyInstance> {
  const { config, version, transport, clock, log, traces, stopping } = options;
  const { tls, bodyLimit } = config;
  const server: FastifyInstance = fastify({
    bodyLimit,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: LONGEST_TOKEN },
    trustProxy: config.trustedProxies.length > 0 ? [...config.trustedProxies] : false,
    requestTimeout: REQUEST_MS,
    // Streams do not keep it open: they end when the plugin stops.
    forceCloseConnections: 'idle',
    ...(tls && { https: { cert: readFileSync(tls.cert), key: readFileSync(tls.key) } }),
  }) as FastifyInstance;
  server.server.maxConnections = CONNECTIONS;
  server.server.on('connection', boundEach(new Set(config.trustedProxies)));

  const callers = new Callers(config.tokens, transport, clock);
  await callers.enter();
  server.addHook('onClose', async () => callers.close());
  const admission = new Admission(callers, traces);
  const metrics = new HttpMetrics();
  // Before the login: a page is to be able to read a refusal.
  if (config.allowedOrigins.length > 0) {
    await server.register(cors, { origin: [...config.allowedOrigins], methods: ['GET', 'POST', 'DELETE'] });
  }
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', { parseAs: 'string' }, async (_: FastifyRequest, body: string) => parseBody(body));
  server.addHook('onRequest', async (request) => admission.admit(request));
  server.addHook('onSend', async (_, reply) => {
    reply.header('x-content-type-options', 'nosniff').header('referrer-policy', 'no-referrer');
  });
  server.addHook('onResponse', async (request, reply) => {
    const { url: route = 'none' } = request.routeOptions;
    if (!STREAMS.has(route)) metrics.answered(request.method, route, reply.statusCode, reply.elapsedTime / 1000);
    admission.left(request, reply.statusCode);
  });
  answerFaults(server, log);

  addHealth(server, readiness(transport, clock));
  const declared = new DeclaredActions(transport, clock);
  addCalls(server, { declared, admission, stopping });
  addReads(server, { admission, stopping });
  addAncestorPaths(server, admission);
  server.get('/api/openapi.json', async () => openApiOf(await declared.plugins(), version));
  server.get('/metrics', async (request, reply) => {
    const { session } = admission.callerOf(request);
    const [information, constatus, cluster] = await Promise.all([
      session.send('INFORMATION', {}),
      session.send('CONSTATUS', {}),
      askCluster((action, data) => session.send(action, data)),
    ]);
    const text = await routerMetrics(information.data, constatus.data, cluster);
    return reply.type('text/plain; version=0.0.4; charset=utf-8').send(`${text}\n${await metrics.registry.metrics()}`);
  });
  await addDashboard(server);
  return server;
}

/** Answers what fails, and what there is not, by the table of errors. */
function answerFaults(server: FastifyInstance, log: Logger): void {
  server.setErrorHandler((error, request, reply) => {
    const { status, body } = answerOf(error);
    if (!isCentreondError(error) && status >= 500)
      log.error({ err: error, method: request.method, path: request.routeOptions.url }, body.message);
    if (status === 401) reply.header('www-authenticate', 'Bearer realm="centreond"');
    return reply.code(status).send(body);
  });
  server.setNotFoundHandler((request, reply) => {
    const { status, body } = answerOf(refusal('NOT_FOUND', { method: request.method, path: pathOf(request.url) }));
    return reply.code(status).send(body);
  });
}

/** What a load balancer asks: whether the plugin serves, and whether the router answers. */
function addHealth(server: FastifyInstance, ready: () => Promise<Readiness>): void {
  server.get('/healthz', async () => ({ ok: true }));
  server.get('/readyz', async (_, reply) => {
    const found = await ready();
    return reply.code(found.ok ? 200 : 503).send(found);
  });
}

/** Ends a connection of an address that has its share of them. A proxy that is named by its address has no share. */
function boundEach(proxies: ReadonlySet<string>): (socket: Socket) => void {
  const open = new Map<string, number>();
  return (socket) => {
    const address = networkOf(socket.remoteAddress ?? '');
    if (proxies.has(address)) return;
    const count = (open.get(address) ?? 0) + 1;
    if (count > CONNECTIONS_PER_ADDRESS) {
      socket.destroy();
      return;
    }
    open.set(address, count);
    socket.once('close', () => {
      const left = (open.get(address) ?? 1) - 1;
      if (left > 0) open.set(address, left);
      else open.delete(address);
    });
  };
}

function pathOf(url: string): string {
  return url.split('?')[0] ?? url;
}
