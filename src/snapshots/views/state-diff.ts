import { hash } from 'node:crypto'
import { isAppError } from '../../errors.ts'
import { type JsonDiff, openDiff } from '../../json/diff/diff.ts'
import { openOneSided } from '../../json/diff/one-sided.ts'
import type { DiffDocument } from '../../json/diff/side.ts'
import type { Trail } from '../../json/diff/walk.ts'
import type { Place } from '../../json/parts/place.ts'
import type { StateDocument } from './state-document.ts'

/** What one request reads at most to compare two states, and how long it takes at most. */
export const DIFF_LIMITS = { maxBytes: 32 * 1_048_576, maxMillis: 5000 }

/** What leads from one state to another. */
export interface StateDiff extends JsonDiff {
  /** Names what is compared: these versions of both, at this place, told in this way. */
  readonly name: string
  /** Bytes that were read of both so far. */
  bytesRead(): number
}

export interface StateDiffOptions {
  /** Null where there is none: then everything is new. */
  readonly from: StateDocument | null
  readonly to: StateDocument
  readonly pointer: string
}

/** Of how changes are told: a cursor is no good for another. */
const VERSION = 1

/** @throws AppError `POINTER_NOT_FOUND` where neither has the place, `BAD_REQUEST` for what is no pointer; what reading throws. */
export async function openStateDiff({ from, to, pointer }: StateDiffOptions): Promise<StateDiff> {
  let bytes = 0
  const counted = ({ sizeBytes, index, read }: StateDocument): DiffDocument => ({
    sizeBytes,
    index,
    read(start, end) {
      bytes += end - start
      return read({ start, end })
    },
  })
  const before = from && (await findPlace(from, pointer))
  const after = before ? await findPlace(to, pointer) : await to.at(pointer)
  const named = JSON.stringify([VERSION, from?.version ?? null, to.version, pointer])
  const diff = diffOf(
    before && from && { document: counted(from), place: before },
    after && { document: counted(to), place: after },
  )
  return {
    ...diff,
    // Which bytes they are is told once both may be read.
    isIdentical: from?.version === to.version ? async () => true : diff.isIdentical,
    name: hash('sha256', named, 'base64url'),
    bytesRead: () => bytes,
  }
}

interface Input {
  readonly document: DiffDocument
  readonly place: Place
}

function diffOf(from: Input | null, to: Input | null): JsonDiff {
  if (from && to) return openDiff({ from, to })
  if (to) return openOneSided({ ...to, op: 'ADDED' })
  if (from) return openOneSided({ ...from, op: 'REMOVED' })
  throw new Error('one of two states has the place')
}

async function findPlace(document: StateDocument, pointer: string): Promise<Place | null> {
  try {
    return await document.at(pointer)
  } catch (error) {
    if (isAppError(error, 'POINTER_NOT_FOUND')) return null
    throw error
  }
}

/** A trail as a row of small numbers, and back. */
export function numbersOf(trail: Trail): number[] {
  return trail.flatMap(({ told, position: { stretch, fromUnit, fromChild, toUnit, toChild, round } }) => [
    told,
    stretch,
    fromUnit,
    fromChild,
    toUnit,
    toChild,
    round,
  ])
}

const NUMBERS = 7

/** Null for what is none. */
export function trailOf(numbers: readonly number[]): Trail | null {
  if (numbers.length % NUMBERS !== 0 || !numbers.every((one) => Number.isSafeInteger(one) && one >= 0)) return null
  return Array.from({ length: numbers.length / NUMBERS }, (_, i) => {
    const [told = 0, stretch = 0, fromUnit = 0, fromChild = 0, toUnit = 0, toChild = 0, round = 0] = numbers.slice(
      i * NUMBERS,
      (i + 1) * NUMBERS,
    )
    return { told, position: { stretch, fromUnit, fromChild, toUnit, toChild, round } }
  })
}
