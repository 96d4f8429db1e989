import { createHash } from 'node:crypto'

/** Most bytes of a preview, its ellipsis included. */
export const PREVIEW_MAX_BYTES = 1024

/** `sha256:<64 hex>`, as the schema shows a digest. */
export function formatDigest(sha256: Uint8Array): string {
  return `sha256:${Buffer.from(sha256).toString('hex')}`
}

/** SHA-256 of everything that makes two captures the same one: each part is length-prefixed, so no two lists collide. */
export function digestOfParts(parts: readonly (string | number | boolean | null | undefined)[]): Buffer {
  const hash = createHash('sha256')
  for (const part of parts) {
    const text = part == null ? '' : String(part)
    hash.update(`${part == null ? '-' : text.length}:${text}`)
  }
  return hash.digest()
}
