import { createServer } from 'node:http'
import SchemaBuilder from '@pothos/core'
import RelayPlugin, { resolveArrayConnection, resolveCursorConnection } from '@pothos/plugin-relay'
import DataLoader from 'dataloader'
import { createYoga } from 'graphql-yoga'
import { type Generated, Kysely, PostgresDialect, type Selectable, sql } from 'kysely'
import pg from 'pg'
import { listen, setting } from '../lib/listen.ts'

/*
 * The server that one naturally writes with the libraries that statelens itself is made of: Yoga with its defaults, Pothos with
 * its Relay plugin, a DataLoader a request, Kysely on pg with its defaults: times are Dates, payloads are parsed.
 */
interface Tables {
  statelens_runs: { run_id: string; workflow_name: string | null; status: string; created_at: Date }
  statelens_steps: {
    run_id: string
    step_id: string
    step_index: number | null
    name: string | null
    status: string
    started_at: Date | null
    ended_at: Date | null
    ordinal: Generated<string>
  }
  state_snapshots: {
    id: string
    run_id: string
    step_id: string
    seq: Generated<string>
    kind: string
    created_at: Date
    is_success_state: boolean | null
    is_golden: boolean
    size_bytes: string | null
    content_digest: Buffer | null
    snapshot: unknown
  }
}

type RunRow = Selectable<Tables['statelens_runs']>
type StepRow = Selectable<Tables['statelens_steps']>
type SnapshotRow = Omit<Selectable<Tables['state_snapshots']>, 'snapshot'>
type StepKey = Pick<StepRow, 'run_id' | 'step_id'>

const db = new Kysely<Tables>({
  dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: setting('DATABASE_URL'), max: 10 }) }),
})

const RUN_COLUMNS = ['run_id', 'workflow_name', 'status', 'created_at'] as const
const SNAPSHOT_COLUMNS = [
  's.id',
  's.run_id',
  's.step_id',
  's.seq',
  's.kind',
  's.created_at',
  's.is_success_state',
  's.is_golden',
  's.size_bytes',
  's.content_digest',
] as const

function createLoaders() {
  return {
    steps: new DataLoader<string, StepRow[]>(async (runIds) => {
      const rows = await db
        .selectFrom('statelens_steps')
        .select(['run_id', 'step_id', 'step_index', 'name', 'status', 'started_at', 'ended_at', 'ordinal'])
        .where('run_id', 'in', runIds)
        .orderBy('step_index')
        .orderBy('ordinal')
        .execute()
      const groups = Map.groupBy(rows, (row) => row.run_id)
      return runIds.map((runId) => groups.get(runId) ?? [])
    }),
    newest: new DataLoader<StepKey, SnapshotRow | null, string>(async (keys) => loadNewest(keys), {
      cacheKeyFn: nameOf,
    }),
    payload: new DataLoader<string, unknown>(async (ids) => {
      const rows = await db.selectFrom('state_snapshots').select(['id', 'snapshot']).where('id', 'in', ids).execute()
      const payloads = new Map(rows.map((row) => [row.id, row.snapshot]))
      return ids.map((id) => payloads.get(id) ?? null)
    }),
  }
}

async function loadNewest(keys: readonly StepKey[]): Promise<(SnapshotRow | null)[]> {
  const rows = await db
    .selectFrom(
      sql<StepKey>`unnest(${keys.map((key) => key.run_id)}::text[], ${keys.map((key) => key.step_id)}::text[])`.as<'p'>(
        sql`p(run_id, step_id)`,
      ),
    )
    .innerJoinLateral(
      (eb) =>
        eb
          .selectFrom('state_snapshots as s')
          .select(SNAPSHOT_COLUMNS)
          .whereRef('s.run_id', '=', 'p.run_id')
          .whereRef('s.step_id', '=', 'p.step_id')
          .orderBy('s.seq', 'desc')
          .limit(1)
          .as('s'),
      (join) => join.onTrue(),
    )
    .selectAll('s')
    .execute()
  const found = new Map(rows.map((row) => [nameOf(row), row]))
  return keys.map((key) => found.get(nameOf(key)) ?? null)
}

function nameOf({ run_id, step_id }: StepKey): string {
  return `${run_id}\n${step_id}`
}

interface SchemaTypes {
  Context: ReturnType<typeof createLoaders>
  Scalars: {
    DateTime: { Input: Date; Output: Date }
    BigInt: { Input: string; Output: string }
    JSON: { Input: unknown; Output: unknown }
  }
}

const builder = new SchemaBuilder<SchemaTypes>({ plugins: [RelayPlugin] })
builder.scalarType('DateTime', { serialize: (date) => date.toISOString() })
builder.scalarType('BigInt', { serialize: Number })
builder.scalarType('JSON', { serialize: (value) => value })

const SnapshotRef = builder.objectRef<SnapshotRow>('Snapshot').implement({
  fields: (t) => ({
    snapshotId: t.exposeID('id'),
    seq: t.expose('seq', { type: 'BigInt' }),
    kind: t.exposeString('kind'),
    createdAt: t.expose('created_at', { type: 'DateTime' }),
    isSuccessState: t.boolean({ resolve: (snapshot) => snapshot.is_success_state ?? false }),
    isGolden: t.exposeBoolean('is_golden'),
    sizeBytes: t.expose('size_bytes', { type: 'BigInt', nullable: true }),
    digest: t.string({
      nullable: true,
      resolve: ({ content_digest }) => content_digest && `sha256:${content_digest.toString('hex')}`,
    }),
    payload: t.field({ type: 'JSON', nullable: true, resolve: ({ id }, _args, { payload }) => payload.load(id) }),
  }),
})

const StepRef = builder.objectRef<StepRow>('Step').implement({
  fields: (t) => ({
    runId: t.exposeString('run_id'),
    stepId: t.exposeString('step_id'),
    index: t.exposeInt('step_index', { nullable: true }),
    name: t.exposeString('name', { nullable: true }),
    status: t.exposeString('status'),
    startedAt: t.expose('started_at', { type: 'DateTime', nullable: true }),
    endedAt: t.expose('ended_at', { type: 'DateTime', nullable: true }),
    snapshot: t.field({ type: SnapshotRef, nullable: true, resolve: (step, _args, { newest }) => newest.load(step) }),
  }),
})

const RunRef = builder.objectRef<RunRow>('Run').implement({
  fields: (t) => ({
    runId: t.exposeString('run_id'),
    workflowName: t.exposeString('workflow_name', { nullable: true }),
    status: t.exposeString('status'),
    createdAt: t.expose('created_at', { type: 'DateTime' }),
    steps: t.connection({
      type: StepRef,
      resolve: async ({ run_id }, args, { steps }) => resolveArrayConnection({ args }, await steps.load(run_id)),
    }),
  }),
})

const RunFilter = builder.inputType('RunFilter', { fields: (t) => ({ workflowName: t.string() }) })

builder.queryType({
  fields: (t) => ({
    run: t.field({
      type: RunRef,
      nullable: true,
      args: { runId: t.arg.string({ required: true }) },
      resolve: async (_root, { runId }) =>
        (await db.selectFrom('statelens_runs').select(RUN_COLUMNS).where('run_id', '=', runId).executeTakeFirst()) ??
        null,
    }),
    runs: t.connection({
      type: RunRef,
      args: { filter: t.arg({ type: RunFilter }) },
      resolve: (_root, args) =>
        resolveCursorConnection<Promise<RunRow[]>>(
          {
            args,
            toCursor: (run) => Buffer.from(`${run.created_at.toISOString()} ${run.run_id}`).toString('base64url'),
          },
          async ({ before, after, limit, inverted }) => {
            const order = inverted ? 'asc' : 'desc'
            let query = db.selectFrom('statelens_runs').select(RUN_COLUMNS).limit(limit)
            if (args.filter?.workflowName) query = query.where('workflow_name', '=', args.filter.workflowName)
            if (after) query = query.where(sql<boolean>`(created_at, run_id) < (${sql.join(parseCursor(after))})`)
            if (before) query = query.where(sql<boolean>`(created_at, run_id) > (${sql.join(parseCursor(before))})`)
            return await query.orderBy('created_at', order).orderBy('run_id', order).execute()
          },
        ),
    }),
    snapshot: t.field({
      type: SnapshotRef,
      nullable: true,
      args: { runId: t.arg.string({ required: true }), stepId: t.arg.string({ required: true }) },
      resolve: (_root, { runId, stepId }, { newest }) => newest.load({ run_id: runId, step_id: stepId }),
    }),
  }),
})

function parseCursor(cursor: string): [Date, string] {
  const text = Buffer.from(cursor, 'base64url').toString()
  return [new Date(text.slice(0, 24)), text.slice(25)]
}

const yoga = createYoga({ schema: builder.toSchema(), context: createLoaders })
await listen(createServer(yoga))
