import { type RawBuilder, sql } from 'kysely'
import type { Transactions } from '../model/transactions.ts'

/** The snapshot of the statement, and how far transactions have been numbered since; one row, whatever it stands beside. */
export const OPEN_TRANSACTIONS = sql`(select pg_current_snapshot()::text || ':' || age('3'::xid) as open offset 0)`

/** How many that nobody has seen begin are told apart from what comes later. */
const AHEAD_MAX = 1000n

/**
 * Those that may have been under way, from a value of `OPEN_TRANSACTIONS`. A snapshot names those that began before the last one that ended;
 * what began after it is known by the number that the next one gets.
 */
export function openTransactions(text: string): Transactions {
  const [, xmax = '', listed = '', age = ''] = text.split(':')
  const first = BigInt(xmax)
  const ahead = BigInt.asUintN(32, BigInt(age) + 3n - first)
  const open = (listed === '' ? [] : listed.split(',')).map((xid) => [BigInt(xid), BigInt(xid) + 1n] as const)
  return ahead === 0n ? open : [...open, [first, first + (ahead < AHEAD_MAX ? ahead : AHEAD_MAX)]]
}

/** A table of the two numbers of each, as `first` and `last`, which is the first that is not one of them. */
export function transactionTable(transactions: Transactions, alias: string): RawBuilder<unknown> {
  const numbers = (side: 0 | 1) => transactions.map((pair) => String(pair[side]))
  return sql`unnest(${numbers(0)}::text[]::xid8[], ${numbers(1)}::text[]::xid8[]) as ${sql.raw(alias)}(first, last)`
}
