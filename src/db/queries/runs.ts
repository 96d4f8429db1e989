import { sql } from 'kysely'
import type { Fields } from '../../model/fields.ts'
import { type Page, type PageRequest, toPage } from '../../model/page.ts'
import { RUN_FIELDS, type Run, type RunChange, type RunFilter, type RunOrder, type RunStats } from '../../model/run.ts'
import { defineColumns, parseJson } from '../columns.ts'
import type { Database } from '../connect.ts'
import { type KeyColumn, keyset } from '../keyset.ts'
import { IS_OBJECT } from './snapshot-columns.ts'

const NO_TAGS: Run['tags'] = []

/** Columns of the table `statelens_runs r`. */
export const projectRun = defineColumns<Run>(RUN_FIELDS, {
  runId: { expression: 'r.run_id' },
  workflowName: { expression: 'r.workflow_name' },
  status: { expression: 'r.status' },
  tags: { expression: 'r.tags', parse: (json: Buffer) => (json.length === 2 ? NO_TAGS : parseJson(json)) },
  startedAt: { expression: 'r.started_at' },
  endedAt: { expression: 'r.ended_at' },
  createdAt: { expression: 'r.created_at' },
  updatedAt: { expression: 'r.updated_at' },
  expiresAt: { expression: 'r.expires_at' },
  parentRunId: { expression: 'r.parent_run_id' },
  error: { expression: 'r.error', parse: parseJson },
})

const KEY: readonly KeyColumn[] = [
  { expression: 'r.created_at', type: 'timestamptz' },
  { expression: 'r.run_id', type: 'text' },
]

/** The runs that exist, in any order; ids without a run are left out. */
export async function loadRuns(db: Database, runIds: readonly string[], fields: Fields<Run>): Promise<Run[]> {
  const { columns, read } = projectRun(fields)
  const rows = await db.rows(sql`select ${columns} from statelens_runs r where r.run_id = any(${runIds}::text[])`)
  return rows.map((row) => read(row))
}

export interface RunPageOptions {
  readonly filter: RunFilter
  readonly order: RunOrder
  readonly fields: Fields<Run>
}

export async function pageRuns(
  db: Database,
  page: PageRequest,
  { filter, order, fields }: RunPageOptions,
): Promise<Page<Run>> {
  const { bounds, order: orderBy, limit } = keyset(KEY, page, order === 'CREATED_ASC' ? 'asc' : 'desc')
  const { columns, read } = projectRun(fields)
  const rows = await db.rows(sql`
    select ${columns} from statelens_runs r where true${conditions(filter)}${bounds} ${orderBy} limit ${limit}`)
  return toPage(
    rows.map((row) => read(row)),
    page,
  )
}

function conditions(filter: RunFilter) {
  const { status, workflowName, tags, parentRunId, createdFrom, createdBefore } = filter
  return sql.join(
    [
      status && sql` and r.status = any(${status}::text[])`,
      workflowName != null && sql` and r.workflow_name = ${workflowName}`,
      tags?.length && sql` and r.tags @> ${tagsText(tags)}::jsonb`,
      parentRunId != null && sql` and r.parent_run_id = ${parentRunId}`,
      createdFrom != null && sql` and r.created_at >= ${createdFrom}::timestamptz`,
      createdBefore != null && sql` and r.created_at < ${createdBefore}::timestamptz`,
    ].filter((part) => typeof part === 'object' && part !== null),
    sql``,
  )
}

/** Creates the run, or changes only the fields that are named. */
export async function upsertRun(db: Database, change: RunChange): Promise<Run> {
  const values = {
    workflow_name: change.workflowName,
    status: change.status === null ? 'UNKNOWN' : change.status,
    tags: change.tags === undefined ? undefined : tagsText(change.tags ?? []),
    started_at: change.startedAt,
    ended_at: change.endedAt,
    parent_run_id: change.parentRunId,
    error: change.error ? JSON.stringify(change.error) : change.error,
    expires_at: change.expiresAt,
  } as const
  const named = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
  await db.kysely
    .insertInto('statelens_runs')
    .values({ run_id: change.runId, ...named })
    .onConflict((conflict) => conflict.column('run_id').doUpdateSet({ ...named, updated_at: sql`now()` }))
    .execute()
  const [run] = await loadRuns(db, [change.runId], RUN_FIELDS.all)
  if (!run) throw new Error('a run that was just written is gone')
  return run
}

/** One entry for each run id asked for, in that order. */
export async function loadRunStats(db: Database, runIds: readonly string[]): Promise<RunStats[]> {
  const rows = await db.rows(sql`
    select (select count(*) from statelens_steps t where t.run_id = p.run_id), count(s.id),
      count(*) filter (where ${IS_OBJECT}),
      count(*) filter (where s.is_golden), coalesce(sum(s.size_bytes), 0)
    from unnest(${runIds}::text[]) with ordinality as p(run_id, position)
    left join state_snapshots s on s.run_id = p.run_id
    group by p.position, p.run_id order by p.position`)
  return rows.map((row) => {
    const [stepCount = 0, snapshotCount = 0, objectCount = 0, goldenCount = 0, totalBytes = 0] = row.map(Number)
    return { stepCount, snapshotCount, objectCount, goldenCount, totalBytes }
  })
}

/** Only the known parts of a tag, in one order, so that containment compares like with like. */
function tagsText(tags: Run['tags']): string {
  return JSON.stringify(tags.map(({ key, value }) => ({ key, value })))
}
