import type { Place } from './places.ts'

/** An open container that something may be masked in. */
export interface Open {
  readonly place: Place
  /** Of the element that comes next; -1 in an object. */
  index: number
}

/** Where an index leads. */
export function elementAt(place: Place, index: number): Place | null {
  return place.hasIndexes ? place.below(String(index)) : place.others
}
