/** The tokens of an RFC 6901 pointer, unescaped; none of the root. */
export function tokensOf(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
}

export function pointerOf(tokens: readonly string[]): string {
  return tokens.map((token) => `/${token.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}

/** Of the container that it lies in; undefined of the root. */
export function parentOf(pointer: string): string | undefined {
  const end = pointer.lastIndexOf('/')
  return end === -1 ? undefined : pointer.slice(0, end)
}

export function isBelow(pointer: string, ancestor: string): boolean {
  return pointer.length > ancestor.length && pointer.startsWith(`${ancestor}/`)
}

/** What one types: a pointer, with or without its first slash; undefined where that is none. */
export function readPointer(text: string): string | undefined {
  const trimmed = text.trim()
  const pointer = trimmed === '' || trimmed.startsWith('/') ? trimmed : `/${trimmed}`
  return /~(?![01])/.test(pointer) ? undefined : pointer
}

/** The place as a path of jq. `isIndex` tells which tokens are indices of arrays. */
export function jqPath(tokens: readonly string[], isIndex: (depth: number) => boolean): string {
  const steps = tokens.map((token, depth) => {
    if (isIndex(depth)) return `[${token}]`
    return /^[A-Za-z_]\w*$/.test(token) ? `.${token}` : `[${JSON.stringify(token)}]`
  })
  const path = steps.join('')
  return path.startsWith('.') ? path : `.${path}`
}
