import { randomUUID } from 'node:crypto'
import type { Database } from '../../db/connect.ts'
import { Departure } from '../../errors.ts'
import { SILENT, type Telemetry } from '../../telemetry/telemetry.ts'
import type { Expiry } from '../audit.ts'
import { GENTLY } from './count-due.ts'
import { type RetentionReport, type RetentionSettings, runRetention } from './retention.ts'
import type { Sweeper } from './sweeper.ts'

/** Retention as a server does it, in the background. */
export interface RetentionTimer {
  /** A batch that is under way is waited for. */
  stop(): Promise<void>
}

export interface RetentionTimerOptions extends RetentionSettings {
  readonly db: Database
  readonly sweeper: Pick<Sweeper, 'wake'>
  /** Seconds between the passes of all servers of a database; default ten minutes. */
  readonly everySeconds?: number
  /** How often this one looks whether it is time; default a minute. */
  readonly lookSeconds?: number
  readonly onExpired: (expiry: Expiry) => void
  /** Told of a pass that would have been too much: once, and again after a day. */
  readonly onTooMany: (report: RetentionReport) => void
  readonly onProblem: (error: unknown) => void
  /** Told of each pass; nobody is when it is left out. */
  readonly telemetry?: Pick<Telemetry, 'upkeep'> | undefined
}

const TELL_AGAIN_MILLIS = 86_400_000
/** So many states are gone before the sweeper is told. */
const WAKE_STATES = 500

export function createRetentionTimer(options: RetentionTimerOptions): RetentionTimer {
  const { db, days, maxPercent, sweeper, everySeconds = 600, lookSeconds = 60 } = options
  const { onExpired, onTooMany, onProblem, telemetry = SILENT } = options
  const onPass = telemetry.upkeep('retention')
  const stopping = new AbortController()
  const { signal } = stopping
  const holder = randomUUID()
  let running: Promise<void> | undefined
  let toldAt = Number.NEGATIVE_INFINITY

  async function pass(): Promise<void> {
    let gone = 0
    let done = 0
    const report = await runRetention({
      db,
      days,
      maxPercent,
      holder,
      everySeconds,
      pace: GENTLY,
      signal,
      onExpired(expired) {
        for (const expiry of expired) onExpired(expiry)
        const states = expired.reduce((sum, { states }) => sum + states, 0)
        gone += states
        done += states
        if (gone < WAKE_STATES) return
        // Bytes go along with the rows, and not all of them at the end.
        gone = 0
        sweeper.wake()
      },
    })
      .catch((error: unknown) => {
        onPass({ done, failed: 0, isComplete: false })
        throw error
      })
      .finally(() => {
        if (gone > 0) sweeper.wake()
      })
    // Another server has its turn, or had it.
    if (report.outcome !== 'busy') onPass({ done, failed: 0, isComplete: report.outcome === 'done' })
    if (report.outcome !== 'too many') return
    if (performance.now() - toldAt < TELL_AGAIN_MILLIS) return
    toldAt = performance.now()
    onTooMany(report)
  }

  function look(): void {
    running ??= pass()
      .catch((error: unknown) => {
        if (!signal.aborted) onProblem(error)
      })
      .finally(() => {
        running = undefined
      })
  }

  const timer = setInterval(look, lookSeconds * 1000)
  timer.unref()

  return {
    async stop() {
      stopping.abort(new Departure('Retention stops'))
      clearInterval(timer)
      await running
    },
  }
}
