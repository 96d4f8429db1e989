/** Transactions by their numbers: of each pair those from the first number on, up to before the second. In order. */
export type Transactions = readonly (readonly [first: bigint, end: bigint])[]

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
const RADIX = 16
const MAX_XID = 2n ** 63n

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

/** Each by its distance from the one before it, which is short. */
function write(transactions: Transactions): string {
  let at = 0n
  return mergeLast(transactions)
    .map(([first, end]) => {
      const text = (first - at).toString(RADIX) + (end - first > 1n ? `-${(end - first).toString(RADIX)}` : '')
      at = end
      return text
    })
    .join('.')
}

function mergeLast(transactions: Transactions): Transactions {
  const [first, last] = [transactions[RANGES_MAX - 1], transactions.at(-1)]
  if (!first || !last) return transactions
  const furthest = first[0] + WIDTH_MAX
  return [...transactions.slice(0, RANGES_MAX - 1), [first[0], last[1] < furthest ? last[1] : furthest]]
}

function read(text: string): Transactions | null {
  if (text === '') return []
  const parts = text.split('.')
  if (parts.length > RANGES_MAX || !parts.every((part) => /^[\da-f]{1,16}(-[\da-f]{1,4})?$/.test(part))) return null
  let at = 0n
  const transactions = parts.map((part) => {
    const [distance = '0', width = '1'] = part.split('-')
    const first = at + BigInt(`0x${distance}`)
    at = first + BigInt(`0x${width}`)
    return [first, at] as const
  })
  return at < MAX_XID ? transactions : null
}
