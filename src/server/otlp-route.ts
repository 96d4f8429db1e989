import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import type { Viewer } from '../auth/viewer.ts'
import { AppError } from '../errors.ts'
import { readJsonSpans } from '../otlp/json.ts'
import { readProtobufSpans, writeProtobufAnswer, writeProtobufStatus } from '../otlp/protobuf.ts'
import { type Recorded, recordSpans, type SpanWriter } from '../otlp/record.ts'
import type { Admission } from '../snapshots/source/admission.ts'
import type { FailureAnswer, Handler } from './http.ts'
import { readBody } from './read-body.ts'

export interface OtlpRouteOptions {
  readonly writer: SpanWriter
  /** The writer of a viewer, where not every run is open to all; `writer` when left out. */
  readonly writerFor?: ((viewer: Viewer) => SpanWriter) | undefined
  /** Told when a viewer has written something. @returns what others have to name to see it; undefined where nobody has to. */
  readonly noteWrite?: ((viewer: Viewer) => Promise<string | undefined>) | undefined
  /** Batches are held while they are recorded. */
  readonly batches: Admission['batches']
  /** Of a batch, as it is sent and decompressed. */
  readonly maxBytes: number
}

const PROTOBUF = 'application/x-protobuf'
const inflate = promisify(gunzip)

/**
 * `POST /v1/traces`: spans by OTLP over HTTP, in protobuf or JSON, as they are or by gzip. Whatever goes wrong is told as the protocol has it.
 * @see https://opentelemetry.io/docs/specs/otlp/#otlphttp
 */
export function createOtlpRoute(options: OtlpRouteOptions): { readonly POST: Handler } {
  const { writerFor, noteWrite, batches, maxBytes } = options
  return {
    async POST(context) {
      const { request, response, viewer, signal } = context
      const isProtobuf = requireType(request) === PROTOBUF
      const leave = await batches.enter(signal, weightOf(request, maxBytes))
      try {
        const bytes = await decode(request, await readBody(request, maxBytes), maxBytes)
        const spans = isProtobuf ? readProtobufSpans(bytes) : readJsonSpans(bytes)
        const recorded = await recordSpans(writerFor ? writerFor(viewer) : options.writer, spans, signal)
        const position = await noteWrite?.(viewer)
        if (position !== undefined) context.wrote(position)
        const body = isProtobuf ? writeProtobufAnswer(recorded) : jsonAnswer(recorded)
        response.writeHead(200, {
          'content-type': isProtobuf ? PROTOBUF : 'application/json',
          'content-length': body.length,
          'cache-control': 'no-store',
        })
        response.end(body)
      } finally {
        leave()
      }
    },
  }
}

/** By the numbers of gRPC: 3 for what is wrong with the batch, 14 for what may pass. */
export const otlpFailure: FailureAnswer = ({ message, isRetryable }, { request, status }) => {
  const told = { code: isRetryable ? 14 : status === 401 ? 16 : status === 403 ? 7 : status >= 500 ? 13 : 3, message }
  if (typeOf(request) !== PROTOBUF) return { status, body: told }
  return { status, mediaType: PROTOBUF, body: writeProtobufStatus(told) }
}

function typeOf({ headers }: IncomingMessage): string {
  return (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
}

function requireType(request: IncomingMessage): string {
  const type = typeOf(request)
  if (type === PROTOBUF || type === 'application/json') return type
  throw new AppError('UNSUPPORTED_MEDIA_TYPE', `Spans come as ${PROTOBUF} or application/json`)
}

/** What it takes while it is read, its texts among it; of a batch of unknown size as much as it may be. */
function weightOf({ headers }: IncomingMessage, maxBytes: number): number {
  const isPlain = codingOf(headers['content-encoding']) === 'identity'
  const length = Number(headers['content-length'] ?? Number.NaN)
  return isPlain && length <= maxBytes ? 2 * length : Math.min(maxBytes, 16 * (length || maxBytes))
}

async function decode({ headers }: IncomingMessage, body: Buffer, maxBytes: number): Promise<Buffer> {
  const coding = codingOf(headers['content-encoding'])
  if (coding === 'identity') return body
  if (coding !== 'gzip') throw new AppError('UNSUPPORTED_MEDIA_TYPE', 'Spans come as they are, or by gzip')
  try {
    return await inflate(body, { maxOutputLength: maxBytes })
  } catch (cause) {
    const isTooLarge = cause instanceof RangeError
    if (isTooLarge) throw new AppError('PAYLOAD_TOO_LARGE', `The batch is larger than ${maxBytes} bytes`)
    throw new AppError('BAD_REQUEST', 'The body is no gzip', { cause })
  }
}

function codingOf(header: string | undefined): string {
  return header?.trim().toLowerCase() || 'identity'
}

function jsonAnswer({ rejected, message }: Recorded): Buffer {
  const partialSuccess = { rejectedSpans: String(rejected), errorMessage: message }
  return Buffer.from(JSON.stringify(rejected === 0 ? {} : { partialSuccess }))
}
