import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { composeServices } from '@apollo/composition'
import { ApolloGateway } from '@apollo/gateway'
import { buildSubgraphSchema } from '@apollo/subgraph'
import { parse } from 'graphql'
import { createYoga } from 'graphql-yoga'
import { startServer, type TestServer } from './support/server.ts'

const RUN_ID = 'nightly digest/04:12'
const ABSENT = '00000000-0000-4000-8000-000000000000'
const STATE = { step: 'plan', notes: ['café', '東京', '🚚'], score: 0.1 }

const ENTITIES = `query Entities($references: [_Any!]!) {
  _entities(representations: $references) {
    __typename
    ... on Run { runId status }
    ... on Step { runId stepId index }
    ... on Snapshot { snapshotId sizeBytes }
  }
}`

interface Ids {
  readonly run: string
  readonly step: string
  readonly snapshot: string
  readonly snapshotId: string
}

/** One run with one step and one snapshot, and their ids. */
async function fill(server: TestServer): Promise<Ids> {
  await server.graphql('mutation ($input: UpsertRunInput!) { upsertRun(input: $input) { id } }', {
    input: { runId: RUN_ID, workflowName: 'nightly-digest', status: 'SUCCEEDED' },
  })
  await server.graphql('mutation ($input: UpsertStepInput!) { upsertStep(input: $input) { id } }', {
    input: { runId: RUN_ID, stepId: 'plan', index: 3 },
  })
  const { data } = await server.graphql<{ captureSnapshot: { snapshot: CapturedIds } }>(
    `mutation ($input: CaptureSnapshotInput!) {
      captureSnapshot(input: $input) { snapshot { id snapshotId run { id } step { id } } }
    }`,
    { input: { runId: RUN_ID, stepId: 'plan', payload: STATE } },
  )
  const { id, snapshotId, run, step } = data.captureSnapshot.snapshot
  return { run: run.id, step: step.id, snapshot: id, snapshotId }
}

interface CapturedIds {
  readonly id: string
  readonly snapshotId: string
  readonly run: { readonly id: string }
  readonly step: { readonly id: string }
}

describe('entities', () => {
  let server: TestServer
  let ids: Ids

  before(async () => {
    server = await startServer()
    ids = await fill(server)
  })
  after(() => server[Symbol.asyncDispose]())

  async function resolve(references: readonly object[]) {
    server.statements.length = 0
    const { data, errors } = await server.graphql<{ _entities: unknown[] } | null>(ENTITIES, { references })
    return { entities: data?._entities, errors, statements: [...server.statements] }
  }

  it('costs one statement a type, whichever keys the references use, and gives null for each that is absent', async () => {
    const { entities, errors, statements } = await resolve([
      { __typename: 'Run', id: ids.run },
      { __typename: 'Step', runId: RUN_ID, stepId: 'plan' },
      { __typename: 'Run', runId: 'never seen' },
      { __typename: 'Step', id: ids.step },
      { __typename: 'Run', runId: RUN_ID },
      { __typename: 'Step', runId: RUN_ID, stepId: 'never seen' },
    ])
    const run = { __typename: 'Run', runId: RUN_ID, status: 'SUCCEEDED' }
    const step = { __typename: 'Step', runId: RUN_ID, stepId: 'plan', index: 3 }
    assert.equal(errors, undefined)
    assert.deepEqual(entities, [run, step, null, step, run, null])
    assert.equal(statements.length, 2, statements.join('\n'))
  })

  it('resolves snapshots by either key in one statement', async () => {
    const { entities, errors, statements } = await resolve([
      { __typename: 'Snapshot', id: ids.snapshot },
      { __typename: 'Snapshot', snapshotId: ABSENT },
      { __typename: 'Snapshot', snapshotId: ids.snapshotId.toUpperCase() },
      { __typename: 'Snapshot', snapshotId: 'not a UUID' },
    ])
    const snapshot = { __typename: 'Snapshot', snapshotId: ids.snapshotId, sizeBytes: JSON.stringify(STATE).length + 7 }
    assert.equal(errors, undefined)
    assert.deepEqual(entities, [snapshot, null, snapshot, null])
    assert.equal(statements.length, 1, statements.join('\n'))
  })

  it('refuses a global id of another type for itself alone', async () => {
    const { entities, errors } = await resolve([
      { __typename: 'Run', id: ids.step },
      { __typename: 'Run', id: ids.run },
    ])
    assert.deepEqual(entities, [null, { __typename: 'Run', runId: RUN_ID, status: 'SUCCEEDED' }])
    assert.deepEqual(
      errors?.map(({ path, extensions }) => [path, extensions.code]),
      [[['_entities', 0], 'BAD_REQUEST']],
    )
  })

  it('refuses references that no router sends, as a fault of the caller', async () => {
    for (const reference of [
      { __typename: 'Nobody', id: 'x' },
      { __typename: 'Tag', key: 'x' },
      { __typename: 'Run' },
      { __typename: 'Run', runId: 7 },
      { __typename: 'Step', runId: RUN_ID },
      { __typename: 'Snapshot', snapshotId: [] },
      { id: ids.run },
    ]) {
      const { errors } = await resolve([reference])
      assert.deepEqual(
        errors?.map(({ extensions }) => extensions.code),
        ['BAD_REQUEST'],
        JSON.stringify(reference),
      )
    }
  })
})

const AUDITS_SDL = `
extend schema @link(url: "https://specs.apollo.dev/federation/v2.6", import: ["@key"])

type Query {
  audits: [Audit!]!
}

type Audit {
  verdict: String!
  run: Run!
}

type Run @key(fields: "runId") {
  runId: String!
  audit: Audit
}
`

/** A team's own subgraph: it judges runs, and knows no more of them than their ids. */
async function startAudits() {
  const audit = (runId: string) => ({ verdict: `fine: ${runId}`, run: { runId } })
  const schema = buildSubgraphSchema({
    typeDefs: parse(AUDITS_SDL),
    resolvers: {
      Query: { audits: () => [audit(RUN_ID), audit('never seen')] },
      Run: { audit: ({ runId }: { runId: string }) => audit(runId) },
    },
  })
  const server = createServer(createYoga({ schema, logging: false, landingPage: false }))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/graphql`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

const NO_CACHE = { get: async () => undefined, set: async () => {}, delete: async () => false }

async function compose(urls: { readonly statelens: string; readonly audits: string }): Promise<string> {
  const statelens = parse(await readFile(new URL('../schema.graphql', import.meta.url), 'utf8'))
  const { supergraphSdl, errors } = composeServices([
    { name: 'statelens', url: urls.statelens, typeDefs: statelens },
    { name: 'audits', url: urls.audits, typeDefs: parse(AUDITS_SDL) },
  ])
  assert.equal(errors, undefined)
  return supergraphSdl ?? ''
}

describe('a supergraph', () => {
  const cleanup = new AsyncDisposableStack()
  let server: TestServer
  let gateway: ApolloGateway

  before(async () => {
    server = cleanup.use(await startServer())
    await fill(server)
    const audits = cleanup.use(await startAudits())
    const supergraphSdl = await compose({ statelens: `${server.url}/graphql`, audits: audits.url })
    gateway = new ApolloGateway({ supergraphSdl })
    await gateway.load()
    cleanup.defer(() => gateway.stop())
  })
  after(() => cleanup.disposeAsync())

  async function query(text: string) {
    const document = parse(text)
    // What Apollo Server would hand over; the gateway reads no more of it.
    const request = { document, request: { query: text }, queryHash: text, context: {}, cache: NO_CACHE, metrics: {} }
    const { data, errors } = await gateway.executor(request as never)
    assert.equal(errors, undefined)
    return JSON.parse(JSON.stringify(data))
  }

  it('joins a run of this server with what another subgraph says of it', async () => {
    const data = await query(`{ run(runId: ${JSON.stringify(RUN_ID)}) { status audit { verdict } } }`)
    assert.deepEqual(data, { run: { status: 'SUCCEEDED', audit: { verdict: `fine: ${RUN_ID}` } } })
  })

  it('resolves the runs that another subgraph names, and their states, in few statements', async () => {
    server.statements.length = 0
    const data = await query(
      '{ audits { verdict run { runId workflowName step(stepId: "plan") { index snapshot { digest payload } } } } }',
    )
    const [known, unknown] = data.audits
    assert.equal(known.run.workflowName, 'nightly-digest')
    assert.equal(known.run.step.index, 3)
    assert.deepEqual(known.run.step.snapshot.payload, STATE)
    assert.deepEqual(unknown, {
      verdict: 'fine: never seen',
      run: { runId: 'never seen', workflowName: null, step: null },
    })
    assert.ok(server.statements.length <= 4, server.statements.join('\n'))
  })
})
