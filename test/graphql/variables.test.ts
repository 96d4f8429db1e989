import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { rawPost } from '../support/answers.ts'
import { cpuMillis } from '../support/cpu.ts'
import { startServer, type TestServer } from '../support/server.ts'

const CANARY = 'canary-9c1e-of-a-client'

const RUNS = 'query($f: RunFilter) { runs(filter: $f) { edges { cursor } } }'
const STATUS = 'query($s: [RunStatus!]) { runs(filter: { status: $s }) { edges { cursor } } }'
const PAGE = 'query($n: Int) { runs(first: $n) { edges { cursor } } }'
const POINT = 'query($at: DateTime, $seq: BigInt) { run(runId: "r") { stateAt(at: $at, seq: $seq) { seq } } }'
const NODES = 'query($ids: [ID!]!) { nodes(ids: $ids) { id } }'
const STEP = 'mutation($i: UpsertStepInput!) { upsertStep(input: $i) { stepId } }'
const CAPTURE = 'mutation($i: CaptureSnapshotInput!) { captureSnapshot(input: $i) { created } }'

/** What is wrong, and the words for it: where, and what would be right. */
const MISFITS: readonly (readonly [text: string, variables: object, words: readonly string[]])[] = [
  [STATUS, { s: [CANARY] }, ['Variable "$s" is invalid at "s[0]": RunStatus expected']],
  [STATUS, { s: ['FAILED', null, { a: CANARY }] }, ['"s[1]": RunStatus! expected', '"s[2]": RunStatus expected']],
  [STATUS, { s: CANARY }, ['Variable "$s" is invalid: RunStatus expected']],
  [PAGE, { n: `${CANARY}; and more` }, ['Variable "$n" is invalid: Int expected']],
  [PAGE, { n: 2 ** 31 }, ['Variable "$n" is invalid: Int expected']],
  [PAGE, { n: [CANARY] }, ['Variable "$n" is invalid: Int expected']],
  [RUNS, { f: [CANARY] }, ['Variable "$f" is invalid: RunFilter expected']],
  [RUNS, { f: { [CANARY]: CANARY } }, ['Variable "$f" is invalid: a field that RunFilter does not have']],
  [RUNS, { f: JSON.parse(`{ "__proto__": "${CANARY}" }`) }, ['a field that RunFilter does not have']],
  [RUNS, { f: { workflowName: { a: CANARY } } }, ['"f.workflowName": String expected']],
  [
    RUNS,
    { f: { tags: [{ key: CANARY }, CANARY] } },
    ['"f.tags[0]": value is required', '"f.tags[1]": TagInput expected'],
  ],
  [POINT, { at: CANARY }, ['Variable "$at" is invalid: DateTime must be RFC 3339']],
  [POINT, { seq: CANARY }, ['Variable "$seq" is invalid: BigInt must be a 64-bit integer']],
  [NODES, {}, ['Variable "$ids" of type [ID!]! is required']],
  [NODES, { ids: null }, ['Variable "$ids" is invalid: [ID!]! expected']],
  [NODES, { ids: [true, [CANARY]] }, ['"ids[0]": ID expected', '"ids[1]": ID expected']],
  [STEP, { i: { runId: CANARY, stepId: CANARY, attempt: CANARY } }, ['"i.attempt": Int expected']],
  [
    CAPTURE,
    { i: { payload: { secret: CANARY }, kind: CANARY } },
    ['"$i" is invalid: runId is required', '"i.kind": SnapshotKind expected'],
  ],
]

describe('a variable that does not fit', () => {
  let server: TestServer
  before(async () => {
    server = await startServer()
  })
  after(() => server[Symbol.asyncDispose]())

  for (const [text, variables, words] of MISFITS) {
    it(`data 1.3: is told by its place and its type, never by its value: ${words[0]}`, async () => {
      const answers: string[] = []
      for (let i = 0; i < 3; i++) {
        const { status, bytes } = await rawPost(server.url, JSON.stringify({ query: text, variables }))
        assert.equal(status, 400)
        answers.push(bytes.toString())
      }
      const [answer = ''] = answers
      assert.deepEqual(new Set(answers), new Set([answer]))
      const { errors, ...rest } = JSON.parse(answer)
      assert.deepEqual(rest, {})
      for (const error of errors) assert.deepEqual(error.extensions, { code: 'BAD_REQUEST' })
      const messages = errors.map(({ message }: { message: string }) => message).sort()
      assert.equal(messages.length, words.length)
      for (const word of words)
        assert.ok(
          messages.some((message: string) => message.includes(word)),
          messages.join(),
        )
      assert.ok(!answer.includes(CANARY))
      assert.deepEqual(server.statements, [])
    })
  }

  it('is one of ten at most', async () => {
    const { errors = [] } = await server.graphql(STATUS, { s: Array.from({ length: 100_000 }, () => 'x') })
    assert.equal(errors.length, 10)
  })

  it('data 1.3: costs little, however long it is and whatever it holds', async () => {
    const values = [
      ' cannot represent '.repeat(16_000),
      '; '.repeat(144_000),
      'x'.repeat(288_000),
      'RUNNING'.repeat(41_000),
    ]
    for (const value of values) {
      for (const [text, variables] of [
        [STATUS, { s: [value] }],
        [PAGE, { n: value }],
        [RUNS, { f: { [value]: 1 } }],
        [POINT, { at: value }],
        [POINT, { seq: value }],
      ] as const) {
        const body = JSON.stringify({ query: text, variables })
        const took = await cpuMillis(async () => {
          const { status, bytes } = await rawPost(server.url, body)
          assert.deepEqual([status, bytes.length < 1000], [400, true])
        })
        assert.ok(took < 50, `${text} took ${took} ms`)
      }
    }
  })

  it('within an argument is an error of its field, which does not tell the argument', async () => {
    const text = `query($key: String = "k") { runs(filter: { tags: [{ key: $key, value: "${CANARY}" }] }) { edges { cursor } } }`
    const { bytes } = await rawPost(server.url, JSON.stringify({ query: text, variables: { key: null } }))
    const { errors, data } = JSON.parse(bytes.toString())
    assert.equal(data, null)
    assert.deepEqual(errors, [
      {
        message: 'Argument "filter" has an invalid value.',
        locations: [{ line: 1, column: 42 }],
        path: ['runs'],
        extensions: { code: 'BAD_REQUEST' },
      },
    ])
  })
})
