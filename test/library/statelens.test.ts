import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { createStatelens, type Statelens } from '../../src/library/statelens.ts'
import { freshDatabase } from '../support/database.ts'
import { temporaryFolder } from '../support/tmp.ts'

const BASE = 'http://localhost/states'
const LARGE = Buffer.from(`{"n":1.0,"text":"${'x'.repeat(5_000_000)}"}`)

describe('a server inside an application', () => {
  const cleanup = new AsyncDisposableStack()
  let statelens: Statelens
  const lines: string[] = []
  before(async () => {
    const database = cleanup.use(await freshDatabase())
    const folder = cleanup.use(await temporaryFolder())
    statelens = await createStatelens({
      settings: {
        DATABASE_URL: database.url,
        SNAPSHOT_STORAGE_PATH: `${folder.path}/states`,
        PUBLIC_URL: BASE,
        CACHE_TTL_SECONDS: undefined,
      },
      log: { write: (line) => lines.push(line) },
      authorize: (viewer, _action, { runId }) => viewer.name !== 'bob' || runId.startsWith('bob-'),
    })
    cleanup.defer(() => statelens.close())
  })
  after(() => cleanup.disposeAsync())

  it('records and reads without HTTP, byte for byte', async () => {
    const { writer, reader } = statelens
    await writer.upsertRun({ runId: 'order-1', status: 'RUNNING', startedAt: new Date('2026-01-01T00:00:00Z') })
    await writer.upsertStep({ runId: 'order-1', stepId: 'a', index: 0, name: 'first' })
    const small = await writer.capture({ runId: 'order-1', stepId: 'a', metadata: { by: 'test' } }, { value: { a: 1 } })
    const stream = () => new Blob([LARGE]).stream()
    const large = await writer.capture({ runId: 'order-1', stepId: 'a', idempotencyKey: 'k' }, { stream })
    assert.deepEqual([small.storageTier, large.storageTier, large.created], ['INLINE', 'OBJECT', true])
    const again = await writer.capture({ runId: 'order-1', stepId: 'a', idempotencyKey: 'k' }, { bytes: LARGE })
    assert.deepEqual([again.created, again.snapshotId], [false, large.snapshotId])

    assert.equal((await reader.run('order-1'))?.startedAt, '2026-01-01T00:00:00Z')
    assert.equal((await reader.step('order-1', 'a'))?.name, 'first')
    const listed = await Array.fromAsync(reader.snapshots('order-1'))
    assert.deepEqual(
      listed.map((snapshot) => snapshot.snapshotId),
      [small.snapshotId, large.snapshotId],
    )
    assert.deepEqual(listed[0]?.metadata, { by: 'test' })
    assert.equal((await reader.latest({ runId: 'order-1', stepId: 'a' }))?.snapshotId, large.snapshotId)
    const { body, sizeBytes } = await reader.open(large.snapshotId)
    assert.equal(sizeBytes, LARGE.length)
    assert.ok(Buffer.concat(await Array.fromAsync(body)).equals(LARGE))
  })

  it('walks lists of more than a page', async () => {
    const { writer, reader } = statelens
    for (let i = 0; i < 120; i++) await writer.upsertStep({ runId: 'long', stepId: `s${i}`, index: i })
    const steps = await Array.fromAsync(reader.steps('long'))
    assert.deepEqual(
      steps.map(({ stepId }) => stepId),
      Array.from({ length: 120 }, (_, i) => `s${i}`),
    )
    assert.ok((await Array.fromAsync(reader.runs({ search: 'lo' }))).some(({ runId }) => runId === 'long'))
  })

  it('tells what cannot be stored, by its code', async () => {
    const { writer, reader } = statelens
    await assert.rejects(writer.capture({ runId: 'r' }, { bytes: Buffer.from('{') }), { code: 'INVALID_PAYLOAD' })
    await assert.rejects(writer.upsertRun({ runId: 'r', endedAt: 'tomorrow' }), { code: 'BAD_REQUEST' })
    const wrong = { stream: new Blob(['1']).stream(), digest: `sha256:${'0'.repeat(64)}` }
    await assert.rejects(writer.capture({ runId: 'r' }, wrong), { code: 'BAD_REQUEST' })
    await assert.rejects(reader.open('00000000-0000-4000-8000-000000000000'), { code: 'NOT_FOUND' })
    assert.equal(await reader.snapshot('no uuid'), null)
    assert.equal(await writer.deleteRun('never there'), false)
  })

  it('answers GraphQL as somebody', async () => {
    const { writer, graphql } = statelens
    await writer.capture({ runId: 'bob-1', stepId: 'a' }, { value: [1, 2] })
    const query =
      '{ viewer { name } runs(first: 100) { nodes { runId } } run(runId: "bob-1") { latestSnapshot { payload } } }'
    const mine = await graphql<{ runs: { nodes: { runId: string }[] }; run: unknown }>({ query })
    assert.equal(mine.errors, undefined)
    assert.deepEqual(mine.data?.run, { latestSnapshot: { payload: [1, 2] } })
    const bobs = await graphql({ query, viewer: { name: 'bob', scopes: ['read'] } })
    assert.deepEqual(bobs.data, {
      viewer: { name: 'bob' },
      runs: { nodes: [{ runId: 'bob-1' }] },
      run: { latestSnapshot: { payload: [1, 2] } },
    })
    const write = 'mutation { upsertRun(input: { runId: "bob-2" }) { runId } }'
    const refused = await graphql({ query: write, viewer: { name: 'bob', scopes: ['read'] } })
    assert.equal(refused.errors?.[0]?.extensions?.code, 'FORBIDDEN')
    assert.deepEqual(
      (await Array.fromAsync(statelens.readerFor({ name: 'bob', scopes: ['read'] }).runs())).map(({ runId }) => runId),
      ['bob-1'],
    )
  })

  it('answers the requests of frameworks that have fetch', async () => {
    const put = await statelens.fetch(
      new Request(`${BASE}/runs/f/steps/s/snapshot`, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: new Blob([LARGE]).stream(),
        duplex: 'half',
      } as RequestInit),
    )
    assert.equal(put.status, 201)
    const location = put.headers.get('location') ?? ''
    assert.match(location, /^\/states\/snapshots\//)
    const got = await statelens.fetch(new Request(new URL(location, BASE)))
    assert.equal(got.headers.get('content-length'), String(LARGE.length))
    assert.ok(Buffer.from(await got.arrayBuffer()).equals(LARGE))
    const part = await statelens.fetch(new Request(new URL(location, BASE), { headers: { range: 'bytes=1-3' } }))
    assert.deepEqual([part.status, await part.text()], [206, '"n"'])
    const head = await statelens.fetch(new Request(new URL(location, BASE), { method: 'HEAD' }))
    assert.deepEqual([head.status, await head.text()], [200, ''])
    assert.equal((await statelens.fetch(new Request(`${BASE}/nowhere`))).status, 404)
  })

  it('ends a request that is aborted, and a body that is left', async () => {
    const location = `${BASE}/graphql`
    const leaving = new AbortController()
    leaving.abort(new Error('left'))
    await assert.rejects(statelens.fetch(new Request(location, { signal: leaving.signal })), /left/)
    const { data } = await statelens.graphql<{ run: { latestSnapshot: { snapshotId: string } } }>({
      query: '{ run(runId: "f") { latestSnapshot { snapshotId } } }',
    })
    const id = data?.run.latestSnapshot.snapshotId
    const left = await statelens.fetch(new Request(`${BASE}/snapshots/${id}/payload`))
    await left.body?.cancel()
    assert.equal((await statelens.fetch(new Request(`${BASE}/health/live`))).status, 200)
  })

  it('follows a run by events', async () => {
    await statelens.writer.upsertRun({ runId: 'watched', status: 'SUCCEEDED' })
    const response = await statelens.fetch(
      new Request(`${BASE}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
        body: JSON.stringify({ query: 'subscription { runEvents(runId: "watched") { __typename } }' }),
      }),
    )
    assert.equal(response.status, 200)
    assert.match(await response.text(), /RunEnded/)
  })

  it('says so where its body was read before', async () => {
    await using server = createServer((request, response) => {
      request.resume().on('end', () => statelens.handler(request, response))
    }).listen(0, '127.0.0.1') as ReturnType<typeof createServer> & AsyncDisposable
    await new Promise((resolve) => server.once('listening', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"query":"{ viewer { name } }"}',
    })
    assert.deepEqual([response.status, JSON.stringify(await response.json()).includes('read on its way')], [500, true])
  })

  it('says nothing in the log that nobody should read', () => {
    assert.deepEqual(
      lines.filter((line) => line.includes('postgres')),
      [],
    )
  })
})

it('tells all that is wrong with its settings', async () => {
  const settings = { DATABASE_URL: 'nonsense', PAYLOAD_STREAMS_MAX: 0 }
  await assert.rejects(createStatelens({ settings }), (error: Error & { problems?: readonly string[] }) => {
    assert.equal(error.problems?.length, 2)
    return true
  })
})
