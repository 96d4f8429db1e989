import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { getNamedType, isLeafType, isObjectType } from 'graphql'
import { schema } from '../../src/graphql/schema.ts'
import { encodeGlobalId, encodeStepKey } from '../../src/model/ids.ts'
import { dataOf } from '../support/answers.ts'
import { insertForeign } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'

const ID = '00000000-0000-4000-8000-000000000001'
const ONE = 'runId: "run", stepId: "b"'
const entity = (key: string, type: string) =>
  [
    `{ _entities(representations: [{ __typename: "${type}", ${key} }]) { ... on ${type} { $ } } }`,
    '_entities',
    0,
  ] as const
const node = (type: string, id: string) =>
  [`{ node(id: "${encodeGlobalId(type, id)}") { ... on ${type} { $ } } }`, 'node'] as const

type Way = readonly [query: string, ...path: (string | number)[]]

/** Every way to a thing of the type, with `$` for what is selected of it, and where it then stands in the data. */
const WAYS: Readonly<Record<'Run' | 'Step' | 'Snapshot', readonly Way[]>> = {
  Run: [
    ['{ run(runId: "run") { $ } }', 'run'],
    ['{ runs(filter: { workflowName: "flow" }) { edges { node { $ } } } }', 'runs', 'edges', 0, 'node'],
    ['{ run(runId: "child") { parentRun { $ } } }', 'run', 'parentRun'],
    [`{ step(${ONE}) { run { $ } } }`, 'step', 'run'],
    [`{ snapshot(${ONE}) { run { $ } } }`, 'snapshot', 'run'],
    node('Run', 'run'),
    entity('runId: "run"', 'Run'),
  ],
  Step: [
    [`{ step(${ONE}) { $ } }`, 'step'],
    ['{ run(runId: "run") { step(stepId: "b") { $ } } }', 'run', 'step'],
    ['{ run(runId: "run") { steps { edges { node { $ } } } } }', 'run', 'steps', 'edges', 1, 'node'],
    ['{ run(runId: "run") { steps { edges { cursor node { $ } } } } }', 'run', 'steps', 'edges', 1, 'node'],
    [
      '{ runs(filter: { workflowName: "flow" }) { edges { node { steps(last: 2) { edges { node { $ } } } } } } }',
      'runs',
      'edges',
      0,
      'node',
      'steps',
      'edges',
      1,
      'node',
    ],
    [`{ snapshot(${ONE}) { step { $ } } }`, 'snapshot', 'step'],
    node('Step', encodeStepKey('run', 'b')),
    entity('runId: "run", stepId: "b"', 'Step'),
  ],
  Snapshot: [
    [`{ snapshot(${ONE}) { $ } }`, 'snapshot'],
    [`{ snapshotById(snapshotId: "${ID}") { $ } }`, 'snapshotById'],
    ['{ run(runId: "run") { latestSnapshot { $ } } }', 'run', 'latestSnapshot'],
    ['{ run(runId: "run") { stateAt(at: "2999-01-01T00:00:00Z") { $ } } }', 'run', 'stateAt'],
    ['{ run(runId: "run") { snapshots { edges { node { $ } } } } }', 'run', 'snapshots', 'edges', 1, 'node'],
    [
      '{ run(runId: "run") { steps { edges { node { snapshot { $ } } } } } }',
      'run',
      'steps',
      'edges',
      1,
      'node',
      'snapshot',
    ],
    [
      '{ runs(filter: { workflowName: "flow" }) { edges { node { steps { edges { node { snapshot { $ } } } } } } } }',
      'runs',
      'edges',
      0,
      'node',
      'steps',
      'edges',
      0,
      'node',
      'snapshot',
    ],
    [`{ step(${ONE}) { snapshot { $ } } }`, 'step', 'snapshot'],
    [`{ step(${ONE}) { snapshots(last: 1) { edges { node { $ } } } } }`, 'step', 'snapshots', 'edges', 0, 'node'],
    [`{ snapshotById(snapshotId: "${ID}") { previous { $ } } }`, 'snapshotById', 'previous'],
    ['{ run(runId: "run") { stateAt(seq: 1) { next { $ } } } }', 'run', 'stateAt', 'next'],
    ['{ snapshot(runId: "foreign", stepId: "x") { previous { $ } } }', 'snapshot', 'previous'],
    node('Snapshot', ID),
    entity(`snapshotId: "${ID}"`, 'Snapshot'),
  ],
}

/** What is selected below a field that leads to another type. */
const BELOW: Readonly<Record<string, string>> = {
  JsonNode: 'type childCount value',
  JsonMatchConnection: 'nodes { excerpt node { pointer } } scannedBytes',
  SnapshotDiff: 'identical from { seq } to { seq } summary { key status }',
  Run: 'status',
  Step: 'name',
  Snapshot: 'seq',
  GoldenApproval: 'source metadata approvedAt',
  Tag: 'key value',
  ErrorInfo: 'message type stack',
  RunStats: 'stepCount totalBytes',
  DownloadTicket: 'direct filename sizeBytes digest contentType contentEncoding',
  StepConnection: 'edges { node { name } }',
  SnapshotConnection: 'edges { node { seq } }',
}

/** Each field of the type by its name, as it is selected. */
const ARGUMENTS: Readonly<Record<string, string>> = {
  'Run.step': '(stepId: "b")',
  'Snapshot.find': '(text: "a", first: 2)',
}

function fieldsOf(typeName: string): [name: string, text: string][] {
  const type = schema.getType(typeName)
  assert.ok(isObjectType(type))
  return Object.values(type.getFields()).map(({ name, type: of }) => {
    const argument = ARGUMENTS[`${typeName}.${name}`] ?? ''
    const below = isLeafType(getNamedType(of)) ? '' : ` { ${BELOW[getNamedType(of).name]} }`
    return [name, `${name}${argument}${below}`]
  })
}

describe('look-ahead', () => {
  let server: TestServer
  before(async () => {
    const env = { SNAPSHOT_INLINE_MAX_BYTES: '100', QUERY_LIMITS: 'parts=100000,values=10000000' }
    server = await startServer({ env })
    await fill(server)
  })
  after(() => server[Symbol.asyncDispose]())

  async function read(query: string, path: Way[1][]): Promise<Record<string, unknown>> {
    const found = path.reduce<unknown>(
      (value, key) => (value as Record<string, unknown>)?.[key],
      await dataOf(server.graphql(query)),
    )
    // When a link ends, and its signature, differ from one moment to the next.
    return JSON.parse(JSON.stringify(found), (key, value) =>
      key === 'signedUrl' ? (value?.split('?')[0] ?? null) : value,
    )
  }

  for (const [typeName, ways] of Object.entries(WAYS)) {
    it(`reads each field of a ${typeName} alone as it reads all of them together`, async () => {
      const fields = fieldsOf(typeName)
      for (const [query, ...path] of ways) {
        const all = await read(query.replace('$', fields.map(([, text]) => text).join(' ')), path)
        assert.equal(Object.keys(all).length, fields.length, query)
        for (const [name, text] of fields) {
          assert.deepEqual(await read(query.replace('$', text), path), { [name]: all[name] }, `${query} ${name}`)
        }
      }
    })
  }

  it('names only the columns that a selection needs', async () => {
    for (const [query, ...columns] of [
      ['{ run(runId: "run") { __typename } }', 'r.run_id'],
      ['{ run(runId: "run") { id other: status } }', 'r.run_id, r.status'],
      [
        '{ run(runId: "run") { ...A } } fragment A on Run { durationMs ... { runId } }',
        'r.run_id, r.started_at, r.ended_at',
      ],
      ['{ runs { edges { node { workflowName } } } }', 'r.run_id, r.workflow_name'],
      ['{ runs { edges { cursor } } }', 'r.run_id, r.created_at'],
      [`{ step(${ONE}) { name } }`, 't.run_id, t.step_id, t.name'],
      [`{ step(${ONE}) { snapshot { kind } } }`, 't.run_id, t.step_id', 's.id, s.kind'],
      [`{ snapshot(${ONE}) { seq } }`, 's.id, s.seq'],
      [
        `{ snapshotById(snapshotId: "${ID}") { preview storageTier } }`,
        's.id, case when (s.storage_uri is not null and not s.reads_inline) then s.storage_uri end, s.preview',
      ],
      ['{ run(runId: "run") { steps { edges { node { kind } } } } }', 'r.run_id, t.run_id, t.step_id, t.kind'],
      [
        '{ run(runId: "run") { steps { edges { node { snapshot { attempt } } } } } }',
        'r.run_id, t.run_id, t.step_id, s.id, s.id, s.attempt',
      ],
      ['{ run(runId: "run") { snapshots { edges { node { seq } } } } }', 'r.run_id', 's.id, s.seq'],
    ] as const) {
      server.statements.length = 0
      await dataOf(server.graphql(query))
      const named = server.statements.map((text) =>
        /^\s*select (?:p\.position, )?(.*?)\s+from/s
          .exec(text)?.[1]
          ?.replaceAll(/ as "\w+"|\b\w\.\w+ is not null, /g, ''),
      )
      assert.deepEqual(named, columns, query)
    }
  })

  it('does not mix up what aliases of one thing select', async () => {
    const parts = [
      `snapshot(${ONE}) { seq }`,
      `snapshot(${ONE}) { payload digest }`,
      `snapshot(${ONE}) { previous { kind } next { seq } }`,
      `snapshot(${ONE}) { previous { seq payload } }`,
      'run(runId: "run") { steps(first: 2) { edges { node { name } } } }',
      'run(runId: "run") { steps(first: 2) { edges { node { kind snapshot { seq } } } } }',
      'run(runId: "run") { steps(first: 2) { edges { cursor node { snapshot { preview step { index } } } } } }',
      'run(runId: "run") { one: steps(last: 1) { edges { node { index } } } two: steps(last: 1) { pageInfo { endCursor } } }',
      'run(runId: "run") { latestSnapshot { seq } snapshots(first: 1) { edges { node { kind } } } }',
      'run(runId: "run") { latestSnapshot { metadata } snapshots(first: 1) { edges { node { digest } } } }',
      `step(${ONE}) { status run { error { message } } }`,
      `step(${ONE}) { error { type } run { tags { key } } }`,
      `snapshotById(snapshotId: "${ID}") { piiTags }`,
      `snapshotById(snapshotId: "${ID}") { storageState step { durationMs } }`,
    ]
    const together = await dataOf(server.graphql(`{ ${parts.map((part, index) => `a${index}: ${part}`).join(' ')} }`))
    for (const [index, part] of parts.entries()) {
      const { alone } = await dataOf(server.graphql(`{ alone: ${part} }`))
      assert.deepEqual(together[`a${index}`], alone, part)
    }
  })

  it('follows the operation that is executed, not another one that shares its fragment', async () => {
    const fragment = 'fragment A on Run { steps(first: 1) { edges { node { ...B } } } }'
    for (const [below, expected] of [
      ['name', { name: 'näme a' }],
      ['index snapshot { kind }', { index: 0, snapshot: { kind: 'CHECKPOINT' } }],
    ] as const) {
      const query = `{ run(runId: "run") { ...A ...A } } ${fragment} fragment B on Step { ${below} }`
      for (let round = 0; round < 3; round++) {
        assert.deepEqual(await dataOf(server.graphql(query)), { run: { steps: { edges: [{ node: expected }] } } })
      }
    }
  })
})

async function fill({ app: { writer }, databaseUrl }: TestServer): Promise<void> {
  const error = { message: 'broke', type: 'E', stack: 'at x' }
  const times = { startedAt: '2026-01-01T00:00:00.123456Z', endedAt: '2026-01-01T00:00:01Z' }
  const expiresAt = '2999-01-01T00:00:00Z'
  await writer.upsertRun({ runId: 'parent', status: 'RUNNING' })
  await writer.upsertRun({ runId: 'child', parentRunId: 'run' })
  const tags = [{ key: 'team', value: 'ü' }]
  await writer.upsertRun({
    runId: 'run',
    workflowName: 'flow',
    parentRunId: 'parent',
    status: 'FAILED',
    tags,
    error,
    expiresAt,
    ...times,
  })
  for (const [index, stepId] of ['a', 'b'].entries()) {
    const key = { runId: 'run', stepId }
    await writer.upsertStep({
      ...key,
      index,
      name: `näme ${stepId}`,
      kind: 'tool',
      status: 'FAILED',
      attempt: 2,
      error,
      ...times,
    })
    const notes = {
      metadata: '{"n": 1.0}',
      piiTags: ['mail'],
      redactionPolicy: 'p',
      isSuccessState: true,
      replaySafe: true,
      attempt: 2,
    }
    // The first lies inline, the second does not.
    const payload = Buffer.from(`{"text" : "${'x'.repeat(index * 200)}"}`)
    await writer.capture({ ...key, ...notes, expiresAt, snapshotId: index === 1 ? ID : null }, payload)
  }
  await writer.capture({ runId: 'run', stepId: 'b', kind: 'OUTPUT' }, Buffer.from('2'))
  await insertForeign(databaseUrl, { runId: 'foreign', stepId: 'w', payload: '{"old" : 1.0}' })
  await insertForeign(databaseUrl, { runId: 'foreign', stepId: 'x', payload: '1' })
  for (const stepId of ['w', 'x']) await writer.upsertStep({ runId: 'foreign', stepId })
}
