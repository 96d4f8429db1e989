import { type RawBuilder, sql } from 'kysely'

/**
 * The texts that begin with `prefix`, by the order of their bytes, which is that of an index with `text_pattern_ops`.
 * @param column an SQL expression.
 */
export function beginsWith(column: string, prefix: string): RawBuilder<unknown> {
  const end = endOfPrefix(prefix)
  const text = sql.raw(column)
  const below = end === null ? sql`` : sql` and ${text} ~<~ ${end}::text`
  return sql`${text} ~>=~ ${prefix}::text${below}`
}

const LAST_CHARACTER = 0x10ffff
const SURROGATES = { first: 0xd800, afterLast: 0xe000 }

/** The least text behind all that begin with the prefix; null where there is none. UTF-8 sorts as its characters do. */
export function endOfPrefix(prefix: string): string | null {
  const characters = Array.from(prefix, (character) => character.codePointAt(0) ?? 0)
  while (characters.at(-1) === LAST_CHARACTER) characters.pop()
  const last = characters.pop()
  if (last === undefined) return null
  const next = last + 1 === SURROGATES.first ? SURROGATES.afterLast : last + 1
  return String.fromCodePoint(...characters, next)
}
