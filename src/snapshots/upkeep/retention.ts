import type { Database } from '../../db/connect.ts'
import { type Cutoff, loadTotals, type Totals } from '../../db/queries/due.ts'
import type { Expired } from '../../db/queries/expiry.ts'
import { endTurn, keepTurn, takeTurn } from '../../db/queries/passes.ts'
import { countDue, type Due, type Pace } from './count-due.ts'
import { createExpirer, type RetentionProgress } from './expirer.ts'

/** What retention is called in the table of passes. */
export const RETENTION = 'retention'

export interface RetentionSettings {
  /** How long a run lives after its last sign of life where it has no end of its own; null for ever. */
  readonly days: number | null
  /** Of all runs, and of all states: a pass that would delete more deletes nothing. */
  readonly maxPercent: number
}

export interface RetentionPassOptions extends RetentionSettings {
  readonly db: Database
  /** UUID of this process. */
  readonly holder: string
  /** Only so long after the last pass of anybody; 0 for at once. */
  readonly everySeconds: number
  /** Looks, and deletes nothing. */
  readonly isDryRun?: boolean
  /** Deletes however much it is. */
  readonly isForced?: boolean
  readonly pace: Pace
  /** Told of each batch, once it is committed. */
  readonly onExpired?: (expired: readonly Expired[], progress: RetentionProgress) => void
  /** Told what there is to do, before it is done. */
  readonly onCounted?: (due: Due, totals: Totals) => void
  /** Ends it between two batches; what is done stays done. */
  readonly signal: AbortSignal
}

/** `too many`: it would have been more than `maxPercent`, and was nothing. `busy`: another process has the turn, or it is too early. */
export type RetentionOutcome = 'done' | 'too many' | 'busy'

export interface RetentionReport {
  readonly outcome: RetentionOutcome
  readonly due: Due
  readonly totals: Totals
  readonly deleted: RetentionProgress
}

/** A turn lasts much longer; a sign of life is a commit of its own. */
const LIFE_SIGN_MILLIS = 10_000

const NOTHING = { runs: 0, states: 0 }
const BUSY: RetentionReport = {
  outcome: 'busy',
  due: { ...NOTHING, held: 0, foreign: 0 },
  totals: NOTHING,
  deleted: NOTHING,
}

/**
 * One pass over all that is past its end, by the database's clock alone: states with an end of their own, then runs. It counts first, and
 * deletes only what it may. What is deleted is what was past its end when the pass began.
 * @throws database errors, and the signal's reason; what is done stays done, and the next pass goes on from there.
 */
export async function runRetention(options: RetentionPassOptions): Promise<RetentionReport> {
  const { db, holder, everySeconds, days } = options
  const turn = { name: RETENTION, holder }
  const at = await takeTurn(db, turn, everySeconds)
  if (at === null) return BUSY
  let report: RetentionReport | null = null
  try {
    report = await passThrough({ at, days }, options)
    return report
  } finally {
    // A look is no pass.
    await endTurn(db, turn, options.isDryRun ? null : report)
  }
}

async function passThrough(cutoff: Cutoff, options: RetentionPassOptions): Promise<RetentionReport> {
  const { db, holder, maxPercent, isForced = false, isDryRun = false, onCounted, signal, pace } = options
  let seenAt = Number.NEGATIVE_INFINITY
  const alive = async () => {
    signal.throwIfAborted()
    if (performance.now() - seenAt < LIFE_SIGN_MILLIS) return
    seenAt = performance.now()
    if (!(await keepTurn(db, { name: RETENTION, holder }))) throw new Error('Another process has taken retention over')
  }
  const due = await countDue({ db, cutoff, alive, pace, signal })
  const totals = await loadTotals(db)
  onCounted?.(due, totals)
  const allowed = isForced
    ? null
    : { runs: (totals.runs * maxPercent) / 100, states: (totals.states * maxPercent) / 100 }
  const isTooMuch = allowed !== null && (due.runs > allowed.runs || due.states > allowed.states)
  if (isTooMuch || isDryRun || due.runs + due.states === 0) {
    return { outcome: isTooMuch ? 'too many' : 'done', due, totals, deleted: NOTHING }
  }
  const expirer = createExpirer({ ...options, cutoff, allowed, alive })
  const isWhole = await expirer.expire()
  return { outcome: isWhole ? 'done' : 'too many', due, totals, deleted: expirer.progress() }
}
