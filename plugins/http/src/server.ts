import { readFileSync } from 'node:fs';
import type { Clock, Logger, Transport } from '@centreond/plugin-sdk';
import cors from '@fastify/cors';
import type { Span } from '@opentelemetry/api';
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { addAncestorPaths } from './ancestor.ts';
import { parseBody } from './body.ts';
import { type Caller, Callers } from './callers.ts';
import { addCalls } from './calls.ts';
import type { Config } from './config.ts';
import { addDashboard } from './dashboard.ts';
import { answerOf, refusal } from './failure.ts';
import { DeclaredActions } from './manifests.ts';
import { HttpMetrics, routerMetrics } from './metrics.ts';
import { openApiOf } from './openapi.ts';
import { addReads } from './reads.ts';

/** Connections at once; more are refused. */
const CONNECTIONS = 4096;
/** A request has to have arrived within this time. */
const REQUEST_MS = 30_000;
/** Characters of a part of a path: a token has 255 at most, of which some may be encoded. */
const LONGEST_TOKEN = 3 * 255;
/** How old the answer of /readyz may be. */
const READY_FRESH_MS = 1000;

const NO_TOKEN = new Set(['/healthz', '/readyz']);

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

/** What makes the spans of requests. */
export interface Spans {
  begin(method: string, route: string, traceparent: string | undefined): Span;
  end(span: Span, status: number): void;
  traceparentOf(span: Span): string;
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

  const callers = new Callers(config.tokens, transport, clock);
  await callers.enter();
  const known = new WeakMap<FastifyRequest, Caller>();
  const spans = new WeakMap<FastifyRequest, Span>();
  const callerOf = (request: FastifyRequest): Caller => {
    const caller = known.get(request);
    if (!caller) throw refusal('UNAUTHENTICATED');
    return caller;
  };

  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', { parseAs: 'string' }, async (_: FastifyRequest, body: string) => parseBody(body));
  const metrics = new HttpMetrics();
  server.addHook('onRequest', async (request) => {
    const { url: route } = request.routeOptions;
    if (traces && route?.startsWith('/api/')) {
      spans.set(request, traces.begin(request.method, route, textOf(request.headers.traceparent)));
    }
    if (route === undefined || NO_TOKEN.has(route) || request.method === 'OPTIONS') return;
    if (!route.startsWith('/api/') && route !== '/metrics') return;
    known.set(request, callers.authenticate(request.headers.authorization, request.ip));
  });
  server.addHook('onResponse', async (request, reply) => {
    const { url: route = 'none' } = request.routeOptions;
    metrics.answered(request.method, route, reply.statusCode, reply.elapsedTime / 1000);
    const span = spans.get(request);
    if (span) traces?.end(span, reply.statusCode);
  });
  server.addHook('onSend', async (_, reply) => {
    reply.header('x-content-type-options', 'nosniff').header('referrer-policy', 'no-referrer');
  });
  server.setErrorHandler((error, request, reply) => {
    const { status, body } = answerOf(error);
    if (status >= 500) log.error({ err: error, method: request.method, path: request.routeOptions.url }, body.message);
    if (status === 401) reply.header('www-authenticate', 'Bearer realm="centreond"');
    return reply.code(status).send(body);
  });
  server.setNotFoundHandler((request, reply) => {
    const { status, body } = answerOf(refusal('NOT_FOUND', { method: request.method, path: pathOf(request.url) }));
    return reply.code(status).send(body);
  });
  if (config.allowedOrigins.length > 0) {
    await server.register(cors, { origin: [...config.allowedOrigins], methods: ['GET', 'POST', 'DELETE'] });
  }

  server.get('/healthz', async () => ({ ok: true }));
  const ready = readiness(transport, clock);
  server.get('/readyz', async (_, reply) => {
    const isReady = await ready();
    return reply.code(isReady ? 200 : 503).send({ ok: isReady });
  });
  const declared = new DeclaredActions(transport, clock);
  const traceparent = (request: FastifyRequest) => {
    const span = spans.get(request);
    return span && traces ? traces.traceparentOf(span) : textOf(request.headers.traceparent);
  };
  addCalls(server, { declared, callerOf, traceparentOf: traceparent });
  addReads(server, { callerOf, stopping });
  addAncestorPaths(server, callerOf);
  server.get('/api/openapi.json', async () => openApiOf(await declared.plugins(), version));
  server.get('/metrics', async (request, reply) => {
    const { session } = callerOf(request);
    const [information, constatus] = await Promise.all([
      session.send('INFORMATION', {}),
      session.send('CONSTATUS', {}),
    ]);
    const text = await routerMetrics(information.data, constatus.data);
    return reply.type('text/plain; version=0.0.4; charset=utf-8').send(`${text}\n${await metrics.registry.metrics()}`);
  });
  await addDashboard(server);
  server.addHook('onClose', async () => callers.close());
  return server;
}

/** Whether the router answers, asked once a second at most. */
function readiness(transport: Pick<Transport, 'send'>, clock: Clock): () => Promise<boolean> {
  let asked = Number.NEGATIVE_INFINITY;
  let answer = Promise.resolve(false);
  return () => {
    if (clock.now() - asked < READY_FRESH_MS && clock.now() >= asked) return answer;
    asked = clock.now();
    answer = transport.send('PING', {}, { timeoutMs: 5000 }).then(
      () => true,
      () => false,
    );
    return answer;
  };
}

function textOf(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : undefined;
}

function pathOf(url: string): string {
  return url.split('?')[0] ?? url;
}
