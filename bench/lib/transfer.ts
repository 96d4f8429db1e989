import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import type { State } from './states.ts'

/** Something that can be fetched again and again, and holds one payload. */
export interface Source {
  readonly name: string
  readonly url: string
  /** A GraphQL request; without one the URL is read by GET. */
  readonly body?: string
  /** Of who asks; nobody when left out. */
  readonly token?: string
}

export interface Transfer {
  /** Of the body. */
  readonly sizeBytes: number
  readonly seconds: number
  /** Milliseconds from the request to the first byte of the body. */
  readonly firstByteMillis: number
}

/**
 * Reads a body to its end on a connection of its own, and throws it away.
 * @throws Error unless the answer is 200 with at least `leastBytes`
 */
export async function download(
  source: Source,
  { leastBytes, onChunk }: { readonly leastBytes: number; readonly onChunk?: (chunk: Buffer) => void },
): Promise<Transfer> {
  const { Client } = await import('undici')
  const { origin, pathname, search } = new URL(source.url)
  const client = new Client(origin)
  const begin = performance.now()
  let status = 0
  let sizeBytes = 0
  let firstByte = 0
  let begun = ''
  try {
    await new Promise<void>((resolve, reject) => {
      const handler: Dispatcher.DispatchHandler = {
        onRequestStart() {},
        onResponseStart(_controller, statusCode) {
          status = statusCode
        },
        onResponseData(_controller, chunk) {
          if (sizeBytes === 0) {
            firstByte = performance.now()
            begun = chunk.toString('utf8', 0, 300)
          }
          sizeBytes += chunk.length
          onChunk?.(chunk)
        },
        onResponseEnd: () => resolve(),
        onResponseError: (_controller, error) => reject(error),
      }
      const method = source.body === undefined ? 'GET' : 'POST'
      const type = source.body === undefined ? {} : { 'content-type': 'application/json' }
      const headers = source.token === undefined ? type : { ...type, authorization: `Bearer ${source.token}` }
      client.dispatch({ path: pathname + search, method, headers, body: source.body ?? null }, handler)
    })
  } finally {
    await client.destroy()
  }
  if (status !== 200 || sizeBytes < leastBytes) {
    throw new Error(`${source.name} answered ${status}, ${sizeBytes} bytes: ${begun}`)
  }
  return { sizeBytes, seconds: (performance.now() - begin) / 1000, firstByteMillis: firstByte - begin }
}

/** @throws Error unless the payload is in the answer, byte for byte. */
export async function verify(source: Source, state: State): Promise<void> {
  const prefix = source.body === undefined ? 0 : Buffer.byteLength('{"data":{"snapshot":{"payload":')
  const hash = createHash('sha256')
  let at = -prefix
  await download(source, {
    leastBytes: state.sizeBytes,
    onChunk(chunk) {
      const from = Math.max(0, -at)
      const to = Math.min(chunk.length, state.sizeBytes - at)
      if (from < to) hash.update(chunk.subarray(from, to))
      at += chunk.length
    },
  })
  if (`sha256:${hash.digest('hex')}` !== state.digest) throw new Error(`${source.name} sent other bytes`)
}

export interface Stored {
  readonly snapshotId: string
}

export interface UploadOptions {
  /** What is said of the state, with its `?`. */
  readonly query?: string
  readonly token?: string
}

/** Captures a state by PUT. @throws Error unless it was stored, with the digest that it has. */
export async function upload(
  origin: string,
  key: string,
  state: State,
  { query = '', token }: UploadOptions = {},
): Promise<Stored> {
  const url = `${origin}/runs/bench/steps/${key}/snapshot${query}`
  const { snapshotId, digest, storageTier } = await send(url, state, token)
  if (digest !== state.digest || storageTier !== 'OBJECT') throw new Error('PUT stored something else, or elsewhere')
  return { snapshotId }
}

/** The same to the hand-written pipe. */
export async function uploadRaw(url: string, state: State): Promise<{ readonly key: string }> {
  const { key, digest } = await send(url, state)
  if (digest !== state.digest) throw new Error('PUT stored something else')
  return { key }
}

async function send(url: string, state: State, token?: string) {
  const { request } = await import('undici')
  const { statusCode, body } = await request(url, {
    method: 'PUT',
    headers: {
      'content-type': 'application/json',
      'content-length': String(state.sizeBytes),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: Readable.from(state.chunks(), { objectMode: true, highWaterMark: 4 }),
  })
  const text = await body.text()
  if (statusCode !== 201) throw new Error(`PUT of ${state.sizeBytes} bytes: ${statusCode} ${text.slice(0, 300)}`)
  return JSON.parse(text)
}
