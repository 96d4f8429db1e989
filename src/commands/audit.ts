import { createDatabase, type Database } from '../db/connect.ts'
import { doomUnknown } from '../db/queries/audit.ts'
import { isAppError } from '../errors.ts'
import { AUDIT_KINDS, type AuditCounts, type AuditFinding, type AuditKind } from '../snapshots/upkeep/audit-findings.ts'
import { audit } from '../snapshots/upkeep/auditor.ts'
import { createSweeper } from '../snapshots/upkeep/sweeper.ts'
import type { Storage } from '../storage/registry.ts'
import { openStorage } from '../stores.ts'
import type { PassCommand } from './pass.ts'

const LINE_MILLIS = 5000
/** So many orphans are remembered for their deletion; the next run finds the others. */
const ORPHANS_MAX = 100_000
const DOOM_AT_ONCE = 500

interface AuditArgs {
  readonly minAgeDays: number
  readonly samplePercent: number
  readonly perSecond: number
  readonly deletesOrphans: boolean
  readonly isForced: boolean
}

type Line = PassCommand['output']

/**
 * The command `audit`: compares the stores with the ledger.
 * @returns the exit code. 0: all is well, or was made so. 2: something was found. 1: it was stopped.
 * @throws Error when an argument is wrong.
 */
export async function runAudit({ config, args, output, signal }: PassCommand): Promise<number> {
  const asked = readArgs(args)
  const db = createDatabase({ url: config.databaseUrl, maxConnections: 3, applicationName: 'statelens audit' })
  const storage = openStorage(config, db)
  const report = createReport(output)
  try {
    const counts = await audit({ db, storage, ...asked, onFinding: report.add, onProgress: report.progress, signal })
    report.end(counts)
    const others = report.count() - report.orphans().length
    if (!asked.deletesOrphans || report.orphans().length === 0) return report.count() > 0 ? 2 : 0
    const share = (100 * report.orphans().length) / counts.listed
    if (share > config.retentionMaxPercent && !asked.isForced) {
      output.write(
        `Of all objects ${share.toFixed(0)} percent are orphans: is that another database's bucket? Nothing is deleted. If it is right: --force\n`,
      )
      return 2
    }
    const left = await deleteOrphans({ db, storage, orphans: report.orphans(), output, signal })
    return others > 0 || left > 0 ? 2 : 0
  } catch (error) {
    output.write(
      signal.aborted
        ? 'Stopped.\n'
        : `Stopped: ${isAppError(error) ? `${error.message} (${error.code})` : String(error)}.\n`,
    )
    return 1
  } finally {
    await db.close()
    storage.close()
  }
}

function readArgs(args: PassCommand['args']): AuditArgs {
  const number = (name: string, fallback: number, [least, most]: readonly [number, number]): number => {
    const value = args[name] === undefined ? fallback : Number(args[name] === '' ? Number.NaN : args[name])
    if (!(value >= least && value <= most)) throw new Error(`--${name} takes a number from ${least} to ${most}`)
    return value
  }
  return {
    minAgeDays: number('min-age', 7, [1, 36_500]),
    samplePercent: number('sample', 1, [0, 100]),
    perSecond: number('per-second', 200, [1, 100_000]),
    deletesOrphans: args['delete-orphans'] === true,
    isForced: args['force'] === true,
  }
}

interface OrphanOptions {
  readonly db: Database
  readonly storage: Storage
  readonly orphans: readonly AuditFinding[]
  readonly output: Line
  readonly signal: AbortSignal
}

/** They go the way of all objects: first the ledger says that they are doomed. @returns how many are still there. */
async function deleteOrphans({ db, storage, orphans, output, signal }: OrphanOptions): Promise<number> {
  let doomed = 0
  for (let at = 0; at < orphans.length; at += DOOM_AT_ONCE) {
    signal.throwIfAborted()
    doomed += await doomUnknown(db, orphans.slice(at, at + DOOM_AT_ONCE))
  }
  const problems = new Set<string>()
  const onProblem = (error: unknown) =>
    problems.add(isAppError(error) ? `${error.message} (${error.code})` : String(error))
  const sweeper = createSweeper({ db, storage, onProblem })
  const { failedObjects } = await sweeper.sweep({ signal }).finally(sweeper.stop)
  for (const problem of problems) output.write(`${problem}\n`)
  output.write(
    `${count(doomed, 'orphan')} given up${failedObjects > 0 ? `, ${failedObjects} could not be deleted yet` : ' and deleted'}.\n`,
  )
  return failedObjects
}

function createReport(output: Line) {
  const counts = new Map<AuditKind, number>()
  const orphans: AuditFinding[] = []
  let shownAt = performance.now()
  return {
    add(finding: AuditFinding): void {
      const { kind, storageUri, snapshotId } = finding
      counts.set(kind, (counts.get(kind) ?? 0) + 1)
      if (kind === 'orphan' && orphans.length < ORPHANS_MAX) orphans.push(finding)
      output.write(`${kind.toUpperCase().padEnd(11)}  ${snapshotId}  ${storageUri}\n`)
    },
    progress({ listed, checked, states }: AuditCounts): void {
      if (performance.now() - shownAt < LINE_MILLIS) return
      shownAt = performance.now()
      output.write(
        `${count(listed, 'object')} listed, ${count(checked, 'object')} asked for, ${count(states, 'state')}\n`,
      )
    },
    end({ listed, young, checked, sampled, states }: AuditCounts): void {
      const rows = AUDIT_KINDS.map((kind) => `${kind.padEnd(11)}  ${(counts.get(kind) ?? 0).toLocaleString('en-US')}\n`)
      output.write(rows.join(''))
      const others = young > 0 ? `, ${young} unknown ones too young to count` : ''
      output.write(
        `${count(listed, 'object')} listed${others}; ${count(checked, 'object')} asked for, ${count(sampled, 'chunk')} compared; ${count(states, 'state')}\n`,
      )
    },
    count: () => counts.values().reduce((sum, number) => sum + number, 0),
    orphans: (): readonly AuditFinding[] => orphans,
  }
}

function count(number: number, what: string): string {
  return `${number.toLocaleString('en-US')} ${what}${number === 1 ? '' : 's'}`
}
