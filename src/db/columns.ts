import { type RawBuilder, sql } from 'kysely'
import type { Fields, FieldTable } from '../model/fields.ts'

/** How one field is read: an SQL expression, and what turns its value into the field's where that is not the same. */
export interface Column {
  readonly expression: string
  readonly parse?: (value: never) => unknown
}

/** For the small JSON of metadata; a payload is never parsed. */
export function parseJson(json: Buffer): unknown {
  return JSON.parse(json.toString())
}

/** The columns of a choice of fields, and the way from a row back to an object. */
export interface Projection<T> {
  /** Each under the name of its field. */
  readonly columns: RawBuilder<unknown>
  /** How many values it takes of a row. */
  readonly width: number
  /** Makes the object from a row's values, beginning at `at`. */
  read(row: readonly unknown[], at?: number): T
}

/** Reads only what is asked for: rows are wide, and most answers are narrow. */
export function defineColumns<T>(
  table: FieldTable<T>,
  columns: { readonly [Name in keyof T & string]?: Column },
): (fields: Fields<T>) => Projection<T> {
  const projections = new Map<number, Projection<T>>()
  return (fields) => {
    const known = projections.get(fields)
    if (known) return known
    const chosen = table.chosen(fields).map((name) => ({ name, ...columnOf(columns[name], name) }))
    const made: Projection<T> = {
      columns: sql.raw(chosen.map(({ expression, name }) => `${expression} as "${name}"`).join(', ')),
      width: chosen.length,
      read: createRowReader<T>(chosen),
    }
    // Bounded by the shapes of operations that clients send; were they of endless variety, it starts anew.
    if (projections.size === 1000) projections.clear()
    projections.set(fields, made)
    return made
  }
}

function columnOf(column: Column | undefined, name: string): Column {
  if (!column) throw new Error(`the field ${name} has no column`)
  return column
}

/** A function for exactly these columns: an object literal is made many times faster than an object in a loop over names. */
function createRowReader<T>(columns: readonly (Column & { readonly name: string })[]): Projection<T>['read'] {
  const parts = columns.map(({ name, parse }, index) => {
    const value = `row[at + ${index}]`
    return `${name}: ${parse ? `${value} === null ? null : parse[${index}](${value})` : value}`
  })
  // The names are those of the tables in this folder: nothing of a request is in this text.
  const make = new Function('parse', `return (row, at = 0) => ({ ${parts.join(', ')} })`)
  return make(columns.map(({ parse }) => parse))
}
