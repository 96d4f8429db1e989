import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Config } from '../config.ts'
import { createDatabase, type Database } from '../db/connect.ts'
import type { Totals } from '../db/queries/due.ts'
import { isAppError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { auditTo } from '../server/audit.ts'
import { AT_ONCE, type Due } from '../snapshots/upkeep/count-due.ts'
import { type RetentionReport, runRetention } from '../snapshots/upkeep/retention.ts'
import type { SweepReport } from '../snapshots/upkeep/sweep-objects.ts'
import { createSweeper } from '../snapshots/upkeep/sweeper.ts'
import { openStorage } from '../stores.ts'

export interface GcCommand {
  /** With `databaseUrl`, whether it was configured or embedded. */
  readonly config: Config & { readonly databaseUrl: string }
  readonly isDryRun: boolean
  readonly isForced: boolean
  readonly output: { readonly isTTY?: boolean; write(text: string): unknown }
  /** Has a line for each run of which something went. */
  readonly log: Logger
  /** Ends it between two batches. */
  readonly signal: AbortSignal
}

const WAIT_MILLIS = 1000
const LINE_MILLIS = 5000

/**
 * The command `gc`: deletes what is past its end, and the bytes that nobody names any more.
 * @returns the exit code. 0: nothing of it is left. 2: it would have been more than the settings allow, and nothing was deleted. 1: it was
 * stopped, or some of it could not be deleted yet.
 */
export async function runGc(command: GcCommand): Promise<number> {
  const { config, isDryRun, output, signal } = command
  const db = createDatabase({ url: config.databaseUrl, maxConnections: 3, applicationName: 'statelens gc' })
  try {
    const report = await retain(db, command)
    if (report.outcome === 'too many') {
      output.write(
        `That is more than ${config.retentionMaxPercent} percent (RETENTION_MAX_PERCENT), so nothing ${report.deleted.states > 0 ? 'more ' : ''}is deleted. If it is right: --force\n`,
      )
      return 2
    }
    if (isDryRun) return 0
    output.write(`${told(report.deleted)} deleted.\n`)
    const { deletedObjects, failedObjects } = await sweep(db, command)
    output.write(
      `${count(deletedObjects, 'object')} deleted${failedObjects > 0 ? `, ${failedObjects} could not be` : ''}.\n`,
    )
    return failedObjects > 0 || signal.aborted ? 1 : 0
  } catch (error) {
    output.write(signal.aborted ? 'Stopped. The next run goes on from here.\n' : `Stopped: ${describe(error)}.\n`)
    return 1
  } finally {
    await db.close()
  }
}

async function retain(db: Database, command: GcCommand): Promise<RetentionReport> {
  const { config, isDryRun, isForced, output, log, signal } = command
  const { expired } = auditTo(log)
  const holder = randomUUID()
  const line = createLine(output)
  for (let isTold = false; ; isTold = true) {
    const report = await runRetention({
      db,
      days: config.retentionDays ?? null,
      maxPercent: config.retentionMaxPercent,
      holder,
      everySeconds: 0,
      isDryRun,
      isForced,
      pace: AT_ONCE,
      signal,
      onCounted: (due, totals) => output.write(describeDue(due, totals)),
      onExpired(gone, progress) {
        for (const one of gone) expired(one)
        line(`${told(progress)} deleted`)
      },
    })
    if (report.outcome !== 'busy') return report
    if (!isTold) output.write('Another process deletes what is past its end: waiting for it.\n')
    await delay(WAIT_MILLIS, undefined, { signal })
  }
}

/** The rows of long runs, and all bytes that are due. */
async function sweep(db: Database, { config, log, signal }: GcCommand): Promise<SweepReport> {
  const storage = openStorage(config, db)
  const onProblem = (error: unknown) => log.warn({ err: error }, 'sweep failed')
  const sweeper = createSweeper({ db, storage, onProblem })
  try {
    return await sweeper.sweep({ signal })
  } finally {
    await sweeper.stop()
    storage.close()
  }
}

function describeDue({ runs, states, held, foreign }: Due, totals: Totals): string {
  const kept = [
    held > 0 ? `${count(held, 'run')} stay under legal hold` : '',
    foreign > 0 ? `${count(foreign, 'run')} stay for states of another writer` : '',
  ].filter((text) => text !== '')
  const due = `${told({ runs, states })} past their end, of ${told(totals)}`
  return `${[due, ...kept].join('; ')}.\n`
}

function told({ runs, states }: Totals): string {
  return `${count(runs, 'run')} and ${count(states, 'state')}`
}

function count(number: number, what: string): string {
  return `${number.toLocaleString('en-US')} ${what}${number === 1 ? '' : 's'}`
}

/** How far it is, now and then. */
function createLine(output: GcCommand['output']): (text: string) => void {
  let shownAt = performance.now()
  return (text) => {
    if (performance.now() - shownAt < LINE_MILLIS) return
    shownAt = performance.now()
    output.write(`${text}\n`)
  }
}

function describe(error: unknown): string {
  if (isAppError(error)) return `${error.message} (${error.code})`
  return error instanceof Error ? error.message : String(error)
}
