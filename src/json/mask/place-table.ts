import { REDACTED } from './masked-parts.ts'
import type { NamedKey, Place } from './places.ts'

/** All places that a document can come to, as the walk in `../wasm/scanner.as.ts` reads them. */
export interface PlaceTable {
  readonly bytes: Uint8Array
  /** In the order of their numbers. */
  readonly places: readonly Place[]
  /** @returns -1 for null. */
  numberOf(place: Place | null): number
}

/** Where the table lies, and how much of it there may be. */
export interface TableRoom {
  readonly byteOffset: number
  readonly length: number
}

/** More containers than that are never open at once. */
const DEPTH_MAX = 60
const PLACES_AT = 32
const PLACE_SIZE = 48
const NAME_SIZE = 16
const QUOTE = 0x22

const tables = new WeakMap<Place, PlaceTable | null>()

/** The table of all places from there on, made once; null where they are more than there is room for. */
export function tableOf(start: Place, room: TableRoom): PlaceTable | null {
  const known = tables.get(start)
  if (known !== undefined) return known
  const table = start.depth > DEPTH_MAX ? null : createTable(start, room)
  tables.set(start, table)
  return table
}

function createTable(start: Place, room: TableRoom): PlaceTable | null {
  // Those that are found on the way are gone through as well.
  const found = new Map([[start, start.named()]])
  let sizeBytes = PLACES_AT
  for (const [place, named] of found) {
    sizeBytes += PLACE_SIZE + named.reduce((sum, { key }) => sum + NAME_SIZE + (key?.length ?? 0), 0)
    if (sizeBytes > room.length) return null
    for (const next of [place.others, ...named.map((name) => name.place)]) {
      if (next && !found.has(next)) found.set(next, next.named())
    }
  }
  const places = [...found.keys()]
  const numbers = new Map(places.map((place, number) => [place, number]))
  const numberOf = (place: Place | null) => (place === null ? -1 : (numbers.get(place) as number))
  return { bytes: write(found, { numberOf, sizeBytes, byteOffset: room.byteOffset }), places, numberOf }
}

interface Writing extends Pick<PlaceTable, 'numberOf'>, Pick<TableRoom, 'byteOffset'> {
  readonly sizeBytes: number
}

/** The places, then their names, and then the bytes of those. */
function write(
  found: ReadonlyMap<Place, readonly NamedKey[]>,
  { numberOf, sizeBytes, byteOffset }: Writing,
): Uint8Array {
  const bytes = Buffer.alloc(sizeBytes)
  bytes.writeInt32LE(REDACTED.length, 0)
  REDACTED.copy(bytes, 4)
  const names = new Map([...found].map(([place, named]) => [place, named.filter(({ key }) => key !== null)]))
  let nameAt = PLACES_AT + names.size * PLACE_SIZE
  let keyAt = nameAt + NAME_SIZE * [...names.values()].flat().length
  for (const [place, named] of names) {
    const at = PLACES_AT + numberOf(place) * PLACE_SIZE
    bytes.writeInt32LE(place.isMasked ? 1 : 0, at)
    bytes.writeInt32LE(numberOf(place.others), at + 4)
    bytes.writeInt32LE(byteOffset + nameAt, at + 8)
    for (const { key, index, place: next } of named) {
      const bits = at + 16
      // What ends an empty key is the quote behind it.
      const first = key?.[0] ?? QUOTE
      bytes[bits + (first >> 3)] = (bytes[bits + (first >> 3)] as number) | (1 << (first & 7))
      bytes.writeInt32LE(byteOffset + keyAt, nameAt)
      bytes.writeInt32LE(numberOf(next), nameAt + 8)
      bytes.writeInt32LE(index, nameAt + 12)
      const length = key?.copy(bytes, keyAt) ?? 0
      bytes.writeInt32LE(length, nameAt + 4)
      keyAt += length
      nameAt += NAME_SIZE
    }
    bytes.writeInt32LE(byteOffset + nameAt, at + 12)
  }
  return bytes
}
