import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { AppError } from '../errors.ts'
import { isUuid } from '../model/ids.ts'
import { SNAPSHOT_METADATA, type Snapshot } from '../model/snapshot.ts'
import { handedOnAs } from '../snapshots/encoding.ts'
import { contentDisposition, type Links } from '../snapshots/links.ts'
import type { SnapshotReader } from '../snapshots/reader.ts'
import type { Admission } from '../snapshots/source/admission.ts'
import type { OpenPayload, Payloads } from '../snapshots/views/payloads.ts'
import { accepts, isNotModified, readRange } from './conditions.ts'
import { addVary, type Handler } from './http.ts'
import type { RequestContext } from './request.ts'
import { STALL_MILLIS, sendBody } from './send-body.ts'

export interface PayloadRouteOptions {
  readonly reader: Pick<SnapshotReader, 'loadSnapshots'>
  readonly payloads: Pick<Payloads, 'open' | 'openCoded' | 'settle'>
  readonly links: Pick<Links, 'verify'>
  /** Bounds the streams from storage. */
  readonly admission: Admission
  /** How long a client may take nothing. */
  readonly stallMillis?: number
}

/**
 * `GET` and `HEAD /snapshots/{snapshotId}/payload`: the payload's own bytes, to viewers and to whoever holds a link.
 *
 * An object that is stored in a coding goes out in it, whole, to clients that accept it; everyone else, and whoever asks for a
 * range, gets the payload itself.
 */
export function createPayloadRoute(options: PayloadRouteOptions): { readonly GET: Handler; readonly HEAD: Handler } {
  const { reader, payloads, links, admission, stallMillis = STALL_MILLIS } = options

  async function find(snapshotId: string): Promise<Snapshot> {
    const [snapshot] = isUuid(snapshotId) ? await reader.loadSnapshots([snapshotId], SNAPSHOT_METADATA) : []
    if (!snapshot) throw new AppError('NOT_FOUND', 'There is no such snapshot')
    return snapshot
  }

  /** Which of two copies is served says what size and tag there are. */
  async function settle(snapshot: Snapshot, signal: AbortSignal): Promise<Snapshot> {
    if (!snapshot.hasInlineCopy) return snapshot
    const leave = await admission.streams.enter(signal)
    return await payloads.settle(snapshot, { signal }).finally(leave)
  }

  async function serve(context: RequestContext): Promise<void> {
    const { request, response, query, signal } = context
    const found = await find(context.params[0] ?? '')
    const { disposition, filename } = query === '' ? PLAIN : links.verify(query, found)
    const snapshot = await settle(found, signal)
    const name = filename === null ? {} : { 'content-disposition': contentDisposition(disposition, filename) }
    const headers = { ...SAFE_HEADERS, ...name, 'content-type': snapshot.contentType }
    const storedAs = handedOnAs(snapshot)
    if (storedAs !== null) addVary(response, 'accept-encoding')
    const coding = request.headers.range === undefined ? storedAs : null
    if (coding !== null && accepts(request.headers, coding)) {
      await answer(context, codedRepresentation(snapshot, { headers, coding }))
    } else await answer(context, plainRepresentation(snapshot, headers))
  }

  async function answer({ request, response, signal }: RequestContext, what: Representation): Promise<void> {
    const { snapshot, etag } = what
    const headers = etag === undefined ? what.headers : { ...what.headers, etag }
    if (isNotModified(request.headers, etag)) {
      const { 'content-type': _type, 'content-length': _length, ...rest } = headers
      response.writeHead(304, rest).end()
      return
    }
    const isHead = request.method === 'HEAD'
    const opensObject = snapshot.storageUri !== null && !(isHead && what.sizeBytes !== null)
    const leave = opensObject ? await admission.streams.enter(signal) : () => {}
    try {
      if (isHead) await sendHead(response, { ...what, headers }, signal)
      else await sendPayload(request, response, { ...what, headers, signal })
    } finally {
      leave()
    }
  }

  async function sendHead(response: ServerResponse, what: Representation, signal: AbortSignal): Promise<void> {
    const sizeBytes = what.sizeBytes ?? (await sizeOf(what, signal))
    response.writeHead(200, { ...what.headers, 'content-length': sizeBytes }).end()
  }

  async function sendPayload(
    request: IncomingMessage,
    response: ServerResponse,
    what: Representation & { readonly signal: AbortSignal },
  ): Promise<void> {
    const { headers, etag, signal } = what
    const isRangeAsked = what.hasRanges && request.headers.range !== undefined
    const sizeBytes = isRangeAsked ? (what.sizeBytes ?? (await sizeOf(what, signal))) : 0
    const range = isRangeAsked ? readRange(request.headers, { etag, sizeBytes }) : 'none'
    if (range === 'unsatisfiable') {
      response.setHeader('content-range', `bytes */${sizeBytes}`)
      throw new AppError('RANGE_NOT_SATISFIABLE', `The payload has ${sizeBytes} bytes`)
    }
    if (range === 'none') {
      const opened = await open(what, { signal })
      response.writeHead(200, { ...headers, 'content-length': opened.sizeBytes })
      return await sendBody(response, opened.body, stallMillis)
    }
    const { start, end } = range
    const { body } = await open(what, { range, signal })
    const extent = { 'content-length': end - start, 'content-range': `bytes ${start}-${end - 1}/${sizeBytes}` }
    response.writeHead(206, { ...headers, ...extent })
    await sendBody(response, body, stallMillis)
  }

  async function open({ snapshot, isCoded }: Representation, wish: Parameters<Payloads['open']>[1]) {
    const opened = isCoded ? await payloads.openCoded(snapshot, wish) : null
    return opened ?? (await payloads.open(snapshot, wish))
  }

  async function sizeOf(what: Representation, signal: AbortSignal): Promise<number> {
    const { sizeBytes, body }: OpenPayload = await open(what, { signal })
    if (!Buffer.isBuffer(body)) body.destroy()
    return sizeBytes
  }

  const handler: Handler = (context) => serve(context)
  return { GET: handler, HEAD: handler }
}

/** One of the forms in which a payload can be sent. */
interface Representation {
  readonly snapshot: Snapshot
  readonly headers: OutgoingHttpHeaders
  /** Strong; undefined where the payload has no digest. */
  readonly etag: string | undefined
  /** Null where only opening it tells. */
  readonly sizeBytes: number | null
  readonly isCoded: boolean
  readonly hasRanges: boolean
}

function plainRepresentation(snapshot: Snapshot, headers: OutgoingHttpHeaders): Representation {
  return {
    snapshot,
    headers: { ...headers, 'accept-ranges': 'bytes' },
    etag: tagOf(snapshot),
    sizeBytes: snapshot.sizeBytes,
    isCoded: false,
    hasRanges: true,
  }
}

function codedRepresentation(
  snapshot: Snapshot,
  { headers, coding }: { readonly headers: OutgoingHttpHeaders; readonly coding: string },
): Representation {
  return {
    snapshot,
    headers: { ...headers, 'content-encoding': coding, 'accept-ranges': 'none' },
    etag: tagOf(snapshot, `-${coding}`),
    sizeBytes: null,
    isCoded: true,
    hasRanges: false,
  }
}

/** Only a digest of the very bytes that are served can be their tag. */
function tagOf({ digest, digestOf }: Snapshot, suffix = ''): string | undefined {
  return digest !== null && digestOf === 'PAYLOAD' ? `"${digest.slice('sha256:'.length)}${suffix}"` : undefined
}

const PLAIN = { disposition: 'inline', filename: null } as const

/** A payload is data of strangers: no browser may take it for a page of this server, and nobody keeps it. */
const SAFE_HEADERS = {
  'cache-control': 'private, no-store',
  'content-security-policy': "default-src 'none'; sandbox",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
}
