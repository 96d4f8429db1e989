/**
 * Text that can be stored, of whatever a producer had: what PostgreSQL and UTF-8 cannot hold, NUL and half characters, becomes U+FFFD.
 * What is longer than `maxBytes` keeps its beginning and its end, where tracebacks say what happened, and says between them how much
 * is left out. Text that was mended before stays as it is.
 */
export function mendText(text: string, maxBytes: number): string {
  const whole = text.toWellFormed().replaceAll('\u0000', '\ufffd')
  if (Buffer.byteLength(whole) <= maxBytes) return whole
  const bytes = Buffer.from(whole)
  // The longest that the note can be: no number of bytes has more digits.
  const kept = maxBytes - Buffer.byteLength(noteOf(bytes.length))
  const head = characterStart(bytes, Math.ceil(kept / 2))
  const tail = characterEnd(bytes, bytes.length - Math.floor(kept / 2))
  return `${bytes.subarray(0, head)}${noteOf(tail - head)}${bytes.subarray(tail)}`
}

function noteOf(bytes: number): string {
  return `\n… ${bytes} bytes left out …\n`
}

/** The last beginning of a character at or before `at`. */
function characterStart(bytes: Buffer, at: number): number {
  let start = at
  while (isContinuation(bytes[start])) start -= 1
  return start
}

/** The first beginning of a character at or behind `at`. */
function characterEnd(bytes: Buffer, at: number): number {
  let end = at
  while (isContinuation(bytes[end])) end += 1
  return end
}

function isContinuation(byte = 0): boolean {
  return (byte & 0xc0) === 0x80
}
