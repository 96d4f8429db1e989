const isContinuation = (byte: number | undefined) => byte !== undefined && (byte & 0b1100_0000) === 0b1000_0000

/**
 * The characters that begin in the first `size` bytes: of neighbouring windows each character is in one, whole. Bytes behind them are
 * there for the last one's sake.
 * @param isCut whether the bytes may begin within a character of the window before.
 */
export function windowText(bytes: Uint8Array, size: number, isCut: boolean): string {
  let start = 0
  while (isCut && start < 3 && isContinuation(bytes[start])) start++
  let end = Math.min(size, bytes.length)
  while (end < bytes.length && end < size + 3 && isContinuation(bytes[end])) end++
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(start, end))
}
