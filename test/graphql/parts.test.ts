import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { codesByPath, codesOf, dataOf, rawPost } from '../support/answers.ts'
import { type MemoryS3, startMemoryS3 } from '../support/memory-s3.ts'
import { s3Env } from '../support/objects.ts'
import { insertOldRow } from '../support/old-system.ts'
import { put, storedOf } from '../support/put.ts'
import { insertForeign, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { ITEMS, itemText, lookInto, STATE, STATE_TEXT } from './parts-fixture.ts'

const digestOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest()

describe('places in a state', () => {
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

  async function captured(bytes: Buffer, coding?: 'gzip' | 'zstd'): Promise<string> {
    const headers = coding ? { 'content-encoding': coding } : undefined
    return storedOf(await put(server.url, bytes, { stepId: randomUUID(), headers })).snapshotId
  }

  async function foreign(bytes: Buffer, key = `${randomUUID()}.json`): Promise<{ key: string; id: string }> {
    store.objects.set(key, bytes)
    return { key, id: await insertForeign(server.databaseUrl, { storageUri: `s3://memory/${key}` }) }
  }

  /** @param promised what the row has the digest of. */
  async function twoCopies(object: Buffer, copy: string, promised = object): Promise<string> {
    const id = randomUUID()
    const key = `${id}.json`
    store.objects.set(key, object)
    const storageUri = `s3://memory/${key}`
    await insertOldRow(server.databaseUrl, { id, runId: 'old', digest: digestOf(promised), storageUri, snapshot: copy })
    return id
  }

  /** What a reader sees, checked against the text that it was captured as. */
  async function looksRight(id: string): Promise<void> {
    const answer = await lookInto(server, id)
    assert.deepEqual(codesByPath(answer), {
      'snapshotById.gone': 'POINTER_NOT_FOUND',
      'snapshotById.log.raw': 'PAYLOAD_TOO_LARGE',
    })
    const gonePath = answer.errors?.find(({ path }) => path?.includes('gone'))
    assert.equal(gonePath?.extensions['nearest'], '/items')
    const { root, item, deep, empty, exact, twice, log, page, gone } = answer.data.snapshotById
    const text = itemText(1500)
    const logText = STATE_TEXT.slice(STATE_TEXT.indexOf('"one line'), STATE_TEXT.indexOf(',\n"a/b'))
    assert.deepEqual(
      { ...root, preview: String(root?.['preview']).slice(0, 15) },
      {
        pointer: '',
        key: null,
        index: null,
        type: 'OBJECT',
        childCount: 7,
        sizeBytes: STATE.length,
        preview: '{"step":"embed"',
      },
    )
    assert.deepEqual(item, {
      pointer: '/items/1500',
      key: null,
      index: 1500,
      type: 'OBJECT',
      childCount: 3,
      sizeBytes: Buffer.byteLength(text),
      raw: text,
      value: JSON.parse(text),
    })
    assert.deepEqual(deep, {
      pointer: '/a~1b~0c//1/0',
      key: null,
      index: 0,
      type: 'NUMBER',
      raw: '20',
      childCount: null,
    })
    assert.deepEqual(empty, { key: '', index: null, raw: '[10,[20],"\\ud83d"]' })
    assert.deepEqual(exact, { raw: '{"big":9007199254740993,"one":1.0,"minus":-0,"far":1e400}' })
    assert.deepEqual([twice, gone], [{ raw: '2' }, null])
    assert.deepEqual([log?.['type'], log?.['sizeBytes'], log?.['raw']], ['STRING', Buffer.byteLength(logText), null])
    const children = page?.['children'] as { nodes: readonly Record<string, unknown>[] }
    assert.deepEqual(
      children.nodes.map(({ index, pointer, sizeBytes }) => [index, pointer, sizeBytes]),
      [3100, 3101, 3102].map((index) => [index, `/items/${index}`, Buffer.byteLength(itemText(index))]),
    )
    assert.deepEqual(
      { ...children, nodes: [] },
      { totalCount: ITEMS, nodes: [], pageInfo: { hasNextPage: true, hasPreviousPage: true } },
    )
  }

  it('are those of the text, whatever its object is coded in', async () => {
    await looksRight(await captured(STATE))
    await looksRight(await captured(gzipSync(STATE), 'gzip'))
    await looksRight(await captured(zstdCompressSync(STATE), 'zstd'))
  })

  it('are those of the text in an object of another writer, coded or not, with a name that tells of it or without', async () => {
    await looksRight((await foreign(STATE)).id)
    await looksRight((await foreign(gzipSync(STATE))).id)
    await looksRight((await foreign(zstdCompressSync(STATE), `${randomUUID()}.json.zst`)).id)
  })

  it('are those of the object of a state that was left twice while it checks, and of the row otherwise', async () => {
    const right = await twoCopies(STATE, '{"lost":[1]}')
    await looksRight(right)
    await looksRight(right)
    const lost = await twoCopies(Buffer.from('{"another":true}'), '{"lost":[1]}', STATE)
    const look = `{ snapshotById(snapshotId: "${lost}") { at(pointer: "/lost") { raw } } }`
    assert.deepEqual(await dataOf(server.graphql(look)), { snapshotById: { at: { raw: '[1]' } } })
  })

  it('are those of a row, of ours and of the old system, of any size', async () => {
    const old = await insertForeign(server.databaseUrl, { payload: STATE_TEXT.replace('1e400', '1e300') })
    const own = await captured(Buffer.from('{"a" : [1.0, {"b":"c"}]}'))
    const both = `query($old: ID!, $own: ID!) {
      old: snapshotById(snapshotId: $old) { at(pointer: "/items/3999") { value } }
      own: snapshotById(snapshotId: $own) { at(pointer: "/a") { raw value children { nodes { pointer raw preview } } } }
    }`
    const answer = await dataOf(server.graphql<Record<string, { at: Record<string, unknown> }>>(both, { old, own }))
    assert.deepEqual(answer['old']?.at, { value: JSON.parse(itemText(3999)) })
    assert.deepEqual(answer['own']?.at, {
      raw: '[1.0, {"b":"c"}]',
      value: [1, { b: 'c' }],
      children: {
        nodes: [
          { pointer: '/a/0', raw: '1.0', preview: '1.0' },
          { pointer: '/a/1', raw: '{"b":"c"}', preview: '{"b":"c"}' },
        ],
      },
    })
  })

  it('are spliced into the answer byte for byte, small and large', async () => {
    const id = await captured(STATE)
    const asked = `{ snapshotById(snapshotId: "${id}") { a: at(pointer: "/exact") { value } b: at(pointer: "/items") { value } } }`
    const { bytes } = await rawPost(server.url, JSON.stringify({ query: asked }))
    const itemsText = STATE_TEXT.slice(STATE_TEXT.indexOf('[{"id"'), STATE_TEXT.indexOf(',"log"'))
    const exact = '{"big":9007199254740993,"one":1.0,"minus":-0,"far":1e400}'
    const expected = `{"data":{"snapshotById":{"a":{"value":${exact}},"b":{"value":${itemsText}}}}}`
    assert.ok(bytes.equals(Buffer.from(expected)))
    const limited = await server.graphql(
      `{ snapshotById(snapshotId: "${id}") { at(pointer: "/items") { value(maxBytes: 1000) raw sizeBytes } } }`,
    )
    const path = 'snapshotById.at'
    assert.deepEqual(codesByPath(limited), {
      [`${path}.value`]: 'PAYLOAD_TOO_LARGE',
      [`${path}.raw`]: 'PAYLOAD_TOO_LARGE',
    })
  })

  it('come once each and in order by cursor, by skip and by both, from anywhere', async () => {
    const id = await captured(STATE)
    const asked = `query($id: ID!, $after: String, $skip: Int) {
      snapshotById(snapshotId: $id) { at(pointer: "/items") {
        children(first: 100, after: $after, skip: $skip) { edges { cursor node { index } } pageInfo { hasNextPage endCursor } } } } }`
    interface Page {
      readonly edges: readonly { readonly cursor: string; readonly node: { readonly index: number } }[]
      readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string }
    }
    const page = async (variables: object): Promise<Page> => {
      type Answer = { snapshotById: { at: { children: Page } } }
      return (await dataOf(server.graphql<Answer>(asked, { id, ...variables }))).snapshotById.at.children
    }
    const byCursor: number[] = []
    for (let after: string | null = null, more = true; more; ) {
      const { edges, pageInfo }: Page = await page(after === null ? { skip: 2500 } : { after })
      byCursor.push(...edges.map(({ node }) => node.index))
      after = pageInfo.endCursor
      more = pageInfo.hasNextPage
    }
    assert.deepEqual(
      byCursor,
      Array.from({ length: ITEMS - 2500 }, (_, index) => 2500 + index),
    )
    const { edges } = await page({ skip: 1990 })
    assert.deepEqual([edges[0]?.node.index, edges.at(-1)?.node.index], [1990, 2089])
    const both = await page({ after: edges[4]?.cursor, skip: 2000 })
    assert.deepEqual([both.edges[0]?.node.index, both.pageInfo.hasNextPage], [3995, false])
    assert.equal((await page({ skip: ITEMS })).edges.length, 0)
  })

  it('have cursors that are good for one container of one version of one state', async () => {
    const [id, other] = [await captured(STATE), await captured(Buffer.from(STATE_TEXT.replace('embed', 'plan!')))]
    const page = (snapshotId: string, pointer: string, after: string | null) =>
      server.graphql<{ snapshotById: { at: { children: { pageInfo: { endCursor: string } } } } }>(
        `query($after: String) { snapshotById(snapshotId: "${snapshotId}") { at(pointer: "${pointer}") {
          children(first: 2, after: $after) { pageInfo { endCursor } } } } }`,
        { after },
      )
    const { endCursor } = (await dataOf(page(id, '/items', null))).snapshotById.at.children.pageInfo
    assert.equal((await page(id, '/items', endCursor)).errors, undefined)
    const forged = Buffer.from(
      Buffer.from(endCursor, 'base64url')
        .toString()
        .replace(/"\d+"\]$/, '"99999"]'),
    )
    for (const [snapshotId, pointer, cursor] of [
      [other, '/items', endCursor],
      [id, '', endCursor],
      [id, '/exact', endCursor],
      [id, '/items', forged.toString('base64url')],
      [id, '/items', 'nonsense'],
    ] as const) {
      const answer = await page(snapshotId, pointer, cursor)
      assert.deepEqual(codesByPath(answer), { 'snapshotById.at.children': 'BAD_REQUEST' })
    }
  })

  it('are null at their own place where one state of a list is lost, and the others stand', async () => {
    const runId = randomUUID()
    const ids: string[] = []
    for (let index = 0; index < 3; index++) {
      const bytes = Buffer.from(STATE_TEXT.replace('embed', `step ${index}`))
      ids.push(storedOf(await put(server.url, bytes, { runId, stepId: `${index}` })).snapshotId)
    }
    const [row] = await query<{ uri: string }>(
      server.databaseUrl,
      'select storage_uri as uri from state_snapshots where id = $1',
      [ids[1]],
    )
    store.objects.delete(row?.uri.slice('s3://memory/'.length) ?? '')
    const answer = await server.graphql(
      `{ run(runId: "${runId}") { snapshots { nodes { at(pointer: "/step") { value } } } } }`,
    )
    assert.deepEqual(codesByPath(answer), { 'run.snapshots.nodes.1.at': 'OBJECT_MISSING' })
    const nodes = [{ at: { value: 'step 0' } }, { at: null }, { at: { value: 'step 2' } }]
    assert.deepEqual(answer.data, { run: { snapshots: { nodes } } })
  })

  it('are refused with a code of their own where a request asks for what cannot be', async () => {
    const id = await captured(STATE)
    for (const [field, code] of [
      ['at(pointer: "items") { type }', 'GRAPHQL_VALIDATION_FAILED'],
      ['at(pointer: "/a~2") { type }', 'GRAPHQL_VALIDATION_FAILED'],
      ['at(pointer: "/items") { children(first: 101) { totalCount } }', 'BAD_REQUEST'],
      ['at(pointer: "/items") { children(skip: -1) { totalCount } }', 'BAD_REQUEST'],
      ['at(pointer: "/items/-") { type }', 'POINTER_NOT_FOUND'],
      [
        'at(pointer: "/items") { children { nodes { children { nodes { children { nodes { type } } } } } } }',
        'QUERY_TOO_COMPLEX',
      ],
      ['find(text: "") { complete }', 'BAD_REQUEST'],
    ] as const) {
      const answer = await server.graphql(`{ snapshotById(snapshotId: "${id}") { ${field} } }`)
      assert.deepEqual(codesOf(answer), [code], field)
    }
  })
})
