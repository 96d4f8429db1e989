import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { applyMergePatch, applyPatch, type Model, modelOf } from '../json/diff/reference.ts'
import { type PlainResponse, send } from '../support/http.ts'
import { put, storedOf } from '../support/put.ts'
import { createRandom } from '../support/random.ts'
import { startServer, type TestServer } from '../support/server.ts'

const random = createRandom(14)
const messages = Array.from({ length: 3000 }, (_, i) => ({ id: i, text: String(random()).repeat(20) }))
const FROM = Buffer.from(JSON.stringify({ step: 'a', messages, gone: [1], deep: { kept: 1, old: 2 } }))
const TO = Buffer.from(
  JSON.stringify(
    {
      messages: [{ id: 'new' }, ...messages.slice(0, 2000), ...messages.slice(2100)],
      step: 'b',
      deep: { new: [null], kept: 1 },
    },
    null,
    1,
  ),
)
const MERGE = 'application/merge-patch+json'

describe('GET and HEAD /snapshots/{id}/diff', () => {
  let server: TestServer
  const runId = randomUUID()
  let from: string
  let to: string
  before(async () => {
    server = await startServer()
    from = storedOf(await put(server.url, FROM, { runId })).snapshotId
    to = storedOf(await put(server.url, TO, { runId })).snapshotId
  })
  after(() => server[Symbol.asyncDispose]())

  const ask = (id: string, query = '', headers: Record<string, string> = {}, method = 'GET'): Promise<PlainResponse> =>
    send(server.url, { method, target: `/snapshots/${id}/diff${query}`, headers })
  const codeOf = ({ status, body }: PlainResponse) => [status, JSON.parse(body.toString()).code]
  const at = (model: Model, key: string) => (model instanceof Map ? (model.get(key) ?? null) : null)

  it('give a patch that makes the new state of the old one, and back', async () => {
    for (const [id, query, old, made] of [
      [to, `?from=${from}`, FROM, TO],
      [to, '', FROM, TO],
      [from, `?from=${to}&pointer=`, TO, FROM],
    ] as const) {
      const { status, headers, body } = await ask(id, query)
      assert.deepEqual([status, headers['content-type']], [200, 'application/json-patch+json'])
      assert.deepStrictEqual(applyPatch(modelOf(old), body), modelOf(made))
      assert.ok(body.length < 200_000)
    }
    assert.equal((await ask(to, `?from=${to}`)).body.toString(), '[]')
    assert.deepStrictEqual(applyPatch(null, (await ask(from)).body), modelOf(FROM))
  })

  it('are of one place where one is named', async () => {
    const patch = JSON.parse((await ask(to, `?from=${from}&pointer=/deep`)).body.toString())
    assert.deepEqual(patch, [
      { op: 'add', path: '/deep/new', value: [null] },
      { op: 'remove', path: '/deep/old' },
    ])
    const { body } = await ask(to, '?pointer=%2Fmessages')
    assert.deepStrictEqual(at(applyPatch(modelOf(FROM), body), 'messages'), at(modelOf(TO), 'messages'))
    assert.deepEqual(JSON.parse((await ask(to, '?pointer=/gone')).body.toString()), [{ op: 'remove', path: '/gone' }])
  })

  it('give a merge patch to who asks for one, where there are words for it', async () => {
    const { status, headers, body } = await ask(to, '', { accept: MERGE })
    assert.deepEqual([status, headers['content-type'], headers['vary']], [200, MERGE, 'accept'])
    assert.deepStrictEqual(applyMergePatch(modelOf(FROM), modelOf(body)), modelOf(TO))
    const withNull = storedOf(await put(server.url, Buffer.from('{"a":null}'))).snapshotId
    assert.equal((await ask(withNull, `?from=${from}`, { accept: MERGE })).status, 406)
    assert.equal((await ask(to, '?pointer=/deep', { accept: MERGE })).status, 406)
    assert.equal((await ask(to, '', { accept: 'text/html' })).status, 406)
    assert.equal(
      (await ask(withNull, `?from=${from}`, { accept: `${MERGE};q=0.5, application/json-patch+json` })).status,
      200,
    )
  })

  it('have a tag that tells both states, the place and the form', async () => {
    const { etag = '' } = (await ask(to)).headers
    const head = await ask(to, '', {}, 'HEAD')
    assert.deepEqual([head.status, head.headers.etag, head.body.length], [200, etag, 0])
    assert.equal((await ask(to, '', { 'if-none-match': etag })).status, 304)
    assert.equal((await ask(from, `?from=${to}`, { 'if-none-match': etag })).status, 200)
    assert.equal((await ask(to, '', { 'if-match': '"another"' })).status, 412)
    assert.notEqual((await ask(to, '', { accept: MERGE })).headers.etag, etag)
  })

  it('fail before the first byte', async () => {
    assert.deepEqual(codeOf(await ask(randomUUID())), [404, 'NOT_FOUND'])
    assert.deepEqual(codeOf(await ask(to, `?from=${randomUUID()}`)), [404, 'NOT_FOUND'])
    assert.deepEqual(codeOf(await ask(to, '?pointer=/nowhere')), [404, 'POINTER_NOT_FOUND'])
    for (const query of ['?from=x', '?pointer=a', '?to=1', '?pointer=&pointer=', '?pointer=%']) {
      assert.deepEqual(codeOf(await ask(to, query)), [400, 'BAD_REQUEST'], query)
    }
  })
})
