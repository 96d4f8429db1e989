import type { ServerResponse } from 'node:http'

/**
 * Begins to count what goes out of a body, before its head is sent.
 * @param sizeBytes of the body; null where only its end tells.
 * @returns tells how many bytes went out: exactly, where all of a known body did; otherwise by the socket, where the head of the answer counts too.
 */
export function startCount({ socket }: ServerResponse, sizeBytes: number | null): (isWhole: boolean) => number {
  const before = socket?.bytesWritten ?? 0
  return (isWhole) => {
    if (isWhole && sizeBytes !== null) return sizeBytes
    return Math.min((socket?.bytesWritten ?? before) - before, sizeBytes ?? Number.POSITIVE_INFINITY)
  }
}
