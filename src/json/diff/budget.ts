/** What one look may cost. */
export interface Limits {
  readonly maxBytes: number
  readonly maxMillis: number
}

export interface Budget {
  /** Whether so many bytes may still be read. The first time always: who goes on must come further. */
  mayRead(bytes: number): boolean
  isSpent(): boolean
}

export function createBudget({ maxBytes, maxMillis }: Limits): Budget {
  const end = performance.now() + maxMillis
  let [spent, asked] = [0, 0]
  const isSpent = () => performance.now() > end || spent > maxBytes
  return {
    mayRead(bytes) {
      if (asked++ > 0 && (isSpent() || spent + bytes > maxBytes)) return false
      spent += bytes
      return true
    },
    isSpent,
  }
}
