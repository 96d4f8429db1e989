import pg from 'pg'

/** What a peer with hand-written SQL reads: batched, prepared, paged by position; the same statements for each of them. */
export interface PeerStore {
  run(runId: string): Promise<RunRow | null>
  /** One more than `first` where there is one. */
  runs(page: {
    readonly workflowName: string | null
    readonly first: number
    readonly after: string | null
  }): Promise<RunRow[]>
  /** One list for each run, in the order asked; one more than `first` where there is one. */
  steps(runIds: readonly string[], first: number): Promise<StepRow[][]>
  /** The newest of each step, or null, in the order asked. */
  snapshots(steps: readonly StepKey[], payload: 'with payload' | 'without payload'): Promise<(SnapshotRow | null)[]>
  /** Stores one row in a table that has nothing but a key. */
  createState(
    state: StepKey & { readonly state: unknown },
  ): Promise<{ readonly id: string; readonly createdAt: string }>
}

export interface StepKey {
  readonly runId: string
  readonly stepId: string
}

export interface RunRow {
  readonly runId: string
  readonly workflowName: string | null
  readonly status: string
  readonly createdAt: string
}

export interface StepRow extends StepKey {
  readonly index: number | null
  readonly name: string | null
  readonly status: string
  readonly startedAt: string | null
  readonly endedAt: string | null
  readonly ordinal: number
}

export interface SnapshotRow {
  readonly snapshotId: string
  readonly seq: number
  readonly kind: string
  readonly createdAt: string
  readonly isSuccessState: boolean
  readonly isGolden: boolean
  readonly sizeBytes: number | null
  readonly digest: string | null
  readonly payload?: unknown
}

const RUN_COLUMNS = 'r.run_id as "runId", r.workflow_name as "workflowName", r.status, r.created_at as "createdAt"'
const STEP_COLUMNS = `t.run_id as "runId", t.step_id as "stepId", t.step_index as "index", t.name, t.status,
  t.started_at as "startedAt", t.ended_at as "endedAt", t.ordinal`
const SNAPSHOT_COLUMNS = `s.id as "snapshotId", s.seq, s.kind, s.created_at as "createdAt",
  coalesce(s.is_success_state, false) as "isSuccessState", s.is_golden as "isGolden", s.size_bytes as "sizeBytes",
  'sha256:' || encode(s.content_digest, 'hex') as digest`

const newestSnapshots = (columns: string) => `
  select p.position, s.* from unnest($1::text[], $2::text[]) with ordinality as p(run_id, step_id, position)
  cross join lateral (
    select ${columns} from state_snapshots s where s.run_id = p.run_id and s.step_id = p.step_id order by s.seq desc limit 1
  ) s`

const STATEMENTS = {
  run: `select ${RUN_COLUMNS} from statelens_runs r where r.run_id = $1`,
  runs: `select ${RUN_COLUMNS} from statelens_runs r where r.workflow_name = $1 order by r.created_at desc, r.run_id desc limit $2`,
  runsAfter: `select ${RUN_COLUMNS} from statelens_runs r where r.workflow_name = $1
    and (r.created_at, r.run_id) < ($3::timestamptz, $4) order by r.created_at desc, r.run_id desc limit $2`,
  allRuns: `select ${RUN_COLUMNS} from statelens_runs r where (r.created_at, r.run_id) < ($2::timestamptz, $3)
    order by r.created_at desc, r.run_id desc limit $1`,
  steps: `select p.position, t.* from unnest($1::text[]) with ordinality as p(run_id, position)
    cross join lateral (
      select ${STEP_COLUMNS} from statelens_steps t where t.run_id = p.run_id
      order by coalesce(t.step_index, 2147483647), t.ordinal limit $2
    ) t`,
  createState: `insert into bench_states (run_id, step_id, state) values ($1, $2, $3) returning id, created_at as "createdAt"`,
  snapshots: newestSnapshots(SNAPSHOT_COLUMNS),
  payloads: newestSnapshots(`${SNAPSHOT_COLUMNS}, s.snapshot as payload`),
}

export function createPeerStore(connectionString: string): PeerStore {
  const pool = new pg.Pool({ connectionString, max: 10, types: { getTypeParser } })
  const rows = async <Row>(name: keyof typeof STATEMENTS, values: unknown[]): Promise<Row[]> =>
    (await pool.query({ name, text: STATEMENTS[name], values })).rows as Row[]
  return {
    run: async (runId) => (await rows<RunRow>('run', [runId]))[0] ?? null,
    async runs({ workflowName, first, after }) {
      if (workflowName === null)
        return await rows('allRuns', [first + 1, ...(after ? parseCursor(after) : ['infinity', ''])])
      if (after === null) return await rows('runs', [workflowName, first + 1])
      return await rows('runsAfter', [workflowName, first + 1, ...parseCursor(after)])
    },
    async steps(runIds, first) {
      const groups: StepRow[][] = runIds.map(() => [])
      const found = await rows<StepRow & { position: number }>('steps', [runIds, first + 1])
      for (const row of found) groups[row.position - 1]?.push(row)
      return groups
    },
    async snapshots(steps, payload) {
      const keys = [steps.map(({ runId }) => runId), steps.map(({ stepId }) => stepId)]
      const found: (SnapshotRow | null)[] = steps.map(() => null)
      const name = payload === 'with payload' ? 'payloads' : 'snapshots'
      for (const row of await rows<SnapshotRow & { position: number }>(name, keys)) found[row.position - 1] = row
      return found
    },
    async createState({ runId, stepId, state }) {
      const [row] = await rows<{ id: string; createdAt: string }>('createState', [runId, stepId, JSON.stringify(state)])
      if (!row) throw new Error('The row was not stored')
      return row
    },
  }
}

/** A Relay connection of the rows that were read, of which the one beyond `first` only says that there are more. */
export function toConnection<Row>(rows: readonly Row[], first: number, cursorOf: (row: Row) => string) {
  const nodes = rows.length > first ? rows.slice(0, first) : rows
  const last = nodes.at(-1)
  return {
    pageInfo: { hasNextPage: rows.length > first, endCursor: last === undefined ? null : cursorOf(last) },
    edges: nodes.map((node) => ({
      node,
      // A function: most queries ask for no cursor, and then none is made.
      cursor: () => cursorOf(node),
    })),
  }
}

export function runCursor({ createdAt, runId }: RunRow): string {
  return Buffer.from(JSON.stringify([createdAt, runId])).toString('base64url')
}

export function stepCursor({ index, ordinal }: StepRow): string {
  return Buffer.from(JSON.stringify([index, ordinal])).toString('base64url')
}

function parseCursor(cursor: string): string[] {
  return JSON.parse(Buffer.from(cursor, 'base64url').toString())
}

const { builtins } = pg.types

/** Times stay text: a Date a row is dear. 64-bit integers are small enough here to be numbers. */
function getTypeParser(oid: number, format?: 'text' | 'binary') {
  if (oid === builtins.TIMESTAMPTZ) return (text: string) => `${text.slice(0, 10)}T${text.slice(11, -3)}Z`
  if (oid === builtins.INT8) return Number
  return pg.types.getTypeParser(oid, format)
}
