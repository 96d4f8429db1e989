import { type MigrationPlan, type MigrationProgress, migrate, planMigration } from '../db/migrate.ts'

export interface MigrateCommand {
  readonly databaseUrl: string
  /** Only tells what would be done. */
  readonly isDryRun: boolean
  readonly output: { readonly isTTY?: boolean; write(text: string): unknown }
  readonly signal: AbortSignal
}

const LINE_MILLIS = 2000
const NOTHING = 'Nothing to do: the database is up to date.'

/** The command `migrate`: the plan, its progress, and what was done. */
export async function runMigrate({ databaseUrl, isDryRun, output, signal }: MigrateCommand): Promise<void> {
  const print = (line: string): void => {
    output.write(`${line}\n`)
  }
  const plan = await planMigration(databaseUrl)
  const isAdoption = plan.table?.isAdopted === true
  if (isDryRun || isAdoption || plan.pending.length === 0) for (const line of describePlan(plan)) print(line)
  if (isDryRun) {
    if (plan.problems.length > 0) print('Nothing was changed, and nothing can be done before that is out of the way.')
    else if (plan.pending.length > 0) print('Nothing was changed: leave out --dry-run to do it.')
    return
  }
  if (plan.pending.length === 0 || plan.problems.length > 0) {
    // Still asked to: it is what refuses, and waits for another one.
    await migrate(databaseUrl, { signal, onProgress: tellWaiting(print) })
    return
  }
  const began = Date.now()
  const progress = isAdoption ? createProgress(output) : { show: tellWaiting(print), end() {} }
  const { applied } = await migrate(databaseUrl, { signal, onProgress: progress.show })
  progress.end()
  // Another one may have done it meanwhile.
  if (applied.length === 0) return print(NOTHING)
  print(isAdoption ? `Done in ${seconds(Date.now() - began)}.` : `Applied ${applied.join(', ')}.`)
}

function describePlan({ pending, table, stepTable, problems, notes }: MigrationPlan): readonly string[] {
  if (pending.length === 0) return [NOTHING]
  const found = table?.isAdopted ? describeTable(table) : []
  const lines = [
    ...found,
    ...problems.map((problem) => `  In the way: ${problem}`),
    ...notes.map((note) => `  Note: ${note}`),
  ]
  if (problems.length > 0) return lines
  if (table?.isAdopted) {
    if (stepTable === 'new')
      lines.push('Found its table workflow_steps as well: steps are read from it, now and later.')
    if (stepTable === 'other') {
      lines.push('There is a table workflow_steps with other columns: it is left alone, and steps come from snapshots.')
    }
    lines.push('Its writers and readers may go on meanwhile: none of them waits for longer than a second.')
  }
  return [...lines, 'To do:', ...pending.map((name, index) => `  ${index + 1}. ${name}`)]
}

function describeTable({ rows, sizeBytes, columns }: NonNullable<MigrationPlan['table']>): readonly string[] {
  return [
    `Found the old system's table state_snapshots: ${rows === null ? '' : `some ${count(rows)} rows, `}${megabytes(sizeBytes)}.`,
    `  Its columns: ${columns.join(', ')}.`,
  ]
}

/** One line a step, which grows in place on a terminal; elsewhere a line every two seconds. */
function createProgress(output: MigrateCommand['output']) {
  let step = ''
  let shownAt = 0
  const end = () => {
    if (output.isTTY && step !== '') output.write('\n')
  }
  return {
    show({ step: name, done, total }: MigrationProgress): void {
      const isNew = name !== step
      const isDue = isNew || done === total || Date.now() - shownAt >= LINE_MILLIS
      if (!isDue && !output.isTTY) return
      if (isNew) end()
      step = name
      shownAt = Date.now()
      const share = total === 0 ? '' : `  ${count(done)} of ${count(total)} (${Math.floor((100 * done) / total)} %)`
      output.write(output.isTTY ? `\r${name}${share}` : `${name}${share}\n`)
    },
    end,
  }
}

/** Of a migration that takes no time by itself, only whom it waits for. */
function tellWaiting(print: (line: string) => void) {
  return ({ step }: MigrationProgress): void => {
    if (step.startsWith('wait ')) print(step)
  }
}

function count(number: number): string {
  return number.toLocaleString('en-US')
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toLocaleString('en-US', { maximumFractionDigits: 1 })} MB`
}

function seconds(millis: number): string {
  return `${(millis / 1000).toFixed(1)} s`
}
