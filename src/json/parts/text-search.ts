import { wholeCharacters } from '../utf8.ts'

/** What is told around a match, in UTF-16 units. */
const BEFORE = 40
const AFTER = 80
const BACKSLASH = 0x5c

export interface Excerpt {
  readonly excerpt: string
  readonly start: number
  readonly end: number
}

/** Looks for a text in one that comes in pieces. */
export interface TextSearch {
  /** The first match in what came since `reset`; null as long as there is none. */
  push(piece: string): Excerpt | null
  reset(): void
}

export function createTextSearch(text: string, matchCase: boolean): TextSearch {
  const fold = matchCase ? (value: string) => value : foldCase
  const wanted = fold(text)
  let tail = ''
  return {
    push(piece) {
      const whole = tail + piece
      const at = fold(whole).indexOf(wanted)
      if (at !== -1) return excerptOf(whole, { start: at, end: at + wanted.length })
      tail = whole.slice(-(wanted.length + BEFORE))
      return null
    },
    reset() {
      tail = ''
    },
  }
}

/** Of the same length as before, so that places in it are places in the text. */
function foldCase(text: string): string {
  const lower = text.toLowerCase()
  if (lower.length === text.length) return lower
  return text.replace(/./gsu, (character) => {
    const folded = character.toLowerCase()
    return folded.length === character.length ? folded : character
  })
}

function excerptOf(whole: string, { start, end }: { readonly start: number; readonly end: number }): Excerpt {
  const from = betweenPairs(whole, Math.max(0, start - BEFORE))
  return { excerpt: whole.slice(from, betweenPairs(whole, end + AFTER)), start: start - from, end: end - from }
}

/** At or before a place, not between two surrogates that are one character. */
function betweenPairs(text: string, at: number): number {
  return /^[\ud800-\udbff][\udc00-\udfff]/.test(text.slice(Math.max(0, at - 1), at + 1)) ? at - 1 : at
}

/** How much of a string's source text can be unescaped before the rest has come. */
export function wholeSource(source: Buffer): number {
  let from = source.length
  // An escape begins with the last backslash that is not escaped itself; a pair of them is twelve bytes long.
  const last = source.lastIndexOf(BACKSLASH)
  if (last >= source.length - 12 && last !== -1) {
    from = last
    while (source[from - 1] === BACKSLASH) from--
    if (
      source
        .subarray(from - 6, from)
        .toString('latin1')
        .match(/^\\u[dD][89abAB]/)
    )
      from -= 6
  }
  return wholeCharacters(source, Math.max(0, from))
}
