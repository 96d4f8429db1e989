import { createHash, hash } from 'node:crypto'
import { AppError } from '../../errors.ts'

/** SHA-256 digests of a body. */
export interface AnnouncedDigests {
  readonly before: readonly Buffer[]
  /** Of a body that something may come behind. */
  readonly behind?: DigestsBehind | undefined
}

export interface DigestsBehind {
  /** Whether there was word of it before the body: all of it has to be hashed. */
  readonly isExpected: boolean
  /** Asked once the body is over. */
  read(): readonly Buffer[]
}

/** The same chunks. @throws AppError `BAD_REQUEST` at their end, when one of the digests is not theirs, or comes without word of it. */
export function checkDigests(chunks: AsyncIterable<Uint8Array>, digests: AnnouncedDigests): AsyncIterable<Uint8Array> {
  return digests.before.length === 0 && !digests.behind ? chunks : checked(chunks, digests)
}

/** The same for a body at hand. */
export function checkWholeDigests(bytes: Buffer, { before }: AnnouncedDigests): Buffer {
  if (before.length > 0) requireSame(before, hash('sha256', bytes, 'buffer'))
  return bytes
}

async function* checked(
  chunks: AsyncIterable<Uint8Array>,
  { before, behind }: AnnouncedDigests,
): AsyncGenerator<Uint8Array> {
  const hashing = before.length > 0 || behind?.isExpected ? createHash('sha256') : undefined
  for await (const chunk of chunks) {
    hashing?.update(chunk)
    yield chunk
  }
  const digests = [...before, ...(behind?.read() ?? [])]
  if (digests.length === 0) return
  if (!hashing) throw new AppError('BAD_REQUEST', 'A digest behind the body must be announced by the header Trailer')
  requireSame(digests, hashing.digest())
}

function requireSame(announced: readonly Buffer[], arrived: Buffer): void {
  if (announced.every((digest) => digest.equals(arrived))) return
  throw new AppError('BAD_REQUEST', 'The body that arrived has another digest than announced')
}
