import type { Database } from '../../db/connect.ts'
import { loadEndedPass } from '../../db/queries/passes.ts'
import {
  countLeftovers,
  countRunsAndSteps,
  countSnapshots,
  countStrayRuns,
  estimateSnapshots,
  type SnapshotCount,
} from '../../db/queries/survey.ts'
import { isAppError } from '../../errors.ts'
import { STORAGE_STATES } from '../../model/snapshot.ts'
import { RETENTION } from '../../snapshots/upkeep/retention.ts'
import { count, type Finding, fine, warning } from './finding.ts'

/** Counts what there is. @throws AppError when the database fails; a table that is too large to count is a finding. */
export async function lookAtRows(db: Database): Promise<readonly Finding[]> {
  const parts = [describeSnapshots, describeRuns, describeStrays, describeLeftovers, describeRetention].map(
    (describe) => describe(db),
  )
  return (await Promise.all(parts)).flat()
}

async function describeSnapshots(db: Database): Promise<Finding[]> {
  const counts = await unlessTooMany(countSnapshots(db))
  if (!counts) {
    return [
      fine(`about ${count(await estimateSnapshots(db), 'snapshot')}: too many to count by their state in 4 seconds`),
    ]
  }
  const total = sum(counts, () => true)
  const findings = [fine(count(total, 'snapshot'), total === 0 ? [] : tabulate(counts))]
  const missing = sum(counts, ({ storageState }) => storageState === 'MISSING')
  const corrupt = sum(counts, ({ storageState }) => storageState === 'CORRUPT')
  if (missing > 0) {
    findings.push(warning(`${count(missing, 'snapshot')} MISSING: bring the objects back, or delete the snapshots`))
  }
  if (corrupt > 0) {
    findings.push(warning(`${count(corrupt, 'snapshot')} CORRUPT: bring back the bytes that were captured`))
  }
  return findings
}

async function describeRuns(db: Database): Promise<Finding[]> {
  const counts = await unlessTooMany(countRunsAndSteps(db))
  if (!counts) return [fine('runs and steps could not be counted in 4 seconds')]
  return [fine(`${count(counts.runs, 'run')}, ${count(counts.steps, 'step')}`)]
}

async function describeStrays(db: Database): Promise<Finding[]> {
  const strays = (await unlessTooMany(countStrayRuns(db))) ?? 0
  if (strays === 0) return []
  const text = `${count(strays, 'run')} with rows that came past the triggers, and shown nowhere: run "statelens migrate" to complete them`
  return [warning(text)]
}

/** What a pass would not do by itself waits for somebody to look. */
async function describeRetention(db: Database): Promise<Finding[]> {
  const ended = await loadEndedPass(db, RETENTION)
  if (!ended) return []
  if (ended.report['outcome'] !== 'too many') return [fine(`what was past its end was deleted, last ${ended.endedAt}`)]
  return [
    warning(
      'more is past its end than RETENTION_MAX_PERCENT allows, so nothing of it is deleted: look by "statelens gc --dry-run", and then run it with --force',
    ),
  ]
}

async function describeLeftovers(db: Database): Promise<Finding[]> {
  const leftovers = await unlessTooMany(countLeftovers(db))
  if (!leftovers) return []
  const { abandoned, undeleted } = leftovers
  const findings: Finding[] = []
  if (abandoned > 0) {
    findings.push(
      warning(`${count(abandoned, 'object')} of unfinished captures for over an hour: "statelens serve" sweeps them`),
    )
  }
  if (undeleted > 0) {
    const text = `${count(undeleted, 'object')} to be deleted for over an hour: let "statelens serve" run, and look at storage`
    findings.push(warning(text))
  }
  return findings
}

async function unlessTooMany<T>(counting: Promise<T>): Promise<T | null> {
  return await counting.catch((error: unknown) => {
    if (isAppError(error, 'DATABASE_TIMEOUT')) return null
    throw error
  })
}

function tabulate(counts: readonly SnapshotCount[]): string[] {
  const head = ['', '', ...STORAGE_STATES]
  const lines = [true, false].flatMap((own) =>
    (['INLINE', 'OBJECT'] as const).map((tier) => [
      own ? 'of statelens' : 'of other writers',
      tier,
      ...STORAGE_STATES.map((state) =>
        sum(counts, (one) => one.isOwn === own && one.tier === tier && one.storageState === state).toLocaleString(
          'en-US',
        ),
      ),
    ]),
  )
  const rows = [head, ...lines]
  const widths = head.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}

function sum(counts: readonly SnapshotCount[], isCounted: (one: SnapshotCount) => boolean): number {
  return counts.filter(isCounted).reduce((total, one) => total + one.count, 0)
}
