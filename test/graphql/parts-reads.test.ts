import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import { demoState } from '../../src/commands/demo-state.ts'
import { codesByPath, dataOf } from '../support/answers.ts'
import { type CountedRead, type CountingProxy, startCountingProxy } from '../support/counting-proxy.ts'
import { describeWith } from '../support/describe-with.ts'
import { openObjects, s3Env } from '../support/objects.ts'
import { eventually, put, storedOf } from '../support/put.ts'
import { insertForeign, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { s3 } from '../support/services.ts'

const MIB = 1_048_576
const STATE = demoState({ topic: 'digest', plan: ['embed'], done: 1, sizeBytes: 24_000_000 })

/** The first page of a place's children, with what a reader shows of them. */
const PAGE = `query($id: ID!, $pointer: JSONPointer!, $after: String, $skip: Int) {
  snapshotById(snapshotId: $id) { at(pointer: $pointer) { type sizeBytes childCount preview
    children(first: 20, after: $after, skip: $skip) { totalCount pageInfo { endCursor }
      nodes { pointer key index type sizeBytes childCount preview } } } } }`

interface Page {
  readonly snapshotById: {
    readonly at: {
      readonly childCount: number
      readonly children: {
        readonly pageInfo: { readonly endCursor: string }
        readonly nodes: readonly { readonly pointer: string; readonly preview: string }[]
      }
    }
  }
}

const bytesOf = (reads: readonly CountedRead[]) => reads.reduce((sum, { bytes }) => sum + bytes, 0)

await describeWith('a place in a state of 24 MB in S3', s3, (service) => {
  let proxy: CountingProxy
  let server: TestServer
  before(async () => {
    proxy = await startCountingProxy(service.endpoint)
    server = await startServer({ env: s3Env({ ...service, endpoint: proxy.endpoint }) })
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await proxy[Symbol.asyncDispose]()
  })
  async function captured(): Promise<{ readonly id: string; readonly storageUri: string }> {
    const id = storedOf(await put(server.url, STATE)).snapshotId
    const uriOf = 'select storage_uri as uri from state_snapshots where id = $1'
    const [row] = await query<{ uri: string }>(server.databaseUrl, uriOf, [id])
    proxy.reads.length = 0
    return { id, storageUri: row?.uri ?? '' }
  }

  it('takes three ranges and a MiB at most, wherever it is, its first page and all that is shown of it included', async () => {
    const { id } = await captured()
    const { reads } = proxy
    const documents: readonly { id: string; text: string }[] = JSON.parse(STATE.toString()).documents
    for (const [pointer, skip] of [
      ['', 0],
      ['/documents', 0],
      ['/documents', 20_000],
      ['/documents', documents.length - 3],
      ['/documents/17000', 0],
      ['/documents/39/vector', 0],
      ['/model', 0],
    ] as const) {
      reads.length = 0
      const { snapshotById } = await dataOf(server.graphql<Page>(PAGE, { id, pointer, skip }))
      assert.ok(reads.length <= 3 && bytesOf(reads) <= MIB, `${pointer} ${skip}: ${JSON.stringify(reads)}`)
      assert.ok(snapshotById.at.children.nodes.length > 0)
    }
    reads.length = 0
    const asked = Array.from({ length: 15 }, (_, i) => `a${i}: at(pointer: "/documents/31234/text") { value }`)
    type Texts = { snapshotById: Record<string, { value: string }> }
    const same = await dataOf(server.graphql<Texts>(`{ snapshotById(snapshotId: "${id}") { ${asked.join(' ')} } }`))
    const values = Object.values(same.snapshotById).map(({ value }) => value)
    assert.deepEqual(new Set(values), new Set([documents[31_234]?.text]))
    assert.ok(reads.length <= 3, 'what is the same is read once')
    assert.ok(
      reads.every(({ ifMatch }) => ifMatch),
      'all of one version',
    )
  })

  it('is OBJECT_CORRUPT where its bytes are not those that were captured, and others are as they were', async () => {
    const { id, storageUri } = await captured()
    using objects = openObjects({ storagePath: server.storagePath, s3: service })
    const bytes = Buffer.from(STATE)
    bytes.write('"doc-2XXXX"', bytes.indexOf('"doc-20000"'))
    await objects.replace(storageUri, bytes)
    const asked = `query($id: ID!) { snapshotById(snapshotId: $id) {
      bad: at(pointer: "/documents/19999/id") { value }
      page: at(pointer: "/documents") { children(skip: 19990, first: 20) { nodes { preview } } }
      good: at(pointer: "/documents/5/id") { value }
      large: at(pointer: "/documents") { value } } }`
    const answer = await server.graphql(asked.replace('large: at(pointer: "/documents") { value }', ''), { id })
    assert.deepEqual(codesByPath(answer), {
      'snapshotById.bad': 'OBJECT_CORRUPT',
      'snapshotById.page.children': 'OBJECT_CORRUPT',
    })
    assert.deepEqual(answer.data['snapshotById'], { bad: null, page: { children: null }, good: { value: 'doc-6' } })
    assert.ok(!JSON.stringify(answer).includes('XXXX'))
    // What is streamed already never comes to its end.
    await assert.rejects(server.graphql(asked, { id }))
    const state = 'select storage_state as state from state_snapshots where id = $1'
    await eventually(async () => assert.deepEqual(await query(server.databaseUrl, state, [id]), [{ state: 'CORRUPT' }]))
  })

  it('never comes from two versions: an object that another writer replaces between two pages is told by a code', async () => {
    const { storageUri } = await captured()
    const { reads } = proxy
    const foreignId = await insertForeign(server.databaseUrl, { storageUri, runId: 'foreign' })
    const pointer = '/documents'
    const page = (after?: string) => server.graphql<Page>(PAGE, { id: foreignId, pointer, after })
    const first = (await dataOf(page())).snapshotById.at.children
    reads.length = 0
    const second = await dataOf(page(first.pageInfo.endCursor))
    assert.equal(second.snapshotById.at.children.nodes[0]?.pointer, '/documents/20')
    assert.ok(reads.length > 0 && reads.every(({ range, ifMatch }) => range && ifMatch), JSON.stringify(reads))
    using objects = openObjects({ storagePath: server.storagePath, s3: service })
    await objects.replace(storageUri, Buffer.concat([STATE, Buffer.from(' ')]))
    const answer = await page(first.pageInfo.endCursor)
    assert.deepEqual(codesByPath(answer), { 'snapshotById.at.children': 'BAD_REQUEST' })
  })
})
