/**
 * An id as one segment of a path. A slash is written as in a JSON Pointer: many proxies make `%2F` a slash again. A segment of dots
 * alone would be taken away by browsers, so there a dot is `~2`.
 */
export function writeSegment(id: string): string {
  const plain = id.replaceAll('~', '~0').replaceAll('/', '~1')
  return encodeURIComponent((/^\.+$/.test(plain) ? plain.replaceAll('.', '~2') : plain).toWellFormed())
}

/** Also of a segment that somebody has written with `%2F`. */
export function readSegment(segment: string): string {
  return decode(segment).replaceAll('~2', '.').replaceAll('~1', '/').replaceAll('~0', '~')
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}
