import { MAX_XID, readTransactions, type Transactions, writeTransactions } from './transactions.ts'

/**
 * Which transactions somebody has seen everything of: those with a number below `end` that are not `open`. It is what a snapshot of
 * PostgreSQL says, and what one does not see and a later one does is what was committed in between.
 */
export interface Seen {
  readonly end: bigint
  readonly open: Transactions
}

/** @param snapshot as PostgreSQL writes it: `xmin:xmax:` and the numbers between them that are under way. */
export function seenBy(snapshot: string): Seen {
  const [, end = '0', listed = ''] = snapshot.split(':')
  const open = listed === '' ? [] : listed.split(',').map((xid) => [BigInt(xid), BigInt(xid) + 1n] as const)
  return { end: BigInt(end), open }
}

/** Whether that transaction is among them. */
export function hasSeen({ end, open }: Seen, xid: bigint): boolean {
  return xid < end && !open.some(([first, last]) => xid >= first && xid < last)
}

/** Those of them with a number below `end`. */
export function seenBelow({ open }: Seen, end: bigint): Seen {
  return { end, open: open.filter(([first]) => first < end).map(([first, last]) => [first, last < end ? last : end]) }
}

/** All others, as far as numbers go. */
export function unseenBy({ end, open }: Seen): Transactions {
  return [...open, [end, MAX_XID - 1n]]
}

/**
 * At most so many characters: where there are too many open ones for that, what stands between the last of them counts as open as well.
 * Whoever reads it sees some once more, and misses none.
 */
export function writeSeen({ end, open }: Seen, charsMax: number): string {
  for (let count = open.length; ; count = Math.floor(count / 2)) {
    const text = writeTransactions([...merged(open, count), [end, end + 1n]])
    if (text.length <= charsMax || count === 0) return text
  }
}

/** The first ones as they are, the others as one. */
function merged(open: Transactions, count: number): Transactions {
  const [first, last] = [open[Math.max(count - 1, 0)], open.at(-1)]
  if (!first || !last || count >= open.length) return open
  return [...open.slice(0, Math.max(count - 1, 0)), [first[0], last[1]]]
}

const LIMITS = { rangesMax: 512, widthDigits: 16 }

/** @returns null for a text that `writeSeen` does not write. */
export function readSeen(text: string): Seen | null {
  const all = readTransactions(text, LIMITS)
  const last = all?.at(-1)
  if (!all || !last || last[1] - last[0] !== 1n) return null
  return { end: last[0], open: all.slice(0, -1) }
}
