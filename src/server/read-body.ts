import type { IncomingMessage } from 'node:http'
import { AppError, Departure } from '../errors.ts'

/** For the whole of a body that is read at once, and of one that no handler reads. */
export const BODY_MILLIS = 30_000

/**
 * @throws AppError `PAYLOAD_TOO_LARGE` as soon as the limit is passed, `BAD_REQUEST` when the time is over; the connection then ends
 * with the answer. `Departure` when the sender goes away.
 */
export async function readBody(request: IncomingMessage, maxBytes: number, millis = BODY_MILLIS): Promise<Buffer> {
  requireUnread(request)
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw bodyTooLarge(maxBytes)
  const chunks: Buffer[] = []
  let size = 0
  // Events: an async iterator costs more than all else that is done for a small body.
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const take = (chunk: Buffer) => {
    size += chunk.length
    if (size > maxBytes) reject(bodyTooLarge(maxBytes))
    else chunks.push(chunk)
  }
  const leave = () => request.complete || reject(new Departure())
  const timer = setTimeout(() => reject(bodyLate(millis)), millis)
  request.on('data', take).on('end', resolve).on('close', leave)
  try {
    await promise
    return join(chunks, size)
  } catch (error) {
    request.off('data', take)
    // Not destroyed: the answer goes out on the same socket.
    if (!request.complete) request.pause()
    throw error
  } finally {
    clearTimeout(timer)
  }
}

/** @throws AppError where an application around this server has read the body: nothing of it would come any more. */
export function requireUnread(request: IncomingMessage): void {
  if (!request.readableDidRead) return
  throw new AppError(
    'INTERNAL_SERVER_ERROR',
    'The body was read on its way here: what parses bodies belongs behind statelens',
  )
}

function join(chunks: readonly Buffer[], size: number): Buffer {
  const [only] = chunks
  return only && chunks.length === 1 ? only : Buffer.concat(chunks, size)
}

function bodyTooLarge(maxBytes: number): AppError {
  return new AppError('PAYLOAD_TOO_LARGE', `The request's body is larger than ${maxBytes} bytes`)
}

function bodyLate(millis: number): AppError {
  return new AppError('BAD_REQUEST', `The request's body took longer than ${Math.round(millis)} ms`)
}
