import { createHash } from 'node:crypto'
import { type Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { AppError } from '../../errors.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { createDecoder, isDecodingError, isEncoding } from '../encoding.ts'

/** As much as there is to pass on, and nothing more: what lies in between is kept alive for nothing. */
export const ONE_CHUNK = { writableHighWaterMark: 1, readableHighWaterMark: 1 } as const

/** What the row says of its payload; null and `identity` promise nothing. */
export type Expected = Pick<Snapshot, 'digest' | 'sizeBytes' | 'contentEncoding'>

/**
 * The payload in a stored body, decoded, counted and hashed on its way. Its last chunk is held back until the whole is known to
 * be good, so that whoever reads a wrong object never gets all of it; where its size is not known, each may be the last. Destroying the result frees the body; an object that is not
 * what the row says ends it with `OBJECT_CORRUPT`.
 * @throws AppError `INVALID_PAYLOAD` when it is in a coding that this server does not read; the body is then destroyed.
 */
export function verifiedBody(body: Readable, expected: Expected): Readable {
  const { digest, sizeBytes, contentEncoding } = expected
  if (contentEncoding === 'identity' && digest === null) return body
  const decoders = decodersFor(contentEncoding, body)
  const hash = createHash('sha256')
  let held: Buffer | undefined
  let count = 0
  const check = new Transform({
    ...ONE_CHUNK,
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      count += chunk.length
      if (sizeBytes !== null && count > sizeBytes) {
        done(corrupt())
        return
      }
      const ready = held
      held = sizeBytes === null || count === sizeBytes ? chunk : undefined
      done(null, held ? ready : chunk)
    },
    flush(done) {
      const isWhole = sizeBytes === null || count === sizeBytes
      const isSame = digest === null || `sha256:${hash.digest('hex')}` === digest
      if (isWhole && isSame) done(null, held)
      else done(corrupt())
    },
    destroy(error, done) {
      done(isDecodingError(error) ? corrupt(error) : error)
    },
  })
  // The failure reaches the reader on `check`; here it would only be reported twice.
  pipeline([body, ...decoders, check]).catch(() => {})
  return check
}

function decodersFor(contentEncoding: string, body: Readable): readonly Transform[] {
  if (contentEncoding === 'identity') return []
  if (isEncoding(contentEncoding)) return [createDecoder(contentEncoding)]
  body.destroy()
  throw new AppError('INVALID_PAYLOAD', 'The object is in a coding that this server does not read')
}

export function corrupt(cause?: unknown): AppError {
  return new AppError('OBJECT_CORRUPT', 'The object is not what was captured: its digest differs', { cause })
}
