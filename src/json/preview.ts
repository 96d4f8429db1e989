import { wholeCharacters } from './utf8.ts'

const PREVIEW_MAX_BYTES = 1024
export const ELLIPSIS = '…'

/**
 * The beginning of a document, for lists. At most 1,024 bytes of UTF-8: the whole document when it fits, otherwise cut between
 * two characters and ended by `…`, which is counted.
 * @param head the first bytes of a valid document: 1,024, or all of a smaller one; fewer make a shorter preview
 * @param sizeBytes of the whole document
 */
export function previewOf(head: Uint8Array, sizeBytes: number): string {
  if (sizeBytes <= PREVIEW_MAX_BYTES && head.length >= sizeBytes) return decode(head, sizeBytes)
  const room = Math.min(head.length, PREVIEW_MAX_BYTES - Buffer.byteLength(ELLIPSIS))
  return decode(head, wholeCharacters(head, room)) + ELLIPSIS
}

function decode(bytes: Uint8Array, length: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, length).toString('utf8')
}
