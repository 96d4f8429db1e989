import { createHash } from 'node:crypto'

/** A state that can be made again from two numbers. */
export interface Content {
  /** Two contents with one number and one size are the same. */
  readonly number: number
  readonly sizeBytes: number
}

const OVERHEAD = 64

/** JSON of about that size, in the spelling of `JSON.stringify`: `{"number":…,"items":[…],"text":"…"}`. */
export function bytesOf({ number, sizeBytes }: Content): Buffer {
  const items = Array.from({ length: Math.min(20, Math.floor(sizeBytes / 200)) }, (_, index) => ({ index, of: number }))
  const head = JSON.stringify({ number, items })
  const piece = createHash('sha256').update(String(number)).digest('hex')
  const textBytes = Math.max(0, sizeBytes - head.length - OVERHEAD)
  const text = piece.repeat(Math.ceil(textBytes / piece.length)).slice(0, textBytes)
  return Buffer.from(`${head.slice(0, -1)},"text":"${text}"}`)
}

/** `sha256:<64 hex>`. */
export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
