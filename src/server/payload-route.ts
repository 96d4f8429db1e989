import type { OutgoingHttpHeaders } from 'node:http'
import type { Snapshot } from '../model/snapshot.ts'
import { contentDisposition } from '../snapshots/links.ts'
import { isMasked, isObject } from '../snapshots/source/source.ts'
import type { CodedPayload, MaskedSource, Payloads, Source } from '../snapshots/views/payloads.ts'
import { SILENT, type Telemetry } from '../telemetry/telemetry.ts'
import { createFindAsked, type FindAskedOptions } from './asked-snapshot.ts'
import { addVary, type Handler } from './http.ts'
import { accepts } from './negotiation.ts'
import { type Representation, SAFE_HEADERS, sendRepresentation } from './representation.ts'
import type { RequestContext } from './request.ts'

export interface PayloadRouteOptions extends FindAskedOptions {
  readonly payloads: Pick<Payloads, 'resolve' | 'open' | 'hasRanges' | 'openRange' | 'coded' | 'sizeOf'>
  /** How long a client may take nothing. */
  readonly stallMillis?: number
  readonly telemetry?: Pick<Telemetry, 'payloadBytes'>
}

/**
 * `GET` and `HEAD /snapshots/{snapshotId}/payload`: the payload's own bytes, to viewers and to whoever holds a link.
 *
 * An object that is stored in a coding goes out in it to clients that accept it, and decoded to everyone else. There are ranges of
 * every payload of which parts can be checked, but not of large coded ones: each would have to be decoded from its start.
 */
export function createPayloadRoute(options: PayloadRouteOptions): { readonly GET: Handler; readonly HEAD: Handler } {
  const { payloads, stallMillis, telemetry = SILENT } = options
  const findAsked = createFindAsked(options)

  async function serve(context: RequestContext): Promise<void> {
    const { request, response, query, signal } = context
    const { snapshot, viewer, disposition, filename } = await findAsked(context, query)
    const source = await payloads.resolve(snapshot, { viewer, signal })
    const tier = isObject(isMasked(source) ? source.under : source) ? 'object' : 'inline'
    const onSent: Representation['onSent'] = (bytes, asked) =>
      telemetry.payloadBytes('out', bytes, { tier, way: viewer.mode === 'link' ? 'link' : asked })
    const name = filename === null ? {} : { 'content-disposition': contentDisposition(disposition, filename) }
    if (isMasked(source)) {
      const form = maskedForm(source, { ...SAFE_HEADERS, ...name }, signal)
      return await sendRepresentation(context, { ...form, onSent }, stallMillis)
    }
    const headers = { ...SAFE_HEADERS, ...name, 'content-type': source.snapshot.contentType }
    const coded = await payloads.coded(source)
    if (coded) addVary(response, 'accept-encoding')
    const plain = await plainForm(source, headers, signal)
    const wantsPart = request.headers.range !== undefined && plain.openRange !== null
    const isAccepted = coded !== null && !wantsPart && accepts(request.headers, coded.coding)
    const form = isAccepted ? codedForm(source, coded, { headers, signal }) : plain
    await sendRepresentation(context, { ...form, onSent }, stallMillis)
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
