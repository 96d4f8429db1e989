/** Which items of two sequences stand for each other. */
export interface Aligned {
  /** For each item of the one its place in the other, -1 where it has none; places only rise. */
  readonly places: Int32Array
  /** False where a part had so many edits that none of it was aligned, though some of it could have been. */
  readonly isExact: boolean
}

/** A part of both sequences, half-open. */
export interface Region {
  readonly fromStart: number
  readonly fromEnd: number
  readonly toStart: number
  readonly toEnd: number
}

/** Edits within a region without a unique item, above which it is left alone. */
const EDITS_MAX = 1000

/**
 * Aligns two sequences of names by their common head and tail, then by what is unique in both (patience), and what remains by the
 * fewest edits (Myers), as long as these are few.
 */
export function align(from: readonly string[], to: readonly string[]): Aligned {
  const numbers = new Map<string, number>()
  const numberOf = (name: string) => {
    const number = numbers.get(name) ?? numbers.size
    numbers.set(name, number)
    return number
  }
  const left = Int32Array.from(from, numberOf)
  const right = Int32Array.from(to, numberOf)
  const sides = { left, right, counts: new Int32Array(2 * numbers.size), places: new Int32Array(left.length).fill(-1) }
  let isExact = true
  const waiting: Region[] = [{ fromStart: 0, fromEnd: left.length, toStart: 0, toEnd: right.length }]
  for (let region = waiting.pop(); region; region = waiting.pop()) {
    const inner = trim(sides, region)
    if (inner.fromStart === inner.fromEnd || inner.toStart === inner.toEnd) continue
    const anchors = anchorsIn(sides, inner)
    if (anchors.length > 0) for (const between of regionsBetween(inner, anchors)) waiting.push(between)
    else if (!alignByEdits(sides, inner)) isExact = false
  }
  return { places: sides.places, isExact }
}

interface Sides {
  readonly left: Int32Array
  readonly right: Int32Array
  /** Room for two numbers a name; all 0 between uses. */
  readonly counts: Int32Array
  readonly places: Int32Array
}

type Pair = readonly [from: number, to: number]

function trim({ left, right, places }: Sides, { fromStart, fromEnd, toStart, toEnd }: Region): Region {
  let [a, b, c, d] = [fromStart, fromEnd, toStart, toEnd]
  while (a < b && c < d && left[a] === right[c]) places[a++] = c++
  while (a < b && c < d && left[b - 1] === right[d - 1]) places[--b] = --d
  return { fromStart: a, fromEnd: b, toStart: c, toEnd: d }
}

/** Pairs of items that stand once on either side of a region, as many as are in the same order. */
function anchorsIn({ left, right, counts }: Sides, { fromStart, fromEnd, toStart, toEnd }: Region): readonly Pair[] {
  const count = (side: Int32Array, [start, end]: Pair, [offset, step]: Pair) => {
    for (let i = start; i < end; i++) {
      const at = 2 * (side[i] ?? 0) + offset
      counts[at] = step === 0 ? 0 : (counts[at] ?? 0) + step
    }
  }
  count(left, [fromStart, fromEnd], [0, 1])
  count(right, [toStart, toEnd], [1, 1])
  const isUnique = (name = 0) => counts[2 * name] === 1 && counts[2 * name + 1] === 1
  const toOf = new Map<number, number>()
  for (let j = toStart; j < toEnd; j++) if (isUnique(right[j])) toOf.set(right[j] ?? 0, j)
  const pairs: Pair[] = []
  for (let i = fromStart; i < fromEnd && pairs.length < toOf.size; i++) {
    const j = toOf.get(left[i] ?? 0)
    if (j !== undefined) pairs.push([i, j])
  }
  count(left, [fromStart, fromEnd], [0, 0])
  count(right, [toStart, toEnd], [1, 0])
  return longestRising(pairs)
}

/** Of pairs whose first parts rise, as many as possible whose second parts rise as well. */
export function longestRising(pairs: readonly Pair[]): readonly Pair[] {
  // The last one of the best chain of each length, and what stands before each.
  const ends: number[] = []
  const before = new Int32Array(pairs.length)
  for (const [place, [, to]] of pairs.entries()) {
    let [low, high] = [0, ends.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((pairs[ends[middle] ?? 0]?.[1] ?? 0) < to) low = middle + 1
      else high = middle
    }
    before[place] = ends[low - 1] ?? -1
    ends[low] = place
  }
  const chain: Pair[] = []
  for (let at = ends.at(-1) ?? -1; at !== -1; at = before[at] ?? -1) chain.push(pairs[at] as Pair)
  return chain.reverse()
}

/** The regions before, between and behind pairs, each with the pair that it begins with: trimming finds it. */
function regionsBetween({ fromStart, fromEnd, toStart, toEnd }: Region, anchors: readonly Pair[]): Region[] {
  const starts = [[fromStart, toStart] as const, ...anchors]
  return starts.map(([from, to], i) => {
    const [nextFrom, nextTo] = starts[i + 1] ?? [fromEnd, toEnd]
    return { fromStart: from, fromEnd: nextFrom, toStart: to, toEnd: nextTo }
  })
}

/** Myers' greedy way forward. @returns whether it came to the end. */
function alignByEdits(sides: Sides, region: Region): boolean {
  const { fromStart, fromEnd, toStart, toEnd } = region
  const [height, width] = [fromEnd - fromStart, toEnd - toStart]
  const most = Math.min(height + width, EDITS_MAX)
  // How far each diagonal has come, from -most - 1 to most + 1; one copy a round leads the way back.
  const reach = new Int32Array(2 * most + 3)
  const rounds: Int32Array[] = []
  for (let edits = 0; edits <= most; edits++) {
    rounds.push(reach.slice(most - edits, most + edits + 3))
    for (let diagonal = -edits; diagonal <= edits; diagonal += 2) {
      const at = diagonal + most + 1
      const goesDown = diagonal === -edits || (diagonal !== edits && (reach[at - 1] ?? 0) < (reach[at + 1] ?? 0))
      let x = goesDown ? (reach[at + 1] ?? 0) : (reach[at - 1] ?? 0) + 1
      let y = x - diagonal
      while (x < height && y < width && sides.left[fromStart + x] === sides.right[toStart + y]) {
        x++
        y++
      }
      reach[at] = x
      if (x >= height && y >= width) {
        walkBack(sides, region, rounds)
        return true
      }
    }
  }
  return false
}

function walkBack({ places }: Sides, { fromStart, fromEnd, toStart, toEnd }: Region, rounds: Int32Array[]): void {
  let [x, y] = [fromEnd - fromStart, toEnd - toStart]
  for (let edits = rounds.length - 1; edits >= 0; edits--) {
    const reach = rounds[edits] ?? new Int32Array()
    const diagonal = x - y
    const at = diagonal + edits + 1
    const goesDown = diagonal === -edits || (diagonal !== edits && (reach[at - 1] ?? 0) < (reach[at + 1] ?? 0))
    const [startX, startY] =
      edits === 0
        ? [0, 0]
        : goesDown
          ? [reach[at + 1] ?? 0, (reach[at + 1] ?? 0) - diagonal - 1]
          : [reach[at - 1] ?? 0, (reach[at - 1] ?? 0) - diagonal + 1]
    const snakeStart = edits === 0 ? 0 : goesDown ? startX : startX + 1
    while (x > snakeStart) places[fromStart + --x] = toStart + --y
    x = startX
    y = startY
  }
}
