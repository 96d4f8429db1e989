import type { Database } from '../../db/connect.ts'
import { sweepStateIndexes } from '../../db/queries/state-indexes.ts'
import { forgetEndedUploads } from '../../db/queries/uploads.ts'
import { Departure } from '../../errors.ts'
import { isLocked } from '../../storage/locked.ts'
import type { Storage } from '../../storage/registry.ts'
import { inSpan } from '../../telemetry/spans.ts'
import { SILENT, type Telemetry } from '../../telemetry/telemetry.ts'
import { GRACE_SECONDS } from '../capture/lease.ts'
import { sweepDeletions } from './deletion-sweep.ts'
import { type SweepReport, sweepObjects } from './sweep-objects.ts'

export interface SweepOptions {
  /** Ends the pass early: the report then tells of what was done. */
  readonly signal?: AbortSignal
  /** How many deletions are under way at once; default 8. */
  readonly parallel?: number
}

/** Deletes the bytes that no snapshot names any more: of deleted snapshots, and of captures and uploads that never finished. */
export interface Sweeper {
  /** One pass over all that is due. Several sweepers at once share the work. Problems are told, and leave the rest of it as it is. */
  sweep(options?: SweepOptions): Promise<SweepReport>
  /** Begins a pass in the background, unless one is under way. */
  wake(): void
  /** Ends the timer, and every pass at once: a deletion that is under way is let go, and comes up again later. */
  stop(): Promise<void>
}

export interface SweeperOptions {
  readonly db: Database
  readonly storage: Storage
  /**
   * How long there may be no sign of life of a capture before its object counts as abandoned, and of an upload after its ticket's
   * end; default one hour.
   */
  readonly graceSeconds?: number
  /** Seconds between passes; default 60. */
  readonly intervalSeconds?: number
  readonly onProblem: (error: unknown) => void
  /** Told of each pass; nobody is when it is left out. */
  readonly telemetry?: Pick<Telemetry, 'upkeep' | 'spans'> | undefined
  /** Asked before each pass by time: of several processes of one server one is enough. Always, when left out. */
  readonly isOnDuty?: () => boolean
}

const PARALLEL = 8
const UPLOADS_BATCH = 500
/** Those that nobody needs are few: each pass looks at some, and the next one goes on behind them. */
const INDEXES_BATCH = 1000
const NOTHING: SweepReport = { deletedObjects: 0, failedObjects: 0 }

/** A lock holds for days: it is told when it is first met. */
function tellLocksOnce(tell: (error: unknown) => void): (error: unknown) => void {
  let isTold = false
  return (error) => {
    if (!isLocked(error)) return tell(error)
    if (!isTold) tell(error)
    isTold = true
  }
}

export function createSweeper(options: SweeperOptions): Sweeper {
  const { db, storage, graceSeconds = GRACE_SECONDS, intervalSeconds = 60, telemetry = SILENT } = options
  const { isOnDuty = () => true } = options
  const { spans } = telemetry
  const onPass = telemetry.upkeep('sweep')
  const tell = tellLocksOnce(options.onProblem)
  const stopping = new AbortController()
  let running: Promise<unknown> | undefined
  let again = false
  let sweptIndex: Buffer | null = null

  async function pass({ signal: ownSignal, parallel = PARALLEL }: SweepOptions): Promise<SweepReport> {
    const signal = ownSignal ? AbortSignal.any([stopping.signal, ownSignal]) : stopping.signal
    let hasProblem = false
    const onProblem = (error: unknown) => {
      hasProblem = true
      tell(error)
    }
    let report: SweepReport | undefined
    try {
      await sweepDeletions({ db, signal }).catch(onProblem)
      await sweepUploads(signal).catch(onProblem)
      if (!signal.aborted) await sweepIndexes().catch(onProblem)
      report = await sweepObjects({ db, storage, graceSeconds, parallel, onProblem, signal })
      return report
    } finally {
      const { deletedObjects: done, failedObjects: failed } = report ?? NOTHING
      onPass({ done, failed, isComplete: report !== undefined && !hasProblem && !signal.aborted })
    }
  }

  const sweep = (options: SweepOptions = {}) => inSpan(spans, 'sweep', {}, () => pass(options))

  /** The objects that uploads leave are given up, and are the next thing to be swept. */
  async function sweepUploads(signal: AbortSignal): Promise<void> {
    for (let forgotten = UPLOADS_BATCH; forgotten === UPLOADS_BATCH && !signal.aborted; ) {
      forgotten = await forgetEndedUploads(db, { graceSeconds, limit: UPLOADS_BATCH })
    }
  }

  async function sweepIndexes(): Promise<void> {
    sweptIndex = await sweepStateIndexes(db, { after: sweptIndex, limit: INDEXES_BATCH, graceSeconds })
  }

  function wake(): void {
    if (stopping.signal.aborted) return
    if (running) {
      again = true
      return
    }
    running = (spans ? spans.apart(sweep) : sweep()).catch(tell).finally(() => {
      running = undefined
      if (again) {
        again = false
        wake()
      }
    })
  }

  const timer = setInterval(() => isOnDuty() && wake(), intervalSeconds * 1000)
  timer.unref()

  return {
    sweep,
    wake,
    async stop() {
      stopping.abort(new Departure('The sweeper stops'))
      clearInterval(timer)
      await running
    },
  }
}
