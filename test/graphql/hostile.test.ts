import assert from 'node:assert/strict'
import { mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { codesOf, send } from '../support/http.ts'
import { query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'

/** What is still held once nothing is left that could be let go. */
function heapInUse(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().heapUsed
}

describe('an operation that is meant to cost much', () => {
  let server: TestServer
  before(async () => {
    server = await startServer()
  })
  after(() => server[Symbol.asyncDispose]())

  async function refusedIn(text: string): Promise<number> {
    const start = performance.now()
    const answer = await send(server.url, {
      method: 'POST',
      target: '/graphql',
      headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
      body: JSON.stringify({ query: text }),
    })
    assert.ok([400, 413].includes(answer.status), `${answer.status}`)
    assert.ok(codesOf(answer).length > 0)
    return performance.now() - start
  }

  it('A7: overlaps in thousands of inline fragments are refused without comparing them all', async () => {
    const inner = '... on Run { runId a: runId b: status }'.repeat(100)
    await refusedIn(`{ runs { nodes { ${`... on Run { ${inner} }`.repeat(200)} } } }`)
    // What the limit of its text lets through as well.
    const small = '... on Run { x: runId }'.repeat(20)
    const took = await refusedIn(`{ runs { nodes { ${`... on Run { ${small} }`.repeat(28)} } } }`)
    assert.ok(took < 2000, `${took} ms`)
  })

  it('A10: texts of a megabyte, each another one, are neither parsed nor kept', async () => {
    const before = heapInUse()
    for (let i = 0; i < 60; i++) await refusedIn(`# ${i}${'x'.repeat(1_000_000)}\n{ __typename }`)
    for (let i = 0; i < 20; i++) await refusedIn(`{ run(runId: "${i}${'x'.repeat(1_000_000)}") { id } }`)
    assert.ok(heapInUse() - before < 40_000_000)
  })

  it('B12: a file of a tebibyte behind a row is refused as too large, and nothing of it is held', async () => {
    await mkdir(server.storagePath, { recursive: true })
    const file = await open(join(server.storagePath, 'sparse.json'), 'w')
    await file.truncate(2 ** 40)
    await file.close()
    await query(
      server.databaseUrl,
      `insert into state_snapshots (id, run_id, step_id, storage_uri)
       values ('00000000-0000-4000-8000-000000000001', 'sparse', 's', 'file:///sparse.json')`,
    )
    const before = process.memoryUsage().rss
    const { data, errors } = await server.graphql('{ s: snapshot(runId: "sparse", stepId: "s") { payload } }')
    assert.deepEqual([data, errors?.[0]?.extensions.code], [{ s: { payload: null } }, 'PAYLOAD_TOO_LARGE'])
    assert.ok(process.memoryUsage().rss - before < 100_000_000)
  })
})
