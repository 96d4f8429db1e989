import type { StateDiff } from '../snapshots/views/state-diff.ts'

type Summary = NonNullable<Awaited<ReturnType<StateDiff['summary']>>>
type Change = Awaited<ReturnType<StateDiff['changes']>>['changes'][number]

/** A difference as lines of a terminal. */
export interface ChangeLines {
  /** One for each member that is not the same, and an empty one. */
  ofSummary(summary: Summary): string
  ofChange(change: Change, values: { readonly before: string | null; readonly now: string | null }): string
}

const VALUE_LENGTH = 72

const MARKS = { ADDED: '+', REMOVED: '-', CHANGED: '~', MOVED: '>', EQUAL: '=' } as const
const COLOURS = { ADDED: 32, REMOVED: 31, CHANGED: 33, MOVED: 36, EQUAL: 2 } as const

export function createChangeLines(isColoured: boolean): ChangeLines {
  const line = (what: keyof typeof MARKS, text: string) => {
    const plain = `${MARKS[what]} ${text}`
    return isColoured ? `\u001b[${COLOURS[what]}m${plain}\u001b[0m\n` : `${plain}\n`
  }
  return {
    ofSummary(summary) {
      const told = summary.map(({ status, key, fromSizeBytes, toSizeBytes }) => {
        const sizes = [fromSizeBytes, toSizeBytes].flatMap((bytes) => (bytes === null ? [] : `${bytes} B`))
        return line(status, `${visible(JSON.stringify(key))}  ${sizes.join(' → ')}`)
      })
      return `${told.join('')}\n`
    },
    ofChange({ op, pointer, fromPointer }, { before, now }) {
      const values = op === 'MOVED' ? [now] : [before, now]
      const shown = values.flatMap((value) => (value === null ? [] : shorten(visible(value)))).join(' → ')
      const origin = fromPointer === null ? '' : ` (was ${visible(fromPointer)})`
      return line(op, `${visible(pointer) || '(all of it)'}${origin}  ${shown}`)
    },
  }
}

/** What a terminal would take for a command, and what turns its text round, by their numbers; white space as one blank. */
function visible(text: string): string {
  return text
    .replaceAll(/[\t\n\r ]+/g, ' ')
    .replaceAll(
      /[\p{Cc}\p{Cs}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu,
      (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
    )
}

function shorten(text: string): string {
  const units = [...text]
  return units.length > VALUE_LENGTH ? `${units.slice(0, VALUE_LENGTH - 1).join('')}…` : text
}
