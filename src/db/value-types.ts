import pg from 'pg'
import { toInstant } from './instants.ts'

const { builtins } = pg.types

/** Times stay text in UTC, JSON stays the bytes that were sent, 64-bit integers stay text. */
export function getTypeParser(oid: number, format?: 'text' | 'binary') {
  if (oid === builtins.TIMESTAMPTZ) return toInstant
  if (isJsonType(oid) || oid === builtins.INT8) return asSent
  return pg.types.getTypeParser(oid, format)
}

const asSent = (value: unknown) => value

/** Whether values of the type come as bytes, and not as text. */
export function isJsonType(oid: number): boolean {
  return oid === builtins.JSON || oid === builtins.JSONB
}

/** One column of what a statement gives. */
export interface RowColumn {
  readonly isJson: boolean
  /** Undefined where the text itself is the value. */
  readonly parse: ((text: string) => unknown) | undefined
}

const parseText = pg.types.getTypeParser(builtins.TEXT)

export function columnOf(oid: number): RowColumn {
  const parse = getTypeParser(oid, 'text')
  const isText = parse === asSent || parse === parseText
  return { isJson: isJsonType(oid), parse: isText ? undefined : (parse as (text: string) => unknown) }
}
