/** Transactions by their numbers: of each pair those from the first number on, up to before the second. In order. */
export type Transactions = readonly (readonly [first: bigint, end: bigint])[]

export const MAX_XID = 2n ** 63n
const RADIX = 16

/** Each by its distance from the one before it, which is short: digits, `.` and `-`. */
export function writeTransactions(transactions: Transactions): string {
  let at = 0n
  return transactions
    .map(([first, end]) => {
      const text = (first - at).toString(RADIX) + (end - first > 1n ? `-${(end - first).toString(RADIX)}` : '')
      at = end
      return text
    })
    .join('.')
}

export interface ReadLimits {
  readonly rangesMax: number
  /** Digits of how many transactions stand together. */
  readonly widthDigits: number
}

/** @returns null for a text that `writeTransactions` does not write, or that is beyond the limits. */
export function readTransactions(text: string, { rangesMax, widthDigits }: ReadLimits): Transactions | null {
  if (text === '') return []
  const parts = text.split('.')
  const form = new RegExp(`^[\\da-f]{1,16}(-[\\da-f]{1,${widthDigits}})?$`)
  if (parts.length > rangesMax || !parts.every((part) => form.test(part))) return null
  let at = 0n
  const transactions = parts.map((part) => {
    const [distance = '0', width = '1'] = part.split('-')
    const first = at + BigInt(`0x${distance}`)
    at = first + BigInt(`0x${width}`)
    return [first, at] as const
  })
  return at < MAX_XID ? transactions : null
}
