import { BinaryReader, BinaryWriter, type WireType } from '@bufbuild/protobuf/wire'
import { AppError } from '../errors.ts'
import type { Attribute, Span, SpanEvent, Value } from './span.ts'

/** Lists within lists: as deep as a state may be. */
const DEPTH_MAX = 128

/**
 * Reads an `ExportTraceServiceRequest`; what it does not know it steps over.
 * @throws AppError `BAD_REQUEST` for bytes that are none.
 * @see https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto
 */
export function readProtobufSpans(bytes: Uint8Array): Span[] {
  const spans: Span[] = []
  try {
    readMessage(bytes, { 1: (reader) => readResourceSpans(reader.bytes(), spans) })
  } catch (cause) {
    throw new AppError('BAD_REQUEST', 'The body is no ExportTraceServiceRequest in protobuf', { cause })
  }
  return spans
}

type Fields = Readonly<Record<number, (reader: BinaryReader) => void>>

function readMessage(bytes: Uint8Array, fields: Fields): void {
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [number, wireType]: [number, WireType] = reader.tag()
    const read = fields[number]
    if (read) read(reader)
    else reader.skip(wireType, number)
  }
}

function readResourceSpans(bytes: Uint8Array, spans: Span[]): void {
  const resource: Attribute[] = []
  const scopes: Uint8Array[] = []
  readMessage(bytes, {
    1: (reader) => readMessage(reader.bytes(), { 1: (inner) => void resource.push(readAttribute(inner.bytes(), 0)) }),
    2: (reader) => void scopes.push(reader.bytes()),
  })
  for (const scope of scopes) {
    readMessage(scope, { 2: (reader) => void spans.push(readSpan(reader.bytes(), resource)) })
  }
}

function readSpan(bytes: Uint8Array, resource: readonly Attribute[]): Span {
  const attributes: Attribute[] = []
  const events: SpanEvent[] = []
  const status = { code: 0, message: '' }
  const ids = { traceId: '', spanId: '', parentSpanId: '' }
  const own = { name: '', kind: 0, startNanos: 0n, endNanos: 0n }
  readMessage(bytes, {
    1(reader) {
      ids.traceId = hexOf(reader.bytes())
    },
    2(reader) {
      ids.spanId = hexOf(reader.bytes())
    },
    4(reader) {
      ids.parentSpanId = hexOf(reader.bytes())
    },
    5(reader) {
      own.name = reader.string()
    },
    6(reader) {
      own.kind = reader.int32()
    },
    7(reader) {
      own.startNanos = BigInt(reader.fixed64())
    },
    8(reader) {
      own.endNanos = BigInt(reader.fixed64())
    },
    9: (reader) => void attributes.push(readAttribute(reader.bytes(), 0)),
    11: (reader) => void events.push(readEvent(reader.bytes())),
    15: (reader) =>
      readMessage(reader.bytes(), {
        2(inner) {
          status.message = inner.string()
        },
        3(inner) {
          status.code = inner.int32()
        },
      }),
  })
  return { ...ids, ...own, attributes, events, status, resource }
}

function readEvent(bytes: Uint8Array): SpanEvent {
  const attributes: Attribute[] = []
  const own = { name: '', timeNanos: 0n }
  readMessage(bytes, {
    1(reader) {
      own.timeNanos = BigInt(reader.fixed64())
    },
    2(reader) {
      own.name = reader.string()
    },
    3: (reader) => void attributes.push(readAttribute(reader.bytes(), 0)),
  })
  return { ...own, attributes }
}

function readAttribute(bytes: Uint8Array, depth: number): Attribute {
  let key = ''
  let value: Value = null
  readMessage(bytes, {
    1(reader) {
      key = reader.string()
    },
    2(reader) {
      value = readValue(reader.bytes(), depth)
    },
  })
  return { key, value }
}

function readValue(bytes: Uint8Array, depth: number): Value {
  if (depth > DEPTH_MAX) throw new RangeError('An attribute is nested too deeply')
  let value: Value = null
  const items: Value[] = []
  const members: Attribute[] = []
  readMessage(bytes, {
    1(reader) {
      value = { text: asBuffer(reader.bytes()) }
    },
    2(reader) {
      value = reader.bool()
    },
    3(reader) {
      value = BigInt(reader.int64())
    },
    4(reader) {
      value = reader.double()
    },
    5(reader) {
      value = { items }
      readMessage(reader.bytes(), { 1: (inner) => void items.push(readValue(inner.bytes(), depth + 1)) })
    },
    6(reader) {
      value = { members }
      readMessage(reader.bytes(), { 1: (inner) => void members.push(readAttribute(inner.bytes(), depth + 1)) })
    },
    7(reader) {
      value = { bytes: asBuffer(reader.bytes()) }
    },
  })
  return value
}

function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}

function hexOf(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('hex')
}

/** An `ExportTraceServiceResponse`. */
export function writeProtobufAnswer({ rejected, message }: { readonly rejected: number; readonly message: string }) {
  const writer = new BinaryWriter()
  if (rejected === 0 && message === '') return Buffer.from(writer.finish())
  writer.tag(1, 2).fork()
  if (rejected > 0) writer.tag(1, 0).int64(rejected)
  if (message !== '') writer.tag(2, 2).string(message)
  return Buffer.from(writer.join().finish())
}

/** A `google.rpc.Status`. */
export function writeProtobufStatus({ code, message }: { readonly code: number; readonly message: string }): Buffer {
  return Buffer.from(new BinaryWriter().tag(1, 0).int32(code).tag(2, 2).string(message).finish())
}
