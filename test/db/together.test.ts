import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { sql } from 'kysely'
import { createDatabase, type Database } from '../../src/db/connect.ts'
import { loadNewestOfSteps, loadSnapshots } from '../../src/db/queries/snapshots.ts'
import { loadRunWithSteps } from '../../src/db/queries/steps.ts'
import { defineStatement } from '../../src/db/statements.ts'
import { Departure, isAppError } from '../../src/errors.ts'
import { RUN_FIELDS } from '../../src/model/run.ts'
import { SNAPSHOT_FIELDS } from '../../src/model/snapshot.ts'
import { STEP_FIELDS } from '../../src/model/step.ts'
import type { Span } from '../../src/telemetry/spans.ts'
import { SILENT } from '../../src/telemetry/telemetry.ts'
import { eventually } from '../contract/byte-cache.ts'
import { query } from '../support/rows.ts'
import { type ToldDatabase, toldDatabase } from '../support/told-database.ts'

const RUNS = 40
const FIELDS = SNAPSHOT_FIELDS.pick(['runId', 'stepId', 'label', 'inlinePayload'])
const PAGE = { size: 10, after: null, before: null, backward: false, wantsEnds: true, wantsTotal: true }

const SPAN: Span = { traceId: undefined, set() {}, within: (work) => work(), end() {} }

/** Sleeps as long as it is told, in milliseconds; all of a kind sleep one after the other. */
const nap = defineStatement({
  values: ['millis'],
  keyOf: (_shape: null) => '',
  build: (_shape, { millis }) => sql`select pg_sleep(${millis}::int / 1000.0), ${millis}::int`,
  buildMany: (_shape, { millis }) => sql`
    select p.position, pg_sleep(p.millis / 1000.0), p.millis from unnest(${millis}::int[]) with ordinality as p(millis, position)`,
})

describe('statements of one kind that are asked for at the same time', () => {
  let told: ToldDatabase
  let db: Database
  let url: string
  let statements: string[]

  before(async () => {
    told = await toldDatabase()
    ;({ db, url, statements } = told)
    await query(
      url,
      `insert into statelens_runs (run_id, workflow_name) select 'run ' || i, 'flow' from generate_series(0, ${RUNS - 1}) i;
       insert into statelens_steps (run_id, step_id, step_index)
         select 'run ' || i, 'step ' || j, j from generate_series(0, ${RUNS - 1}) i, generate_series(0, i % 4) j;
       insert into state_snapshots (run_id, step_id, payload)
         select 'run ' || i, 'step ' || j, json_build_object('run', i, 'step', j)
         from generate_series(0, ${RUNS - 1}) i, generate_series(0, i % 3) j`,
    )
  })
  beforeEach(() => void statements.splice(0))
  after(() => told[Symbol.asyncDispose]())

  const newest = (runId: string, stepId = 'step 0', of: Database = db) =>
    loadNewestOfSteps(of.share(), [{ runId, stepId }], FIELDS)
  const runWithSteps = (runId: string, of: Database = db) =>
    loadRunWithSteps(of.share(), runId, {
      page: PAGE,
      run: RUN_FIELDS.all,
      fields: { step: STEP_FIELDS.all, newest: SNAPSHOT_FIELDS.pick(['runId', 'stepId', 'seq']) },
    })
  /** The snapshots of the runs, and the id of one that is not there. */
  const byId = async (runId: string) =>
    await loadSnapshots(db.share(), [idOf.get(runId) ?? '01890a5d-ac96-774b-bcce-b302099a8057'], FIELDS)
  const idOf = new Map<string, string>()
  const runIds = Array.from({ length: RUNS + 3 }, (_, number) => `run ${number}`)

  it('are few statements, and each has what it would have alone, or nothing', async () => {
    for (const { id, run_id } of await query<{ id: string; run_id: string }>(
      url,
      'select id, run_id from state_snapshots',
    ))
      idOf.set(run_id, id)
    for (const ask of [newest, runWithSteps, byId]) {
      const alone: unknown[] = []
      for (const runId of runIds) alone.push(await ask(runId))
      assert.equal(statements.splice(0).length, runIds.length)
      assert.deepEqual(await Promise.all(runIds.map((runId) => ask(runId))), alone)
      assert.equal(statements.splice(0).length, Math.ceil(runIds.length / 16))
    }
  })

  it('are not mixed with others: other fields, another kind, another moment', async () => {
    const [label] = await Promise.all([
      loadNewestOfSteps(db.share(), [{ runId: 'run 1', stepId: 'step 1' }], SNAPSHOT_FIELDS.pick(['stepId'])),
      newest('run 1', 'step 1'),
      newest('run 2', 'step 2'),
      runWithSteps('run 1'),
    ])
    assert.equal(label[0]?.stepId, 'step 1')
    assert.equal(label[0]?.runId, undefined)
    assert.equal(statements.length, 3)
  })

  it('are asked alone where payloads of many runs would come together', async () => {
    const withPayloads = (runId: string) =>
      loadRunWithSteps(db.share(), runId, {
        page: PAGE,
        run: RUN_FIELDS.all,
        fields: { step: STEP_FIELDS.all, newest: FIELDS },
      })
    await Promise.all([withPayloads('run 1'), withPayloads('run 2')])
    assert.equal(statements.length, 2)
  })

  it('fail for nobody else: what one of them asks that PostgreSQL refuses', async () => {
    const asked = await Promise.allSettled([newest('run 3'), newest('a\0b'), newest('run 4')])
    assert.deepEqual(
      asked.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    )
    assert.equal(asked[0]?.status === 'fulfilled' && asked[0].value[0]?.runId, 'run 3')
    assert.equal(asked[2]?.status === 'fulfilled' && asked[2].value[0]?.runId, 'run 4')
  })

  it('A19: go on for the others when one leaves, and end in PostgreSQL when all have left', async () => {
    const active = async () => {
      const rows = await query<{ count: number }>(
        url,
        `select count(*)::int from pg_stat_activity where datname = current_database() and state = 'active'
         and application_name = 'statelens' and query ~ 'pg_sleep'`,
      )
      return rows[0]?.count
    }
    const [first, second] = [new AbortController(), new AbortController()]
    const napping = (millis: number, signal?: AbortSignal) => db.share(signal).rows(nap(null, { millis }))
    const left = assert.rejects(napping(300, first.signal), Departure)
    const stayed = napping(301)
    assert.ok(await eventually(async () => (await active()) === 1))
    first.abort(new Departure())
    await left
    assert.equal((await stayed)[0]?.[1], 301)
    assert.equal(statements.length, 1)

    const all = [first, second].map(() => new AbortController())
    const gone = all.map(({ signal }) => assert.rejects(napping(5000, signal), Departure))
    assert.ok(await eventually(async () => (await active()) === 1))
    for (const controller of all) controller.abort(new Departure())
    await Promise.all(gone)
    assert.ok(await eventually(async () => (await active()) === 0))
  })

  it('are never begun for those who had left before', async () => {
    const gone = AbortSignal.abort(new Departure())
    await Promise.all([1, 2].map(() => assert.rejects(db.share(gone).rows(nap(null, { millis: 5000 })), Departure)))
    const one = new AbortController()
    const before = [one.signal, undefined].map((signal) => db.share(signal).rows(nap(null, { millis: 1 })))
    one.abort(new Departure())
    await assert.rejects(before[0] as Promise<unknown>, Departure)
    assert.equal((await before[1])?.length, 1)
  })

  it('have one failure where the database has no time or is not there', async () => {
    const hurried = createDatabase({ url: `${url}?statement_timeout=200` })
    const napping = [1, 5000].map((millis) => hurried.share().rows(nap(null, { millis })))
    const ended = await Promise.allSettled(napping)
    await hurried.close()
    for (const one of ended) assert.ok(one.status === 'rejected' && isAppError(one.reason, 'DATABASE_TIMEOUT'))
  })

  it('stay each of its own request where traces are collected', async () => {
    const traced: string[] = []
    const of = createDatabase({
      url,
      onStatement: (text) => traced.push(text),
      telemetry: { ...SILENT, spans: { start: () => SPAN, apart: (work) => work() } },
    })
    await Promise.all([newest('run 1', 'step 0', of), newest('run 2', 'step 0', of)])
    await of.close()
    assert.equal(traced.length, 2)
  })
})
