import type { Place } from '../parts/place.ts'
import { createBudget, type Limits } from './budget.ts'
import { type Compared, createCompared, type DiffOptions } from './compared.ts'
import { mergePatchOf } from './merge-patch.ts'
import type { Difference } from './near.ts'
import { operationOf } from './patch.ts'
import { placeOf } from './place.ts'
import { type DiffSummary, summarize } from './summary.ts'
import type { Trail } from './walk.ts'

/** One change, seen from the new document. */
export interface Change {
  readonly op: Difference['op']
  /** Where it is in the new document; of what is gone, where it was in the old one. */
  readonly pointer: string
  /** Where it was in the old one, if that is elsewhere. */
  readonly fromPointer: string | null
  readonly before: Place | null
  readonly after: Place | null
  /** Where a page behind it begins. */
  readonly trail: Trail
}

export interface ChangePage {
  readonly changes: readonly Change[]
  readonly hasNext: boolean
  /** Where the next page begins, be it behind the last change; null where nothing was compared. */
  readonly end: Trail | null
  /** Whether it ended before it was full, by what it had read or by its time. */
  readonly isTruncated: boolean
  /** Whether fewer changes might do. */
  readonly isApproximate: boolean
}

export interface ChangesOptions extends Limits {
  readonly first: number
  /** Of an earlier page of the same documents. @throws AppError `BAD_REQUEST` where they have no such place. */
  readonly after?: Trail | null
}

/** What differs between two values of two documents. */
export interface JsonDiff {
  /** Whether they are the same value. False where that could not be found out within the limits. */
  isIdentical(limits: Limits): Promise<boolean>
  /** Member by member; null where not both are objects, or too much is in them. */
  summary(): Promise<readonly DiffSummary[] | null>
  changes(options: ChangesOptions): Promise<ChangePage>
  /** A patch of RFC 6902 that makes the new document of the old one, in pieces and in bounded memory. */
  patch(): AsyncGenerator<Buffer>
  /** The same by RFC 7396; null where that has no words for it: it cannot say that a member is null. */
  mergePatch(): Promise<AsyncGenerator<Buffer> | null>
}

export function openDiff(options: DiffOptions): JsonDiff {
  const compared = createCompared(options)
  return {
    isIdentical: (limits) => isIdentical(compared, limits),
    summary: () => summarize(compared),
    changes: (given) => pageOf(compared, given),
    patch: () => patchOf(compared),
    mergePatch: () => mergePatchOf(compared),
  }
}

async function isIdentical({ walk }: Compared, limits: Limits): Promise<boolean> {
  const { events } = await walk({ crossing: 'moved', canAfford: createBudget(limits).canAfford })
  for await (const { op } of events) if (op !== 'INEXACT') return false
  return true
}

async function pageOf(compared: Compared, options: ChangesOptions): Promise<ChangePage> {
  const budget = createBudget(options)
  const { walk, events } = await compared.walk({ crossing: 'moved', after: options.after, canAfford: budget.canAfford })
  const changes: Change[] = []
  let [isTruncated, isApproximate, hasNext] = [false, false, false]
  let end = options.after ?? null
  for await (const event of events) {
    if (event.op === 'INEXACT') isApproximate = true
    else if (event.op === 'STOPPED') {
      isTruncated = true
      hasNext = true
      end = walk.trail()
    } else if (changes.length === options.first || (budget.isLate() && changes.length > 0)) {
      isTruncated = changes.length < options.first
      hasNext = true
      break
    } else {
      changes.push(await changeOf(compared, event, walk.trail()))
      end = walk.trail()
    }
  }
  return { changes, hasNext, end, isTruncated, isApproximate }
}

async function changeOf({ from, to, fromRoot, toRoot }: Compared, found: Difference, trail: Trail): Promise<Change> {
  const before = found.from && (await placeOf(found.from, from, fromRoot))
  const after = found.to && (await placeOf(found.to, to, toRoot))
  const pointer = (after ?? before)?.pointer ?? ''
  const fromPointer = before && before.pointer !== pointer ? before.pointer : null
  return { op: found.op, pointer, fromPointer, before, after, trail }
}

async function* patchOf(compared: Compared): AsyncGenerator<Buffer> {
  const { events } = await compared.walk({ crossing: 'apart' })
  let separator = '['
  for await (const event of events) {
    if (event.op === 'INEXACT' || event.op === 'STOPPED') continue
    yield Buffer.from(separator)
    yield* operationOf(event, compared.toRoot.pointer, compared.to)
    separator = ',\n'
  }
  yield Buffer.from(separator === '[' ? '[]' : ']')
}
