import type { IncomingHttpHeaders } from 'node:http'
import { AppError, Departure } from '../errors.ts'
import { OBJECT_MAX_BYTES } from '../model/snapshot.ts'
import { conditionFailed } from './conditions.ts'
import { jsonTypeOf } from './negotiation.ts'
import { createAccount, type Pace } from './pace.ts'
import { readBody, requireUnread } from './read-body.ts'
import { askForBody, type RequestContext } from './request.ts'

/** A request's body of any size, as it is sent. */
export interface ReceivedBody {
  /**
   * As fast as it is taken, and not asked for before. Leaving it early leaves the connection open, so that the sender can still be
   * answered.
   * @throws AppError `BAD_REQUEST` when the sender sends nothing or too little while it is waited for; `Departure` when it goes away.
   */
  readonly chunks: AsyncIterable<Buffer>
  /**
   * All of it, in the place of `chunks`; undefined where it is long, or its length is not told.
   * @throws as `chunks` do.
   */
  readonly readWhole: (() => Promise<Buffer>) | undefined
  /** Undefined when it comes in chunks. */
  readonly sizeBytes: number | undefined
  /** Media type, without its parameters. */
  readonly contentType: string
}

/**
 * Takes a body that must be JSON.
 * @param wholeMaxBytes up to which it may be read at once.
 * @throws AppError `UNSUPPORTED_MEDIA_TYPE`, `PAYLOAD_TOO_LARGE`, and `CONFLICT` with status 412, by what its headers say.
 */
export function receiveBody(context: RequestContext, senders: Pace, wholeMaxBytes = 0): ReceivedBody {
  requireUnread(context.request)
  const { headers } = context.request
  const contentType = jsonTypeOf(headers)
  if (contentType === undefined) {
    throw new AppError('UNSUPPORTED_MEDIA_TYPE', 'The body must be application/json in UTF-8')
  }
  // Nothing is replaced by a body that is sent here, so there is no version that it could be.
  if (headers['if-match'] !== undefined) throw conditionFailed(context.response)
  const sizeBytes = readLength(headers)
  return {
    contentType,
    sizeBytes,
    chunks: chunksOf(context, senders),
    readWhole:
      sizeBytes === undefined || sizeBytes > Math.min(wholeMaxBytes, WHOLE_BYTES)
        ? undefined
        : () => wholeOf(context, senders, sizeBytes),
  }
}

/** So much comes in a few pieces, and costs less at once. */
const WHOLE_BYTES = 65_536

async function wholeOf({ request, response }: RequestContext, senders: Pace, sizeBytes: number): Promise<Buffer> {
  askForBody(response)
  const { silentMillis, minBytesPerSecond } = senders
  return await readBody(request, sizeBytes, silentMillis + (1000 * sizeBytes) / minBytesPerSecond)
}

async function* chunksOf({ request, response }: RequestContext, senders: Pace): AsyncGenerator<Buffer> {
  askForBody(response)
  const chunks: AsyncIterator<Buffer> = request.iterator({ destroyOnReturn: false })
  const account = createAccount(senders)
  for (;;) {
    const since = performance.now()
    const result = await inTime(chunks.next(), account.left(), senders)
    if (result.done) return
    account.waited(performance.now() - since)
    account.passed(result.value.length)
    // Whoever takes the chunk may take its time.
    yield result.value
  }
}

async function inTime<T>(next: Promise<T>, millis: number, { minBytesPerSecond }: Pace): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    const late = () =>
      reject(new AppError('BAD_REQUEST', `The body came more slowly than ${minBytesPerSecond} bytes a second`))
    const timer = setTimeout(late, Math.max(millis, 0))
    next.then(resolve, () => reject(new Departure())).finally(() => clearTimeout(timer))
  })
}

function readLength({ 'content-length': length }: IncomingHttpHeaders): number | undefined {
  if (length === undefined) return undefined
  const sizeBytes = Number(length)
  if (sizeBytes > OBJECT_MAX_BYTES) {
    throw new AppError('PAYLOAD_TOO_LARGE', `The body is larger than ${OBJECT_MAX_BYTES} bytes`)
  }
  return sizeBytes
}
