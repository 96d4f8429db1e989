import { Readable } from 'node:stream'
import { AppError } from '../errors.ts'

export interface CountedBodyOptions {
  /** Number of bytes that make the body whole. */
  readonly expectedBytes: number
  readonly signal?: AbortSignal
  /** Turns an error of the source into the one that the reader gets. */
  readonly toError: (error: unknown) => Error
}

/**
 * The bytes of `source`, and an error at the end when there were fewer or more of them than announced: neither a chunked
 * HTTP body nor a file that is cut while it is read reports that by itself. Destroying the result frees the source.
 */
export function countedBody(source: Readable, options: CountedBodyOptions): Readable {
  const { expectedBytes, signal, toError } = options
  let receivedBytes = 0
  const onAbort = (): void => {
    body.destroy(signal?.reason)
  }
  const body = new Readable({
    read() {
      source.resume()
    },
    destroy(error, callback) {
      signal?.removeEventListener('abort', onAbort)
      source.destroy()
      callback(error)
    },
  })
  const onEnd = (): void => {
    if (receivedBytes === expectedBytes) body.push(null)
    else body.destroy(wrongLength(expectedBytes, receivedBytes))
  }

  source.on('data', (chunk: Buffer) => {
    receivedBytes += chunk.length
    if (receivedBytes > expectedBytes) body.destroy(wrongLength(expectedBytes, receivedBytes))
    else if (!body.push(chunk)) source.pause()
  })
  source.on('end', onEnd)
  source.on('error', (error) => body.destroy(toError(error)))
  source.on('close', () => {
    if (!source.readableEnded) body.destroy(wrongLength(expectedBytes, receivedBytes))
  })
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted) onAbort()
  return body
}

function wrongLength(expectedBytes: number, receivedBytes: number): AppError {
  return new AppError('STORAGE_UNAVAILABLE', `Storage sent ${receivedBytes} of ${expectedBytes} bytes`)
}
