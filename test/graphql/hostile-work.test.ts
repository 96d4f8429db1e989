import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { cpuMillis } from '../support/cpu.ts'
import { codesOf, send } from '../support/http.ts'
import { query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'

const aliases = (count: number) => Array.from({ length: count }, (_, i) => `a${i}: run(runId: "r") { runId }`).join(' ')
const doubling = (levels: number) =>
  `{ ...f0 } ${Array.from({ length: levels }, (_, i) => `fragment f${i} on Query { ...f${i + 1} ...f${i + 1} }`).join(' ')}
  fragment f${levels} on Query { run(runId: "r") { runId } }`
const directives = (count: number) => `{ run(runId: "r") { runId ${'status @skip(if: false) '.repeat(count)} } }`
const inOnePlace = (count: number) => `{ run(runId: "r") { runId ${'@skip(if: false) '.repeat(count)} } }`

/** Milliseconds of CPU that the row grants on a machine of its own, four times: there is a client in this process, and others beside it. */
const ATTACKS: readonly (readonly [name: string, texts: readonly string[], millis: number])[] = [
  ['A1: 101 to 10,000 aliases', [101, 1000, 10_000].map((count) => `{ ${aliases(count)} }`), 4 * 50],
  ['A3: fragments that double 20 to 26 times', [20, 23, 26].map(doubling), 4 * 20],
  ['A6: thousands of directives', [directives(200), directives(10_000), inOnePlace(900), inOnePlace(10_000)], 4 * 50],
]

describe('an operation that multiplies', () => {
  let server: TestServer
  before(async () => {
    server = await startServer()
  })
  after(() => server[Symbol.asyncDispose]())

  for (const [name, texts, millis] of ATTACKS) {
    it(`${name} run no resolver, and cost next to nothing`, async () => {
      for (const [index, text] of texts.entries()) {
        let asked = 0
        server.statements.length = 0
        const took = await cpuMillis(async () => {
          // Another text each time: none is known from before.
          const answer = await server.graphql(`# ${asked++}\n${text}`)
          assert.equal(answer.status, 400)
          assert.equal(answer.data, undefined)
        })
        assert.ok(took < millis, `${index}: ${took} ms`)
        // Each of its fields would have asked the database.
        assert.deepEqual(server.statements, [])
      }
    })
  }

  it('D11: has a page of 100 states of 999 KB sent in pieces, or refused, and never made a text of', async () => {
    await query(
      server.databaseUrl,
      `insert into state_snapshots (run_id, step_id, payload)
       select 'wide', 'step ' || n, ('"' || repeat('x', 999000) || '"')::json from generate_series(1, 100) n`,
    )
    const text = '{ run(runId: "wide") { snapshots(first: 100) { nodes { payload } } } }'
    const before = process.memoryUsage().rss
    let held = 0
    let last = process.threadCpuUsage()
    const watch = setInterval(() => {
      const { user, system } = process.threadCpuUsage(last)
      last = process.threadCpuUsage()
      held = Math.max(held, (user + system) / 1000)
    }, 1)
    const answer = await send(server.url, {
      method: 'POST',
      target: '/graphql',
      headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
      body: JSON.stringify({ query: text }),
    })
    clearInterval(watch)
    const growth = process.memoryUsage().rss - before - answer.body.length
    if (answer.status === 200) assert.ok(answer.body.length > 99_000_000)
    else assert.deepEqual([answer.status, codesOf(answer)], [400, ['QUERY_TOO_COMPLEX']])
    assert.ok(growth < 300_000_000, `${growth} bytes beside the answer that this client holds`)
    // A text of 100 MB takes a second and more at once.
    assert.ok(held < 700, `the loop was held for ${held} ms of CPU`)
  })
})
