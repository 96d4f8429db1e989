import type { ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { breakOff } from './connection.ts'

/** A client that takes nothing for this long is cut, whatever the answer: the front sees to it. */
export const STALL_MILLIS = 20_000

const KERNEL_BYTES = 65_536

/** Cuts the client earlier than every other, when it takes nothing for so long although something waits for it. */
export function cutStalledClient(response: ServerResponse, stallMillis: number = STALL_MILLIS): void {
  if (stallMillis >= STALL_MILLIS) return
  response.setTimeout(stallMillis, () => {
    // With nothing left to send, it is not the client that everyone waits for.
    if (response.writableLength > 0) breakOff(response)
  })
}

/**
 * Sends a body after its head, with backpressure, until its last byte has left. Whatever fails destroys the connection, so that no
 * part passes for the whole.
 */
export async function sendBody(
  response: ServerResponse,
  body: Buffer | Readable,
  stallMillis: number = STALL_MILLIS,
): Promise<void> {
  cutStalledClient(response, stallMillis)
  if (!Buffer.isBuffer(body)) return await pipeline(body, response)
  response.end(body)
  // Less than this the kernel takes at once.
  if (body.length > KERNEL_BYTES) await finished(response)
}
