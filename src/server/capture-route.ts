import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { AppError } from '../errors.ts'
import { type Captured, storageTierOf } from '../model/snapshot.ts'
import { checkDigests } from '../snapshots/capture/checked-digests.ts'
import type { SnapshotWriter } from '../snapshots/capture/writer.ts'
import { ENCODINGS, type Encoding, isEncoding } from '../snapshots/encoding.ts'
import type { Admission } from '../snapshots/source/admission.ts'
import { decodePart, readCaptureQuery } from './capture-query.ts'
import { readDigests } from './digest-headers.ts'
import { type Handler, sendJson } from './http.ts'
import { uploadOf } from './upload.ts'

/** The largest object that S3 holds: 5 TiB. */
const BODY_MAX_BYTES = 5 * 2 ** 40
const IDLE_MILLIS = 30_000

export interface CaptureRouteOptions {
  readonly writer: Pick<SnapshotWriter, 'capture'>
  /** Bounds the uploads under way: each holds parts of its body until its store has them. */
  readonly admission: Admission
  /** How long a sender may send nothing. */
  readonly idleMillis?: number
  /** Path of the server's public URL, without a trailing slash; default none. */
  readonly basePath?: string
}

/**
 * `PUT /runs/{runId}/steps/{stepId}/snapshot`: captures the body, of any size, byte for byte. The ids are percent-encoded;
 * the query says what else is known of it. 201 with what was stored, 200 where the same capture was stored before.
 */
export function createCaptureRoute(options: CaptureRouteOptions): { readonly PUT: Handler } {
  const { writer, admission, idleMillis = IDLE_MILLIS, basePath = '' } = options
  return {
    async PUT({ request, response, query, params: [runId = '', stepId = ''], signal }) {
      const { headers } = request
      const input = {
        ...readCaptureQuery(query),
        runId: decodePart(runId),
        stepId: decodePart(stepId),
        idempotencyKey: readIdempotencyKey(headers),
      }
      requireJson(headers)
      const encoding = readEncoding(request, response)
      const digests = readDigests(headers)
      const sizeBytes = readLength(headers)
      const onStart = () => {
        if (headers.expect !== undefined) response.writeContinue()
      }
      const chunks = checkDigests(uploadOf(request, { idleMillis, onStart }), digests)
      const leave = await admission.uploads.enter(signal)
      try {
        const captured = await writer.capture(input, { chunks, sizeBytes, encoding }, signal)
        response.setHeader('location', `${basePath}/snapshots/${captured.snapshot.snapshotId}/payload`)
        answer(response, captured)
      } finally {
        leave()
      }
    },
  }
}

function answer(response: ServerResponse, { snapshot, created }: Captured): void {
  const { snapshotId, runId, stepId, seq, sizeBytes, digest } = snapshot
  const storageTier = storageTierOf(snapshot)
  sendJson(response, created ? 201 : 200, {
    snapshotId,
    runId,
    stepId,
    seq,
    sizeBytes,
    digest,
    storageTier,
    created,
  })
}

export function requireJson({ 'content-type': contentType = '' }: IncomingHttpHeaders): void {
  if (!/^application\/(?:json|[\w.!#$&^-]+\+json)\s*(?:;\s*charset\s*=\s*"?utf-?8"?\s*)?$/i.test(contentType)) {
    throw new AppError('UNSUPPORTED_MEDIA_TYPE', 'The body must be application/json in UTF-8')
  }
}

function readEncoding({ headers }: IncomingMessage, response: ServerResponse): Encoding | undefined {
  const name = (headers['content-encoding'] ?? 'identity').trim().toLowerCase()
  if (name === 'identity') return undefined
  if (isEncoding(name)) return name
  response.setHeader('accept-encoding', ENCODINGS.join(', '))
  throw new AppError('UNSUPPORTED_MEDIA_TYPE', `The body may be coded in ${ENCODINGS.join(' or ')}, and once`)
}

/** Of the body as it is sent; undefined when it comes in chunks. */
export function readLength({ 'content-length': length }: IncomingHttpHeaders): number | undefined {
  if (length === undefined) return undefined
  const sizeBytes = Number(length)
  if (sizeBytes > BODY_MAX_BYTES) {
    throw new AppError('PAYLOAD_TOO_LARGE', `The body is larger than ${BODY_MAX_BYTES} bytes`)
  }
  return sizeBytes
}

/** Taken as it stands, quotes included. */
function readIdempotencyKey({ 'idempotency-key': key }: IncomingHttpHeaders): string | undefined {
  if (key !== undefined && !/^[\x20-\x7e]+$/.test(String(key))) {
    throw new AppError('BAD_REQUEST', 'The header idempotency-key must be plain ASCII')
  }
  return key === undefined ? undefined : String(key)
}
