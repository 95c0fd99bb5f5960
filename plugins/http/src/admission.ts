import type { Span } from '@opentelemetry/api';
import type { FastifyRequest } from 'fastify';
import type { Caller, Callers } from './callers.ts';
import { refusal } from './failure.ts';

/** As W3C Trace Context writes it; another one is ignored. */
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;
const NO_TOKEN = new Set(['/healthz', '/readyz']);

/** What makes the spans of requests. */
export interface Spans {
  begin(method: string, route: string, traceparent: string | undefined): Span;
  end(span: Span, status: number): void;
  traceparentOf(span: Span): string;
}

/** Who makes each request, and the span that it is. */
export class Admission {
  readonly #callers: Callers;
  readonly #traces: Spans | undefined;
  readonly #known = new WeakMap<FastifyRequest, Caller>();
  readonly #spans = new WeakMap<FastifyRequest, Span>();

  /** Without `traces` no request is a span. */
  constructor(callers: Callers, traces: Spans | undefined) {
    this.#callers = callers;
    this.#traces = traces;
  }

  /** To be called first of all with a request. Throws UNAUTHENTICATED where its route wants a token and it shows none that is good. */
  admit(request: FastifyRequest): void {
    const { url: route } = request.routeOptions;
    if (this.#traces && route?.startsWith('/api/')) {
      this.#spans.set(request, this.#traces.begin(request.method, route, textOf(request.headers.traceparent)));
    }
    if (route === undefined || NO_TOKEN.has(route) || request.method === 'OPTIONS') return;
    if (!route.startsWith('/api/') && route !== '/metrics') return;
    this.#known.set(request, this.#callers.authenticate(request.headers.authorization, request.ip));
  }

  /** Who makes a request that was admitted by a token. */
  callerOf(request: FastifyRequest): Caller {
    const caller = this.#known.get(request);
    if (!caller) throw refusal('UNAUTHENTICATED');
    return caller;
  }

  /** What the calls of a request name as their parent: its own span, else the one that it names itself. */
  traceparentOf(request: FastifyRequest): string | undefined {
    const span = this.#spans.get(request);
    if (span && this.#traces) return this.#traces.traceparentOf(span);
    const given = textOf(request.headers.traceparent);
    return given !== undefined && TRACEPARENT.test(given) ? given : undefined;
  }

  /** To be called once a request was answered. */
  left(request: FastifyRequest, status: number): void {
    const span = this.#spans.get(request);
    if (span) this.#traces?.end(span, status);
  }
}

function textOf(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : undefined;
}
