import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { codesOf, dataOf } from '../support/answers.ts'
import { query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { fillLists, type List, runAt, runName, stepName } from './lists-fixture.ts'

interface Connection {
  readonly edges: readonly { readonly cursor: string; readonly node: Readonly<Record<string, string | number>> }[]
  readonly pageInfo: {
    readonly hasNextPage: boolean
    readonly hasPreviousPage: boolean
    readonly startCursor: string | null
    readonly endCursor: string | null
  }
}

describe('lists', () => {
  let server: TestServer
  const lists: List[] = []

  before(async () => {
    server = await startServer()
    lists.push(...(await fillLists(server)))
  })
  after(() => server[Symbol.asyncDispose]())

  async function page(list: List, args: string): Promise<Connection> {
    const data = await dataOf(server.graphql(textOf(list, args)))
    const inner = data['list'] as { list?: Connection } & Connection
    return inner.list ?? inner
  }

  it('give each item once and in order, walked forward in pages of any size', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 6 }), sizes(), async (which, pageSizes) => {
        const list = at(lists, which)
        const found: string[] = []
        let cursor = ''
        for (let i = 0; ; i++) {
          const { edges, pageInfo } = await page(list, `first: ${at(pageSizes, i)}${cursor}`)
          found.push(...edges.map(({ node }) => String(node[list.item])))
          assert.equal(pageInfo.hasPreviousPage, i > 0)
          checkEnds(pageInfo, edges)
          if (!pageInfo.hasNextPage) break
          cursor = `, after: "${pageInfo.endCursor}"`
        }
        assert.deepEqual(found, list.order, list.name)
      }),
      { numRuns: 28 },
    )
  })

  it('give each item once and in order, walked backward in pages of any size', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 6 }), sizes(), async (which, pageSizes) => {
        const list = at(lists, which)
        const found: string[] = []
        let cursor = ''
        for (let i = 0; ; i++) {
          const { edges, pageInfo } = await page(list, `last: ${at(pageSizes, i)}${cursor}`)
          found.unshift(...edges.map(({ node }) => String(node[list.item])))
          assert.equal(pageInfo.hasNextPage, i > 0)
          checkEnds(pageInfo, edges)
          if (!pageInfo.hasPreviousPage) break
          cursor = `, before: "${pageInfo.startCursor}"`
        }
        assert.deepEqual(found, list.order, list.name)
      }),
      { numRuns: 28 },
    )
  })

  it('give what lies between two cursors', async () => {
    for (const list of lists) {
      const { edges } = await page(list, 'first: 10')
      const between = await page(list, `first: 100, after: "${edges[1]?.cursor}", before: "${edges[6]?.cursor}"`)
      assert.deepEqual(
        between.edges.map(({ node }) => String(node[list.item])),
        list.order.slice(2, 6),
      )
    }
  })

  it('keep their place when items come and go between two pages', async () => {
    const list = at(lists, 1)
    const { pageInfo } = await page(list, 'first: 5')
    await query(server.databaseUrl, "insert into statelens_runs (run_id, created_at) values ('early', '2025-01-01')")
    await query(server.databaseUrl, 'delete from statelens_runs where run_id = $1', [list.order[4]])
    const { edges } = await page(list, `first: 5, after: "${pageInfo.endCursor}"`)
    assert.deepEqual(
      edges.map(({ node }) => node[list.item]),
      list.order.slice(5, 10),
    )
    await query(server.databaseUrl, "delete from statelens_runs where run_id = 'early'")
    const id = list.order[4] ?? ''
    await query(server.databaseUrl, 'insert into statelens_runs (run_id, created_at) values ($1, $2)', [
      id,
      runAt(Number(id.slice(4))),
    ])
  })

  it('give 20 items where no size is given, none for 0, and at most 100', async () => {
    for (const list of lists) {
      assert.equal((await page(list, 'first: null')).edges.length, Math.min(20, list.order.length))
      assert.equal((await page(list, 'first: 100')).edges.length, list.order.length)
      const none = await page(list, 'first: 0')
      assert.deepEqual([none.edges, none.pageInfo.endCursor], [[], null])
    }
  })

  it('refuse sizes and cursors that cannot be, before they are read', async () => {
    for (const list of lists) {
      const other = at(lists, lists.indexOf(list) < 2 ? 2 : 0)
      const foreign = (await page(other, 'first: 1')).pageInfo.endCursor
      const sound = (await page(list, 'first: 1')).pageInfo.endCursor ?? ''
      for (const args of [
        'first: -1',
        'first: 101',
        'last: -1',
        'last: 101',
        'first: 2147483647',
        'first: 1, last: 1',
        'first: 0, last: 0',
        `first: 1, after: "${foreign}"`,
        `last: 1, before: "${foreign}"`,
        ...tampered(sound).flatMap((cursor) => [
          `first: 1, after: ${JSON.stringify(cursor)}`,
          `last: 1, before: ${JSON.stringify(cursor)}`,
        ]),
      ]) {
        server.statements.length = 0
        const answer = await server.graphql(textOf(list, args))
        assert.deepEqual(codesOf(answer), ['BAD_REQUEST'], `${list.name} ${args}`)
        const read = server.statements.filter((text) => list.table.test(text))
        assert.deepEqual(read, [], `${list.name} ${args}`)
      }
    }
  })

  it('answer whatever a cursor was changed to with a bad request or with items of the list', async () => {
    const cursors = await Promise.all(
      lists.map(async (list) => (await page(list, 'first: 2')).pageInfo.endCursor ?? ''),
    )
    const change = fc.record({
      which: fc.integer({ min: 0, max: 6 }),
      place: fc.nat(),
      character: fc.constantFrom(...'AZaz09-_= '),
    })
    await fc.assert(
      fc.asyncProperty(change, async ({ which, place, character }) => {
        const [list, cursor] = [at(lists, which), at(cursors, which)]
        const from = place % cursor.length
        const text = textOf(list, `first: 100, after: "${cursor.slice(0, from)}${character}${cursor.slice(from + 1)}"`)
        const { errors, data } = await server.graphql(text)
        if (errors) return assert.deepEqual(codesOf({ errors }), ['BAD_REQUEST'])
        const inner = data['list'] as { list?: Connection } & Connection
        const found = (inner.list ?? inner).edges.map(({ node }) => String(node[list.item]))
        assert.deepEqual(found, list.order.slice(list.order.length - found.length))
      }),
      { numRuns: 100 },
    )
  })

  it('of runs hold what the filter says', async () => {
    const url = server.databaseUrl
    await query(url, `update statelens_runs set status = 'FAILED', workflow_name = 'w', tags = $2 where run_id = $1`, [
      runName(4),
      '[{"key":"a","value":"1"},{"key":"b","value":"2"}]',
    ])
    await query(url, 'update statelens_runs set parent_run_id = $2 where run_id = $1', [runName(5), runName(4)])
    for (const [filter, expected] of [
      ['status: [FAILED, QUEUED]', [4]],
      ['status: []', []],
      ['workflowName: "w"', [4]],
      ['tags: [{ key: "b", value: "2" }, { key: "a", value: "1" }]', [4]],
      ['tags: [{ key: "a", value: "2" }]', []],
      [`parentRunId: "${runName(4)}"`, [5]],
      [`createdFrom: "${runAt(1)}", createdBefore: "${runAt(2)}"`, [1, 4, 7, 10, 13, 16, 19, 22]],
      ['status: [FAILED], workflowName: "other"', []],
    ] as const) {
      const { edges } = await page(at(lists, 1), `filter: { ${filter} }`)
      assert.deepEqual(
        edges.map(({ node }) => node['runId']),
        expected.map(runName),
        filter,
      )
    }
  })

  it('of snapshots hold what the filter says', async () => {
    const url = server.databaseUrl
    await query(url, `update state_snapshots set kind = 'ERROR', is_golden = true where run_id = $1 and seq = 3`, [
      runName(0),
    ])
    await query(url, 'update state_snapshots set is_success_state = true where run_id = $1 and seq = 4', [runName(0)])
    await query(
      url,
      "update state_snapshots set storage_uri = 'file:///x', snapshot = null where run_id = $1 and seq = 5",
      [runName(0)],
    )
    for (const [filter, expected] of [
      ['kind: [ERROR]', [3]],
      ['isGolden: true', [3]],
      ['isSuccessState: true', [4]],
      ['storageTier: OBJECT', [5]],
      ['storageTier: INLINE, kind: [ERROR, CHECKPOINT], isGolden: false, isSuccessState: true', [4]],
      [`stepId: "${stepName(1)}", createdBefore: "2026-01-01T00:00:05Z"`, [1, 4]],
      ['createdFrom: "2026-01-01T00:00:03Z", createdBefore: "2026-01-01T00:00:05Z"', [3, 4]],
    ] as const) {
      const { edges } = await page(at(lists, 3), `filter: { ${filter} }`)
      assert.deepEqual(
        edges.map(({ node }) => node['seq']),
        expected,
        filter,
      )
    }
  })
})

function textOf({ text, item }: List, args: string): string {
  const connection = `{ edges { cursor node { ${item} } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }`
  return text.replace('ARGS', args).replace('CONNECTION', connection)
}

function checkEnds({ startCursor, endCursor }: Connection['pageInfo'], edges: Connection['edges']): void {
  assert.equal(startCursor, edges[0]?.cursor ?? null)
  assert.equal(endCursor, edges.at(-1)?.cursor ?? null)
}

const sizes = () => fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 5 })

function at<T>(items: readonly T[], i: number): T {
  const item = items[i % items.length]
  assert.ok(item !== undefined)
  return item
}

/** Cursors that nobody was ever given. */
function tampered(cursor: string): string[] {
  const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const [list, ...key] = parts as string[]
  return [
    '',
    'x',
    cursor.slice(0, -3),
    `${cursor}AAAA`,
    'a'.repeat(5000),
    '\u0000',
    encode(null),
    encode({}),
    encode([]),
    encode([list]),
    encode([list, ...key, '1']),
    encode([list, ...key.slice(1)]),
    encode([list, ...key.map(() => '')]),
    encode([list, ...key.map(() => 1)]),
    encode([list, ...key.map(() => null)]),
    encode([list, ...key.map((part) => `${part}\u0000`)]),
    encode([list, ...key.map((part) => `${part}' or true --`).slice(0, 1), ...key.slice(1)]),
    encode(['other', ...key]),
  ]
}
