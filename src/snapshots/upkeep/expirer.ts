import type { Database } from '../../db/connect.ts'
import type { Candidate, Cutoff, Totals } from '../../db/queries/due.ts'
import { type Expired, expireRuns, expireStates, expireStatesOfRun } from '../../db/queries/expiry.ts'
import { inBatches, restAfter, type WalkOptions, walkRuns } from './count-due.ts'

/** What went so far. */
export interface RetentionProgress {
  readonly runs: number
  readonly states: number
}

export interface ExpirerOptions extends WalkOptions {
  readonly db: Database
  readonly cutoff: Cutoff
  /** Most that may go, whatever was counted; null for all. */
  readonly allowed: Totals | null
  readonly onExpired?: (expired: readonly Expired[], progress: RetentionProgress) => void
}

/** Deletes what is past its end, in batches that each are a transaction. */
export interface Expirer {
  /** @returns false where it ended before its end, because more was due than allowed. */
  expire(): Promise<boolean>
  progress(): RetentionProgress
}

export function createExpirer(options: ExpirerOptions): Expirer {
  const { db, cutoff, allowed, alive, pace, signal, onExpired } = options
  const { batchRows } = pace
  const gone = { runs: 0, states: 0 }
  let isRefused = false

  /** Whether so much more may go. */
  function mayGo(runs: number, states: number): boolean {
    if (allowed && (gone.runs + runs > allowed.runs || gone.states + states > allowed.states)) isRefused = true
    return !isRefused
  }

  function tell(expired: readonly Expired[]): void {
    for (const { states, isRun } of expired) {
      gone.states += states
      if (isRun) gone.runs += 1
    }
    if (expired.length > 0) onExpired?.(expired, { ...gone })
  }

  async function expireOwn(): Promise<void> {
    await inBatches(options, batchRows, async (after, limit) => {
      const began = performance.now()
      const room = allowed ? Math.floor(allowed.states - gone.states) : limit
      if (room < 1) return null
      const { expired, next } = await expireStates(db, cutoff, { after, limit: Math.min(limit, room) })
      tell(expired)
      await restAfter(began, { pace, signal, rows: sumOf(expired) })
      return next
    })
  }

  async function expirePage(candidates: readonly Candidate[]): Promise<void> {
    for (const { runId, fate, states } of candidates) {
      if (fate === 'partly' && states > 0 && mayGo(0, states)) await expireSome(runId)
    }
    for (const batch of toBatches(candidates, batchRows)) {
      const states = sumOf(batch)
      if (!mayGo(batch.length, states)) return
      await alive()
      const began = performance.now()
      const runIds = batch.map(({ runId }) => runId)
      const deleted = await expireRuns(db, cutoff, { runIds, limit: batchRows })
      tell(batch.flatMap(({ runId, states }) => (deleted.includes(runId) ? [{ runId, states, isRun: true }] : [])))
      await restAfter(began, { pace, signal, rows: states })
    }
  }

  async function expireSome(runId: string): Promise<void> {
    for (let states = 1; states > 0; ) {
      await alive()
      const began = performance.now()
      states = await expireStatesOfRun(db, cutoff, runId, batchRows)
      if (states > 0) tell([{ runId, states, isRun: false }])
      await restAfter(began, { pace, signal, rows: states })
    }
  }

  return {
    async expire() {
      await expireOwn()
      await walkRuns(options, expirePage)
      return !isRefused
    },
    progress: () => ({ ...gone }),
  }
}

function sumOf(parts: readonly { readonly states: number }[]): number {
  return parts.reduce((sum, { states }) => sum + states, 0)
}

/** Runs of few rows together; a longer one by itself, whose rest goes by the queue of deletions. */
function toBatches(candidates: readonly Candidate[], batchRows: number): Candidate[][] {
  const batches: Candidate[][] = []
  let rows = 0
  for (const run of candidates) {
    if (run.fate !== 'whole') continue
    const size = 1 + run.states + run.steps
    const last = batches.at(-1)
    if (last && rows + size <= batchRows) last.push(run)
    else batches.push([run])
    rows = last && rows + size <= batchRows ? rows + size : size
  }
  return batches
}
