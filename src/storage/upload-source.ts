import { unlessAborted } from '../abort.ts'
import { AppError } from '../errors.ts'
import type { PutOptions } from './backend.ts'

export interface UploadSource {
  /** Single use. Throws when the body has another length than announced, and the signal's reason as soon as it is aborted. */
  readonly chunks: AsyncGenerator<Uint8Array, void, undefined>
  receivedBytes(): number
  /** What went wrong on the sender's side: to be thrown as it is, and not blamed on the store. */
  failure(): { readonly error: unknown } | undefined
}

/** A body on its way into a store: counted, and let go on every way out, even when it never yields again. */
export function createUploadSource(body: AsyncIterable<Uint8Array>, options: PutOptions): UploadSource {
  const { sizeBytes, signal } = options
  let receivedBytes = 0
  let failure: { readonly error: unknown } | undefined

  /** Only what goes wrong here is the sender's: what is thrown into the generator, where it yields, is its reader's. */
  async function next(iterator: AsyncIterator<Uint8Array>): Promise<Uint8Array | null> {
    try {
      const { done, value } = await unlessAborted(iterator.next(), signal)
      if (done) {
        if (receivedBytes !== (sizeBytes ?? receivedBytes)) throw wrongLength()
        return null
      }
      receivedBytes += value.length
      if (sizeBytes !== undefined && receivedBytes > sizeBytes) throw wrongLength()
      return value
    } catch (error) {
      failure = { error }
      throw error
    }
  }

  async function* readChunks(): AsyncGenerator<Uint8Array, void, undefined> {
    const iterator = body[Symbol.asyncIterator]()
    let isOver = false
    try {
      for (let chunk = await next(iterator); chunk !== null; chunk = await next(iterator)) {
        if (chunk.length > 0) yield chunk
      }
      isOver = true
    } finally {
      // Not awaited: a generator that hangs in its `next` would keep us waiting.
      if (!isOver) iterator.return?.().catch(() => undefined)
    }
  }

  return { chunks: readChunks(), receivedBytes: () => receivedBytes, failure: () => failure }
}

function wrongLength(): AppError {
  return new AppError('BAD_REQUEST', 'The body has another length than was announced')
}
