import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { createDatabase } from '../../src/db/connect.ts'
import { schema } from '../../src/graphql/schema.ts'
import { createSweeper } from '../../src/snapshots/upkeep/sweeper.ts'
import { createStorage } from '../../src/storage/registry.ts'
import { begin, commit, sendAll } from '../graphql/uploads-fixture.ts'
import { capture, dataOf } from '../support/answers.ts'
import { freshDatabase } from '../support/database.ts'
import { storageOptions } from '../support/objects.ts'
import { put, storedOf } from '../support/put.ts'
import { query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { temporaryFolder } from '../support/tmp.ts'
import { watchBy } from '../support/watching.ts'

/** Written anew by `WRITE_STATEMENTS=1`. docs/partitioning.md says what each kind of them means. */
const LIST = new URL('statements-beyond-one-run.txt', import.meta.url)

const TABLES = /\b(state_snapshots|statelens_\w+)\b/

const BY_RUN = /\brun_id"? = (\$|any\()|\bstatelens_capture\(|^insert into "?statelens_(runs|steps|deletions)"? /

/** `p` is what a statement is given of all parents at once, in an order of theirs. */
const BY_LIST = /\bp\.run_id\b/

/** A condition that goes with another one leaves the run open. */
const OR_BY_RUN = /\bor \(run_id = /

function kindOf(line: string): 'one run' | 'a list of runs' | 'no run' {
  if (OR_BY_RUN.test(line)) return 'no run'
  return BY_LIST.test(line) ? 'a list of runs' : BY_RUN.test(line) ? 'one run' : 'no run'
}

/** Without what it selects, and the numbers of its places: shapes of one statement are one line. */
function lineOf(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim().replace(/\$\d+/g, '$')
  return line.replace(/select (?:(?!\bselect\b).)*? as "\w+"(?:(?!\bfrom\b).)* from /g, 'select … from ')
}

/** Reads of every kind. */
const reads = (snapshotId: string, other: string) => [
  ...['', 'filter: {search: "r"}, ', 'filter: {workflowName: "w"}, ', 'filter: {status: [RUNNING]}, '].map(
    (filter) => `{ runs(${filter}first: 2) { totalCount edges { node { runId tags { key } } } } }`,
  ),
  '{ runs(filter: {tags: [{key: "a", value: "1"}]}, first: 2) { edges { node { runId stats { totalBytes } } } } }',
  '{ runs(filter: {parentRunId: "run"}, orderBy: CREATED_ASC, last: 2) { edges { node { runId } } } }',
  '{ run(runId: "run") { status stats { stepCount snapshotCount objectCount goldenCount totalBytes } } }',
  '{ run(runId: "run") { steps(first: 2) { totalCount edges { node { name snapshot { payload } } } } } }',
  '{ run(runId: "run") { snapshots(first: 2, filter: {kind: [OUTPUT]}) { totalCount edges { node { seq } } } } }',
  '{ run(runId: "run") { snapshots(last: 2, filter: {stepId: "step"}) { edges { node { seq } } } } }',
  '{ run(runId: "run") { latestSnapshot { seq } stateAt(seq: 5) { seq payload } } }',
  '{ step(runId: "run", stepId: "step") { run { runId } snapshots(first: 2) { edges { node { seq } } } } }',
  '{ snapshot(runId: "run", stepId: "step") { payload preview integrity(verify: true) step { name } } }',
  '{ compareRuns(baseRunId: "run", otherRunId: "other") { steps(first: 5) { edges { node { identical } } } } }',
  '{ _entities(representations: [{__typename: "Run", runId: "run"}]) { ... on Run { status } } }',
  '{ _entities(representations: [{__typename: "Step", runId: "run", stepId: "step"}]) { ... on Step { name } } }',
  ...['payload', 'previous { seq } next { seq }', 'run { status } step { name }', 'signedUrl', 'digestOf'].map(
    (field) => `{ snapshotById(snapshotId: "${snapshotId}") { ${field} } }`,
  ),
  `{ snapshotById(snapshotId: "${snapshotId}") { at(pointer: "/0") { raw } find(text: "a", first: 1) { complete } } }`,
  `{ snapshotById(snapshotId: "${snapshotId}") { diff(from: "${other}") { changes(first: 1) { truncated } } } }`,
]

/** Captures by every way, then every read, events, holds and deletes. */
async function walk(server: TestServer): Promise<void> {
  const tags = '[{key: "a", value: "1"}]'
  const upsert = `upsertRun(input: {runId: "run", workflowName: "w", status: RUNNING, tags: ${tags}}) { runId }`
  await dataOf(server.graphql(`mutation { ${upsert} upsertStep(input: {runId: "run", stepId: "step"}) { stepId } }`))
  const large = JSON.stringify(Array.from({ length: 30_000 }, (_, i) => ({ i, text: 'text of a state '.repeat(3) })))
  const { snapshot } = await capture(server, { runId: 'run', stepId: 'step', payload: [1], idempotencyKey: 'key' })
  await capture(server, { runId: 'run', stepId: 'step', payload: [1], idempotencyKey: 'key' })
  const { snapshotId } = storedOf(await put(server.url, large, { runId: 'run', stepId: 'large' }))
  const other = await capture(server, { runId: 'other', stepId: 'step', payload: [2] })
  const bytes = Buffer.from(`{"large":${large}}`)
  const ticket = await begin(server, bytes)
  await sendAll(ticket, bytes)
  await commit(server, ticket)
  for (const id of [snapshot.snapshotId, snapshotId])
    for (const text of reads(id, other.snapshot.snapshotId)) await dataOf(server.graphql(text))
  await dataOf(
    server.graphql(`{ viewer { name } nodes(ids: ["${GLOBAL_ID}"]) { id } node(id: "${GLOBAL_ID}") { id } }`),
  )
  const golden = `markGolden(snapshotId: "${snapshotId}", approvalSource: "a review") { isGolden }`
  const hold = 'holdRun(runId: "run", hold: true) { runId } release: holdRun(runId: "run", hold: false) { runId }'
  await dataOf(server.graphql(`mutation { ${golden} ${hold} }`))
  await watchEach(server)
  await dataOf(server.graphql(`mutation { deleteSnapshot(snapshotId: "${other.snapshot.snapshotId}") { deleted } }`))
  await dataOf(server.graphql('mutation { deleteRun(runId: "run") { deleted } }'))
}

/** Of the run `run`. */
const GLOBAL_ID = Buffer.from('Run:run').toString('base64url')

const SUBSCRIPTIONS = [
  ['runEvents(runId: "run")', 'CaughtUp'],
  ['runsUpdated', 'CaughtUp'],
  ['replayRun(runId: "run", speed: 100, maxGapMs: 0)', 'RunEnded'],
] as const

async function watchEach(server: TestServer): Promise<void> {
  for (const [field, until] of SUBSCRIPTIONS) {
    await using watching = await watchBy('SSE', server.url, `subscription { ${field} { __typename } }`)
    await watching.until(until)
  }
}

/** One pass of upkeep, which finds an object to take. @returns the text of its statements. */
async function sweepOnce({
  databaseUrl,
  storagePath,
}: Pick<TestServer, 'databaseUrl' | 'storagePath'>): Promise<readonly string[]> {
  const statements: string[] = []
  await query(
    databaseUrl,
    `insert into statelens_objects (storage_uri, snapshot_id, state) values ('file:///given-up', gen_random_uuid(), 'doomed')`,
  )
  const db = createDatabase({ url: databaseUrl, onStatement: (text) => void statements.push(text) })
  const storage = createStorage(storageOptions({ storagePath }))
  const sweeper = createSweeper({ db, storage, graceSeconds: 0, onProblem: (error) => assert.fail(String(error)) })
  await sweeper.sweep().finally(sweeper.stop)
  await db.close()
  storage.close()
  return statements
}

describe('a database that is sharded by run', () => {
  it('would have to ask all shards for the statements of the list, and for no others', async () => {
    await using database = await freshDatabase()
    await using folder = await temporaryFolder()
    const store = { databaseUrl: database.url, storagePath: folder.path }
    const asked: string[] = SUBSCRIPTIONS.map(([field]) => field)
    const statements: string[] = []
    {
      await using server = await startServer({ store })
      const graphql: TestServer['graphql'] = (text, variables) => {
        asked.push(text)
        return server.graphql(text, variables)
      }
      await walk({ ...server, graphql })
      statements.push(...server.statements)
    }
    statements.push(...(await sweepOnce(store)))
    const lines = statements.map(lineOf).filter((line) => TABLES.test(line))
    const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]
    const missed = roots
      .flatMap((type) => Object.keys(type?.getFields() ?? {}))
      .filter((name) => name !== '_service' && !asked.some((text) => new RegExp(`\\b${name}\\b`).test(text)))
    assert.deepEqual(missed, [], 'the walk asks every root field')
    const found = Object.groupBy(new Set(lines), kindOf)
    assert.ok((found['one run'] ?? []).length > 5)
    const sections = (['no run', 'a list of runs'] as const).map((kind) =>
      [`# names ${kind}`, ...(found[kind] ?? []).toSorted()].join('\n'),
    )
    const text = `${sections.join('\n\n')}\n`
    if (process.env['WRITE_STATEMENTS']) await writeFile(LIST, text)
    assert.deepEqual(text.split('\n'), (await readFile(LIST, 'utf8')).split('\n'))
  })
})
