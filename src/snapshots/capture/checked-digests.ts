import { createHash } from 'node:crypto'
import { AppError } from '../../errors.ts'

/** The same chunks. @throws AppError `BAD_REQUEST` at their end, when one of the SHA-256 digests is not theirs. */
export function checkDigests(chunks: AsyncIterable<Uint8Array>, digests: readonly Buffer[]): AsyncIterable<Uint8Array> {
  return digests.length === 0 ? chunks : checked(chunks, digests)
}

async function* checked(chunks: AsyncIterable<Uint8Array>, digests: readonly Buffer[]): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256')
  for await (const chunk of chunks) {
    hash.update(chunk)
    yield chunk
  }
  const arrived = hash.digest()
  if (!digests.every((digest) => digest.equals(arrived))) {
    throw new AppError('BAD_REQUEST', 'The body that arrived has another digest than announced')
  }
}
