import { failureOf } from './answers.ts'
import type { Api, CaptureResult } from './api.ts'
import { commitUpload } from './commit.ts'
import { StatelensError } from './errors.ts'
import { send } from './http.ts'
import type { WholeSource } from './payload.ts'
import type { ProgressMeter } from './progress.ts'
import { withRetries } from './retry.ts'
import { readTicket, TICKET_FIELDS, type Ticket, type TicketRange } from './ticket.ts'

const BEGIN = `mutation($input: BeginSnapshotUploadInput!) { beginSnapshotUpload(input: $input) { ${TICKET_FIELDS} } }`

/** Where the store could not be reached even once: twice is enough, when the bytes can go another way. */
const UNREACHED_ATTEMPTS = 2
/** How often an upload is begun at most, when its ticket ends too early or what was stored is gone. */
const TICKETS = 4
const DEFAULT_SECONDS = 3600
const LONGEST_SECONDS = 86_400

/** What says that a ticket is over; and what stores say to those who come too late, in words of their own or in none. */
const ENDED = ['LINK_EXPIRED', 'NOT_FOUND']
const LATE = ['UPLOAD_REFUSED', 'NETWORK']
/** What a commit says where the bytes cannot be had any more: they are gone, or the server has another store by now. */
const LOST = ['OBJECT_MISSING', 'NOT_FOUND', 'UNSUPPORTED_STORAGE_SCHEME', 'STORAGE_URI_REJECTED']

export interface DirectUploadOptions {
  readonly api: Api
  readonly fetch: typeof globalThis.fetch
  readonly retries: number
  /** For a call that carries little. */
  readonly timeoutMillis: number
  /** Parts under way at once. */
  readonly parallelParts: number
  readonly signal: AbortSignal | undefined
}

export interface DirectUpload {
  readonly source: WholeSource
  /** How long its ticket is to live; undefined for as long as the server says. */
  readonly ticketSeconds: number | undefined
  /** JSON of the GraphQL input for a ticket that lives so long. */
  input(ticketSeconds: number | undefined): string
  readonly meter: ProgressMeter
  /** The way for a producer that cannot reach the store; undefined when there is none. */
  readonly otherwise: (() => Promise<CaptureResult>) | undefined
}

/**
 * Asks for a ticket, sends the bytes where it says, and commits. Under the same idempotency key another ticket is asked for where
 * one ended before all was sent, and where the server lost what it had, or has forgotten the upload: it then finds what it stored.
 */
export async function uploadDirectly(upload: DirectUpload, options: DirectUploadOptions): Promise<CaptureResult> {
  const { source, meter } = upload
  const store = { isReached: false }
  let seconds = upload.ticketSeconds
  for (let tickets = 1; ; tickets++) {
    const mayBeginAnew = tickets < TICKETS
    const ticket = await begin(upload, seconds, options)
    meter.begin('all')
    try {
      await sendRanges(ticket, { ...upload, store }, options)
    } catch (error) {
      if (upload.otherwise && !store.isReached && isFailure(error, ['NETWORK'])) return await upload.otherwise()
      if (!mayBeginAnew || !isFailure(error, ticket.isOver() ? [...ENDED, ...LATE] : ENDED)) throw error
      seconds = Math.min(LONGEST_SECONDS, 2 * (seconds ?? DEFAULT_SECONDS))
      continue
    }
    try {
      return await commitUpload(ticket.uploadId, { ...options, sizeBytes: source.sizeBytes })
    } catch (error) {
      if (!mayBeginAnew || !isFailure(error, LOST)) throw error
    }
  }
}

async function begin(upload: DirectUpload, seconds: number | undefined, options: DirectUploadOptions) {
  const { api, signal } = options
  const askedAt = performance.now()
  const ask = async (ticketSeconds: number | undefined) => {
    const call = { query: BEGIN, variables: `{"input":${upload.input(ticketSeconds)}}`, signal }
    return readTicket(await withRetries(() => api.graphql(call), options), upload.source.sizeBytes)
  }
  const ticket = await ask(seconds).catch(async (error: unknown) => {
    // It may be longer than this server lets a ticket live.
    if (seconds === upload.ticketSeconds || !isFailure(error, ['BAD_REQUEST'])) throw error
    return await ask(upload.ticketSeconds)
  })
  const lifeMillis = (seconds ?? DEFAULT_SECONDS) * 1000
  // By both clocks: that of this machine may be wrong, and the store's key may end earlier than was asked.
  const isOver = () => performance.now() - askedAt >= lifeMillis || Date.now() >= ticket.expiresAt
  return { ...ticket, isOver }
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

function isFailure(error: unknown, codes: readonly string[]): boolean {
  return error instanceof StatelensError && codes.includes(error.code)
}
