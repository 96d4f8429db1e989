import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { isInputObjectType, isObjectType, parse, TypeInfo, visit, visitWithTypeInfo } from 'graphql'
import { SCOPES, type Scope } from '../../src/auth/scopes.ts'
import { createToken, formatTokenEntry } from '../../src/auth/tokens.ts'
import { schema } from '../../src/graphql/schema.ts'
import { scopeOf } from '../../src/graphql/scopes.ts'
import { createLogger } from '../../src/log.ts'
import { type PlainRequest, send } from '../support/http.ts'
import { eventually, put, storedOf } from '../support/put.ts'
import { graphqlAt, startServer, type TestServer } from '../support/server.ts'
import { type TestTokens, tokensFor } from '../support/tokens.ts'
import { codesTold, WAYS, watchBy } from '../support/watching.ts'

const PAGE = 'edges nodes pageInfo totalCount'

/** What each field of the schema asks for; a field without a row fails, whoever adds it. */
const FIELDS: Readonly<Record<string, Readonly<Partial<Record<Scope | 'nothing', string>>>>> = {
  Query: {
    nothing: 'viewer _service',
    read: 'node nodes run runs step snapshot snapshotById compareRuns _entities',
  },
  Mutation: {
    write: 'upsertRun upsertStep captureSnapshot beginSnapshotUpload commitSnapshotUpload',
    delete: 'deleteRun deleteSnapshot',
    admin: 'holdRun markGolden',
  },
  Subscription: { read: 'runEvents runsUpdated replayRun' },
  RunUpdated: { read: 'cursor run' },
  StepUpdated: { read: 'cursor step' },
  SnapshotCaptured: { read: 'cursor snapshot' },
  CaughtUp: { read: 'cursor' },
  RunEnded: { read: 'cursor run' },
  Viewer: { nothing: 'name scopes mode' },
  _Service: { nothing: 'sdl' },
  Run: {
    nothing: 'id runId',
    read: 'workflowName status tags startedAt endedAt durationMs createdAt updatedAt expiresAt legalHold parentRun error stats step steps snapshots latestSnapshot stateAt',
  },
  Step: {
    nothing: 'id runId stepId',
    read: 'index name kind status attempt startedAt endedAt durationMs error run snapshot snapshots',
  },
  Snapshot: {
    nothing: 'id snapshotId runId stepId seq digest sizeBytes storageTier createdAt',
    read: 'attempt kind expiresAt isSuccessState isGolden goldenApproval replaySafe piiTags redactionPolicy metadata contentType contentEncoding storageState storageUri preview payload at find diff run step previous next digestOf integrity signedUrl download',
  },
  JsonNode: { read: 'pointer key index type sizeBytes childCount preview value raw children' },
  JsonNodeConnection: { read: PAGE },
  JsonNodeEdge: { read: 'cursor node' },
  JsonMatch: { read: 'node in excerpt start end' },
  JsonMatchConnection: { read: `${PAGE} scannedBytes complete` },
  JsonMatchEdge: { read: 'cursor node' },
  SnapshotDiff: { read: 'from to identical summary changes' },
  DiffSummary: { read: 'key pointer status fromSizeBytes toSizeBytes' },
  DiffChange: { read: 'op pointer fromPointer before after' },
  DiffChangeConnection: { read: `${PAGE} truncated approximate bytesRead` },
  DiffChangeEdge: { read: 'cursor node' },
  RunComparison: { read: 'base other firstDivergence steps' },
  StepComparison: { read: 'alignment base other identical diff' },
  RunStats: { read: 'stepCount snapshotCount objectCount goldenCount totalBytes' },
  GoldenApproval: { read: 'source metadata approvedAt' },
  Tag: { read: 'key value' },
  ErrorInfo: { read: 'type message stack' },
  CaptureSnapshotPayload: { nothing: 'snapshot created' },
  DeletePayload: { nothing: 'deleted deletedId snapshotCount' },
  UploadTicket: { nothing: 'uploadId alreadyStored direct method url headers parts expiresAt' },
  UploadPart: { nothing: 'partNumber url headers offset sizeBytes' },
  HttpHeader: { nothing: 'name value' },
  DownloadTicket: {
    read: 'url method headers expiresAt direct filename sizeBytes digest contentType contentEncoding',
  },
  PageInfo: { read: 'hasNextPage hasPreviousPage startCursor endCursor' },
  ...Object.fromEntries(
    ['Run', 'Step', 'Snapshot', 'StepComparison'].flatMap((name) => [
      [`${name}Connection`, { read: PAGE }],
      [`${name}Edge`, { read: 'cursor node' }],
    ]),
  ),
}

const UUID = '00000000-0000-4000-8000-000000000000'
const PAGES = 'first: 1, after: null, before: null'
const BACK = 'last: 1, before: null'

interface Row {
  readonly text: string
  readonly needs: readonly Scope[]
}

const reading = (text: string): Row => ({ text, needs: ['read'] })
const ofSnapshot = (field: string): Row => reading(`{ snapshotById(snapshotId: "${UUID}") { ${field} } }`)

/** Operations that need nothing, or these scopes; together they give every argument that there is. */
const OPERATIONS: readonly Row[] = [
  { text: '{ viewer { name scopes mode } }', needs: [] },
  { text: '{ __typename __schema { queryType { name } } }', needs: [] },
  { text: '{ _service { sdl } }', needs: [] },
  reading(`{ runs(filter: {search: "r"}, orderBy: CREATED_ASC, ${PAGES}) { totalCount } }`),
  reading(`{ runs(${BACK}) { totalCount } }`),
  reading('{ run(runId: "run") { runId } viewer { name } }'),
  reading('{ node(id: "U25hcHNob3Q6eA") { id } }'),
  reading('{ nodes(ids: ["U25hcHNob3Q6eA"]) { id } }'),
  reading('{ step(runId: "run", stepId: "step") { stepId } }'),
  reading('{ snapshot(runId: "run", stepId: "step", useCache: false) { snapshotId } }'),
  reading('{ snapshot(runId: "run", stepId: "step") { payload(maxBytes: 10) } }'),
  reading('{ compareRuns(baseRunId: "run", otherRunId: "run") { steps(first: 1, after: null) { totalCount } } }'),
  reading('{ _entities(representations: [{__typename: "Run", runId: "run"}]) { __typename } }'),
  reading('query ($no: Boolean = false) { viewer { name } run(runId: "run") @include(if: $no) { runId } }'),
  reading(
    '{ run(runId: "run") { step(stepId: "step") { stepId } stateAt(at: "2026-01-01T00:00:00Z", seq: 1) { seq } } }',
  ),
  reading(`{ run(runId: "run") { steps(${PAGES}) { totalCount } } }`),
  reading(`{ run(runId: "run") { steps(${BACK}) { totalCount } snapshots(${BACK}) { totalCount } } }`),
  reading(`{ run(runId: "run") { snapshots(filter: {}, orderBy: SEQ_DESC, ${PAGES}) { totalCount } } }`),
  reading(`{ step(runId: "run", stepId: "step") { snapshots(orderBy: SEQ_DESC, ${PAGES}) { totalCount } } }`),
  reading(`{ step(runId: "run", stepId: "step") { snapshots(${BACK}) { totalCount } } }`),
  ofSnapshot(
    'at(pointer: "/a") { value(maxBytes: 1) raw(maxBytes: 1) children(first: 1, after: null, skip: 1) { totalCount } }',
  ),
  ofSnapshot('find(pointer: "", text: "a", in: KEYS, matchCase: true, first: 1, after: null) { complete }'),
  ofSnapshot(`diff(from: "${UUID}", pointer: "/a") { changes(first: 1, after: null) { truncated } }`),
  ofSnapshot('integrity(verify: true)'),
  ofSnapshot('signedUrl(expiresIn: 60, disposition: INLINE, filename: "a")'),
  ofSnapshot('download(expiresIn: 60, disposition: INLINE, filename: "a") { url }'),
  { text: 'mutation { upsertRun(input: {runId: "run"}) { id runId } }', needs: ['write'] },
  { text: 'mutation { upsertStep(input: {runId: "run", stepId: "step"}) { id stepId } }', needs: ['write'] },
  { text: 'mutation { upsertRun(input: {runId: "run"}) { id tags { key } } }', needs: ['write', 'read'] },
  {
    text: 'mutation { captureSnapshot(input: {runId: "w", payload: 1}) { created snapshot { snapshotId digest } } }',
    needs: ['write'],
  },
  {
    text: 'mutation { captureSnapshot(input: {runId: "w", payload: 1}) { snapshot { ...F } } } fragment F on Snapshot { payload }',
    needs: ['write', 'read'],
  },
  {
    text: 'mutation { captureSnapshot(input: {runId: "w", payload: 1}) { snapshot { at { raw } diff { identical } } } }',
    needs: ['write', 'read'],
  },
  {
    text: `mutation { beginSnapshotUpload(input: {runId: "w", digest: "sha256:${'0'.repeat(64)}", sizeBytes: 5}) { uploadId } }`,
    needs: ['write'],
  },
  { text: `mutation { commitSnapshotUpload(uploadId: "${UUID}") { created } }`, needs: ['write'] },
  { text: 'mutation { deleteRun(runId: "nothing") { deleted } }', needs: ['delete'] },
  { text: 'mutation { holdRun(runId: "run", hold: false) { runId } }', needs: ['admin'] },
  {
    text: `mutation { markGolden(snapshotId: "${UUID}", approvalSource: "a", approvalMetadata: {}) { snapshotId } }`,
    needs: ['admin'],
  },
  { text: `mutation { deleteSnapshot(snapshotId: "${UUID}") { deleted } }`, needs: ['delete'] },
  {
    text: 'mutation { upsertRun(input: {runId: "run"}) { id } deleteRun(runId: "nothing") { deleted } }',
    needs: ['write', 'delete'],
  },
]

/** Each ends by itself, or tells at once that all is told. */
const SUBSCRIPTIONS = [
  'subscription { runEvents(runId: "nothing", after: null) { __typename ... on RunUpdated { run { runId } } } }',
  'subscription { runsUpdated(filter: {}, after: null) { __typename } }',
  'subscription { replayRun(runId: "run", after: null, speed: 100, maxGapMs: 0) { __typename } }',
]

/** `Type.field` and its arguments, as an operation gives them. */
function argumentsIn(text: string): string[] {
  const found: string[] = []
  const types = new TypeInfo(schema)
  visit(
    parse(text),
    visitWithTypeInfo(types, {
      Argument({ name }) {
        if (types.getDirective()) return
        found.push(`${types.getParentType()?.name}.${types.getFieldDef()?.name}.${name.value}`)
      },
    }),
  )
  return found
}

const objectTypes = () =>
  Object.values(schema.getTypeMap()).flatMap((type) =>
    isObjectType(type) && !type.name.startsWith('__') ? [type] : [],
  )

describe('a field of the schema', () => {
  it('asks for the scope that the table says, each of them', () => {
    const told = Object.entries(FIELDS).flatMap(([type, byScope]) =>
      Object.entries(byScope).flatMap(([scope, names]) => names.split(' ').map((name) => `${type}.${name} ${scope}`)),
    )
    const found = objectTypes().flatMap((type) =>
      Object.keys(type.getFields()).map((name) => `${type.name}.${name} ${scopeOf(type.name, name) ?? 'nothing'}`),
    )
    assert.deepEqual(found.sort(), told.sort())
  })

  it('has each of its arguments in an operation of the table', () => {
    const given = new Set([...OPERATIONS.map(({ text }) => text), ...SUBSCRIPTIONS].flatMap(argumentsIn))
    const found = objectTypes().flatMap((type) =>
      Object.values(type.getFields()).flatMap(({ name, args }) =>
        args.map((arg) => `${type.name}.${name}.${arg.name}`),
      ),
    )
    assert.deepEqual([...given].sort(), found.sort())
  })

  it('of what is written says nowhere where bytes lie or whose they are', () => {
    const inputs = Object.values(schema.getTypeMap()).flatMap((type) => (isInputObjectType(type) ? [type] : []))
    assert.ok(inputs.length > 5)
    for (const input of inputs) {
      const names = Object.keys(input.getFields()).filter((name) =>
        /uri|path|bucket|owner|etag|tier|golden|legal|hold/i.test(name),
      )
      // Those are what is looked for, and nothing is written by them.
      assert.deepEqual(names, input.name === 'SnapshotFilter' ? ['isGolden', 'storageTier'] : [], input.name)
    }
  })
})

const POST = { method: 'POST', target: '/graphql', headers: { 'content-type': 'application/json' } }

describe('a server that asks for a token', () => {
  let tokens: TestTokens
  let server: TestServer
  let snapshotId = ''

  before(async () => {
    tokens = await tokensFor(['read', 'write'], ['write', 'delete'])
    server = await startServer({ env: tokens.env })
    const authorization = `Bearer ${tokens.token('write')}`
    snapshotId = storedOf(await put(server.url, '{"a":1}', { headers: { authorization } })).snapshotId
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await tokens[Symbol.asyncDispose]()
  })

  const holders = (): readonly (readonly [string, readonly Scope[]])[] => [
    ...SCOPES.map((scope) => [tokens.token(scope), scope === 'admin' ? SCOPES : [scope]] as const),
    [tokens.token('read', 'write'), ['read', 'write']],
    [tokens.token('write', 'delete'), ['write', 'delete']],
  ]

  it('executes an operation for whoever has all of its scopes, and none of it for anybody else', async () => {
    for (const { text, needs } of OPERATIONS) {
      for (const [token, scopes] of holders()) {
        const { status, data, errors } = await graphqlAt(server.url, token)(text)
        const isAllowed = needs.every((scope) => scopes.includes(scope))
        const seen = [status, data === undefined, errors?.[0]?.extensions.code === 'FORBIDDEN']
        // A field may fail for other reasons.
        assert.deepEqual(seen, isAllowed ? [200, false, false] : [403, true, true], `${text} by ${scopes}`)
      }
    }
  })

  it('brings events to whoever may read, by each way, and to nobody else', async () => {
    for (const text of SUBSCRIPTIONS) {
      for (const way of WAYS) {
        for (const scope of SCOPES) {
          await using watching = await watchBy(way, server.url, text, { token: tokens.token(scope) })
          const told = await watching.until('CaughtUp')
          const isAllowed = scope === 'read' || scope === 'admin'
          assert.deepEqual(codesTold(told), isAllowed ? [] : ['FORBIDDEN'], `${text} ${way} ${scope}`)
          assert.equal(
            told.some(({ data }) => data != null),
            isAllowed,
          )
        }
        await using watching = await watchBy(way, server.url, text)
        assert.ok((await watching.until('CaughtUp')).every(({ data }) => data === undefined))
      }
    }
  })

  it('tells a stranger nothing, whatever he asks', async () => {
    const bodies = [...OPERATIONS.map(({ text }) => ({ query: text })), { query: '{ nonsense' }, { query: '{ x }' }, {}]
    for (const body of [...bodies, ...SUBSCRIPTIONS.map((query) => ({ query }))]) {
      const answer = await send(server.url, { ...POST, body: JSON.stringify(body) })
      assert.deepEqual([answer.status, answer.headers['www-authenticate']], [401, 'Bearer realm="statelens"'])
      assert.equal(JSON.parse(answer.body.toString()).errors[0].extensions.code, 'UNAUTHENTICATED')
    }
  })

  /** Who shows no token, and who one that is none, or is none any more; each scope alone where it is not 403. */
  type Statuses = { readonly stranger: number; readonly wrong?: number } & Partial<Record<Scope, number>>

  const watch = encodeURIComponent(SUBSCRIPTIONS[0] ?? '')
  const ofState = (rest: string, method = 'GET'): PlainRequest => ({
    method,
    target: `/snapshots/${snapshotId}${rest}`,
  })
  const readers = (status: number): Statuses => ({ stranger: 401, read: status, admin: status })
  const all = (stranger: number, status: number, wrong = 401): Statuses => ({
    stranger,
    wrong,
    ...Object.fromEntries(SCOPES.map((scope) => [scope, status])),
  })

  /** Every method of every route is here; of those with a link also what a wrong one is. */
  const ROUTES = (): readonly (readonly [PlainRequest, Statuses])[] => [
    [{ target: '/graphql', headers: { accept: 'text/html' } }, all(200, 200)],
    [{ target: '/graphql?query={__typename}' }, all(401, 200)],
    [{ method: 'HEAD', target: '/graphql?query={__typename}' }, all(401, 200)],
    [{ ...POST, body: '{"query":"{__typename}"}' }, all(401, 200)],
    [
      {
        target: `/graphql?query=${watch}`,
        headers: { accept: 'text/event-stream;q=0.5, application/graphql-response+json' },
      },
      readers(200),
    ],
    [{ ...ofState('/payload') }, readers(200)],
    [{ ...ofState('/payload', 'HEAD') }, readers(200)],
    [{ target: `/snapshots/${UUID}/payload` }, readers(404)],
    [ofState('/payload?exp=1'), all(403, 403)],
    [ofState('/value?pointer=/a'), readers(200)],
    [ofState('/value?pointer=/a', 'HEAD'), readers(200)],
    [{ target: `/snapshots/${UUID}/value` }, readers(404)],
    [ofState('/value?exp=1&pointer=/a'), all(403, 403)],
    [ofState('/diff'), readers(200)],
    [ofState('/diff', 'HEAD'), readers(200)],
    [ofState(`/diff?from=${UUID}`), readers(404)],
    [ofState('/diff?exp=1'), { stranger: 401, read: 400, admin: 400 }],
    [
      { method: 'PUT', target: '/runs/r/steps/s/snapshot', headers: { 'content-type': 'application/json' }, body: '1' },
      { stranger: 401, write: 201, admin: 201 },
    ],
    [
      { method: 'POST', target: '/v1/traces', headers: { 'content-type': 'application/json' }, body: '{}' },
      { stranger: 401, write: 200, admin: 200 },
    ],
    [{ method: 'PUT', target: `/uploads/${UUID}?exp=1` }, all(403, 403)],
    ...['/health/live', '/health/ready'].flatMap((target) =>
      ['GET', 'HEAD'].map((method) => [{ method, target }, all(200, 200, 200)] as const),
    ),
    ...['GET', 'HEAD'].map(
      (method) =>
        [
          { method, target: '/metrics' },
          { stranger: 401, admin: 200 },
        ] as const,
    ),
    [{ target: '/nowhere' }, all(404, 404)],
  ]

  it('opens each route to the scopes that the table says', async () => {
    for (const [{ ...request }, expected] of ROUTES()) {
      const what = `${request.method ?? 'GET'} ${request.target}`
      assert.equal(await statusOf(server, request), expected.stranger, `${what} by a stranger`)
      for (const scope of SCOPES)
        assert.equal(
          await statusOf(server, request, tokens.token(scope)),
          expected[scope] ?? 403,
          `${what} with ${scope}`,
        )
    }
  })

  it('opens none of them by a token that is wrong or ended, to nobody in particular', async () => {
    const ended = createToken('ended', [...SCOPES])
    const path = tokens.env['AUTH_TOKENS_FILE'] ?? ''
    const text = await readFile(path, 'utf8')
    for (const token of [tokens.token('admin').slice(0, -1), ended.token]) {
      const lines: string[] = []
      const log = createLogger({ output: { write: (line) => void lines.push(line) } })
      await writeFile(path, `${text}${formatTokenEntry(ended.entry)}\n`)
      // A server of its own: who tries again and again is told no more than that.
      await using fresh = await startServer({ env: tokens.env, store: server, log })
      assert.equal((await graphqlAt(fresh.url, ended.token)('{ __typename }')).status, 200)
      await writeFile(path, text)
      await eventually(async () => {
        await graphqlAt(fresh.url, tokens.token('read'))('{ __typename }')
        assert.ok(lines.some((line) => line.includes('"ended":["ended"]')))
      })
      for (const [request, { wrong = 401 }] of ROUTES())
        assert.equal(await statusOf(fresh, request, token), wrong, `${request.method} ${request.target}`)
    }
  })

  it('has no route and no method that the table does not name', async () => {
    const source = await readFile(new URL('../../src/app-routes.ts', import.meta.url), 'utf8')
    const table = source.slice(source.indexOf('function createRoutes('), source.indexOf('function dependencies('))
    const routes = table.match(/\bpath: /g)?.length
    const told = new Map<string, Set<string>>()
    for (const [{ method = 'GET', target }] of ROUTES()) {
      const [path = ''] = target.split('?')
      const kind = path.replace(/[0-9a-f-]{36}/, '{id}')
      told.set(kind, (told.get(kind) ?? new Set()).add(method))
    }
    told.delete('/nowhere')
    assert.equal(told.size, routes)
    for (const [kind, methods] of told) {
      const { status, headers } = await send(server.url, {
        method: 'OPTIONS',
        target: kind.replace('{id}', snapshotId),
      })
      assert.deepEqual([status, headers.allow], [204, `${[...methods].join(', ')}, OPTIONS`], kind)
    }
  })
})

/** Of a stream no more than its head is waited for. */
async function statusOf({ url }: TestServer, { target, ...request }: PlainRequest, token?: string): Promise<number> {
  const headers = { ...request.headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
  const left = new AbortController()
  const { status } = await fetch(url + target, { ...request, headers, signal: left.signal } as RequestInit)
  left.abort()
  return status
}
