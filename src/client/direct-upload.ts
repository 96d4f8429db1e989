import { type Api, type CaptureResult, failureOf, readCaptured } from './api.ts'
import { StatelensError } from './errors.ts'
import { send } from './http.ts'
import type { WholeSource } from './payload.ts'
import type { ProgressMeter } from './progress.ts'
import { withRetries } from './retry.ts'
import { readTicket, TICKET_FIELDS, type Ticket, type TicketRange } from './ticket.ts'

const BEGIN = `mutation($input: BeginSnapshotUploadInput!) { beginSnapshotUpload(input: $input) { ${TICKET_FIELDS} } }`

const COMMIT = `mutation($uploadId: ID!) {
  commitSnapshotUpload(uploadId: $uploadId) { created snapshot { snapshotId seq sizeBytes digest storageTier } }
}`

/** Where the store could not be reached even once: twice is enough, when the bytes can go another way. */
const UNREACHED_ATTEMPTS = 2

export interface DirectUploadOptions {
  readonly api: Api
  readonly fetch: typeof globalThis.fetch
  readonly retries: number
  /** Parts under way at once. */
  readonly parallelParts: number
  readonly signal: AbortSignal | undefined
}

export interface DirectUpload {
  readonly source: WholeSource
  /** JSON of the GraphQL input. */
  readonly input: string
  readonly meter: ProgressMeter
  /** The way for a producer that cannot reach the store; undefined when there is none. */
  readonly otherwise: (() => Promise<CaptureResult>) | undefined
}

/** Asks for a ticket, sends the bytes where it says, and commits. */
export async function uploadDirectly(upload: DirectUpload, options: DirectUploadOptions): Promise<CaptureResult> {
  const { api, retries, signal } = options
  const begin = async () =>
    readTicket(
      await api.graphql({ query: BEGIN, variables: `{"input":${upload.input}}`, signal }),
      upload.source.sizeBytes,
    )
  const ticket = await withRetries(begin, { retries, signal })
  const store = { isReached: false }
  try {
    await sendRanges(ticket, { ...upload, store }, options)
  } catch (error) {
    if (upload.otherwise && !store.isReached && isNetworkError(error)) return await upload.otherwise()
    throw error
  }
  const variables = JSON.stringify({ uploadId: ticket.uploadId })
  // The server reads all of it once more before it answers.
  const commit = () => api.graphql({ query: COMMIT, variables, signal, timeoutMillis: null })
  return readCaptured(await withRetries(commit, { retries, signal }), { status: 200 })
}

type Sending = DirectUpload & { readonly store: { isReached: boolean } }

/** All ranges, some at once; the first that fails for good ends the others. */
async function sendRanges(ticket: Ticket, sending: Sending, options: DirectUploadOptions): Promise<void> {
  const stop = new AbortController()
  const signal = AbortSignal.any([stop.signal, ...(options.signal ? [options.signal] : [])])
  const queue = ticket.ranges.values()
  const work = async () => {
    // One queue for all: each takes the next range that nobody has.
    for (const range of queue) await sendRange(range, sending, { ...options, signal })
  }
  const length = Math.min(options.parallelParts, ticket.ranges.length)
  const workers = Array.from({ length }, () => work().catch((error) => stop.abort(error)))
  await Promise.all(workers)
  signal.throwIfAborted()
}

async function sendRange(range: TicketRange, sending: Sending, options: DirectUploadOptions): Promise<void> {
  const { source, meter, store, otherwise } = sending
  const { url, headers, start, end } = range
  const attempt = async () => {
    const onSent = meter.begin(start)
    const body = { sizeBytes: end - start, read: () => source.read(start, end), onSent }
    const answer = await send(options.fetch, { method: 'PUT', url, headers, body, signal: options.signal })
    store.isReached = true
    // 412: an earlier attempt, whose answer was lost, has written it; whether it is the right one, the commit finds out.
    if (answer.status >= 300 && answer.status !== 412) throw failureOf(answer, 'UPLOAD_REFUSED')
  }
  const mayRepeat = (_error: StatelensError, failures: number) =>
    store.isReached || !otherwise || failures < UNREACHED_ATTEMPTS
  await withRetries(attempt, { retries: options.retries, signal: options.signal, mayRepeat })
}

function isNetworkError(error: unknown): boolean {
  return error instanceof StatelensError && error.code === 'NETWORK'
}
