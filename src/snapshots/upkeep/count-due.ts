import { setTimeout as delay } from 'node:timers/promises'
import type { Database } from '../../db/connect.ts'
import {
  type Candidate,
  type Cutoff,
  countDueStates,
  DUE_SOURCES,
  loadCandidates,
  type Place,
} from '../../db/queries/due.ts'
import { isAppError } from '../../errors.ts'

/** What is past its end. */
export interface Due {
  readonly runs: number
  /** Those of the runs, and those that end by their own time. */
  readonly states: number
  /** Runs that are past their end and stay: under legal hold, or with states that another writer left. */
  readonly held: number
  readonly foreign: number
}

export interface WalkOptions {
  readonly db: Database
  readonly cutoff: Cutoff
  /** Asked before each batch; rejects where it is the end. */
  readonly alive: () => Promise<void>
  readonly pace: Pace
  readonly signal: AbortSignal
}

/** How much of the machine it takes. */
export interface Pace {
  /** Most rows that one transaction deletes. */
  readonly batchRows: number
  /** How long it rests after each batch at the least, as a part of what the batch took. */
  readonly rest: number
  /** How many rows it deletes in a second at the most. */
  readonly rowsPerSecond: number
}

/** As fast as it goes. */
export const AT_ONCE: Pace = { batchRows: 500, rest: 0, rowsPerSecond: Number.POSITIVE_INFINITY }
/** For a server: whoever reads meanwhile comes first. 100,000 rows take some six minutes. */
export const GENTLY: Pace = { batchRows: 500, rest: 1, rowsPerSecond: 300 }

const RUNS_AT_ONCE = 100
const STATES_AT_ONCE = 5000
/** Of what was too much for one statement. */
const SMALLER = 10
/** No rest is longer. */
const REST_MAX_MILLIS = 5000

/** Counts all of it, a batch at a time. @throws what `alive` throws, and database errors. */
export async function countDue(options: WalkOptions): Promise<Due> {
  const { db, cutoff } = options
  const due = { runs: 0, states: 0, held: 0, foreign: 0 }
  await inBatches(options, STATES_AT_ONCE, async (after, limit) => {
    const { states, next } = await countDueStates(db, cutoff, { after, limit })
    due.states += states
    return next
  })
  await walkRuns(options, async (candidates) => {
    for (const { fate, states } of candidates) {
      if (fate === 'whole') due.runs += 1
      else if (fate === 'held' || fate === 'foreign') due[fate] += 1
      due.states += states
    }
  })
  return due
}

/** Visits all runs that may be past their end, a page at a time. */
export async function walkRuns(
  options: WalkOptions,
  visit: (candidates: readonly Candidate[]) => Promise<void>,
): Promise<void> {
  const { db, cutoff } = options
  for (const source of DUE_SOURCES) {
    if (source === 'silent' && cutoff.days === null) continue
    await inBatches(options, RUNS_AT_ONCE, async (after, limit) => {
      const { candidates, next } = await loadCandidates(db, cutoff, { source, after, limit })
      await visit(candidates)
      return next
    })
  }
}

/**
 * Goes from place to place until there is no next one, with a rest after each. A batch that was too much for one statement is tried again
 * with less.
 */
export async function inBatches(
  { alive, pace, signal }: Pick<WalkOptions, 'alive' | 'pace' | 'signal'>,
  most: number,
  batch: (after: Place | null, limit: number) => Promise<Place | null>,
): Promise<void> {
  let limit = most
  for (let after: Place | null = null, isOver = false; !isOver; ) {
    await alive()
    const began = performance.now()
    try {
      after = await batch(after, limit)
      isOver = after === null
    } catch (error) {
      if (!isAppError(error, 'DATABASE_TIMEOUT') || limit === 1) throw error
      limit = Math.max(1, Math.floor(limit / SMALLER))
    }
    await restAfter(began, { pace, signal })
  }
}

/** Leaves the machine to others for a while. @param rows that the batch deleted; 0 when left out. @throws the signal's reason. */
export async function restAfter(
  began: number,
  { pace, rows = 0, signal }: { readonly pace: Pace; readonly rows?: number; readonly signal: AbortSignal },
): Promise<void> {
  const took = performance.now() - began
  const millis = Math.min(REST_MAX_MILLIS, Math.max(took * pace.rest, (1000 * rows) / pace.rowsPerSecond - took))
  if (millis >= 1) await delay(millis, undefined, { signal })
}
