import { createHmac } from 'node:crypto'

/** A secret of signed links, and the name that links carry of it. */
export interface LinkKey {
  readonly kid: string
  readonly secret: string
}

export function linkKeyOf(secret: string): LinkKey {
  return { secret, kid: macOfParts(secret, ['kid']).subarray(0, 6).toString('base64url') }
}

/**
 * HMAC-SHA256 of the parts, each with its length in front, so that no two lists of parts have the same bytes. The first part says
 * what is signed: a signature for one purpose is none for another.
 */
export function macOfParts(secret: string, parts: readonly string[]): Buffer {
  const hmac = createHmac('sha256', secret)
  for (const part of parts) hmac.update(`${Buffer.byteLength(part)}:${part}`)
  return hmac.digest()
}
