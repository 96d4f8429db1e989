/** A place in the log of the database, as PostgreSQL writes it: `16/B374D848`. What was committed before it is written there. */
export type Position = string

const POSITION = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/

/** For order; null for what is no position. */
export function readPosition(text: Position): bigint | null {
  const [, high, low] = POSITION.exec(text) ?? []
  return high === undefined ? null : (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`)
}

/** Behind all others: of a write whose place nobody could tell. */
export const LAST_POSITION: Position = 'FFFFFFFF/FFFFFFFF'

/** What a reader has to see: all that was committed, or all before a position, as far as it is told one. */
export type AtLeast = 'all' | Position | undefined

/** Up to where the log was written when a viewer had written something. */
export interface WriteMark {
  readonly viewer: string
  readonly position: Position
}
