import { type Context, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, TraceFlags, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';

const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/;

/** Spans of the requests that come by HTTP, sent to an OTLP endpoint. What they start bears their traceparent over every hop. */
export class Traces {
  readonly #provider: TracerProvider;

  constructor(endpoint: string, service: { readonly name: string; readonly version: string }) {
    this.#provider = new TracerProvider({
      resource: resourceFromAttributes({ 'service.name': service.name, 'service.version': service.version }),
      spanProcessors: [
        new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url: endpoint, timeoutMillis: 5000 }) }),
      ],
    });
  }

  /** Begins the span of a request, below the one that its `traceparent` names. */
  begin(method: string, route: string, traceparent: string | undefined): Span {
    const tracer = this.#provider.getTracer('@centreond/plugin-http');
    const attributes = { 'http.request.method': method, 'http.route': route };
    return tracer.startSpan(`${method} ${route}`, { kind: SpanKind.SERVER, attributes }, contextOf(traceparent));
  }

  /** Sends what is left. Resolves when it is sent, or could not be. */
  async stop(): Promise<void> {
    await this.#provider.shutdown();
  }
}

/** Ends a span with the status of the answer. */
export function endSpan(span: Span, status: number): void {
  span.setAttribute('http.response.status_code', status);
  if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}

/** The traceparent of what happens below `span`. */
export function traceparentOf(span: Span): string {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}

function contextOf(traceparent: string | undefined): Context {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(traceparent ?? '') ?? [];
  if (traceId === undefined || spanId === undefined) return ROOT_CONTEXT;
  const traceFlags = Number.parseInt(flags ?? '00', 16) & TraceFlags.SAMPLED;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
}
