import { sql } from 'kysely'
import type { Fields } from '../../model/fields.ts'
import { RUN_FIELDS, type Run, type RunChange } from '../../model/run.ts'
import { defineColumns, parseJson } from '../columns.ts'
import type { Rows } from '../connect.ts'
import { defineStatement } from '../statements.ts'
import { runs } from './sources.ts'

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
  legalHold: { expression: 'r.legal_hold' },
})

const runsById = defineStatement({
  values: ['runIds'],
  keyOf: (fields: Fields<Run>) => fields,
  build: (fields, { runIds }) =>
    sql`select ${projectRun(fields).columns} from ${runs()} and r.run_id = any(${runIds}::text[])`,
})

/** The runs that exist, in any order; ids without a run are left out. */
export async function loadRuns(db: Rows, runIds: readonly string[], fields: Fields<Run>): Promise<Run[]> {
  const { read } = projectRun(fields)
  const rows = await db.rows(runsById(fields, { runIds }))
  return rows.map((row) => read(row))
}

/** Creates the run, or changes only the fields that are named. */
export async function upsertRun(db: Rows, change: RunChange): Promise<Run> {
  const values = {
    workflow_name: change.workflowName,
    status: change.status === null ? 'UNKNOWN' : change.status,
    tags: change.tags === undefined ? undefined : tagsText(change.tags ?? []),
    started_at: change.startedAt,
    ended_at: change.endedAt,
    parent_run_id: change.parentRunId,
    error: change.error ? JSON.stringify(change.error) : change.error,
    expires_at: change.expiresAt,
  }
  const named = Object.entries(values).filter(([, value]) => value !== undefined)
  const names = sql.join(['run_id', ...named.map(([name]) => name)].map((name) => sql.raw(name)))
  const changes = named.map(([name]) => sql.raw(`${name} = excluded.${name}, `))
  const { columns, read } = projectRun(RUN_FIELDS.all)
  // What was written is read back by the statement itself: a delete may come right behind it.
  const [row = []] = await db.rows(sql`
    insert into statelens_runs as r (${names}) values (${sql.join([change.runId, ...named.map(([, value]) => value)])})
    on conflict (run_id) do update set ${sql.join(changes, sql``)}updated_at = now() returning ${columns}`)
  return read(row)
}

/** Only the known parts of a tag. */
function tagsText(tags: Run['tags']): string {
  return JSON.stringify(tags.map(({ key, value }) => ({ key, value })))
}
