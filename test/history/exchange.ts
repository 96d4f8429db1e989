import { type IncomingMessage, request } from 'node:http'

export interface Exchange {
  readonly method?: string
  /** A URL with its path and query. */
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer
  /** The body goes in chunks, without its length. */
  readonly isChunked?: boolean
}

/** What came of one request. */
export type Reply =
  /** A whole answer. */
  | { readonly kind: 'answer'; readonly status: number; readonly body: Buffer }
  /** None, or one that was visibly cut off. */
  | { readonly kind: 'broken'; readonly why: string; readonly status: number | null }

/** No limit of the server is longer. */
const PATIENCE_MS = 120_000

/** One request on a connection of its own. @throws Error for one that is never answered. */
export function exchange({ method = 'GET', url, headers, body, isChunked = false }: Exchange): Promise<Reply> {
  const length = body && !isChunked ? { 'content-length': String(body.length) } : {}
  const signal = AbortSignal.timeout(PATIENCE_MS)
  return new Promise((resolve, reject) => {
    let status: number | null = null
    const fail = (error: Error) => {
      if (signal.aborted) reject(new Error(`${method} ${url} was not answered in ${PATIENCE_MS} ms`))
      else resolve({ kind: 'broken', why: String('code' in error ? error.code : error), status })
    }
    const sent = request(url, { method, headers: { ...length, ...headers }, agent: false, signal }, (response) => {
      status = response.statusCode ?? 0
      readAll(response).then((bytes) => resolve({ kind: 'answer', status: status ?? 0, body: bytes }), fail)
    }).on('error', fail)
    if (isChunked && body) for (const half of halvesOf(body)) sent.write(half)
    sent.end(isChunked ? undefined : body)
  })
}

function halvesOf(body: Buffer): Buffer[] {
  const middle = body.length >> 1
  return [body.subarray(0, middle), body.subarray(middle)].filter(({ length }) => length > 0)
}

async function readAll(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  if (!response.complete) throw Object.assign(new Error('The answer was cut off'), { code: 'INCOMPLETE' })
  return Buffer.concat(chunks)
}
