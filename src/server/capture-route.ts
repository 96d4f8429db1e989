import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { Viewer } from '../auth/viewer.ts'
import { AppError } from '../errors.ts'
import { type Captured, storageTierOf } from '../model/snapshot.ts'
import { checkDigests, checkWholeDigests } from '../snapshots/capture/checked-digests.ts'
import type { SnapshotWriter } from '../snapshots/capture/writer.ts'
import { decodePart, readCaptureQuery } from './capture-query.ts'
import { readDigests } from './digest-headers.ts'
import { type Handler, sendJson } from './http.ts'
import { readCoding } from './negotiation.ts'
import type { Pace } from './pace.ts'
import { receiveBody } from './receive-body.ts'

export interface CaptureRouteOptions {
  readonly writer: Pick<SnapshotWriter, 'capture'>
  /** The writer of a viewer, where not every run is open to all; `writer` when left out. */
  readonly writerFor?: ((viewer: Viewer) => Pick<SnapshotWriter, 'capture'>) | undefined
  /** Told when a viewer has written something. @returns what others have to name to see it; undefined where nobody has to. */
  readonly noteWrite?: ((viewer: Viewer) => Promise<string | undefined>) | undefined
  /** How fast a body must come. */
  readonly senders: Pace
  /** Bodies up to so many bytes are read at once: those that go into a row. Default none. */
  readonly wholeMaxBytes?: number
  /** Path of the server's public URL, without a trailing slash; default none. */
  readonly basePath?: () => string
}

/** The ids with what stands between them: a proxy that takes a path off may have decoded their slashes. */
export const CAPTURE_PATH = /^\/runs\/(.+\/steps\/.+)\/snapshot$/

/**
 * `PUT /runs/{runId}/steps/{stepId}/snapshot`: captures the body, of any size, byte for byte. The ids are percent-encoded;
 * the query says what else is known of it. 201 with what was stored, 200 where the same capture was stored before.
 */
export function createCaptureRoute(options: CaptureRouteOptions): { readonly PUT: Handler } {
  const { senders, wholeMaxBytes = 0, basePath = () => '', writerFor, noteWrite } = options
  return {
    async PUT(context) {
      const { request, response, query, signal } = context
      const { headers } = request
      const writer = writerFor ? writerFor(context.viewer) : options.writer
      const known = {
        ...readCaptureQuery(query),
        ...readIds(context.params[0]),
        idempotencyKey: readIdempotencyKey(headers),
      }
      const { contentType, chunks, sizeBytes, readWhole } = receiveBody(context, senders, wholeMaxBytes)
      const input = { ...known, contentType }
      const digests = readDigests(request)
      const encoding = readCoding(response)
      const payload =
        readWhole && encoding === undefined
          ? checkWholeDigests(await readWhole(), digests)
          : { chunks: checkDigests(chunks, digests), sizeBytes, encoding }
      const captured = await writer.capture(input, payload, signal)
      const position = await noteWrite?.(context.viewer)
      if (position !== undefined) context.wrote(position)
      response.setHeader('location', `${basePath()}/snapshots/${captured.snapshot.snapshotId}/payload`)
      answer(response, captured)
    },
  }
}

const BETWEEN_IDS = '/steps/'

/** @throws AppError `BAD_REQUEST` where they could be parted in several ways. */
function readIds(path = ''): { readonly runId: string; readonly stepId: string } {
  const at = path.indexOf(BETWEEN_IDS)
  // Counted with room for two that share a slash.
  if (path.indexOf(BETWEEN_IDS, at + 1) !== -1) {
    throw new AppError('BAD_REQUEST', 'The ids cannot be told apart: their slashes must arrive here as %2F')
  }
  return { runId: decodePart(path.slice(0, at)), stepId: decodePart(path.slice(at + BETWEEN_IDS.length)) }
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

/** Taken as it stands, quotes included. */
function readIdempotencyKey({ 'idempotency-key': key }: IncomingHttpHeaders): string | undefined {
  if (key !== undefined && !/^[\x20-\x7e]+$/.test(String(key))) {
    throw new AppError('BAD_REQUEST', 'The header idempotency-key must be plain ASCII')
  }
  return key === undefined ? undefined : String(key)
}
