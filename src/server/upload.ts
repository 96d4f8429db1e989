import type { IncomingMessage } from 'node:http'
import { AppError, Departure } from '../errors.ts'

export interface UploadOptions {
  /** How long the sender may send nothing while it is waited for. */
  readonly idleMillis: number
  /** Called before the first byte is waited for. */
  readonly onStart: () => void
}

/**
 * The body of a request, chunk by chunk, as fast as it is taken. Leaving it early leaves the connection open, so that the
 * sender can still be answered.
 * @throws AppError `BAD_REQUEST` when the sender sends nothing for too long; `Departure` when it goes away.
 */
export async function* uploadOf(request: IncomingMessage, { idleMillis, onStart }: UploadOptions) {
  onStart()
  const chunks: AsyncIterator<Buffer> = request.iterator({ destroyOnReturn: false })
  let onIdle = (): void => {}
  const timer = setTimeout(() => onIdle(), idleMillis)
  try {
    for (;;) {
      const result = await new Promise<IteratorResult<Buffer>>((resolve, reject) => {
        onIdle = () => reject(new AppError('BAD_REQUEST', `Nothing of the body came for ${idleMillis} ms`))
        timer.refresh()
        chunks.next().then(resolve, () => reject(new Departure()))
      })
      // Whoever takes the chunk may take its time.
      onIdle = () => {}
      if (result.done) return
      yield result.value
    }
  } finally {
    clearTimeout(timer)
  }
}
