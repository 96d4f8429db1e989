import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { capture, payloadBytes, rawPost } from '../support/answers.ts'
import { type Objects, openObjects } from '../support/objects.ts'
import { insertForeign, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'

/** What `JSON.parse` and `JSON.stringify` would change, and what a writer of answers could trip over. */
const ODD_TEXTS = [
  '{"z":1,"a":2}',
  ' { "spaced" :\t[ 1 ,\r\n 2 ] } ',
  '{"twice":1,"twice":2}',
  '[1.0,-0,1e400,-1E+400,1e-400,9007199254740993,0.10000000000000000001]',
  '"\\u0000\\ud800\\/\\u00e9"',
  '"é\u2028</script>🙂"',
  '{"__proto__":{"toJSON":1}}',
  '["0123456789abcdef0123456700:","\\"0123456789abcdef012345670:"]',
  '"}],\\"errors\\":[{"',
  '1e1000000',
  'null',
]

describe('payload bytes in an answer', () => {
  let server: TestServer
  let objects: Objects
  before(async () => {
    server = await startServer({ env: { SNAPSHOT_INLINE_MAX_BYTES: '0' } })
    objects = openObjects(server)
  })
  after(async () => {
    objects[Symbol.dispose]()
    await server[Symbol.asyncDispose]()
  })

  it('are the bytes of the column, of a foreign object and of a captured object', async () => {
    for (const text of ODD_TEXTS) {
      const storageUri = `file:///foreign/${randomUUID()}.json`
      await objects.put(storageUri, text)
      const captured = await server.app.writer.capture({ runId: 'odd' }, Buffer.from(text))
      const ids = [
        await insertForeign(server.databaseUrl, { payload: text }),
        await insertForeign(server.databaseUrl, { storageUri }),
        captured.snapshot.snapshotId,
      ]
      for (const id of ids) assert.equal((await payloadBytes(server, id)).toString(), text)
    }
  })

  it('stand side by side in one answer, each in its place', async () => {
    const ids = await Promise.all(ODD_TEXTS.map((payload) => insertForeign(server.databaseUrl, { payload })))
    const fields = ids.map((id, i) => `a${i}: snapshotById(snapshotId: "${id}") { p: payload q: payload }`)
    const { status, bytes } = await rawPost(server.url, JSON.stringify({ query: `{ ${fields.join(' ')} }` }))
    const expected = ODD_TEXTS.map((text, i) => `"a${i}":{"p":${text},"q":${text}}`)
    assert.equal(status, 200)
    assert.equal(bytes.toString(), `{"data":{${expected.join(',')}}}`)
  })

  it('are never found by what stands in other fields', async () => {
    const text = '"x"'
    const id = await insertForeign(server.databaseUrl, { payload: text })
    const marks = Array.from({ length: 50 }, (_, i) => `"${randomBytes(12).toString('hex')}${i % 2}:"`)
    await query(server.databaseUrl, 'update state_snapshots set preview = $2, metadata = $3 where id = $1', [
      id,
      marks.join(),
      `[${marks.join()}]`,
    ])
    const text2 = `{ snapshotById(snapshotId: "${id}") { preview payload metadata } }`
    const { bytes } = await rawPost(server.url, JSON.stringify({ query: text2 }))
    const snapshot = `{"preview":${JSON.stringify(marks.join())},"payload":"x","metadata":[${marks.join()}]}`
    assert.equal(bytes.toString(), `{"data":{"snapshotById":${snapshot}}}`)
  })

  it('are refused above maxBytes, and given at it', async () => {
    const { snapshot } = await capture(server, { runId: 'limit', payload: 'four byte' })
    const inline = await insertForeign(server.databaseUrl, { payload: '"four byte"' })
    for (const id of [snapshot.snapshotId, inline]) {
      const text = `{ snapshotById(snapshotId: "${id}") { fits: payload(maxBytes: 11) not: payload(maxBytes: 10)
        less: payload(maxBytes: -1) } }`
      const { data, errors = [] } = await server.graphql(text)
      assert.deepEqual(data, { snapshotById: { fits: 'four byte', not: null, less: null } })
      const codes = errors.map(({ path, extensions }) => [path?.at(-1), extensions.code]).toSorted()
      assert.deepEqual(codes, [
        ['less', 'BAD_REQUEST'],
        ['not', 'PAYLOAD_TOO_LARGE'],
      ])
    }
  })

  it('are refused above the limit of the server', async () => {
    await using small = await startServer({ env: { PAYLOAD_MAX_BYTES: '10' } })
    const { snapshot } = await capture(small, { runId: 'limit', payload: 'four byte' })
    const { data, errors } = await small.graphql(
      `{ snapshotById(snapshotId: "${snapshot.snapshotId}") { sizeBytes payload(maxBytes: 1000) } }`,
    )
    assert.deepEqual(data, { snapshotById: { sizeBytes: 11, payload: null } })
    assert.equal(errors?.[0]?.extensions.code, 'PAYLOAD_TOO_LARGE')
  })
})
