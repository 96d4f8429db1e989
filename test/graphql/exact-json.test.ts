import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { rawPost } from '../support/answers.ts'
import { startServer, type TestServer } from '../support/server.ts'

const CAPTURE = `mutation ($i: CaptureSnapshotInput!) {
  captureSnapshot(input: $i) { created snapshot { snapshotId digest sizeBytes payload metadata } }
}`
const NUMBERS =
  '[1e400,-1E+400,-0,-0.0,1.0,1e-400,9007199254740993,123456789012345678901234567890,0.10000000000000000001,0.1e1,1E2]'
const TEXTS = [
  NUMBERS,
  '1e400',
  '-0',
  '1.0',
  'null',
  '"\\u0000\\ud83e\\/é"',
  ' {\t"b" : 1.50,\r\n"a":[ ] , "b":2 } ',
  '{"__proto__":{"payload":1e999},"":-0.0}',
  '{"payload":"\\"}","i":{"payload":0}}',
  '{"jsonText":"7"}',
]

describe('JSON that is sent by a mutation', () => {
  let server: TestServer
  before(async () => {
    server = await startServer()
  })
  after(() => server[Symbol.asyncDispose]())

  /** The answer's text; `variables` as text. */
  async function run(query: string, variables = '{}'): Promise<string> {
    const { bytes } = await rawPost(server.url, `{"variables":${variables},"query":${JSON.stringify(query)}}`)
    return bytes.toString()
  }

  it('is kept as it was sent in variables, payload and metadata, byte for byte', async () => {
    for (const text of TEXTS) {
      const sent = text.trim()
      const digest = `sha256:${createHash('sha256').update(sent).digest('hex')}`
      const whole = await run(CAPTURE, `{ "i":{"runId":"v","metadata":${text},"stepId":"s", "payload" : ${text} } }`)
      assert.ok(whole.includes(`"digest":"${digest}","sizeBytes":${Buffer.byteLength(sent)}`), whole)
      assert.ok(whole.includes(`"payload":${sent},"metadata":${sent}}`), whole)
    }
  })

  it('is no text for what only looks like one', async () => {
    const like = '{"jsonText":"7"}'
    const parts = `mutation ($p: JSON = {jsonText: "7"}) { a: captureSnapshot(input: { runId: "q", payload: {a: $p, b: {jsonText: "7"}} }) {
      snapshot { payload } } }`
    assert.ok((await run(parts)).includes(`"payload":{"a":${like},"b":${like}}`))
    assert.ok((await run(parts, `{"p":${like}}`)).includes(`"payload":{"a":${like},"b":${like}}`))
  })

  it('is kept in a variable of its own, wherever the query puts it', async () => {
    const parts = `mutation ($p: JSON, $f: Float!, $l: [JSON!]!) {
      a: captureSnapshot(input: { runId: "p", payload: $p }) { snapshot { payload } }
      b: captureSnapshot(input: { runId: "p", payload: { x: $p, f: $f, l: $l, none: $p }, metadata: [$p] }) {
        snapshot { payload metadata }
      }
    }`
    const answer = await run(parts, `{"p":[1.0, 1e400],"p":${NUMBERS},"f":-0,"l":[ 2.0, {"a": -0} ]}`)
    assert.equal(
      answer,
      `{"data":{"a":{"snapshot":{"payload":${NUMBERS}}},"b":{"snapshot":{"payload":{"x":${NUMBERS},"f":-0,"l":[2.0,{"a": -0}],"none":${NUMBERS}},"metadata":[${NUMBERS}]}}}}`,
    )
  })

  it('keeps the digits of a literal, and of the default of a variable', async () => {
    const literal = (
      payload: string,
    ) => `captureSnapshot(input: { runId: "l", payload: ${payload}, metadata: ${payload} }) {
      snapshot { payload metadata }
    }`
    for (const number of JSON.parse(NUMBERS.replace(/([^[\],]+)/g, '"$1"'))) {
      assert.equal(
        await run(`mutation { ${literal(`{ n: ${number} l: [${number}] }`)} }`),
        `{"data":{"captureSnapshot":{"snapshot":{"payload":{"n":${number},"l":[${number}]},"metadata":{"n":${number},"l":[${number}]}}}}}`,
      )
      assert.equal(
        await run(`mutation ($d: JSON = ${number}) { ${literal('$d')} }`),
        `{"data":{"captureSnapshot":{"snapshot":{"payload":${number},"metadata":${number}}}}}`,
      )
    }
    const odd = '{ __proto__: ENUM, s: "a\\u0000\\"", none: $none, l: [$none, null, true] }'
    assert.equal(
      await run(`mutation ($none: JSON) { ${literal(odd)} }`),
      `{"data":{"captureSnapshot":{"snapshot":{"payload":{"__proto__":"ENUM","s":"a\\u0000\\"","l":[null,null,true]},"metadata":{"__proto__":"ENUM","s":"a\\u0000\\"","l":[null,null,true]}}}}}`,
    )
  })

  it('is the same state as the same bytes by PUT', async () => {
    const headers = { 'content-type': 'application/json', 'idempotency-key': 'both' }
    const put = await fetch(`${server.url}/runs/same/steps/s/snapshot`, { method: 'PUT', headers, body: NUMBERS })
    assert.equal(put.status, 201)
    const answer = await run(
      CAPTURE,
      `{"i":{"runId":"same","stepId":"s","idempotencyKey":"both","payload":${NUMBERS}}}`,
    )
    assert.match(answer, /"created":false/)
  })

  it('is not looked for in other variables that fit an exact number badly', async () => {
    const answer = await run(
      'mutation ($i: UpsertStepInput!) { upsertStep(input: $i) { index } }',
      '{"i":{"runId":"r","stepId":"s","index":2.0}}',
    )
    assert.equal(answer, '{"data":{"upsertStep":{"index":2}}}')
  })

  it('is refused where it is nested too deeply, as by PUT', async () => {
    const deep = `${'['.repeat(600)}${']'.repeat(600)}`
    for (const input of [`"payload":${deep}`, `"payload":1,"metadata":${deep}`]) {
      assert.match(await run(CAPTURE, `{"i":{"runId":"deep",${input}}}`), /"code":"INVALID_PAYLOAD"/)
    }
  })
})
