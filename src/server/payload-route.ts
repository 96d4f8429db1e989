import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { LINK_HOLDERS, requireScope, type Viewer } from '../auth/viewer.ts'
import { AppError } from '../errors.ts'
import { isUuid } from '../model/ids.ts'
import { SNAPSHOT_METADATA, type Snapshot } from '../model/snapshot.ts'
import { contentDisposition, type Links } from '../snapshots/links.ts'
import type { SnapshotReader } from '../snapshots/reader.ts'
import type { Readers } from '../snapshots/readers.ts'
import { isMasked } from '../snapshots/source/source.ts'
import { discard } from '../snapshots/views/open-payload.ts'
import type {
  ByteRange,
  CodedPayload,
  MaskedSource,
  OpenPayload,
  Payloads,
  Source,
  UnmeasuredPayload,
} from '../snapshots/views/payloads.ts'
import { conditionFailed, precondition, readRange } from './conditions.ts'
import { addVary, type Handler } from './http.ts'
import { accepts } from './negotiation.ts'
import type { RequestContext } from './request.ts'
import { STALL_MILLIS, sendBody } from './send-body.ts'

export interface PayloadRouteOptions {
  readonly readers: { forViewer(...asked: Parameters<Readers['forViewer']>): Pick<SnapshotReader, 'loadSnapshots'> }
  readonly payloads: Pick<Payloads, 'resolve' | 'open' | 'hasRanges' | 'openRange' | 'coded' | 'sizeOf'>
  readonly links: Pick<Links, 'verify' | 'missing'>
  /** How long a client may take nothing. */
  readonly stallMillis?: number
}

/**
 * `GET` and `HEAD /snapshots/{snapshotId}/payload`: the payload's own bytes, to viewers and to whoever holds a link.
 *
 * An object that is stored in a coding goes out in it to clients that accept it, and decoded to everyone else. There are ranges of
 * every payload of which parts can be checked, but not of large coded ones: each would have to be decoded from its start.
 */
export function createPayloadRoute(options: PayloadRouteOptions): { readonly GET: Handler; readonly HEAD: Handler } {
  const { readers, payloads, links, stallMillis = STALL_MILLIS } = options

  async function find(snapshotId: string, viewer: Viewer, signal: AbortSignal): Promise<Snapshot | undefined> {
    if (!isUuid(snapshotId)) return undefined
    const [snapshot] = await readers.forViewer(viewer, signal).loadSnapshots([snapshotId], SNAPSHOT_METADATA)
    return snapshot
  }

  /** By the right of whoever asks. */
  async function findForViewer({ params, viewer, signal }: RequestContext): Promise<Asked> {
    requireScope(viewer, 'read')
    const snapshot = await find(params[0] ?? '', viewer, signal)
    if (!snapshot) throw new AppError('NOT_FOUND', 'There is no such snapshot')
    return { ...PLAIN, snapshot, viewer }
  }

  /** By the right that a link carries, which is spelled in one way. */
  async function findByLink({ params: [snapshotId = ''], query, signal }: RequestContext): Promise<Asked> {
    const snapshot = await find(snapshotId, LINK_HOLDERS.whole, signal)
    if (snapshot?.snapshotId !== snapshotId) throw links.missing(query, snapshotId)
    const { access, ...presentation } = links.verify(query, snapshot)
    return { ...presentation, snapshot, viewer: LINK_HOLDERS[access] }
  }

  async function serve(context: RequestContext): Promise<void> {
    const { request, response, query, signal } = context
    const asked = await (query === '' ? findForViewer(context) : findByLink(context))
    const { snapshot, viewer, disposition, filename } = asked
    const source = await payloads.resolve(snapshot, { viewer, signal })
    const name = filename === null ? {} : { 'content-disposition': contentDisposition(disposition, filename) }
    if (isMasked(source)) return await answer(context, maskedForm(source, { ...SAFE_HEADERS, ...name }, signal))
    const headers = { ...SAFE_HEADERS, ...name, 'content-type': source.snapshot.contentType }
    const coded = await payloads.coded(source)
    if (coded) addVary(response, 'accept-encoding')
    const plain = await plainForm(source, headers, signal)
    const wantsPart = request.headers.range !== undefined && plain.openRange !== null
    const isAccepted = coded !== null && !wantsPart && accepts(request.headers, coded.coding)
    await answer(context, isAccepted ? codedForm(source, coded, { headers, signal }) : plain)
  }

  async function plainForm(source: Source, headers: OutgoingHttpHeaders, signal: AbortSignal): Promise<Representation> {
    const hasRanges = await payloads.hasRanges(source, { signal })
    return {
      headers: { ...headers, 'accept-ranges': hasRanges ? 'bytes' : 'none' },
      etag: tagOf(source.snapshot),
      sizeOf: () => payloads.sizeOf(source, { signal }),
      open: () => payloads.open(source, { signal }),
      openRange: hasRanges ? (range) => payloads.openRange(source, range, { signal }) : null,
    }
  }

  function maskedForm(source: MaskedSource, headers: OutgoingHttpHeaders, signal: AbortSignal): Representation {
    return {
      headers: { ...headers, 'accept-ranges': 'none', 'content-type': source.contentType },
      etag: source.tag === null ? undefined : `"${source.tag}"`,
      sizeOf: async () => null,
      open: () => payloads.open(source, { signal }),
      openRange: null,
    }
  }

  async function answer({ request, response }: RequestContext, what: Representation): Promise<void> {
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
      throw new AppError('RANGE_NOT_SATISFIABLE', `The payload has ${sizeBytes} bytes`)
    }
    if (range === 'none' || openRange === null) {
      const payload = await what.open()
      return await send(response, payload, { status: 200, ...headers, ...lengthOf(payload.sizeBytes) })
    }
    const { start, end } = range
    const extent = { 'content-length': end - start, 'content-range': `bytes ${start}-${end - 1}/${sizeBytes}` }
    await send(response, await openRange(range), { status: 206, ...headers, ...extent })
  }

  async function send(
    response: ServerResponse,
    payload: Pick<OpenPayload, 'body' | 'release'>,
    head: Head,
  ): Promise<void> {
    const { status, ...headers } = head
    try {
      response.writeHead(status, headers)
      await sendBody(response, payload.body, stallMillis)
    } catch (error) {
      discard(payload)
      throw error
    }
    payload.release()
  }

  const handler: Handler = (context) => serve(context)
  return { GET: handler, HEAD: handler }
}

type Head = OutgoingHttpHeaders & { readonly status: number }

/** One of the forms in which a payload can be sent. */
interface Representation {
  readonly headers: OutgoingHttpHeaders
  /** Strong; undefined where the payload has no digest. */
  readonly etag: string | undefined
  /** Null where only sending it tells. */
  sizeOf(): Promise<number | null>
  open(): Promise<OpenPayload | UnmeasuredPayload>
  /** Null where there are no parts of it. */
  readonly openRange: ((range: ByteRange) => Promise<OpenPayload>) | null
}

interface CodedWish {
  readonly headers: OutgoingHttpHeaders
  readonly signal: AbortSignal
}

function codedForm({ snapshot }: Source, coded: CodedPayload, { headers, signal }: CodedWish): Representation {
  return {
    headers: { ...headers, 'content-encoding': coded.coding, 'accept-ranges': 'none' },
    etag: tagOf(snapshot, `-${coded.coding}`),
    sizeOf: async () => coded.sizeBytes,
    open: () => coded.open({ signal }),
    openRange: null,
  }
}

/** Only a digest of the very bytes that are served can be their tag. */
function tagOf({ digest, digestOf }: Snapshot, suffix = ''): string | undefined {
  return digest !== null && digestOf === 'PAYLOAD' ? `"${digest.slice('sha256:'.length)}${suffix}"` : undefined
}

function lengthOf(sizeBytes: number | null): OutgoingHttpHeaders {
  return sizeBytes === null ? {} : { 'content-length': sizeBytes }
}

/** What is asked for, and by whose right. */
interface Asked {
  readonly snapshot: Snapshot
  readonly viewer: Viewer
  readonly disposition: 'attachment' | 'inline'
  readonly filename: string | null
}

const PLAIN = { disposition: 'inline', filename: null } as const

/** A payload is data of strangers: no browser may take it for a page of this server, and nobody keeps it. */
const SAFE_HEADERS = {
  'cache-control': 'private, no-store',
  'content-security-policy': "default-src 'none'; sandbox",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
}
