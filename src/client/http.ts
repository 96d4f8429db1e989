import { badRequest, StatelensError } from './errors.ts'

/** A body that is made while it is sent. */
export interface Outgoing {
  /** Undefined when only its end tells; it is then sent in chunks. */
  readonly sizeBytes: number | undefined
  read(): AsyncIterable<Uint8Array>
  /** Told of the bytes of each chunk as the network takes it. */
  readonly onSent?: ((sentBytes: number) => void) | undefined
}

export interface HttpCall {
  readonly method: 'POST' | 'PUT'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Outgoing
  readonly signal?: AbortSignal | undefined
  /** For the whole call; without one only Node's own limits hold. */
  readonly timeoutMillis?: number | undefined
}

export interface HttpAnswer {
  readonly status: number
  readonly text: string
  /** What `Retry-After` says. */
  readonly retryAfterMillis: number | undefined
}

/**
 * Sends one request and reads its answer, whatever its status.
 * @throws StatelensError `NETWORK` when no whole answer comes; the signal's reason when that fires; what the body throws.
 */
export async function send(fetch: typeof globalThis.fetch, call: HttpCall): Promise<HttpAnswer> {
  const { method, url, body, signal, timeoutMillis } = call
  signal?.throwIfAborted()
  const over = new AbortController()
  const bodyFailures: unknown[] = []
  const ends = [over.signal, signal, timeoutMillis === undefined ? undefined : AbortSignal.timeout(timeoutMillis)]
  const end = AbortSignal.any(ends.filter((one) => one !== undefined))
  const bodyInit =
    typeof body === 'string' ? { body } : { body: toStream(watch(body, bodyFailures, end)), duplex: 'half' as const }
  try {
    // Where it may have to follow a redirect, fetch keeps a copy of all that it sends.
    const init = { ...bodyInit, method, headers: withLength(call), signal: end, redirect: 'error' as const }
    return await answerOf(await fetch(url, init))
  } catch (cause) {
    signal?.throwIfAborted()
    if (bodyFailures.length > 0) throw bodyFailures[0]
    throw new StatelensError('NETWORK', 'No answer came', { retryable: true, cause })
  } finally {
    // What is left of a body that was refused, or has nobody to read it, is not made any more.
    over.abort()
  }
}

export async function answerOf(response: Response): Promise<HttpAnswer> {
  const text = await response.text()
  return { status: response.status, text, retryAfterMillis: readRetryAfter(response.headers.get('retry-after')) }
}

export interface HttpRead {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** Ends the reading of the body as well. */
  readonly signal?: AbortSignal | undefined
}

/** Asks for something. @throws StatelensError `NETWORK` when no answer begins; the signal's reason when that fires. */
export async function receive(fetch: typeof globalThis.fetch, { url, headers, signal }: HttpRead): Promise<Response> {
  signal?.throwIfAborted()
  try {
    return await fetch(url, { headers, redirect: 'error', ...(signal ? { signal } : {}) })
  } catch (cause) {
    signal?.throwIfAborted()
    throw new StatelensError('NETWORK', 'No answer came', { retryable: true, cause })
  }
}

/** Without a length fetch sends a stream in chunks, which object stores refuse. */
function withLength({ headers, body }: HttpCall): Readonly<Record<string, string>> {
  if (typeof body === 'string' || body.sizeBytes === undefined) return headers
  const named = Object.keys(headers).some((name) => name.toLowerCase() === 'content-length')
  return named ? headers : { ...headers, 'content-length': String(body.sizeBytes) }
}

/** Nothing is read before the network asks for it: a stream that cannot be read twice is not begun in vain. */
function toStream(chunks: AsyncGenerator<Uint8Array>): ReadableStream<Uint8Array> {
  const source: UnderlyingDefaultSource<Uint8Array> = {
    async pull(controller) {
      const { done, value } = await chunks.next()
      if (done) controller.close()
      else controller.enqueue(value)
    },
    async cancel() {
      await chunks.return(undefined)
    },
  }
  return new ReadableStream(source, { highWaterMark: 0 })
}

/** fetch hides why a body failed: it is kept aside. */
async function* watch(body: Outgoing, failures: unknown[], end: AbortSignal): AsyncGenerator<Uint8Array> {
  let sent = 0
  try {
    for await (const chunk of body.read()) {
      // fetch does not always let go of a body that it aborts. It must not end as if it were whole.
      end.throwIfAborted()
      if (!(chunk instanceof Uint8Array)) throw badRequest('A stream must give bytes')
      sent += chunk.length
      if (sent > (body.sizeBytes ?? sent)) throw wrongSize()
      body.onSent?.(chunk.length)
      yield chunk
    }
    if (sent < (body.sizeBytes ?? sent)) throw wrongSize()
  } catch (error) {
    if (!end.aborted) failures.push(error)
    throw error
  }
}

function wrongSize(): StatelensError {
  return badRequest('The payload has another size than was said')
}

/** Seconds, or a date. @see RFC 9110 section 10.2.3 */
export function readRetryAfter(value: string | null): number | undefined {
  if (value === null) return undefined
  const millis = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now()
  return Number.isNaN(millis) ? undefined : Math.max(0, millis)
}
