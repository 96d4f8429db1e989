import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { AppError } from '../errors.ts'
import { isUuid } from '../model/ids.ts'
import { SNAPSHOT_METADATA, type Snapshot } from '../model/snapshot.ts'
import type { SnapshotReader } from '../snapshots/reader.ts'
import { discard } from '../snapshots/views/open-payload.ts'
import type { ByteRange, OpenPayload } from '../snapshots/views/payloads.ts'
import { conditionFailed, precondition, readRange } from './conditions.ts'
import type { RequestContext } from './request.ts'
import { STALL_MILLIS, sendBody } from './send-body.ts'

/** One of the forms in which stored bytes can be sent. */
export interface Representation {
  readonly headers: OutgoingHttpHeaders
  /** Strong; undefined where nothing tells one version of the bytes from another. */
  readonly etag: string | undefined
  sizeOf(): Promise<number>
  open(): Promise<OpenPayload>
  /** Null where there are no parts of it. */
  readonly openRange: ((range: ByteRange) => Promise<OpenPayload>) | null
}

/** A payload is data of strangers: no browser may take it for a page of this server, and nobody keeps it. */
export const SAFE_HEADERS = {
  'cache-control': 'private, no-store',
  'content-security-policy': "default-src 'none'; sandbox",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
}

/** The snapshot that a path names. @throws AppError `NOT_FOUND`. */
export async function findSnapshot(
  reader: Pick<SnapshotReader, 'loadSnapshots'>,
  snapshotId: string,
): Promise<Snapshot> {
  const [snapshot] = isUuid(snapshotId) ? await reader.loadSnapshots([snapshotId], SNAPSHOT_METADATA) : []
  if (!snapshot) throw new AppError('NOT_FOUND', 'There is no such snapshot')
  return snapshot
}

/**
 * Answers a GET or HEAD with a representation, under the conditions and the range that the request names.
 * @throws AppError `CONFLICT` with the status 412, `RANGE_NOT_SATISFIABLE`; what opening the bytes throws.
 */
export async function sendRepresentation(
  { request, response }: Pick<RequestContext, 'request' | 'response'>,
  what: Representation,
  stallMillis: number = STALL_MILLIS,
): Promise<void> {
  const { etag, openRange } = what
  const headers = etag === undefined ? what.headers : { ...what.headers, etag }
  const outcome = precondition(request.headers, etag)
  if (outcome === 'failed') throw conditionFailed(response)
  if (outcome === 'not modified') {
    const { 'content-type': _type, 'content-length': _length, ...rest } = headers
    response.writeHead(304, rest).end()
    return
  }
  if (request.method === 'HEAD') {
    response.writeHead(200, { ...headers, 'content-length': await what.sizeOf() }).end()
    return
  }
  const isRangeAsked = openRange !== null && request.headers.range !== undefined
  const sizeBytes = isRangeAsked ? await what.sizeOf() : 0
  const range = isRangeAsked ? readRange(request.headers, { etag, sizeBytes }) : 'none'
  if (range === 'unsatisfiable') {
    response.setHeader('content-range', `bytes */${sizeBytes}`)
    throw new AppError('RANGE_NOT_SATISFIABLE', `There are ${sizeBytes} bytes`)
  }
  if (range === 'none' || openRange === null) {
    const payload = await what.open()
    return await send(response, payload, {
      stallMillis,
      status: 200,
      headers: { ...headers, 'content-length': payload.sizeBytes },
    })
  }
  const { start, end } = range
  const extent = { 'content-length': end - start, 'content-range': `bytes ${start}-${end - 1}/${sizeBytes}` }
  await send(response, await openRange(range), { stallMillis, status: 206, headers: { ...headers, ...extent } })
}

interface Sending {
  readonly status: number
  readonly headers: OutgoingHttpHeaders
  readonly stallMillis: number
}

async function send(response: ServerResponse, payload: OpenPayload, sending: Sending): Promise<void> {
  try {
    response.writeHead(sending.status, sending.headers)
    await sendBody(response, payload.body, sending.stallMillis)
  } catch (error) {
    discard(payload)
    throw error
  }
  payload.release()
}
