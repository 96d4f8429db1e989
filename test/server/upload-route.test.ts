import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { after, before, describe, it } from 'node:test'
import { announced, begin, commit, expireUploads, putTo, type Ticket, tryCommit } from '../graphql/uploads-fixture.ts'
import { capture, codesOf, dataOf, payloadBytes } from '../support/answers.ts'
import { type PlainResponse, send } from '../support/http.ts'
import { filesBelow } from '../support/objects.ts'
import { eventually, refusalOf } from '../support/put.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { sweepOnce } from '../support/store.ts'

let count = 0
/** JSON that no other test has. */
function state(sizeBytes = 20_000): Buffer {
  const head = `{"number":${++count},"text":"`
  return Buffer.from(`${head}${'x'.repeat(sizeBytes - head.length - 2)}"}`)
}

const JSON_TYPE = { 'content-type': 'application/json' }

describe('PUT /uploads/{uploadId}', () => {
  let server: TestServer
  let now = Date.now()
  before(async () => {
    server = await startServer({ env: { SNAPSHOT_INLINE_MAX_BYTES: '0' }, now: () => now })
  })
  after(() => server[Symbol.asyncDispose]())

  const targetOf = ({ url }: Ticket) => (url ?? '').slice(server.url.length)

  /** A PUT whose body is still to be written. */
  function openPut(ticket: Ticket, sizeBytes: number) {
    const { hostname, port } = new URL(server.url)
    const headers = { ...JSON_TYPE, 'content-length': String(sizeBytes) }
    return request({ hostname, port, method: 'PUT', path: targetOf(ticket), headers, agent: false })
  }

  function put(ticket: Ticket, body: Buffer, options: { target?: string; headers?: Record<string, string> } = {}) {
    const { target = targetOf(ticket), headers = JSON_TYPE } = options
    return send(server.url, { method: 'PUT', target, headers, body })
  }

  const filesOf = async () => (await filesBelow(server.storagePath)).length

  it('takes the bytes of its ticket, and says nothing', async () => {
    const payload = state()
    const ticket = await begin(server, payload)
    assert.deepEqual(ticket.headers, [
      { name: 'content-length', value: String(payload.length) },
      { name: 'content-type', value: 'application/json' },
    ])
    const { status, headers, body } = await put(ticket, payload)
    assert.deepEqual([status, headers['cache-control'], body.length], [204, 'no-store', 0])
    const { snapshot } = await commit(server, ticket)
    assert.deepEqual(await payloadBytes(server, snapshot.snapshotId), payload)
  })

  it('takes them again without complaint, before and after the commit, and stores them once', async () => {
    const payload = state()
    const ticket = await begin(server, payload)
    const files = await filesOf()
    const answers = await Promise.all([put(ticket, payload), put(ticket, payload), put(ticket, payload)])
    assert.deepEqual(
      answers.map(({ status }) => status),
      [204, 204, 204],
    )
    await commit(server, ticket)
    assert.equal((await put(ticket, payload)).status, 204)
    assert.equal(await filesOf(), files + 1)
  })

  it('refuses other bytes, and takes the right ones after it', async () => {
    const payload = state()
    const ticket = await begin(server, payload)
    const files = await filesOf()
    const refusals: [PlainResponse, number, string][] = [
      [await put(ticket, state()), 400, 'BAD_REQUEST'],
      [await put(ticket, payload.subarray(1)), 400, 'BAD_REQUEST'],
      [await put(ticket, Buffer.concat([payload, Buffer.from(' ')])), 413, 'PAYLOAD_TOO_LARGE'],
      [await put(ticket, payload, { headers: { 'content-type': 'text/plain' } }), 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ]
    for (const [answer, status, code] of refusals) assert.deepEqual(refusalOf(answer), { status, code })
    assert.equal(await filesOf(), files)
    assert.equal((await put(ticket, payload)).status, 204)
  })

  it('refuses a body in chunks, whose length nobody has announced', async () => {
    const payload = state()
    const ticket = await begin(server, payload)
    const { hostname, port } = new URL(server.url)
    const sending = request({ hostname, port, method: 'PUT', path: targetOf(ticket), headers: JSON_TYPE, agent: false })
    sending.on('error', () => {})
    sending.flushHeaders()
    const [response] = await once(sending, 'response')
    sending.destroy()
    assert.equal(response.statusCode, 400)
  })

  it('leaves nothing of a body that breaks off, and takes it anew', async () => {
    const payload = state(300_000)
    const ticket = await begin(server, payload)
    const files = await filesOf()
    const sending = openPut(ticket, payload.length)
    sending.on('error', () => {})
    sending.write(payload.subarray(0, 100_000))
    await eventually(async () => assert.equal(await filesOf(), files + 1))
    sending.destroy()
    await eventually(async () => assert.equal(await filesOf(), files))
    assert.deepEqual(codesOf(await tryCommit(server, ticket.uploadId)), ['OBJECT_MISSING'])
    assert.equal((await put(ticket, payload)).status, 204)
    assert.equal((await commit(server, ticket)).created, true)
  })

  it('refuses every link that was not signed here for this upload', async () => {
    const payload = state()
    const [ticket, other] = [await begin(server, payload), await begin(server, state())]
    const target = targetOf(ticket)
    const [path = '', query = ''] = target.split('?')
    const [exp = '', kid = '', sig = ''] = query.split('&')
    const forged = [
      path,
      `${path}?${kid}&${exp}&${sig}`,
      `${path}?${query}&x=1`,
      `${path}?${query}&${sig}`,
      `${path}?exp=9999999999&${kid}&${sig}`,
      `${path}?${exp}&${kid}&sig=${'A'.repeat(43)}`,
      `${path}?${exp}&${kid}&${sig}=`,
      `${path}?${exp}&kid=AAAAAAAA&${sig}`,
      `${targetOf(other).split('?')[0]}?${query}`,
      `${path.toUpperCase().replace('/UPLOADS', '/uploads')}?${query}`,
      ...Array.from({ length: 43 }, (_, index) => {
        const at = target.length - 43 + index
        return `${target.slice(0, at)}${target[at] === 'a' ? 'b' : 'a'}${target.slice(at + 1)}`
      }),
    ]
    for (const one of forged) {
      const refusal = refusalOf(await put(ticket, payload, { target: one }))
      assert.deepEqual(refusal, { status: 403, code: 'LINK_INVALID' }, one)
    }
  })

  it('is no way to download, nor is a link to a download a way in', async () => {
    const { snapshot } = await capture(server, { runId: 'run', stepId: 'step', payload: 'x' })
    const ticket = await begin(server, state(), { snapshotId: undefined })
    const { snapshotById } = await dataOf(
      server.graphql<{ snapshotById: { signedUrl: string } }>(
        'query($id: ID!) { snapshotById(snapshotId: $id) { signedUrl } }',
        { id: snapshot.snapshotId },
      ),
    )
    const ofDownload = new URL(snapshotById.signedUrl).searchParams
    const { exp, kid, sig } = Object.fromEntries(ofDownload)
    const target = `/uploads/${snapshot.snapshotId}?exp=${exp}&kid=${kid}&sig=${sig}`
    assert.equal(refusalOf(await put(ticket, state(), { target })).code, 'LINK_INVALID')
    const ofUpload = Object.fromEntries(new URL(ticket.url ?? '').searchParams)
    const download = `/snapshots/${snapshot.snapshotId}/payload?exp=${ofUpload['exp']}&kid=${ofUpload['kid']}&disposition=inline&sig=${ofUpload['sig']}`
    assert.equal(refusalOf(await send(server.url, { target: download })).code, 'LINK_INVALID')
    assert.equal((await send(server.url, { target: targetOf(ticket) })).status, 405)
  })

  it('ends with its ticket, but bytes that came in time can be committed', async () => {
    const [early, late] = [state(), state()]
    const tickets = [
      await begin(server, early, { expiresIn: 60 }),
      await begin(server, late, { expiresIn: 60 }),
    ] as const
    assert.equal(await putTo(tickets[0], early), 204)
    now += 60_000
    try {
      assert.deepEqual(refusalOf(await put(tickets[1], late)), { status: 403, code: 'LINK_EXPIRED' })
    } finally {
      now -= 60_000
    }
    assert.equal((await commit(server, tickets[0])).created, true)
  })

  it('finds no upload that was refused or swept', async () => {
    const [broken, swept] = [Buffer.from('{"not json'), state()]
    const tickets = [await begin(server, broken), await begin(server, swept)] as const
    await put(tickets[0], broken)
    assert.deepEqual(codesOf(await tryCommit(server, tickets[0].uploadId)), ['INVALID_PAYLOAD'])
    assert.deepEqual(refusalOf(await put(tickets[0], broken)), { status: 404, code: 'NOT_FOUND' })
    await expireUploads(server.databaseUrl)
    await sweepOnce(server)
    assert.deepEqual(refusalOf(await put(tickets[1], swept)), { status: 404, code: 'NOT_FOUND' })
  })

  it('leaves nothing of bytes that were still on their way when the upload was swept', async () => {
    const payload = state(300_000)
    const ticket = await begin(server, payload)
    const files = await filesOf()
    const sending = openPut(ticket, payload.length)
    const answered = once(sending, 'response')
    sending.write(payload.subarray(0, 100_000))
    await eventually(async () => assert.equal(await filesOf(), files + 1))
    await expireUploads(server.databaseUrl)
    await sweepOnce(server)
    sending.end(payload.subarray(100_000))
    const [response] = await answered
    response.resume()
    assert.equal(response.statusCode, 404)
    await eventually(async () => assert.equal(await filesOf(), files))
  })

  it('takes the same content by two tickets, each for a snapshot of its own', async () => {
    const payload = state()
    const tickets = await Promise.all([begin(server, payload), begin(server, payload)])
    for (const ticket of tickets) assert.equal((await put(ticket, payload)).status, 204)
    const answers = await Promise.all(tickets.map((ticket) => commit(server, ticket)))
    assert.equal(new Set(answers.map(({ snapshot }) => snapshot.snapshotId)).size, 2)
    for (const { snapshot } of answers) assert.equal(snapshot.digest, announced(payload).digest)
  })
})
