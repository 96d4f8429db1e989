import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { getIntrospectionQuery, isObjectType, parse, TypeInfo, validate, visit, visitWithTypeInfo } from 'graphql'
import { schema } from '../../src/graphql/schema.ts'
import { encodeGlobalId } from '../../src/model/ids.ts'
import { dataOf, rawPost, withStableCursors } from '../support/answers.ts'
import { createPlainExecution, type GraphqlOperation, type PlainExecution } from '../support/plain-execution.ts'
import { fillSample, now, SAMPLE } from '../support/sample-store.ts'
import { startServer, type TestServer } from '../support/server.ts'

const PART = 'pointer key index type sizeBytes childCount preview raw(maxBytes: 1000) value'
const RUN = `__typename id runId workflowName status tags { __typename key value } startedAt endedAt durationMs createdAt
  updatedAt expiresAt legalHold error { __typename message type stack } stats { stepCount snapshotCount objectCount goldenCount totalBytes }`
const STEP = `__typename id runId stepId index name kind status attempt startedAt endedAt durationMs
  error { message type stack }`
const SNAPSHOT = `__typename id snapshotId runId stepId attempt seq kind createdAt expiresAt isSuccessState isGolden goldenApproval { __typename source metadata approvedAt } replaySafe
  piiTags redactionPolicy metadata sizeBytes digest digestOf integrity contentType contentEncoding storageTier storageState storageUri preview`
const PAGE = 'pageInfo { __typename hasNextPage hasPreviousPage startCursor endCursor }'
const list = (item: string) => `__typename totalCount nodes { id } edges { __typename cursor node { ${item} } } ${PAGE}`

const { inline: INLINE, lazy: LAZY, object: OBJECT, lost: LOST } = SAMPLE
const RUN_ID = encodeGlobalId('Run', 'run 1')
const SNAPSHOT_ID = encodeGlobalId('Snapshot', INLINE)

describe('the same answer from interpreted, compiled and plain execution', () => {
  const cleanup = new AsyncDisposableStack()
  let server: TestServer
  let plain: PlainExecution
  let cursors: { readonly steps: string; readonly snapshots: string; readonly runs: string }
  const covered = new Set<string>()

  before(async () => {
    const env = { SNAPSHOT_INLINE_MAX_BYTES: '100000' }
    const first = cleanup.use(await startServer({ env }))
    await fillSample(first)
    // Its cache holds nothing of what was captured.
    server = cleanup.use(await startServer({ env, store: first, now }))
    plain = cleanup.use(createPlainExecution({ server, now }))
    const { run, runs } = await dataOf(
      server.graphql<Record<string, { [list: string]: { pageInfo: { endCursor: string } } }>>(`{
        run(runId: "run 1") { steps(first: 2) { ${PAGE} } snapshots(first: 2) { ${PAGE} } }
        runs(first: 1) { ${PAGE} }
      }`),
    )
    cursors = {
      steps: run?.['steps']?.pageInfo.endCursor ?? '',
      snapshots: run?.['snapshots']?.pageInfo.endCursor ?? '',
      runs: (runs as unknown as { pageInfo: { endCursor: string } }).pageInfo.endCursor,
    }
  })
  after(() => cleanup.disposeAsync())

  async function check(operations: readonly (string | GraphqlOperation)[]): Promise<void> {
    for (const operation of operations) {
      const one = typeof operation === 'string' ? { query: operation } : operation
      await checkOne({ ...one, query: `${one.query} # ${covered.size}, ${JSON.stringify(one.variables)}` })
      collectFields(one.query, covered)
    }
  }

  async function checkOne(operation: GraphqlOperation): Promise<void> {
    const ask = () => rawPost(server.url, JSON.stringify(operation))
    const interpreted = await ask()
    await ask()
    const compiled = await ask()
    const { query: text } = operation
    assert.equal(shown(compiled.bytes.toString()), shown(interpreted.bytes.toString()), text)
    assert.equal(compiled.status, interpreted.status, text)
    // Faults of the text are told before anything is executed.
    if (validate(schema, parse(text)).length > 0) return
    const expected = await plain.answer(operation)
    assert.equal(shown(compiled.bytes.toString()), shown(expected), text)
    assert.equal(compiled.status, expected.startsWith('{"data":') ? 200 : 400, text)
  }

  it('for every type and its fields', async () => {
    await check([
      `{ run(runId: "run 1") { ${RUN} parentRun { ${RUN} } step(stepId: "step 1") { ${STEP} run { ${RUN} } }
        latestSnapshot { ${SNAPSHOT} } stateAt(seq: 1) { seq } steps { ${list(STEP)} } snapshots { ${list(SNAPSHOT)} } } }`,
      `{ runs { ${list(RUN)} } viewer { name scopes mode } }`,
      `{ step(runId: "run 1", stepId: "step 1") { ${STEP} snapshot { ${SNAPSHOT} payload } snapshots { ${list(SNAPSHOT)} } } }`,
      `{ snapshot(runId: "run 1", stepId: "step 1") { ${SNAPSHOT} payload signedUrl run { ${RUN} } step { ${STEP} }
        previous { ${SNAPSHOT} next { seq } } next { ${SNAPSHOT} previous { seq } } } }`,
      `{ snapshotById(snapshotId: "${OBJECT}") { ${SNAPSHOT} signedUrl(filename: "ü.json", disposition: INLINE) } }`,
      `{ snapshotById(snapshotId: "${OBJECT}") { download(filename: "ü.json") { url method headers { name value } expiresAt direct
        filename sizeBytes digest contentType contentEncoding } } }`,
      `{ snapshotById(snapshotId: "${OBJECT}") { at { ${PART} children(first: 1) { edges { cursor node { ${PART} } } totalCount
        nodes { key value } pageInfo { hasNextPage endCursor } } } none: at(pointer: "/none") { type } } }`,
      `{ snapshotById(snapshotId: "${OBJECT}") { find(text: "IND") { edges { cursor node { in node { pointer } excerpt start end } }
        nodes { in } pageInfo { hasNextPage } totalCount scannedBytes complete } } }`,
      `{ node(id: "${RUN_ID}") { __typename id ... on Run { runId } ... on Step { stepId } } }`,
      `{ nodes(ids: ["${SNAPSHOT_ID}", "${RUN_ID}", "${encodeGlobalId('Run', 'none')}"]) { id ... on Run { status } } }`,
      `{ _entities(representations: [{ __typename: "Run", runId: "run 1" }, { __typename: "Snapshot", id: "${SNAPSHOT_ID}" },
        { __typename: "Step", runId: "run 1", stepId: "step 2" }, { __typename: "Run", runId: "none" }]) {
        ... on Run { status steps(first: 1) { edges { node { name } } } } ... on Snapshot { seq payload } ... on Step { kind } } }`,
      '{ _service { sdl } __typename }',
    ])
  })

  it('with fragments, and aliases of one field', async () => {
    await check([
      `query { run(runId: "run 1") { ...A ... on Node { id ...B } ... { tags { key } } } }
        fragment A on Run { status tags { value } error { message } } fragment B on Run { error { type } workflowName }`,
      `{ node(id: "${SNAPSHOT_ID}") { ...N ... on Snapshot { payload kind } } } fragment N on Node { __typename id }`,
      `{ run(runId: "run 1") { a: steps(first: 1) { ${list('stepId')} } b: steps(last: 2) { ${list('name kind')} }
        c: steps(first: 1) { edges { node { snapshot { seq } } } } d: steps(first: 1) { edges { node { index snapshot { kind } } } } } }`,
      `{ run(runId: "run 1") { steps(first: 2) { edges { node { stepId } } } ...A } }
        fragment A on Run { steps(first: 2) { edges { node { name snapshot { seq } } } pageInfo { hasNextPage } } }`,
      `{ a: snapshot(runId: "run 1", stepId: "step 1") { seq } b: snapshot(runId: "run 1", stepId: "step 1") { payload }
        c: snapshot(runId: "run 1", stepId: "step 2") { metadata seq } again: run(runId: "run 1") { runId } other: run(runId: "x") { runId } }`,
      '{ run(runId: "run 1") { status: runId runId: status x: __typename } }',
      `{ run(runId: "run 1") { snapshots(first: 1, filter: { kind: [OUTPUT], storageTier: INLINE }, orderBy: SEQ_DESC) { edges { node {
        step { run { latestSnapshot { previous { step { stepId run { parentRun { runId } } } } } } } } } } } }`,
    ])
  })

  it('with conditions on fields and fragments', async () => {
    const text = `query($yes: Boolean!, $no: Boolean = false) { run(runId: "run 1") { runId
      a: status @include(if: $yes) b: status @include(if: $no) c: status @skip(if: $yes) d: status @skip(if: $no)
      e: status @skip(if: $no) @include(if: $yes) f: status @skip(if: true) g: status @include(if: true)
      ... @include(if: $yes) { workflowName stats { stepCount @skip(if: $no) goldenCount @include(if: $no) } }
      ...A @skip(if: $yes) ... on Run @include(if: $no) { tags { key } }
      steps(first: 2) @include(if: $yes) { edges @skip(if: $no) { node { name @include(if: $yes) snapshot @skip(if: $yes) { seq } } } }
      both: latestSnapshot @include(if: $yes) { seq } both: latestSnapshot @include(if: $no) { kind } } }
      fragment A on Run { endedAt error { message @include(if: $yes) type } }`
    const inList = 'query($id: ID = "x") { nodes(ids: [$id]) { id } }'
    const order = 'query($order: RunOrder) { runs(first: 1, orderBy: $order) { edges { node { runId } } } }'
    const nested = `query($key: String = "team", $status: [RunStatus!], $name: String) {
      runs(filter: { tags: { key: $key, value: "ü" }, status: $status, workflowName: $name }) { edges { node { runId } } } }`
    await check([
      { query: inList },
      { query: inList, variables: { id: null } },
      { query: order },
      { query: order, variables: { order: null } },
      { query: order, variables: { order: 'CREATED_ASC' } },
      { query: nested },
      { query: nested, variables: { key: null } },
      { query: nested, variables: { status: null, name: null } },
      { query: nested, variables: { status: 'FAILED' } },
      { query: text, variables: { yes: true } },
      { query: text, variables: { yes: false } },
      { query: text, variables: { yes: true, no: true } },
      { query: text, variables: { yes: false, no: true } },
      { query: text, variables: { yes: true, no: null } },
      { query: text, variables: {} },
      `{ run(runId: "run 1") { steps(first: 1) @skip(if: true) { edges { node { name } } } } }`,
      `{ run(runId: "run 1") { a: runId ... @skip(if: true) { b: runId ... @include(if: true) { c: runId } } } }`,
      `query($yes: Boolean = true) { run(runId: "run 1") @include(if: $yes) { runId } runs(first: 1) @skip(if: $yes) { edges { cursor } } }`,
      `{ snapshot(runId: "run 1", stepId: "step 1") { payload @skip(if: true) seq } }`,
    ])
  })

  it('for pages forwards and backwards, with variables and defaults', async () => {
    const { steps, snapshots, runs } = cursors
    const text = `query($first: Int = 2, $after: String, $last: Int, $before: String, $order: SnapshotOrder! = SEQ_ASC) {
      run(runId: "run 1") { steps(first: $first, after: $after, last: $last, before: $before) { ${list('stepId')} }
        snapshots(first: 2, orderBy: $order) { ${list(`seq step { snapshots(last: 1, orderBy: $order) { ${list('seq')} } }`)} } } }`
    await check([
      { query: text },
      { query: text, variables: { first: 3, after: steps } },
      { query: text, variables: { first: null, last: 2 } },
      { query: text, variables: { first: null, last: 1, before: steps, order: 'SEQ_DESC' } },
      { query: text, variables: { first: 0 } },
      `{ run(runId: "run 1") { snapshots(first: 2, after: "${snapshots}") { ${list('seq')} }
        back: snapshots(last: 2, before: "${snapshots}", orderBy: SEQ_ASC) { ${list('seq')} } } }`,
      `{ runs(first: 5, after: "${runs}", orderBy: CREATED_DESC) { ${list('runId')} } }`,
      {
        query:
          'query($filter: RunFilter, $order: RunOrder = CREATED_ASC) { runs(filter: $filter, orderBy: $order) { edges { node { runId } } } }',
        variables: {
          filter: { status: 'FAILED', tags: [{ key: 'team', value: 'ü' }], createdFrom: '2020-01-01T00:00:00Z' },
        },
      },
      {
        query: 'query($seq: BigInt) { run(runId: "run 1") { stateAt(seq: $seq, at: "2999-01-01T00:00:00Z") { seq } } }',
        variables: { seq: '9007199254740993' },
      },
    ])
  })

  it('for payloads of every kind', async () => {
    await check([
      ...[INLINE, LAZY, OBJECT].map((id) => `{ snapshotById(snapshotId: "${id}") { metadata payload seq } }`),
      `{ run(runId: "run 1") { steps { edges { node { snapshot { payload metadata } } } } } }`,
      `{ a: snapshotById(snapshotId: "${LAZY}") { payload p: payload } b: snapshotById(snapshotId: "${OBJECT}") { payload } }`,
      `{ run(runId: "foreign") { runId } snapshot(runId: "foreign", stepId: "step 1") { payload sizeBytes digest piiTags } }`,
    ])
  })

  it('for places in a state, what is found there, and what differs', async () => {
    const node = 'pointer key index type sizeBytes childCount preview raw value'
    const page = (fields: string) => `edges { cursor node { ${fields} } } nodes { ${fields} } ${PAGE} totalCount`
    const found = `node { ${node} } in excerpt start end`
    const change = `op pointer fromPointer before { ${node} } after { ${node} }`
    const difference = `identical summary { key pointer status fromSizeBytes toSizeBytes } from { seq } to { seq }
      changes(first: 3) { ${page(change)} truncated approximate bytesRead }`
    const pair = `alignment identical base { stepId } other { stepId }`
    await check([
      ...[INLINE, LAZY, OBJECT].map(
        (id) => `{ snapshotById(snapshotId: "${id}") { at { ${node} children(first: 2) { ${page(node)} } }
          none: at(pointer: "/nothing/here") { type } find(text: "e", first: 2) { ${page(found)} scannedBytes complete } } }`,
      ),
      `{ snapshotById(snapshotId: "${INLINE}") { diff(from: "${LAZY}") { ${difference} } } }`,
      `{ snapshotById(snapshotId: "${OBJECT}") { diff(from: "${OBJECT}") { ${difference} } } }`,
      `{ compareRuns(baseRunId: "run 1", otherRunId: "foreign") { base { runId } other { runId } firstDivergence { ${pair} }
        steps(first: 2) { ${page(`${pair} diff { identical }`)} } } }`,
      '{ compareRuns(baseRunId: "run 1", otherRunId: "no run") { base { runId } } }',
    ])
  })

  it('for errors in places that may be null, and in places that may not', async () => {
    const bad = (arguments_: string) =>
      `runs(first: 2) { edges { node { runId steps(${arguments_}) { edges { cursor } } } } }`
    await check([
      `{ ${bad('first: 101')} }`,
      `{ ${bad('first: 1, last: 1')} }`,
      '{ a: run(runId: "run 1") { runId steps(first: -1) { edges { cursor } } } b: run(runId: "run 1") { status } }',
      '{ run(runId: "run 1") { snapshots(after: "x") { edges { cursor } } } }',
      '{ runs(first: -1) { edges { cursor } } run(runId: "run 1") { runId } }',
      `{ a: snapshotById(snapshotId: "${LOST}") { payload seq } b: snapshotById(snapshotId: "${OBJECT}") { payload } }`,
      `{ snapshotById(snapshotId: "${LOST}") { one: payload two: payload(maxBytes: 10) } }`,
      `{ a: snapshotById(snapshotId: "${LAZY}") { payload(maxBytes: 10) seq } b: snapshotById(snapshotId: "${INLINE}") { payload(maxBytes: 1)
        signedUrl(expiresIn: 0) negative: payload(maxBytes: -1) } }`,
      '{ snapshot(runId: "foreign", stepId: "step 1") { seq run { runId } } }',
      '{ a: snapshot(runId: "foreign", stepId: "step 1") { seq run { runId } payload } run(runId: "run 1") { runId } }',
      '{ snapshot(runId: "foreign", stepId: "step 1") { step { name } previous { seq piiTags } } }',
      '{ snapshot(runId: "foreign", stepId: "null tag") { seq piiTags } }',
      '{ snapshot(runId: "foreign", stepId: "lost") { seq payload } }',
      '{ node(id: "x") { id } run(runId: "run 1") { runId } }',
      `{ nodes(ids: ["x", "${RUN_ID}", "${encodeGlobalId('Snapshot', 'no uuid')}"]) { id } }`,
      '{ _entities(representations: [{ __typename: "Run", id: "x" }, { __typename: "Run", runId: "run 1" }]) { ... on Run { status } } }',
      '{ _entities(representations: [{ __typename: "Other" }]) { __typename } }',
      '{ runs(filter: { createdFrom: "yesterday" }) { edges { cursor } } }',
      '{ runs { nothing } }',
    ])
  })

  it('for variables that do not fit', async () => {
    const run = 'query($id: String!) { run(runId: $id) { runId } }'
    const page = 'query($first: Int) { runs(first: $first) { edges { cursor } } }'
    const filter = 'query($filter: RunFilter) { runs(filter: $filter) { edges { cursor } } }'
    const kinds = `query($kinds: [SnapshotKind!]) { run(runId: "run 1") { snapshots(filter: { kind: $kinds }) { edges { cursor } } } }`
    const point = 'query($at: DateTime, $seq: BigInt) { run(runId: "run 1") { stateAt(at: $at, seq: $seq) { seq } } }'
    const flag = 'query($flag: Boolean!) { run(runId: "run 1") { runId @include(if: $flag) } }'
    const node = 'query($ids: [ID!]!) { nodes(ids: $ids) { id } }'
    const entities = 'query($r: [_Any!]!) { _entities(representations: $r) { __typename } }'
    const use = (text: string, ...all: readonly Record<string, unknown>[]) =>
      all.map((variables) => ({ query: text, variables }))
    await check([
      ...use(
        run,
        {},
        { id: null },
        { id: 1 },
        { id: true },
        { id: ['run 1'] },
        { id: { a: 1 } },
        { id: 'run 1', other: 1 },
      ),
      ...use(
        page,
        { first: '1' },
        { first: 1.5 },
        { first: 2 ** 31 },
        { first: true },
        { first: null },
        { first: 1e1 },
        { first: [1] },
      ),
      ...use(filter, { filter: [] }, { filter: 'x' }, { filter: { status: 'NEVER' } }, { filter: { status: [null] } }),
      ...use(
        filter,
        { filter: { unknown: 1 } },
        { filter: { tags: [{ key: 'a' }] } },
        { filter: { tags: { key: 'team', value: 'ü' } } },
      ),
      ...use(filter, { filter: { status: null } }, { filter: null }, { filter: {} }, { filter: { createdFrom: 'x' } }),
      ...use(filter, { filter: JSON.parse('{ "__proto__": { "a": 1 } }') }, { filter: { workflowName: 1 } }),
      ...use(
        kinds,
        { kinds: ['INPUT', 'input'] },
        { kinds: 'OUTPUT' },
        { kinds: [] },
        { kinds: [1] },
        { kinds: { INPUT: 1 } },
      ),
      ...use(
        point,
        { at: '2026-02-31T00:00:00Z' },
        { at: 5 },
        { seq: 'x' },
        { seq: 1.5 },
        { seq: '9223372036854775808' },
        { seq: 2 ** 53 },
      ),
      ...use(flag, {}, { flag: null }, { flag: 'true' }, { flag: 1 }, { flag: [true] }),
      ...use(
        node,
        { ids: RUN_ID },
        { ids: [1] },
        { ids: [null] },
        { ids: null },
        { ids: [RUN_ID, true] },
        { ids: [[RUN_ID]] },
      ),
      ...use(entities, { r: { __typename: 'Run', runId: 'run 1' } }, { r: [1] }, { r: [null] }, { r: [{}] }),
    ])
  })

  it('for introspection, and for the operation that is named', async () => {
    const many = 'query A { run(runId: "run 1") { runId } } query B { run(runId: "run 1") { status } }'
    await check([
      getIntrospectionQuery(),
      '{ __type(name: "Run") { kind name fields { name args { name defaultValue } } } __schema { queryType { name } } }',
      { query: many, operationName: 'A' },
      { query: many, operationName: 'B' },
      { query: 'query A { run(runId: "run 1") { runId } }' },
    ])
    for (const operationName of [undefined, '', 'C']) {
      const body = JSON.stringify({ query: `${many} # unclear`, operationName })
      const [first, , third] = [
        await rawPost(server.url, body),
        await rawPost(server.url, body),
        await rawPost(server.url, body),
      ]
      assert.deepEqual([third.status, third.bytes.toString()], [first.status, first.bytes.toString()])
      assert.equal(first.status, 400)
    }
    const body = (operationName: string) => JSON.stringify({ query: many, operationName })
    assert.notDeepEqual(await rawPost(server.url, body('A')), await rawPost(server.url, body('B')))
  })

  it('and no field of a query was left out', () => {
    const fields = Object.values(schema.getTypeMap())
      .filter(
        (type) =>
          isObjectType(type) &&
          !/^(__|Mutation|CaptureSnapshotPayload|DeletePayload|UploadTicket|UploadPart|Subscription|RunEnded)/.test(
            type.name,
          ) &&
          !/^(RunUpdated|StepUpdated|SnapshotCaptured|CaughtUp)$/.test(type.name),
      )
      .flatMap((type) =>
        isObjectType(type) ? Object.keys(type.getFields()).map((field) => `${type.name}.${field}`) : [],
      )
    assert.deepEqual(
      fields.filter((field) => !covered.has(field)),
      [],
    )
  })
})

/** Without what differs from one moment to the next, which is when a link ends, and its signature; long texts by their length. */
function shown(text: string): string {
  const ofAnyMoment = withStableCursors(text.replace(/\/payload\?[^"]*"/g, '/payload"'))
  return ofAnyMoment.replace(/ü{20,}/g, ({ length }) => `${length} ü`)
}

function collectFields(text: string, covered: Set<string>): void {
  const types = new TypeInfo(schema)
  const enter = () => {
    const [parent, field] = [types.getParentType(), types.getFieldDef()]
    if (parent && field) covered.add(`${parent.name}.${field.name}`)
  }
  visit(parse(text), visitWithTypeInfo(types, { Field: { enter } }))
}
