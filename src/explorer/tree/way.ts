import { isBelow, pointerOf, tokensOf } from '../pointer.ts'
import type { Branch, Outline, Spot } from './outline.ts'
import type { Pages } from './pages.ts'
import { PAGE_ROWS, type Place, type TreeSource } from './source.ts'

/** Pages of keys that are looked through for a place on the way to a pointer. */
const SEARCHED_PAGES = 10
/** Levels that are opened on the way to a place: each is a question. */
const LEVELS_MOST = 20

export interface WayOptions {
  readonly source: TreeSource
  readonly pages: Pages
  /** Where the tree begins now. */
  readonly beginsAt: string
  /** Has the tree begin there; what is open stays so where it begins there already. */
  readonly plant: (pointer: string, signal: AbortSignal) => Promise<Outline>
  readonly signal: AbortSignal
}

export interface Way {
  readonly outline: Outline
  readonly spot: Spot
}

/**
 * Opens what leads to a pointer. The tree begins further down where that is too deep, or lies too far behind other keys.
 * @throws Fault where nothing is, as the server says it.
 */
export async function findWay(pointer: string, options: WayOptions): Promise<Way> {
  const { plant, signal, beginsAt } = options
  const tokens = tokensOf(pointer)
  const known = pointer === beginsAt || isBelow(pointer, beginsAt) ? beginsAt : ''
  const isDeep = tokens.length - tokensOf(known).length > LEVELS_MOST
  const start = isDeep ? pointerOf(tokens.slice(0, -LEVELS_MOST)) : known
  const outline = await plant(start, signal)
  let branch = outline.root
  let spot: Spot = { branch: undefined, ordinal: 0 }
  for (let depth = tokensOf(start).length; depth < tokens.length; depth++) {
    const here = pointerOf(tokens.slice(0, depth + 1))
    const ordinal = await ordinalOf(branch, tokens[depth] ?? '', options)
    const place = await placeAt(branch, { ordinal, here }, options)
    if (ordinal === -1) {
      await plant(here, signal)
      return await findWay(pointer, { ...options, beginsAt: here })
    }
    spot = { branch, ordinal }
    if (depth < tokens.length - 1) branch = outline.open(branch, ordinal, place)
  }
  return { outline, spot }
}

/** The child's place among the others; -1 where it is not among the first thousand. */
async function ordinalOf({ place, count }: Branch, token: string, { pages }: WayOptions): Promise<number> {
  if (place.type === 'ARRAY') return /^(?:0|[1-9]\d*)$/.test(token) ? Number(token) : -1
  for (let first = 0; first < Math.min(count, SEARCHED_PAGES * PAGE_ROWS); first += PAGE_ROWS) {
    const places = (await pages.load(place.pointer, first)) ?? []
    // Of two with one key, a pointer leads to the last.
    const found = places.findLastIndex(({ key }) => key === token)
    if (found !== -1) return first + found
  }
  return -1
}

interface Child {
  readonly ordinal: number
  readonly here: string
}

/** Known with its page, or asked for by itself, so that what is not there fails as the server says. */
async function placeAt(
  branch: Branch,
  { ordinal, here }: Child,
  { pages, source, signal }: WayOptions,
): Promise<Place> {
  const known = ordinal === -1 ? undefined : pages.childOf(branch.place.pointer, ordinal)
  return known ?? (await source.placeAt(here, signal))
}
