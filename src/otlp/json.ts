import { AppError } from '../errors.ts'
import type { Attribute, Span, SpanEvent, Value } from './span.ts'

/**
 * Reads an `ExportTraceServiceRequest` in JSON, where ids are hexadecimal, and 64-bit integers numbers or their digits.
 * @throws AppError `BAD_REQUEST` for what is none.
 * @see https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
 */
export function readJsonSpans(bytes: Buffer): Span[] {
  try {
    const request = recordOf(JSON.parse(bytes.toString()))
    return listOf(request['resourceSpans']).flatMap(readResourceSpans)
  } catch (cause) {
    throw new AppError('BAD_REQUEST', 'The body is no ExportTraceServiceRequest in JSON', { cause })
  }
}

type JsonRecord = Readonly<Record<string, unknown>>

function readResourceSpans(found: unknown): Span[] {
  const one = recordOf(found)
  const resource = attributesOf(recordOf(one['resource'] ?? {})['attributes'])
  return listOf(one['scopeSpans']).flatMap((scope) =>
    listOf(recordOf(scope)['spans']).map((span) => readSpan(recordOf(span), resource)),
  )
}

function readSpan(span: JsonRecord, resource: readonly Attribute[]): Span {
  const status = recordOf(span['status'] ?? {})
  return {
    traceId: stringOf(span['traceId']).toLowerCase(),
    spanId: stringOf(span['spanId']).toLowerCase(),
    parentSpanId: stringOf(span['parentSpanId']).toLowerCase(),
    name: stringOf(span['name']),
    kind: Number(span['kind'] ?? 0),
    startNanos: bigintOf(span['startTimeUnixNano']),
    endNanos: bigintOf(span['endTimeUnixNano']),
    attributes: attributesOf(span['attributes']),
    events: listOf(span['events']).map((event) => readEvent(recordOf(event))),
    status: { code: Number(status['code'] ?? 0), message: stringOf(status['message']) },
    resource,
  }
}

function readEvent(event: JsonRecord): SpanEvent {
  return {
    name: stringOf(event['name']),
    timeNanos: bigintOf(event['timeUnixNano']),
    attributes: attributesOf(event['attributes']),
  }
}

function attributesOf(found: unknown): Attribute[] {
  return listOf(found).map((attribute) => {
    const { key, value } = recordOf(attribute)
    return { key: stringOf(key), value: anyValueOf(recordOf(value ?? {})) }
  })
}

function anyValueOf(value: JsonRecord): Value {
  const list = value['arrayValue']
  const members = value['kvlistValue']
  if (value['stringValue'] != null) return { text: Buffer.from(stringOf(value['stringValue'])) }
  if (value['boolValue'] != null) return value['boolValue'] === true
  if (value['intValue'] != null) return bigintOf(value['intValue'])
  if (value['doubleValue'] != null) return Number(value['doubleValue'])
  if (list != null) return { items: listOf(recordOf(list)['values']).map((item) => anyValueOf(recordOf(item))) }
  if (members != null) return { members: attributesOf(recordOf(members)['values']) }
  if (value['bytesValue'] != null) return { bytes: Buffer.from(stringOf(value['bytesValue']), 'base64') }
  return null
}

function recordOf(value: unknown): JsonRecord {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TypeError('An object is missing')
  return value as JsonRecord
}

function listOf(value: unknown): readonly unknown[] {
  if (value == null) return []
  if (!Array.isArray(value)) throw new TypeError('A list is missing')
  return value
}

function stringOf(value: unknown): string {
  if (value == null) return ''
  if (typeof value !== 'string') throw new TypeError('A text is missing')
  return value
}

function bigintOf(value: unknown): bigint {
  return value == null ? 0n : BigInt(value as string | number)
}
