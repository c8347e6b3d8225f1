/**
 * Traces by OpenTelemetry, sent as OTLP over HTTP. The SDK's own variables hold: OTEL_EXPORTER_OTLP_*, OTEL_SERVICE_NAME,
 * OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_BSP_*.
 */
import {
  DiagLogLevel,
  diag,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { toVerdictError } from '../stages/common.js';
import type { TraceParent } from '../stages/observer.js';
import { VERSION } from '../version.js';
import type { SpanOptions, Tracer } from './tracer.js';

/** Milliseconds for which sending is tried, unless OTEL_EXPORTER_OTLP_TIMEOUT says: less than the SDK's ten seconds, since the end of a process waits for it. */
const EXPORT_TIMEOUT_MS = 3000;

/** Milliseconds that the end of a process waits for its last spans at most. */
const CLOSE_PATIENCE_MS = 5000;

const KINDS = { internal: SpanKind.INTERNAL, producer: SpanKind.PRODUCER, consumer: SpanKind.CONSUMER } as const;

/** W3C Trace Context, section 3.2.2: version, trace id, parent id, flags. A later version may have more. */
const TRACE_PARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:$|-)/;

/** @param trouble told of what keeps spans from being sent */
export function createOtlpTracer(trouble: (message: string) => void): Tracer {
  const silent = () => undefined;
  diag.setLogger(
    { error: trouble, warn: trouble, info: silent, debug: silent, verbose: silent },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  const timeout = process.env.OTEL_EXPORTER_OTLP_TIMEOUT === undefined ? { timeoutMillis: EXPORT_TIMEOUT_MS } : {};
  const provider = new NodeTracerProvider({
    resource: defaultResource()
      .merge(resourceFromAttributes({ 'service.name': 'deflector', 'service.version': VERSION }))
      .merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter(timeout))],
  });
  const tracer = provider.getTracer('deflector', VERSION);
  return {
    begin: (name, { parent, kind = 'internal', attributes = {}, at }: SpanOptions = {}) => {
      const context = parse(parent);
      const span = tracer.startSpan(
        name,
        { kind: KINDS[kind], attributes, ...(at === undefined ? {} : { startTime: at }) },
        context === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, context),
      );
      return {
        context: print(span.spanContext()),
        end: (error, until) => {
          if (error !== undefined) {
            const { code, message } = error instanceof Error ? toVerdictError(error) : error;
            span.setStatus({ code: SpanStatusCode.ERROR, message });
            span.setAttribute('error.type', code);
          }
          span.end(until);
        },
      };
    },
    close: async () => {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>(resolve => {
        timer = setTimeout(resolve, CLOSE_PATIENCE_MS);
      });
      await Promise.race([provider.shutdown().catch(error => trouble(toVerdictError(error).message)), late]);
      clearTimeout(timer);
      diag.disable();
    },
  };
}

function parse(parent: TraceParent | undefined): SpanContext | undefined {
  const [, traceId, spanId, flags] = TRACE_PARENT.exec(parent ?? '') ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true };
}

function print({ traceId, spanId, traceFlags }: SpanContext): TraceParent {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}
