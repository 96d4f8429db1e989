import { AppError } from '../errors.ts'
import { unlessAborted } from './abort.ts'
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

  async function* readChunks(): AsyncGenerator<Uint8Array, void, undefined> {
    const iterator = body[Symbol.asyncIterator]()
    let ended = false
    try {
      while (true) {
        const next = await unlessAborted(iterator.next(), signal)
        if (next.done) break
        receivedBytes += next.value.length
        if (sizeBytes !== undefined && receivedBytes > sizeBytes) throw wrongLength()
        if (next.value.length > 0) yield next.value
      }
      ended = true
      if (receivedBytes !== (sizeBytes ?? receivedBytes)) throw wrongLength()
    } catch (error) {
      failure = { error }
      throw error
    } finally {
      // Not awaited: a generator that hangs in its `next` would keep us waiting.
      if (!ended) iterator.return?.().catch(() => undefined)
    }
  }

  return { chunks: readChunks(), receivedBytes: () => receivedBytes, failure: () => failure }
}

function wrongLength(): AppError {
  return new AppError('BAD_REQUEST', 'The body has another length than was announced')
}
