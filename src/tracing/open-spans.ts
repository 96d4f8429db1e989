import {
  type Context,
  context,
  type Span as OtelSpan,
  SpanKind as OtelSpanKind,
  ProxyTracerProvider,
  propagation,
  ROOT_CONTEXT,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import { isAppError } from '../errors.ts'
import type { Attributes, Span, Spans, StartOptions } from '../telemetry/spans.ts'

const KINDS = { server: OtelSpanKind.SERVER, client: OtelSpanKind.CLIENT, internal: OtelSpanKind.INTERNAL }

/**
 * Spans of OpenTelemetry, for whoever registered a tracer provider before: as `node --import` does. Undefined where nobody did; it is asked
 * once, and nothing of it is left then.
 */
export function openSpans(): Spans | undefined {
  if (!isProvided()) return undefined
  const tracer = trace.getTracer('statelens')
  return {
    start(name, { kind = 'internal', attributes, headers, millisAgo = 0 }: StartOptions = {}) {
      const parent = headers ? propagation.extract(context.active(), headers) : context.active()
      const startTime = millisAgo > 0 ? Date.now() - millisAgo : undefined
      const span = tracer.startSpan(name, { kind: KINDS[kind], attributes: defined(attributes), startTime }, parent)
      return createSpan(span, trace.setSpan(parent, span))
    },
    apart: (work) => context.with(ROOT_CONTEXT, work),
  }
}

/** A provider that was registered by another copy of the interface is no class of this one, and is there all the same. */
function isProvided(): boolean {
  const provider = trace.getTracerProvider()
  return (
    !(provider instanceof ProxyTracerProvider) || provider.getDelegate() !== new ProxyTracerProvider().getDelegate()
  )
}

function createSpan(span: OtelSpan, inner: Context): Span {
  return {
    traceId: span.isRecording() ? span.spanContext().traceId : undefined,
    set: (attributes) => void span.setAttributes(defined(attributes)),
    within: (work) => context.with(inner, work),
    end(failure) {
      if (failure !== undefined) {
        span.setAttribute('error.type', typeOf(failure))
        span.setStatus({ code: SpanStatusCode.ERROR })
      }
      span.end()
    },
  }
}

/** A word for the failure: its message may quote what nobody else should read. */
function typeOf(failure: unknown): string {
  if (isAppError(failure)) return failure.code
  if (typeof failure === 'string') return failure
  return failure instanceof Error ? failure.name : '_OTHER'
}

function defined(attributes: Attributes = {}): Record<string, string | number | boolean> {
  const there = Object.entries(attributes).filter(([, value]) => value !== undefined)
  return Object.fromEntries(there) as Record<string, string | number | boolean>
}
