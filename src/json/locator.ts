import { isClose, skipSpace, skipString, skipValue } from './skip-text.ts'

const COMMA = 0x2c
const OPEN_ARRAY = 0x5b
const OPEN_OBJECT = 0x7b

/** The text of the value at a path of at least one key, as it stands there; undefined where there is none. Of equal keys the last counts. */
export type JsonLocator = (path: readonly (string | number)[]) => string | undefined

/** Where the members of a container lie. */
interface Members {
  /** Start and end of each value, one after the other. */
  readonly bounds: readonly number[]
  /** Places by key; undefined for an array. */
  readonly keys?: ReadonlyMap<string, number>
}

/**
 * Finds values in a text without making anything of them, so that what `JSON.parse` would change can be kept.
 * @param text JSON that `JSON.parse` has taken: it is not checked here.
 */
export function createJsonLocator(text: string): JsonLocator {
  const known = new Map<number, Members>()

  function membersAt(start: number): Members {
    const found = known.get(start) ?? readMembers(text, start)
    known.set(start, found)
    return found
  }

  return (path) => {
    let start = skipSpace(text, 0)
    let end = text.length
    for (const key of path) {
      const { bounds, keys } = membersAt(start)
      const index = keys ? keys.get(String(key)) : Number(key)
      if (index === undefined || bounds[2 * index] === undefined) return undefined
      start = bounds[2 * index] ?? 0
      end = bounds[2 * index + 1] ?? 0
    }
    return text.slice(start, end)
  }
}

function readMembers(text: string, start: number): Members {
  const opened = text.charCodeAt(start)
  const bounds: number[] = []
  if (opened !== OPEN_OBJECT && opened !== OPEN_ARRAY) return { bounds }
  const keys = opened === OPEN_OBJECT ? new Map<string, number>() : undefined
  let at = skipSpace(text, start + 1)
  while (at < text.length && !isClose(text.charCodeAt(at))) {
    if (keys) {
      const keyEnd = skipString(text, at)
      keys.set(JSON.parse(text.slice(at, keyEnd)), bounds.length / 2)
      at = skipSpace(text, skipSpace(text, keyEnd) + 1)
    }
    const end = skipValue(text, at)
    bounds.push(at, end)
    at = skipSpace(text, end)
    if (text.charCodeAt(at) === COMMA) at = skipSpace(text, at + 1)
  }
  return keys ? { bounds, keys } : { bounds }
}
