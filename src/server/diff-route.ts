import { hash } from 'node:crypto'
import { Readable } from 'node:stream'
import { requireScope } from '../auth/viewer.ts'
import { AppError } from '../errors.ts'
import { isUuid } from '../model/ids.ts'
import { SNAPSHOT_METADATA, type Snapshot } from '../model/snapshot.ts'
import type { SnapshotReader } from '../snapshots/reader.ts'
import type { Readers } from '../snapshots/readers.ts'
import type { Parts, RequestParts } from '../snapshots/views/parts.ts'
import { openStateDiff, type StateDiff } from '../snapshots/views/state-diff.ts'
import { SILENT, type Telemetry } from '../telemetry/telemetry.ts'
import { findSnapshot } from './asked-snapshot.ts'
import { decodePart } from './capture-query.ts'
import { conditionFailed, precondition } from './conditions.ts'
import { addVary, type Handler } from './http.ts'
import { readAccept } from './negotiation.ts'
import { SAFE_HEADERS } from './representation.ts'
import type { RequestContext } from './request.ts'
import { sendBody } from './send-body.ts'
import { startCount } from './sent-bytes.ts'

export interface DiffRouteOptions {
  readonly readers: {
    forViewer(...asked: Parameters<Readers['forViewer']>): Pick<SnapshotReader, 'loadSnapshots' | 'loadNeighbours'>
  }
  readonly parts: Parts
  readonly telemetry?: Pick<Telemetry, 'payloadBytes'>
}

const PATCH = 'application/json-patch+json'
const MERGE_PATCH = 'application/merge-patch+json'

/**
 * `GET` and `HEAD /snapshots/{snapshotId}/diff?from={id}&pointer=…`: what makes this state of the other one, or of the one before it
 * in the run, streamed as a patch of RFC 6902; by `Accept` of RFC 7396, where that has words for it and all of both is compared.
 */
export function createDiffRoute({ readers, parts, telemetry = SILENT }: DiffRouteOptions): {
  readonly GET: Handler
  readonly HEAD: Handler
} {
  async function serve(context: RequestContext): Promise<void> {
    const { query, params, viewer, signal, after, response, patienceMillis } = context
    requireScope(viewer, 'read')
    const { from, pointer } = readQuery(query)
    const reader = readers.forViewer(viewer, signal, after)
    const to = await findSnapshot(reader, params[0] ?? '')
    const old = from === undefined ? await previousOf(reader, to) : await findSnapshot(reader, from)
    addVary(response, 'accept')
    const mediaType = mediaTypeOf(context)
    const reads = parts.forViewer(viewer, signal, patienceMillis)
    try {
      const diff = await compare(reads, [old, to], pointer)
      const sent = startCount(response, null)
      const of = { tier: to.storageUri === null ? 'inline' : 'object', way: 'diff' } as const
      await send(context, diff, { mediaType, pointer }).finally(() => telemetry.payloadBytes('out', sent(true), of))
    } finally {
      reads.close()
    }
  }

  const handler: Handler = (context) => serve(context)
  return { GET: handler, HEAD: handler }
}

async function previousOf(
  reader: Pick<SnapshotReader, 'loadNeighbours'>,
  snapshot: Snapshot,
): Promise<Snapshot | null> {
  const [previous = null] = await reader.loadNeighbours([snapshot], { side: 'previous', fields: SNAPSHOT_METADATA })
  return previous
}

async function compare(
  reads: RequestParts,
  [old, made]: readonly [Snapshot | null, Snapshot],
  pointer: string,
): Promise<StateDiff> {
  await reads.enterStream()
  const [from, to] = await Promise.all([old && reads.open(old), reads.open(made)])
  return await openStateDiff({ from, to, pointer })
}

interface Form {
  readonly mediaType: string
  readonly pointer: string
}

async function send({ request, response }: RequestContext, diff: StateDiff, form: Form): Promise<void> {
  const { mediaType, pointer } = form
  const etag = `"${hash('sha256', `${diff.name} ${mediaType}`)}"`
  const outcome = precondition(request.headers, etag)
  if (outcome === 'failed') throw conditionFailed(response)
  const headers = { ...SAFE_HEADERS, etag, 'accept-ranges': 'none' }
  if (outcome === 'not modified') return void response.writeHead(304, headers).end()
  const isHead = request.method === 'HEAD'
  const pieces = isHead && mediaType === PATCH ? null : await open(diff, form)
  if (pieces === null && mediaType !== PATCH) throw notAcceptable(response, pointer)
  response.writeHead(200, { ...headers, 'content-type': mediaType })
  if (isHead || pieces === null) {
    await pieces?.return(undefined)
    response.end()
    return
  }
  await sendBody(response, Readable.from(pieces, { objectMode: false }))
}

/** Compares up to the first byte, so that what cannot be read fails before the head is sent. */
async function open(diff: StateDiff, { mediaType, pointer }: Form): Promise<AsyncGenerator<Buffer> | null> {
  if (mediaType === MERGE_PATCH && pointer !== '') return null
  const pieces = mediaType === PATCH ? diff.patch() : await diff.mergePatch()
  return pieces && begun(await pieces.next(), pieces)
}

async function* begun(first: IteratorResult<Buffer>, rest: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  try {
    if (!first.done) yield first.value
    yield* rest
  } finally {
    await rest.return(undefined)
  }
}

function mediaTypeOf({ request, response }: RequestContext): string {
  const { weightOf, namedWeightOf } = readAccept(request.headers)
  if (namedWeightOf(MERGE_PATCH) > namedWeightOf(PATCH)) return MERGE_PATCH
  const isJsonWanted = weightOf(PATCH) > 0 || namedWeightOf('application/json') > 0
  if (isJsonWanted) return PATCH
  throw notAcceptable(response, '')
}

function notAcceptable(response: RequestContext['response'], pointer: string): AppError {
  // No code of ours means 406: the status alone says it.
  response.statusCode = 406
  const why = pointer === '' ? 'RFC 7396 has no words for a member that is null' : 'RFC 7396 is of whole states alone'
  return new AppError(
    'BAD_REQUEST',
    `A difference is served as ${PATCH}, and as ${MERGE_PATCH} where that can say it: ${why}`,
  )
}

/** @throws AppError `BAD_REQUEST` for what is no such query. */
function readQuery(query: string): { readonly from: string | undefined; readonly pointer: string } {
  const values = new Map<string, string>()
  for (const pair of query === '' ? [] : query.split('&')) {
    const [name = '', value = ''] = pair.split(/=(.*)/s, 2)
    if ((name !== 'from' && name !== 'pointer') || values.has(name)) {
      throw new AppError('BAD_REQUEST', 'The query of a difference may have `from` and `pointer`, each once')
    }
    values.set(name, decodePart(value.replaceAll('+', ' ')))
  }
  const from = values.get('from')
  if (from !== undefined && !isUuid(from)) throw new AppError('BAD_REQUEST', '`from` must be the UUID of a snapshot')
  return { from, pointer: values.get('pointer') ?? '' }
}
