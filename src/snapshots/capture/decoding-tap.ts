import { AppError } from '../../errors.ts'
import { createDecoder, type Encoding, isDecodingError } from '../encoding.ts'
import { createZstdFrame } from './zstd-frame.ts'

const MIB = 1_048_576
/** A body may decode to so much more than what has arrived of it; below `FREE_BYTES` to any size. */
const RATIO_MAX = 200
const FREE_BYTES = 16 * MIB

/** Sees what a coded body holds, while the body itself goes elsewhere. */
export interface DecodingTap {
  /**
   * Resolves when all that the chunk decodes to has been seen.
   * @throws what `onBytes` throws; AppError `BAD_REQUEST` when the body is not one whole stream of its coding, or pads it
   * with nothing; `PAYLOAD_TOO_LARGE` when it decodes to far more than it is.
   */
  write(chunk: Uint8Array): Promise<void>
  /** @throws as `write` does. */
  end(): Promise<void>
  /** Lets the decoder go; to be called on every way out. */
  close(): void
}

/** @param onBytes gets what was decoded, in order. */
export function createDecodingTap(encoding: Encoding, onBytes: (bytes: Buffer) => void): DecodingTap {
  const decoder = createDecoder(encoding)
  const frame = encoding === 'zstd' ? createZstdFrame() : undefined
  let received = 0
  let decoded = 0
  let failure: unknown
  let onFailure = (): void => {}

  decoder.on('error', (error) => {
    failure ??= isDecodingError(error) ? notOneStream(encoding) : error
    onFailure()
  })
  decoder.on('data', (bytes: Buffer) => {
    if (failure !== undefined) return
    decoded += bytes.length
    try {
      if (decoded > FREE_BYTES && decoded > received * RATIO_MAX) throw tooLarge()
      onBytes(bytes)
    } catch (error) {
      failure = error
      decoder.destroy()
      onFailure()
    }
  })

  async function settle(act: (done: () => void) => void): Promise<void> {
    await new Promise<void>((resolve) => {
      // The decoder calls nobody back whom it fails.
      onFailure = resolve
      if (failure === undefined) act(resolve)
      else resolve()
    })
    if (failure !== undefined) throw failure
  }

  return {
    async write(chunk) {
      received += chunk.length
      if (frame && !frame.accepts(chunk)) throw notOneStream(encoding)
      await settle((done) => decoder.write(chunk, done))
      if (received > 2 * decoded + MIB) throw notOneStream(encoding)
    },
    end: () => settle((done) => decoder.once('end', done).end()),
    close: () => void decoder.destroy(),
  }
}

function notOneStream(encoding: Encoding): AppError {
  return new AppError('BAD_REQUEST', `The body is not one whole ${encoding} stream`)
}

function tooLarge(): AppError {
  return new AppError('PAYLOAD_TOO_LARGE', `The body inflates to more than ${RATIO_MAX} times its size`)
}
