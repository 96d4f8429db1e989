import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startServer } from '../support/server.ts'
import { temporaryFolder } from '../support/tmp.ts'

const SCHEMA = fileURLToPath(new URL('../../schema.client.graphql', import.meta.url))
const COMPILER = createRequire(import.meta.url).resolve('relay-compiler/cli.js')

/** What an app is made of: pages that grow, parts that are asked for again, lists that things are taken out of. */
const APP = `
import { graphql } from 'relay-runtime'
graphql\`
  query appQuery($order: RunOrder, $first: Int = 5) {
    ...appRuns
    ordered: runs(orderBy: $order, first: $first) { totalCount nodes { id status } }
  }
\`
graphql\`
  fragment appRuns on Query
  @refetchable(queryName: "appRunsQuery")
  @argumentDefinitions(count: { type: "Int", defaultValue: 10 }, cursor: { type: "String" }, filter: { type: "RunFilter" }) {
    runs(first: $count, after: $cursor, filter: $filter) @connection(key: "app_runs") { edges { node { ...appRun } } }
  }
\`
graphql\`
  fragment appRun on Run
  @refetchable(queryName: "appRunQuery")
  @argumentDefinitions(count: { type: "Int", defaultValue: 10 }, cursor: { type: "String" }) {
    runId startedAt
    steps(first: $count, after: $cursor) @connection(key: "app_steps") { edges { node { ...appStep } } }
  }
\`
graphql\`
  fragment appStep on Step @refetchable(queryName: "appStepQuery") { stepId snapshot { sizeBytes payload } }
\`
graphql\`
  mutation appDeleteRunMutation($runId: String!) { deleteRun(runId: $runId) { deletedId @deleteRecord } }
\`
graphql\`
  mutation appDeleteSnapshotMutation($snapshotId: ID!, $connections: [ID!]!) {
    deleteSnapshot(snapshotId: $snapshotId) { deletedId @deleteEdge(connections: $connections) }
  }
\`
graphql\`
  mutation appCaptureMutation($input: CaptureSnapshotInput!, $connections: [ID!]!) {
    captureSnapshot(input: $input) { snapshot @appendNode(connections: $connections, edgeTypeName: "SnapshotEdge") { id } }
  }
\`
`

it('an app of Relay compiles against the schema for clients, and its queries are answered', async () => {
  await using folder = await temporaryFolder()
  await mkdir(join(folder.path, 'src'), { recursive: true })
  await copyFile(SCHEMA, join(folder.path, 'schema.graphql'))
  await writeFile(join(folder.path, 'src', 'app.js'), APP)
  await writeFile(join(folder.path, 'documents.json'), '{}')
  const persistConfig = { file: './documents.json', algorithm: 'SHA256' }
  const config = { src: './src', schema: './schema.graphql', language: 'javascript', persistConfig }
  await writeFile(join(folder.path, 'relay.config.json'), JSON.stringify(config))
  await promisify(execFile)(process.execPath, [COMPILER, './relay.config.json'], { cwd: folder.path })
  const documents: readonly string[] = Object.values(
    JSON.parse(await readFile(join(folder.path, 'documents.json'), 'utf8')),
  )
  assert.equal(documents.length, 7)
  await using server = await startServer()
  const { data } = await server.graphql<{ upsertRun: { id: string } }>(
    'mutation { upsertRun(input: { runId: "r" }) { id } }',
  )
  const { id } = data.upsertRun
  const variables = { id, order: null, first: null, count: null, cursor: null, filter: null, connections: [] }
  const input = { runId: 'r', payload: 1 }
  for (const text of documents) {
    const { errors } = await server.graphql(text, { ...variables, runId: 'r', snapshotId: id, input })
    assert.equal(errors, undefined, text)
  }
})
