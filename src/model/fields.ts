/**
 * A choice among the fields of `T`, one bit each. What was read by a choice holds the chosen fields and no others, although
 * its type says `T`: who reads a field has asked for it.
 */
export type Fields<T> = number & { readonly of?: T }

export interface FieldTable<T> {
  /** In the order of their bits. */
  readonly names: readonly (keyof T & string)[]
  readonly all: Fields<T>
  /** The bits of the names; a name that is no field of `T` has none. */
  pick(names: Iterable<string>): Fields<T>
  /** The fields of a choice, in table order. */
  chosen(fields: Fields<T>): readonly (keyof T & string)[]
}

/** @param names at most 31. */
export function defineFields<T>(names: readonly (keyof T & string)[]): FieldTable<T> {
  const bits = new Map<string, number>(names.map((name, index) => [name, 1 << index]))
  return {
    names,
    all: 2 ** names.length - 1,
    pick: (picked) => [...picked].reduce((mask, name) => mask | (bits.get(name) ?? 0), 0),
    chosen: (fields) => names.filter((_name, index) => fields & (1 << index)),
  }
}
