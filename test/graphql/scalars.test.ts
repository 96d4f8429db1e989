import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { CAPTURE, codesByPath, codesOf, dataOf, payloadBytes } from '../support/answers.ts'
import { insertForeign, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'

const UPSERT = `mutation($at: DateTime) {
  upsertRun(input: { runId: "times", startedAt: $at }) { startedAt }
}`

describe('scalars', () => {
  let server: TestServer
  before(async () => {
    server = await startServer()
  })
  after(() => server[Symbol.asyncDispose]())

  it('DateTime takes RFC 3339 and answers in UTC, to the microsecond', async () => {
    for (const [given, expected] of [
      ['2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z'],
      ['2026-01-01t00:00:00.1z', '2026-01-01T00:00:00.1Z'],
      ['2026-01-01 00:00:00.123456Z', '2026-01-01T00:00:00.123456Z'],
      ['2026-01-01T00:00:00.123456789Z', '2026-01-01T00:00:00.123456Z'],
      ['2026-01-01T00:30:00.5+01:00', '2025-12-31T23:30:00.5Z'],
      ['2024-02-29T23:59:59-23:59', '2024-03-01T23:58:59Z'],
      ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00Z'],
      ['9999-12-31T23:59:59.999999Z', '9999-12-31T23:59:59.999999Z'],
      ['2016-12-31T23:59:60Z', '2016-12-31T23:59:59.999999Z'],
      ['2017-01-01T05:29:60.25+05:30', '2016-12-31T23:59:59.999999Z'],
    ]) {
      const inVariable = await dataOf(server.graphql(UPSERT, { at: given }))
      const asLiteral = await dataOf(server.graphql(UPSERT.replace('($at: DateTime)', '').replace('$at', `"${given}"`)))
      assert.deepEqual(inVariable, { upsertRun: { startedAt: expected } }, given)
      assert.deepEqual(asLiteral, inVariable)
    }
  })

  it('DateTime refuses what is no moment of the calendar, before any SQL', async () => {
    server.statements.length = 0
    for (const at of [
      'yesterday',
      '',
      '2026-01-01',
      '2026-01-01T00:00:00',
      '2026-13-01T00:00:00Z',
      '2026-02-31T00:00:00Z',
      '2025-02-29T00:00:00Z',
      '2026-01-01T25:00:00Z',
      '2026-01-01T00:00:60Z',
      '2016-12-31T23:59:61Z',
      '2026-03-01T24:00:00Z',
      '2026-03-01T24:00:00.000+01:00',
      '2026-01-01T00:00:00+99:99',
      '0000-01-01T00:00:00Z',
      '0001-01-01T00:00:00+01:00',
      '9999-12-31T23:59:59-01:00',
      '+12026-01-01T00:00:00Z',
      1767225600,
      ['2026-01-01T00:00:00Z'],
    ]) {
      const answer = await server.graphql(UPSERT, { at })
      assert.deepEqual([answer.status, codesOf(answer)], [400, ['BAD_REQUEST']], String(at))
      const literal = await server.graphql(UPSERT.replace('($at: DateTime)', '').replace('$at', JSON.stringify(at)))
      assert.equal(literal.status, 400)
      assert.ok(['BAD_REQUEST', 'GRAPHQL_VALIDATION_FAILED'].includes(codesOf(literal).join()), codesOf(literal).join())
    }
    assert.deepEqual(server.statements, [])
  })

  it('BigInt is a number as long as that is exact, and a string beyond', async () => {
    const id = await insertForeign(server.databaseUrl, { payload: '1' })
    for (const [seq, expected] of [
      ['9007199254740991', 9007199254740991],
      ['9007199254740992', '9007199254740992'],
      ['9223372036854775807', '9223372036854775807'],
      ['-9223372036854775808', '-9223372036854775808'],
    ]) {
      await query(server.databaseUrl, 'update state_snapshots set seq = $2 where id = $1', [id, seq])
      const data = await dataOf(server.graphql(`{ snapshotById(snapshotId: "${id}") { seq } }`))
      assert.deepEqual(data, { snapshotById: { seq: expected } })
    }
  })

  it('BigInt takes 64-bit integers as numbers and as strings, and nothing else', async () => {
    await server.graphql(CAPTURE, { input: { runId: 'big', payload: 1 } })
    const text = 'query($seq: BigInt) { run(runId: "big") { stateAt(seq: $seq) { runId } } }'
    for (const seq of [9007199254740991, '9223372036854775807', '9007199254740993']) {
      assert.deepEqual(await dataOf(server.graphql(text, { seq })), { run: { stateAt: { runId: 'big' } } })
    }
    for (const seq of [-1, '-9223372036854775808', 0]) {
      assert.deepEqual(await dataOf(server.graphql(text, { seq })), { run: { stateAt: null } })
    }
    server.statements.length = 0
    for (const seq of ['9223372036854775808', '1e3', '', ' 1', '0x1', 1.5, 9007199254740992, true, [1], {}]) {
      const answer = await server.graphql(text, { seq })
      assert.deepEqual([answer.status, codesOf(answer)], [400, ['BAD_REQUEST']], String(seq))
    }
    assert.deepEqual(server.statements, [])
  })

  it('JSON literals mean what their variables mean', async () => {
    const text = `mutation($v: JSON) { captureSnapshot(input: { runId: "json", payload:
      { a: [1, 2.5, "x", true, null, { b: $v }], __proto__: "own", big: 123456789012345678 } }) {
      snapshot { snapshotId } } }`
    interface Captured {
      readonly captureSnapshot: { readonly snapshot: { readonly snapshotId: string } }
    }
    const { captureSnapshot } = await dataOf(server.graphql<Captured>(text, { v: ['in', { variable: 1 }] }))
    const bytes = await payloadBytes(server, captureSnapshot.snapshot.snapshotId)
    const expected =
      '{"a":[1,2.5,"x",true,null,{"b":["in",{"variable":1}]}],"__proto__":"own","big":123456789012345678}'
    assert.equal(bytes.toString(), expected)
  })

  it('of a variable that does not fit, neither the value nor a guess is told', async () => {
    const payload = { password: 'hunter2; at "x"; y' }
    for (const input of [
      { payload },
      { runIdd: 'r', runId: 'r', payload },
      { runId: payload, payload },
      { runId: 'r', attempt: payload },
      { runId: 'r', attempt: 'hunter2; z' },
      { runId: 'r', kind: 'hunter2' },
      { runId: 'r', kind: payload },
      { runId: 'r', piiTags: [payload] },
      { runId: 'r', isSuccessState: payload },
      payload,
      'hunter2',
    ]) {
      const answer = await server.graphql(CAPTURE, { input })
      assert.deepEqual([answer.status, codesOf(answer)], [400, ['BAD_REQUEST']])
      if ('kind' in Object(input) && typeof Object(input).kind === 'string') continue
      assert.doesNotMatch(JSON.stringify(answer), /hunter2|Did you mean/, JSON.stringify(answer))
    }
    const near = await server.graphql(CAPTURE, { input: { runId: 'r', payload: 1, kind: 'CHECKPOIN' } })
    assert.doesNotMatch(JSON.stringify(near), /Did you mean|CHECKPOINT/)
  })

  it('an Int beyond 32 bits is refused', async () => {
    const answer = await server.graphql('query($n: Int) { runs(first: $n) { edges { cursor } } }', { n: 2 ** 31 })
    assert.deepEqual([answer.status, codesOf(answer)], [400, ['BAD_REQUEST']])
    const literal = await server.graphql('{ runs(first: 2147483648) { edges { cursor } } }')
    assert.deepEqual([literal.status, codesOf(literal)], [400, ['GRAPHQL_VALIDATION_FAILED']])
    assert.deepEqual(codesByPath(literal), { '': 'GRAPHQL_VALIDATION_FAILED' })
  })
})
