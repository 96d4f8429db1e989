import { type Edit, editsOf } from './edits.ts'

export interface Piece {
  readonly text: string
  readonly is: Edit
}

/** Longer texts are compared from their ends alone. */
const WORDS_MOST_UNITS = 140_000

/**
 * What was taken out of a text and put into it, by words; where that would take too long, by what is left between the common beginning
 * and end. It never holds the page up.
 */
export function diffTexts(before: string, after: string): readonly Piece[] {
  const start = commonStart(before, after)
  const end = commonEnd(before.slice(start), after.slice(start))
  const old = before.slice(start, before.length - end)
  const now = after.slice(start, after.length - end)
  const pieces: readonly Piece[] = piecesOf(old, now) ?? [
    { text: old, is: 'removed' },
    { text: now, is: 'added' },
  ]
  const around: readonly Piece[] = [
    { text: before.slice(0, start), is: 'same' },
    ...pieces,
    { text: before.slice(before.length - end), is: 'same' },
  ]
  return around.filter(({ text }) => text !== '')
}

function piecesOf(before: string, after: string): readonly Piece[] | undefined {
  if (before.length + after.length > WORDS_MOST_UNITS) return undefined
  const old = wordsIn(before)
  const now = wordsIn(after)
  return editsOf(old, now)?.map(({ is, from, to }) => ({
    is,
    text: (is === 'added' ? now : old).slice(from, to).join(''),
  }))
}

/** Words, and what stands between them. */
const wordsIn = (text: string) => text.match(/[\p{L}\p{N}_]+|\s+|[^\p{L}\p{N}_\s]/gu) ?? []

const WORD = /[\p{L}\p{N}_]/u

/** Units that both begin with, up to the beginning of a word. */
function commonStart(one: string, other: string): number {
  const most = Math.min(one.length, other.length)
  let same = 0
  while (same < most && one.charCodeAt(same) === other.charCodeAt(same)) same++
  if (same === one.length && same === other.length) return same
  while (same > 0 && (WORD.test(one.charAt(same - 1)) || /[\ud800-\udbff]/.test(one.charAt(same - 1)))) same--
  return same
}

function commonEnd(one: string, other: string): number {
  const most = Math.min(one.length, other.length)
  let same = 0
  while (same < most && one.charCodeAt(one.length - 1 - same) === other.charCodeAt(other.length - 1 - same)) same++
  while (
    same > 0 &&
    (WORD.test(one.charAt(one.length - same)) || /[\udc00-\udfff]/.test(one.charAt(one.length - same)))
  )
    same--
  return same
}
