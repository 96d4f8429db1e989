import { failureOf, failureOfErrors, readRefusal } from './answers.ts'
import { isRecord, parseJson, StatelensError } from './errors.ts'
import { readRetryAfter } from './http.ts'

export interface EventsCall {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly signal?: AbortSignal | undefined
  /** How long the head of the answer may take. */
  readonly timeoutMillis: number
  /** How long nothing at all may come: the server says something three times in that time. */
  readonly silenceMillis: number
}

/**
 * Reads one stream of GraphQL over SSE: the value of the field of each event's data, whose only field it is. Ends when the server says
 * that it is complete; leaving it lets go of the connection.
 * @throws StatelensError as the server says; `NETWORK`, which is passing, when the stream ends before it is complete; the signal's
 * reason.
 */
export async function* readEvents(fetch: typeof globalThis.fetch, call: EventsCall): AsyncGenerator<unknown, void> {
  const { signal } = call
  signal?.throwIfAborted()
  const over = new AbortController()
  const leave = () => over.abort(signal?.reason)
  signal?.addEventListener('abort', leave, { once: true })
  try {
    const body = await open(fetch, call, over)
    for await (const { event, data } of readBlocks(readChunks(body, call.silenceMillis, over))) {
      if (event === 'complete') return
      if (event === 'next') yield readNext(data)
    }
    throw broken()
  } catch (error) {
    signal?.throwIfAborted()
    throw error instanceof StatelensError ? error : broken(error)
  } finally {
    signal?.removeEventListener('abort', leave)
    over.abort()
  }
}

function broken(cause?: unknown): StatelensError {
  return new StatelensError('NETWORK', 'The events broke off', { retryable: true, cause })
}

async function open(
  fetch: typeof globalThis.fetch,
  { url, headers, body, timeoutMillis }: EventsCall,
  over: AbortController,
): Promise<ReadableStream<Uint8Array>> {
  const late = setTimeout(() => over.abort(), timeoutMillis)
  try {
    const accept = 'text/event-stream'
    const init = { method: 'POST', headers: { ...headers, accept }, body, signal: over.signal }
    const response = await fetch(url, { ...init, redirect: 'error' })
    if (response.body && response.headers.get('content-type')?.startsWith(accept)) return response.body
    const text = await response.text()
    const retryAfterMillis = readRetryAfter(response.headers.get('retry-after'))
    throw readRefusal({ status: response.status, text, retryAfterMillis })
  } finally {
    clearTimeout(late)
  }
}

/** Breaks off after too long a silence: a connection may be dead without anybody having said so. */
async function* readChunks(
  body: ReadableStream<Uint8Array>,
  silenceMillis: number,
  over: AbortController,
): AsyncGenerator<Uint8Array> {
  const silent = setTimeout(() => over.abort(), silenceMillis)
  try {
    for await (const chunk of body) {
      silent.refresh()
      yield chunk
    }
  } finally {
    clearTimeout(silent)
  }
}

interface Block {
  readonly event: string
  readonly data: string
}

/** @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation */
async function* readBlocks(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Block> {
  const decoder = new TextDecoder()
  let rest = ''
  let event = ''
  let data: string[] = []
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const [, name, value = ''] = /^(\w+)(?:: ?(.*))?\r?$/.exec(line) ?? []
      if (name === 'event') event = value
      else if (name === 'data') data.push(value)
      // An empty line ends an event; a comment has no name.
      if (line !== '' && line !== '\r') continue
      if (event !== '') yield { event, data: data.join('\n') }
      event = ''
      data = []
    }
  }
}

function readNext(text: string): unknown {
  const result = parseJson(text)
  if (!isRecord(result)) throw failureOf({ status: 200, text, retryAfterMillis: undefined })
  const [value]: unknown[] = isRecord(result['data']) ? Object.values(result['data']) : []
  if (value == null) throw failureOfErrors(result['errors'], { status: 200, retryAfterMillis: undefined })
  return value
}
