import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, before, describe, it } from 'node:test'
import { codesByPath, dataOf } from '../support/answers.ts'
import { type MemoryS3, startMemoryS3 } from '../support/memory-s3.ts'
import { s3Env } from '../support/objects.ts'
import { eventually, put, storedOf } from '../support/put.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { ITEMS, STATE } from './parts-fixture.ts'

const FIND = `query($id: ID!, $pointer: JSONPointer, $text: String!, $in: FindIn, $matchCase: Boolean, $first: Int, $after: String) {
  snapshotById(snapshotId: $id) {
    find(pointer: $pointer, text: $text, in: $in, matchCase: $matchCase, first: $first, after: $after) {
      edges { cursor node { in excerpt start end node { pointer key type } } } pageInfo { hasNextPage endCursor } complete scannedBytes
    } } }`

interface Found {
  readonly edges: readonly {
    readonly cursor: string
    readonly node: {
      readonly in: string
      readonly excerpt: string
      readonly start: number
      readonly end: number
      readonly node: { readonly pointer: string; readonly key: string | null; readonly type: string }
    }
  }[]
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string }
  readonly complete: boolean
  readonly scannedBytes: number
}

describe('a search in a state', () => {
  let store: MemoryS3
  let server: TestServer
  let id: string
  before(async () => {
    store = await startMemoryS3()
    server = await startServer({ env: s3Env(store.service) })
    id = storedOf(await put(server.url, STATE)).snapshotId
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await store[Symbol.asyncDispose]()
  })

  const ask = (wish: object) => server.graphql<{ snapshotById: { find: Found } }>(FIND, { id, ...wish })
  const find = async (wish: object) => (await dataOf(ask(wish))).snapshotById.find
  const pointersOf = ({ edges }: Found) => edges.map(({ node }) => node.node.pointer)

  it('looks into keys and values as they are without escapes, and into the text of numbers', async () => {
    for (const [wish, pointers] of [
      [{ text: 'item 1234' }, ['/items/1234/id']],
      [{ text: 'ITEM 1234' }, ['/items/1234/id']],
      [{ text: 'ITEM 1234', matchCase: true }, []],
      [{ text: 'a/b~c', in: 'KEYS' }, ['/a~1b~0c']],
      [{ text: 'a/b~c', in: 'VALUES' }, []],
      [{ text: '9007199254740993' }, ['/exact/big']],
      [{ text: '1e400' }, ['/exact/far']],
      [{ text: 'twice' }, ['/twice', '/twice']],
      [{ text: 'line \n 🙂', first: 1 }, ['/log']],
      [{ text: 'item 1', pointer: '/exact' }, []],
    ] as const) {
      const found = await find(wish)
      assert.deepEqual(pointersOf(found), pointers, JSON.stringify(wish))
      for (const { node } of found.edges) {
        const shown = node.excerpt.slice(node.start, node.end)
        assert.equal(shown.toLowerCase(), wish.text.toLowerCase())
      }
    }
  })

  it('comes in pages, each match once and in the order of the state', async () => {
    const seen: string[] = []
    let scanned = 0
    for (let after: string | null = null, more = true; more; ) {
      const page: Found = await find({ text: 'item 12', first: 30, after })
      seen.push(...pointersOf(page))
      scanned += page.scannedBytes
      after = page.pageInfo.endCursor
      more = page.pageInfo.hasNextPage
    }
    const ids = Array.from({ length: ITEMS }, (_, index) => `/items/${index}/id`)
    assert.deepEqual(
      seen,
      ids.filter((pointer) => pointer.startsWith('/items/12')),
    )
    assert.ok(scanned >= STATE.length * 0.9, `${scanned} bytes were searched`)
  })

  it('has cursors that are good for the same search alone', async () => {
    const { edges } = await find({ text: 'item', first: 2 })
    const after = edges[1]?.cursor
    assert.equal(pointersOf(await find({ text: 'item', first: 1, after }))[0], '/items/1/id')
    for (const wish of [{ text: 'other' }, { text: 'item', pointer: '/items' }, { text: 'item', in: 'KEYS' }]) {
      assert.deepEqual(codesByPath(await ask({ ...wish, after })), { 'snapshotById.find': 'BAD_REQUEST' })
    }
    assert.deepEqual(codesByPath(await ask({ text: 'x', pointer: '/none' })), {
      'snapshotById.find': 'POINTER_NOT_FOUND',
    })
  })

  it('ends when its client leaves, and leaves its place to others', async () => {
    await find({ text: 'warm' })
    let begun = 0
    // What is streamed to the end of the state is what is searched.
    store.beforeGet = () => {
      if (!store.requests.at(-1)?.endsWith(`-${STATE.length - 1}`)) return
      begun++
      return new Promise(() => {})
    }
    const body = JSON.stringify({ query: FIND, variables: { id, text: 'never' } })
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const asking = Array.from({ length: 4 }, () => {
      const one = request(`${server.url}/graphql`, { method: 'POST', headers, agent: false })
      one.on('error', () => {}).end(body)
      return one
    })
    await eventually(async () => assert.equal(begun, 4, 'all places are taken'))
    store.broken.length = 0
    for (const one of asking) one.destroy()
    await eventually(async () => assert.equal(store.broken.length, 4, 'nothing more is read'))
    store.beforeGet = () => {}
    assert.equal((await find({ text: 'item 7' })).complete, true)
  })
})
