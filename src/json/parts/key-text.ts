const BACKSLASH = 0x5c

/** What a string is, of its source text between the quotes. Lone surrogates of escapes stay what they are. */
export function unescapeText(source: Buffer): string {
  const text = source.toString('utf8')
  return source.includes(BACKSLASH) ? (JSON.parse(`"${text}"`) as string) : text
}

/** The bytes of what a key is, of its source text between the quotes. Keys that are equal have the same; lone surrogates may share them. */
export function keyBytes(source: Buffer): Buffer {
  return source.includes(BACKSLASH) ? Buffer.from(unescapeText(source)) : source
}

/** Tells whether a key is the one that is looked for, by its source text between the quotes. */
export type KeyMatcher = (source: Buffer) => boolean

export function createKeyMatcher(key: string): KeyMatcher {
  const isWellFormed = key.isWellFormed()
  const bytes = Buffer.from(key)
  return (source) => {
    if (source.includes(BACKSLASH)) return unescapeText(source) === key
    return isWellFormed && bytes.equals(source)
  }
}
