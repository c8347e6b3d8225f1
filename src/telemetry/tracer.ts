/**
 * Traces: what happened to a chunk from the producer to its verdicts, across processes. The code that is traced knows this
 * port alone; OpenTelemetry is loaded only where an address to export to is set (see otlp.ts).
 */
import type { TraceParent } from '../stages/observer.js';
import type { VerdictError } from '../types.js';

export type Attributes = Readonly<Record<string, string | number | boolean>>;

export interface SpanOptions {
  /** What it is a part of; left out, it begins a trace of its own. */
  readonly parent?: TraceParent | undefined;
  /** `producer` and `consumer` are the two ends of a queue. */
  readonly kind?: 'internal' | 'producer' | 'consumer';
  readonly attributes?: Attributes;
  /** Milliseconds since 1970; left out, now. */
  readonly at?: number;
}

export interface Span {
  /** To be handed on to what is a part of it; absent where nothing is traced. */
  readonly context: TraceParent | undefined;
  /** @param error why it failed @param at milliseconds since 1970; left out, now */
  end(error?: Error | VerdictError, at?: number): void;
}

export interface Tracer {
  begin(name: string, options?: SpanOptions): Span;
  /** Sends what is not sent yet, for a bounded time. */
  close(): Promise<void>;
}

const NO_SPAN: Span = Object.freeze({ context: undefined, end: () => undefined });

/** Traces nothing. */
export const UNTRACED: Tracer = Object.freeze({ begin: () => NO_SPAN, close: async () => undefined });

/** The variables that OpenTelemetry defines for where traces go; either one turns tracing on. */
const ADDRESSES = ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT'];

/** @param trouble told of what keeps traces from being sent */
export async function openTracer(
  env: Readonly<Record<string, string | undefined>>,
  trouble: (message: string) => void,
): Promise<Tracer> {
  const disabled = env.OTEL_SDK_DISABLED?.toLowerCase() === 'true' || env.OTEL_TRACES_EXPORTER === 'none';
  if (disabled || ADDRESSES.every(name => !env[name])) return UNTRACED;
  const { createOtlpTracer } = await import('./otlp.js');
  return createOtlpTracer(trouble);
}

/** Does some work inside a span. @throws what the work throws */
export async function traced<T>(
  tracer: Tracer,
  name: string,
  options: SpanOptions,
  work: (context: TraceParent | undefined) => Promise<T>,
): Promise<T> {
  const span = tracer.begin(name, options);
  try {
    const result = await work(span.context);
    span.end();
    return result;
  } catch (error) {
    span.end(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}
