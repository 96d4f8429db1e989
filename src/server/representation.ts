import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { AppError } from '../errors.ts'
import { discard } from '../snapshots/views/open-payload.ts'
import type { ByteRange, OpenPayload, UnmeasuredPayload } from '../snapshots/views/payloads.ts'
import { conditionFailed, precondition, readRange } from './conditions.ts'
import type { RequestContext } from './request.ts'
import { STALL_MILLIS, sendBody } from './send-body.ts'
import { startCount } from './sent-bytes.ts'

/** One of the forms in which stored bytes can be sent. */
export interface Representation {
  readonly headers: OutgoingHttpHeaders
  /** Strong; undefined where nothing tells one version of the bytes from another. */
  readonly etag: string | undefined
  /** Null where only sending it tells: then there are no parts of it. */
  sizeOf(): Promise<number | null>
  open(): Promise<OpenPayload | UnmeasuredPayload>
  /** Null where there are no parts of it. */
  readonly openRange: ((range: ByteRange) => Promise<OpenPayload>) | null
  /** Told how many of its bytes have gone out, by what was asked for. */
  readonly onSent?: (bytes: number, asked: 'whole' | 'range') => void
}

/** A payload is data of strangers: no browser may take it for a page of this server, and nobody keeps it. */
export const SAFE_HEADERS = {
  'cache-control': 'private, no-store',
  'content-security-policy': "default-src 'none'; sandbox",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
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
    response.writeHead(200, { ...headers, ...lengthOf(await what.sizeOf()) }).end()
    return
  }
  const isRangeAsked = openRange !== null && request.headers.range !== undefined
  const sizeBytes = isRangeAsked ? ((await what.sizeOf()) ?? 0) : 0
  const range = isRangeAsked ? readRange(request.headers, { etag, sizeBytes }) : 'none'
  if (range === 'unsatisfiable') {
    response.setHeader('content-range', `bytes */${sizeBytes}`)
    throw new AppError('RANGE_NOT_SATISFIABLE', `There are ${sizeBytes} bytes`)
  }
  if (range === 'none' || openRange === null) {
    const payload = await what.open()
    return await send(response, payload, {
      stallMillis,
      sizeBytes: payload.sizeBytes,
      onSent: (bytes) => what.onSent?.(bytes, 'whole'),
      status: 200,
      headers: { ...headers, ...lengthOf(payload.sizeBytes) },
    })
  }
  const { start, end } = range
  const extent = { 'content-length': end - start, 'content-range': `bytes ${start}-${end - 1}/${sizeBytes}` }
  await send(response, await openRange(range), {
    stallMillis,
    sizeBytes: end - start,
    onSent: (bytes) => what.onSent?.(bytes, 'range'),
    status: 206,
    headers: { ...headers, ...extent },
  })
}

interface Sending {
  readonly status: number
  readonly headers: OutgoingHttpHeaders
  readonly stallMillis: number
  /** Of what is sent; null where only its end tells. */
  readonly sizeBytes: number | null
  readonly onSent: (bytes: number) => void
}

async function send(
  response: ServerResponse,
  payload: OpenPayload | UnmeasuredPayload,
  sending: Sending,
): Promise<void> {
  const sent = startCount(response, sending.sizeBytes)
  try {
    response.writeHead(sending.status, sending.headers)
    await sendBody(response, payload.body, sending.stallMillis)
    sending.onSent(sent(true))
  } catch (error) {
    sending.onSent(sent(false))
    discard(payload)
    throw error
  }
  payload.release()
}

function lengthOf(sizeBytes: number | null): OutgoingHttpHeaders {
  return sizeBytes === null ? {} : { 'content-length': sizeBytes }
}
