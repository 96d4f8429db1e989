/** What one look may cost. */
export interface Limits {
  readonly maxBytes: number
  readonly maxMillis: number
}

export interface Budget {
  /** Whether so many bytes may still be read. The first time always: who goes on must come further. */
  canAfford(bytes: number): boolean
  isLate(): boolean
}

export function createBudget({ maxBytes, maxMillis }: Limits): Budget {
  const end = performance.now() + maxMillis
  let [spent, asked] = [0, 0]
  const isLate = () => performance.now() > end
  return {
    canAfford(bytes) {
      if (asked++ > 0 && (isLate() || spent + bytes > maxBytes)) return false
      spent += bytes
      return true
    },
    isLate,
  }
}
