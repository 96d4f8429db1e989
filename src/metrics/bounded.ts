/** As GraphQL writes names, and no longer than a table of a dashboard has room for. */
const NAME = /^[_A-Za-z]\w{0,63}$/

/** Names that clients choose, as labels: the first so many as they are, and `other` for all that come later. */
export function createBounded(max: number): (name: string | undefined) => string {
  const known = new Set<string>()
  return (name) => {
    if (name === undefined) return 'anonymous'
    if (known.has(name)) return name
    if (known.size >= max || !NAME.test(name)) return 'other'
    known.add(name)
    return name
  }
}
