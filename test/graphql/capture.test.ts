import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import {
  CAPTURE,
  capture,
  codesByPath,
  codesOf,
  dataOf,
  payloadBytes,
  payloadOf,
  rawPost,
  uncachedBytes,
} from '../support/answers.ts'
import { describeWith } from '../support/describe-with.ts'
import { countRows, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { valkey } from '../support/services.ts'

const WHOLE_VALUES = [{}, null, [], '', 0, false]

function testWholeValues(env: Readonly<Record<string, string>>): void {
  for (const [tier, inlineMaxBytes] of [
    ['INLINE', '1048576'],
    ['OBJECT', '0'],
  ] as const) {
    it(`keeps the smallest payloads as ${tier}, read twice by the cache and once without`, async () => {
      await using server = await startServer({ env: { ...env, SNAPSHOT_INLINE_MAX_BYTES: inlineMaxBytes } })
      for (const [i, payload] of WHOLE_VALUES.entries()) {
        const { snapshot } = await capture(server, { runId: 'whole', stepId: `${i}`, payload })
        assert.equal(snapshot.storageTier, tier)
        const expected = JSON.stringify(payload)
        assert.equal((await payloadBytes(server, snapshot.snapshotId)).toString(), expected)
        assert.equal((await payloadBytes(server, snapshot.snapshotId)).toString(), expected)
        assert.equal((await uncachedBytes(server, 'whole', `${i}`)).toString(), expected)
      }
    })
  }
}

describe('captureSnapshot of whole values', () => testWholeValues({}))
await describeWith('captureSnapshot of whole values, with Valkey', valkey, ({ url }) =>
  testWholeValues({ VALKEY_URL: url }),
)

describe('captureSnapshot', () => {
  let server: TestServer
  before(async () => {
    server = await startServer({ env: { SNAPSHOT_INLINE_MAX_BYTES: '1000' } })
  })
  after(() => server[Symbol.asyncDispose]())

  it('refuses a payload that is left out, before any SQL', async () => {
    server.statements.length = 0
    const answers = [
      await server.graphql(CAPTURE, { input: { runId: 'run' } }),
      await server.graphql('mutation { captureSnapshot(input: { runId: "run" }) { created } }'),
      await server.graphql('mutation($p: JSON) { captureSnapshot(input: { runId: "run", payload: $p }) { created } }'),
    ]
    for (const answer of answers) assert.deepEqual(codesByPath(answer), { captureSnapshot: 'BAD_REQUEST' })
    assert.deepEqual(server.statements, [])
  })

  it('takes null as a payload, in a variable and as a literal', async () => {
    const literal = await server.graphql<{ captureSnapshot: { snapshot: object } }>(
      'mutation { captureSnapshot(input: { runId: "null", payload: null }) { snapshot { sizeBytes payload } } }',
    )
    assert.deepEqual(literal.data.captureSnapshot.snapshot, { sizeBytes: 4, payload: null })
    assert.equal(literal.errors, undefined)
  })

  it('counts the inline limit in bytes of UTF-8, the limit itself included', async () => {
    for (const [sizeBytes, tier] of [
      [999, 'INLINE'],
      [1000, 'INLINE'],
      [1001, 'OBJECT'],
    ] as const) {
      const payload = payloadOf(sizeBytes)
      assert.ok(payload.text.length < sizeBytes / 1.2, 'fewer characters than bytes')
      const { snapshot } = await capture(server, { runId: 'limit', payload })
      assert.deepEqual([snapshot.sizeBytes, snapshot.storageTier], [sizeBytes, tier])
      assert.equal((await payloadBytes(server, snapshot.snapshotId)).toString(), JSON.stringify(payload))
    }
  })

  it('tells size, digest and preview of what it stored', async () => {
    const { snapshot } = await capture(server, { runId: 'facts', payload: { a: [1, 'é'] } })
    assert.equal(snapshot.sizeBytes, 14)
    // printf '{"a":[1,"é"]}' | sha256sum
    assert.equal(snapshot.digest, 'sha256:5db14a2cddc92d31365806bb5d82ed2bc436bf6960d10cd4654140f7bdadce1c')
  })

  it('creates a run and a step that are not there yet, with the status UNKNOWN', async () => {
    await capture(server, { runId: 'new run', stepId: 'new step', payload: 1 })
    const data = await dataOf(
      server.graphql('{ run(runId: "new run") { status steps { edges { node { stepId status attempt } } } } }'),
    )
    const node = { stepId: 'new step', status: 'UNKNOWN', attempt: 1 }
    assert.deepEqual(data, { run: { status: 'UNKNOWN', steps: { edges: [{ node }] } } })
  })

  it('belongs to the run alone where no step is named', async () => {
    const { snapshot } = await capture(server, { runId: 'alone', payload: 1 })
    const text = 'query($id: ID!) { snapshotById(snapshotId: $id) { stepId step { stepId } run { runId } } }'
    const data = await dataOf(server.graphql(text, { id: snapshot.snapshotId }))
    assert.deepEqual(data, { snapshotById: { stepId: null, step: null, run: { runId: 'alone' } } })
  })

  it('keeps everything that is said about a state', async () => {
    const said = {
      attempt: 3,
      kind: 'OUTPUT',
      metadata: { z: 1, a: [null, 'x'] },
      isSuccessState: true,
      replaySafe: true,
      piiTags: ['email', 'name'],
      redactionPolicy: 'strict',
    }
    const expiresAt = '2030-01-02T03:04:05.123456+02:00'
    const { snapshot } = await capture(server, { runId: 'said', payload: 1, expiresAt, ...said })
    const text = `query($id: ID!) { snapshotById(snapshotId: $id) {
      attempt kind metadata isSuccessState replaySafe piiTags redactionPolicy expiresAt isGolden } }`
    const data = await dataOf(server.graphql(text, { id: snapshot.snapshotId }))
    assert.deepEqual(data, {
      snapshotById: { ...said, expiresAt: '2030-01-02T01:04:05.123456Z', isGolden: false },
    })
  })

  it('refuses ids, texts and numbers that cannot be kept', async () => {
    const rows = await countRows(server.databaseUrl, 'state_snapshots')
    for (const wrong of [
      { snapshotId: 'no-uuid' },
      { attempt: 0 },
      { idempotencyKey: '' },
      { idempotencyKey: 'x'.repeat(513) },
      { redactionPolicy: 'a\u0000b' },
      { redactionPolicy: '\ud800' },
      { piiTags: ['x'.repeat(257)] },
      { metadata: 'x'.repeat(65_536) },
    ]) {
      const answer = await server.graphql(CAPTURE, { input: { runId: 'wrong', payload: 1, ...wrong } })
      assert.deepEqual(codesByPath(answer), { captureSnapshot: 'BAD_REQUEST' }, JSON.stringify(wrong).slice(0, 80))
    }
    assert.equal(await countRows(server.databaseUrl, 'state_snapshots'), rows)
  })

  it('refuses payloads and metadata that are nested too deeply, whatever the depth', async () => {
    for (const depth of [513, 5000, 30_000]) {
      const nested = '['.repeat(depth) + ']'.repeat(depth)
      const inputs = [`"payload":${nested}`, `"payload":1,"metadata":${nested}`]
      for (const input of inputs) {
        const body = `{"query":${JSON.stringify(CAPTURE)},"variables":{"input":{"runId":"deep",${input}}}}`
        const { status, bytes } = await rawPost(server.url, body)
        assert.equal(status, 200)
        const answer = JSON.parse(bytes.toString())
        assert.deepEqual(codesByPath(answer), { captureSnapshot: 'INVALID_PAYLOAD' }, input.slice(0, 30) + depth)
      }
    }
    const fits = '['.repeat(512) + ']'.repeat(512)
    const { snapshot } = await capture(server, { runId: 'deep', payload: JSON.parse(fits) })
    assert.equal((await payloadBytes(server, snapshot.snapshotId)).toString(), fits)
  })

  it('keeps a key named __proto__ as data', async () => {
    const payload = JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{}}}')
    const { snapshot } = await capture(server, { runId: 'proto', payload })
    assert.equal((await payloadBytes(server, snapshot.snapshotId)).toString(), JSON.stringify(payload))
    assert.equal(Reflect.get({}, 'polluted'), undefined)
  })

  it('takes a payload of 2 MiB and refuses one that no request may bring', async () => {
    const { snapshot } = await capture(server, { runId: 'large', payload: payloadOf(2_097_152) })
    assert.equal(snapshot.sizeBytes, 2_097_152)
    const answer = await server.graphql(CAPTURE, { input: { runId: 'large', payload: payloadOf(3_000_000) } })
    assert.deepEqual([answer.status, codesOf(answer)], [413, ['PAYLOAD_TOO_LARGE']])
  })

  it('stores the payload in one place only', async () => {
    await capture(server, { runId: 'places', snapshotId: randomUUID(), payload: payloadOf(5000) })
    const rows = await query<{ inline: boolean; object: boolean }>(
      server.databaseUrl,
      'select coalesce(payload, snapshot) is not null as inline, storage_uri is not null as object from state_snapshots',
    )
    assert.ok(rows.length > 5 && rows.every(({ inline, object }) => inline !== object))
  })
})
