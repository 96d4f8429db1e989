import { type ClientRequest, request } from 'node:http'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import type { PlainResponse } from './http.ts'

export interface PutOptions {
  readonly runId?: string
  readonly stepId?: string
  /** Raw, without its `?`. */
  readonly query?: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface Stored {
  readonly snapshotId: string
  readonly sizeBytes: number
  readonly digest: string
  readonly storageTier: 'INLINE' | 'OBJECT'
  readonly created: boolean
}

/** Captures a body by PUT: bytes with their length, anything else in chunks without one. */
export function put(
  origin: string,
  body: Buffer | string | Iterable<Buffer> | AsyncIterable<Buffer>,
  options: PutOptions = {},
): Promise<PlainResponse> {
  const whole = typeof body === 'string' ? Buffer.from(body) : body
  const length = Buffer.isBuffer(whole) ? { 'content-length': String(whole.length) } : undefined
  const sending = startPut(origin, { ...options, headers: { ...length, ...options.headers } })
  return new Promise((resolve, reject) => {
    sending.once('response', (response) => {
      buffer(response).then(
        (bytes) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: bytes }),
        reject,
      )
    })
    // After an early answer the rest of the body finds the connection closed; the answer counts.
    sending.on('error', reject)
    if (Buffer.isBuffer(whole)) sending.end(whole)
    else Readable.from(whole).pipe(sending)
  })
}

/** The request alone, on a connection of its own: its body is the caller's to write. */
export function startPut(
  origin: string,
  { runId = 'run', stepId = 'step', query, headers }: PutOptions,
): ClientRequest {
  const { hostname, port } = new URL(origin)
  const target = `/runs/${encodeURIComponent(runId)}/steps/${encodeURIComponent(stepId)}/snapshot`
  return request({
    hostname,
    port,
    method: 'PUT',
    path: query === undefined ? target : `${target}?${query}`,
    headers: { 'content-type': 'application/json', ...headers },
    agent: false,
  })
}

/** What a successful capture says. */
export function storedOf({ status, body }: PlainResponse): Stored {
  if (status !== 200 && status !== 201) throw new Error(`The capture was refused: ${status} ${body}`)
  return JSON.parse(body.toString())
}

/** Status and code of a refusal. */
export function refusalOf({ status, body }: PlainResponse): { readonly status: number; readonly code: string } {
  return { status, code: JSON.parse(body.toString()).code }
}

/** Tries again until the check passes; its last failure is thrown after ten seconds. */
export async function eventually(check: () => Promise<void>): Promise<void> {
  const end = performance.now() + 10_000
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (performance.now() > end) throw error
      await delay(20)
    }
  }
}
