/** Names under which statements are prepared, once a connection. */
export interface StatementNames {
  /** Undefined for a text that is not to be prepared. */
  nameOf(text: string): string | undefined
  /** Changes whenever names are given anew: a connection from before holds statements that nobody asks for any more. */
  readonly generation: number
}

/** A text that is sent once costs no memory in the database. */
const NAMED_MAX = 256
const SEEN_MAX = 1024

/** Names for the first texts that come twice; when all are given, they are given anew, so that odd texts never keep the names for good. */
export function createStatementNames(): StatementNames {
  const names = new Map<string, string>()
  const seen = new Set<string>()
  let count = 0
  let generation = 0
  return {
    nameOf(text) {
      const known = names.get(text)
      if (known !== undefined) return known
      if (!seen.delete(text)) {
        if (seen.size === SEEN_MAX) seen.clear()
        seen.add(text)
        return undefined
      }
      if (names.size === NAMED_MAX) {
        names.clear()
        generation++
      }
      const name = `statelens-${count++}`
      names.set(text, name)
      return name
    },
    get generation() {
      return generation
    },
  }
}
