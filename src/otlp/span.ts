/** Spans as OTLP has them, whichever of its two encodings they came in. @see https://opentelemetry.io/docs/specs/otlp/ */

/** A text is its bytes in UTF-8: what it holds may be a state of many MB, which is handed on as it is. */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | { readonly text: Buffer }
  | { readonly bytes: Buffer }
  | { readonly items: readonly Value[] }
  | { readonly members: readonly Attribute[] }

export interface Attribute {
  readonly key: string
  readonly value: Value
}

export interface SpanEvent {
  readonly name: string
  readonly timeNanos: bigint
  readonly attributes: readonly Attribute[]
}

export interface Span {
  /** 32 hexadecimal digits; anything else is none. */
  readonly traceId: string
  /** 16 hexadecimal digits. */
  readonly spanId: string
  /** Empty for the first of its trace. */
  readonly parentSpanId: string
  readonly name: string
  /** Index in `SPAN_KINDS`. */
  readonly kind: number
  /** Since 1970; 0 where it is not known. */
  readonly startNanos: bigint
  readonly endNanos: bigint
  readonly attributes: readonly Attribute[]
  readonly events: readonly SpanEvent[]
  readonly status: { readonly code: number; readonly message: string }
  /** Of what sent it, such as `service.name`. */
  readonly resource: readonly Attribute[]
}

export const SPAN_KINDS = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'] as const

export const STATUS_ERROR = 2

/** The text of an attribute, where it is one. */
export function textOf(attributes: readonly Attribute[], key: string): string | undefined {
  const value = attributes.find((attribute) => attribute.key === key)?.value
  return value !== null && typeof value === 'object' && 'text' in value ? value.text.toString() : undefined
}
