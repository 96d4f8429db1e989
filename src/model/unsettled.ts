import { readTransactions, type Transactions, writeTransactions } from './transactions.ts'

/**
 * What may still turn up before a place in a list that grows at its end. A row has its number when it is written, and is seen when its
 * transaction is committed: one with a lower number may come later than one with a higher.
 */
export interface Unsettled {
  /** Transactions that were under way when the list was read up to that place. */
  readonly open: Transactions
  /** What was read of their rows since then: each time those of what was not under way any more, up to a number. */
  readonly reads: readonly LateRead[]
}

export interface LateRead {
  readonly upTo: string
  /** Transactions that were still under way. */
  readonly open: Transactions
}

/** Beyond so many they are not told apart, and of those no more are kept than a text may name together. */
const RANGES_MAX = 500
const WIDTH_MAX = 0xffffn
/** Beyond so many the oldest is forgotten, and its rows come again. */
const READS_MAX = 16
const LIMITS = { rangesMax: RANGES_MAX, widthDigits: 4 }

/** Empty where nothing can turn up any more. */
export function writeUnsettled({ open, reads }: Unsettled): string {
  if (open.length === 0) return ''
  return [`+${write(open)}`, ...reads.flatMap((one) => [one.upTo, write(one.open)])].join(';')
}

/** The same after one more page of late rows, up to that number. */
export function readLate({ open, reads }: Unsettled, read: LateRead): Unsettled {
  // What ended before has ended now: only where this read did not get as far is the earlier one worth knowing.
  const further = reads.filter(({ upTo }) => BigInt(upTo) > BigInt(read.upTo))
  return { open, reads: [...further, read].slice(-READS_MAX) }
}

/** @returns null for a text that `writeUnsettled` does not write. */
export function readUnsettled(text: string): Unsettled | null {
  const [first = '', ...others] = text.split(';')
  const open = first.startsWith('+') ? read(first.slice(1)) : null
  if (!open?.length || others.length % 2 > 0 || others.length > 2 * READS_MAX) return null
  const reads: LateRead[] = []
  for (let i = 0; i < others.length; i += 2) {
    const [upTo = '', then = ''] = others.slice(i, i + 2)
    const still = read(then)
    if (!still || !/^-?\d{1,19}$/.test(upTo)) return null
    reads.push({ upTo, open: still })
  }
  return { open, reads }
}

function write(transactions: Transactions): string {
  return writeTransactions(mergeLast(transactions))
}

function mergeLast(transactions: Transactions): Transactions {
  const [first, last] = [transactions[RANGES_MAX - 1], transactions.at(-1)]
  if (!first || !last) return transactions
  const furthest = first[0] + WIDTH_MAX
  return [...transactions.slice(0, RANGES_MAX - 1), [first[0], last[1] < furthest ? last[1] : furthest]]
}

function read(text: string): Transactions | null {
  return readTransactions(text, LIMITS)
}
