import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { zstdCompressSync } from 'node:zlib'
import { capture, codesByPath, codesOf, dataOf } from '../support/answers.ts'
import { type MemoryS3, startMemoryS3 } from '../support/memory-s3.ts'
import { s3Env } from '../support/objects.ts'
import { put, storedOf } from '../support/put.ts'
import { createRandom } from '../support/random.ts'
import { insertForeign } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'

interface Change {
  readonly op: string
  readonly pointer: string
  readonly fromPointer: string | null
  readonly before: { readonly value: unknown } | null
  readonly after: { readonly value: unknown } | null
}

interface Diff {
  readonly identical: boolean
  readonly summary: readonly { readonly key: string; readonly status: string }[] | null
  readonly changes: {
    readonly nodes: readonly Change[]
    readonly truncated: boolean
    readonly approximate: boolean
    readonly bytesRead: number
    readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null }
  }
}

const DIFF = `query($id: ID!, $from: ID, $pointer: JSONPointer, $first: Int, $after: String) { snapshotById(snapshotId: $id) {
  diff(from: $from, pointer: $pointer) { identical summary { key status } changes(first: $first, after: $after) {
    nodes { op pointer fromPointer before { value } after { value } } truncated approximate bytesRead pageInfo { hasNextPage endCursor } } } } }`

const WORDS = 'an agent that calls tools and reads what they say about the plan for today'.split(' ')
const sentence = (seed: number) => {
  const random = createRandom(seed)
  return Array.from({ length: 90 }, () => WORDS[Math.floor(random() * WORDS.length)]).join(' ')
}
const message = (i: number) => ({ id: i, content: `${i} ${sentence(i)}` })
/** Above 1 MiB, so that it has an index. */
const STATE = { step: 'a', messages: Array.from({ length: 4000 }, (_, i) => message(i)), total: 4000 }

describe('what leads from one state to another', () => {
  let store: MemoryS3
  let server: TestServer
  before(async () => {
    store = await startMemoryS3()
    server = await startServer({ env: s3Env(store.service) })
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await store[Symbol.asyncDispose]()
  })

  async function captured(
    state: unknown,
    { coding, runId }: { coding?: 'zstd'; runId?: string } = {},
  ): Promise<string> {
    const headers = coding ? { 'content-encoding': coding } : undefined
    const text = Buffer.from(typeof state === 'string' ? state : JSON.stringify(state))
    const bytes = coding ? zstdCompressSync(text) : text
    return storedOf(await put(server.url, bytes, { runId, stepId: randomUUID(), headers })).snapshotId
  }

  async function diff(id: string, variables: object = {}): Promise<Diff> {
    const data = await dataOf(server.graphql<{ snapshotById: { diff: Diff } }>(DIFF, { id, ...variables }))
    return data.snapshotById.diff
  }

  it('is told from the one before in the run, or from any other, with the values', async () => {
    const runId = randomUUID()
    const first = await captured({ a: 1, b: [1, 2, 3], c: 'x' }, { runId })
    const second = await captured({ a: 1.0, b: [1, 3], d: 7.5, c: 'y' }, { runId })
    const expected: readonly Change[] = [
      { op: 'REMOVED', pointer: '/b/1', fromPointer: null, before: { value: 2 }, after: null },
      { op: 'ADDED', pointer: '/d', fromPointer: null, before: null, after: { value: 7.5 } },
      { op: 'CHANGED', pointer: '/c', fromPointer: null, before: { value: 'x' }, after: { value: 'y' } },
    ]
    const told = await diff(second)
    assert.deepEqual(told.changes.nodes, expected)
    assert.equal(told.identical, false)
    assert.deepEqual(
      told.summary?.map(({ key, status }) => `${status} ${key}`),
      ['EQUAL a', 'CHANGED b', 'ADDED d', 'CHANGED c'],
    )
    assert.deepEqual(await diff(second, { from: first }), told)
    assert.deepEqual((await diff(second, { pointer: '/b' })).changes.nodes, expected.slice(0, 1))
    const all = await diff(first)
    assert.deepEqual([all.identical, all.changes.nodes.map(({ op, pointer }) => op + pointer)], [false, ['ADDED']])
  })

  it('crosses runs, tiers, codings and origins, and reads little where little differs', async () => {
    const changed = { ...STATE, messages: STATE.messages.with(1500, { ...message(1500), content: 'short' }) }
    const from = await captured(STATE)
    const key = `${randomUUID()}.json`
    store.objects.set(key, Buffer.from(JSON.stringify(changed)))
    const ways = {
      plain: await captured(changed),
      coded: await captured(changed, { coding: 'zstd' }),
      foreign: await insertForeign(server.databaseUrl, { storageUri: `s3://memory/${key}` }),
      inline: await insertForeign(server.databaseUrl, { payload: JSON.stringify(changed) }),
    }
    for (const [way, id] of Object.entries(ways)) {
      const { changes, identical, summary } = await diff(id, { from })
      assert.deepEqual(
        changes.nodes.map(({ op, pointer, after: made }) => [op, pointer, made?.value]),
        [['CHANGED', '/messages/1500/content', 'short']],
        way,
      )
      assert.equal(identical, false)
      assert.deepEqual(
        summary?.map(({ status }) => status),
        ['EQUAL', 'CHANGED', 'EQUAL'],
      )
      if (way === 'plain') assert.ok(changes.bytesRead < 400_000, `${changes.bytesRead} bytes`)
    }
    const indented = await captured(JSON.stringify(STATE, null, 1))
    const same = await diff(indented, { from })
    assert.deepEqual([same.identical, same.changes.nodes.length], [true, 0])
  })

  it('comes in pages, and no cursor of one pair is good for another', async () => {
    const [from, other] = [await captured({ list: [] }), await captured({ list: [] })]
    const id = await captured({ list: Array.from({ length: 25 }, (_, i) => i), x: 1 })
    const nodes: Change[] = []
    let cursor: string | null = null
    do {
      const { changes } = await diff(id, { from, first: 10, after: cursor })
      nodes.push(...changes.nodes)
      cursor = changes.pageInfo.hasNextPage ? changes.pageInfo.endCursor : null
      if (cursor !== null)
        assert.deepEqual(codesOf(await server.graphql(DIFF, { id, from: other, after: cursor })), ['BAD_REQUEST'])
    } while (cursor !== null)
    assert.deepEqual(
      nodes.map(({ pointer }) => pointer),
      [...Array.from({ length: 25 }, (_, i) => `/list/${i}`), '/x'],
    )
    for (const after of ['x', 'WyJjaGFuZ2VzIl0']) {
      assert.deepEqual(codesOf(await server.graphql(DIFF, { id, from, after })), ['BAD_REQUEST'])
    }
  })

  it('fails at its own place where a state or the place is not there', async () => {
    const id = await captured({ a: 1 })
    const failing = async (variables: object) =>
      codesByPath(await server.graphql(DIFF.replace('identical summary { key status }', ''), { id, ...variables }))
    assert.deepEqual(await failing({ from: randomUUID() }), { 'snapshotById.diff': 'NOT_FOUND' })
    assert.deepEqual(await failing({ from: 'x' }), { 'snapshotById.diff': 'BAD_REQUEST' })
    assert.deepEqual(await failing({ pointer: '/b' }), { 'snapshotById.diff.changes': 'POINTER_NOT_FOUND' })
    const lost = await insertForeign(server.databaseUrl, { storageUri: 's3://memory/nowhere.json' })
    assert.deepEqual(await failing({ from: lost }), { 'snapshotById.diff.changes': 'OBJECT_MISSING' })
    assert.deepEqual(
      (await diff(id, { from: await captured({ b: [1] }), pointer: '/b' }).catch(() => null))?.changes.nodes[0]?.op,
      'REMOVED',
    )
  })

  it('is there for each pair of steps of two runs', async () => {
    const [base, other] = [randomUUID(), randomUUID()]
    await capture(server, { runId: base, stepId: 's', payload: { n: 1 } })
    await capture(server, { runId: other, stepId: 's', payload: { n: 2 } })
    const text = `{ compareRuns(baseRunId: "${base}", otherRunId: "${other}") { firstDivergence {
      diff { identical from { digest } to { runId } changes { nodes { pointer } } } } } }`
    const data = await dataOf(
      server.graphql<{ compareRuns: { firstDivergence: { diff: Record<string, unknown> } } }>(text),
    )
    const { diff: told } = data.compareRuns.firstDivergence
    assert.deepEqual(
      [told['identical'], told['to'], told['changes']],
      [false, { runId: other }, { nodes: [{ pointer: '/n' }] }],
    )
  })
})
