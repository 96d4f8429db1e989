import type { OutgoingHttpHeaders } from 'node:http'
import type { Snapshot } from '../model/snapshot.ts'
import { contentDisposition, type Links } from '../snapshots/links.ts'
import type { SnapshotReader } from '../snapshots/reader.ts'
import type { CodedPayload, Payloads, Source } from '../snapshots/views/payloads.ts'
import { addVary, type Handler } from './http.ts'
import { accepts } from './negotiation.ts'
import { findSnapshot, type Representation, SAFE_HEADERS, sendRepresentation } from './representation.ts'
import type { RequestContext } from './request.ts'

export interface PayloadRouteOptions {
  readonly reader: Pick<SnapshotReader, 'loadSnapshots'>
  readonly payloads: Pick<Payloads, 'resolve' | 'open' | 'hasRanges' | 'openRange' | 'coded' | 'sizeOf'>
  readonly links: Pick<Links, 'verify'>
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
  const { reader, payloads, links, stallMillis } = options

  async function serve(context: RequestContext): Promise<void> {
    const { request, response, query, signal } = context
    const found = await findSnapshot(reader, context.params[0] ?? '')
    const { disposition, filename } = query === '' ? PLAIN : links.verify(query, found)
    const source = await payloads.resolve(found, { signal })
    const name = filename === null ? {} : { 'content-disposition': contentDisposition(disposition, filename) }
    const headers = { ...SAFE_HEADERS, ...name, 'content-type': source.snapshot.contentType }
    const coded = await payloads.coded(source)
    if (coded) addVary(response, 'accept-encoding')
    const plain = await plainForm(source, headers, signal)
    const wantsPart = request.headers.range !== undefined && plain.openRange !== null
    const isAccepted = coded !== null && !wantsPart && accepts(request.headers, coded.coding)
    await sendRepresentation(context, isAccepted ? codedForm(source, coded, { headers, signal }) : plain, stallMillis)
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

  const handler: Handler = (context) => serve(context)
  return { GET: handler, HEAD: handler }
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

const PLAIN = { disposition: 'inline', filename: null } as const
