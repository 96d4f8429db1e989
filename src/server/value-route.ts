import { hash } from 'node:crypto'
import { AppError } from '../errors.ts'
import type { Parts } from '../snapshots/views/parts.ts'
import { SILENT, type Telemetry } from '../telemetry/telemetry.ts'
import { createFindAsked, type FindAskedOptions } from './asked-snapshot.ts'
import { decodePart } from './capture-query.ts'
import type { Handler } from './http.ts'
import { SAFE_HEADERS, sendRepresentation } from './representation.ts'
import type { RequestContext } from './request.ts'

export interface ValueRouteOptions extends FindAskedOptions {
  readonly parts: Parts
  readonly telemetry?: Pick<Telemetry, 'payloadBytes'>
}

/**
 * `GET` and `HEAD /snapshots/{snapshotId}/value?pointer=…`: the bytes of one place in a state, streamed, with ranges, to viewers and
 * to whoever holds a link to the payload: its query comes first. Without a pointer it is all of the state.
 */
export function createValueRoute({ parts, telemetry = SILENT, ...options }: ValueRouteOptions): {
  readonly GET: Handler
  readonly HEAD: Handler
} {
  const findAsked = createFindAsked(options)

  async function serve(context: RequestContext): Promise<void> {
    const { query, signal, patienceMillis } = context
    const { pointer, link } = readQuery(query)
    const { snapshot, viewer } = await findAsked(context, link)
    const of = { tier: snapshot.storageUri === null ? 'inline' : 'object', way: 'part' } as const
    const reads = parts.forViewer(viewer, signal, patienceMillis)
    try {
      const document = await reads.open(snapshot)
      const place = await document.at(pointer)
      await sendRepresentation(context, {
        headers: { ...SAFE_HEADERS, 'content-type': 'application/json', 'accept-ranges': 'bytes' },
        etag: `"${hash('sha256', `${document.version} ${pointer}`)}"`,
        sizeOf: async () => place.sizeBytes,
        open: () => document.open(place),
        openRange: (range) => document.open(place, range),
        onSent: (bytes) => telemetry.payloadBytes('out', bytes, of),
      })
    } finally {
      reads.close()
    }
  }

  const handler: Handler = (context) => serve(context)
  return { GET: handler, HEAD: handler }
}

/** @throws AppError `BAD_REQUEST` for an escape that says nothing. */
function readQuery(query: string): { readonly pointer: string; readonly link: string } {
  const [, link, pointer] = /^(?:(.*)&)?pointer=([^&]*)$/s.exec(query) ?? [undefined, query, '']
  if (link?.includes('pointer=')) throw new AppError('BAD_REQUEST', 'The query has more than one pointer')
  return { pointer: decodePart((pointer ?? '').replaceAll('+', ' ')), link: link ?? '' }
}
