import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import { type ClientOptions, createClient } from '../../src/client/client.ts'

/** `begin`, `put` or `commit`, and which upload it is for. */
type Call = `${'begin' | 'put' | 'commit'} ${number}`
type Answer = (response: ServerResponse) => void

const json =
  (status: number, body: object): Answer =>
  (response) =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
const data = (field: string, value: object) => json(200, { data: { [field]: value } })
const failed = (code: string, retryable = false) =>
  json(200, { data: null, errors: [{ message: 'no', extensions: { code, retryable } }] })
const snapshot = { snapshotId: 'id', seq: 1, sizeBytes: 2, digest: 'sha256:', storageTier: 'OBJECT' }
const stored = data('commitSnapshotUpload', { created: true, snapshot })
const lost: Answer = (response) => void response.socket?.destroy()
const silent: Answer = () => {}
const underWay = failed('STORAGE_TIMEOUT', true)

interface Script {
  /** For each ticket; the last one for all that follow. Tickets live an hour unless told. */
  readonly tickets?: readonly { readonly alreadyStored?: boolean; readonly seconds?: number }[]
  /** For each PUT, and then 200. */
  readonly puts?: readonly Answer[]
  /** For each commit; the last one for all that follow. */
  readonly commits: readonly Answer[]
}

/** A server and its store in one, which do what the script says, and tell what they were asked. */
async function scripted({ tickets = [{}], puts = [], commits }: Script) {
  const calls: Call[] = []
  const keys = new Set<unknown>()
  const lives: unknown[] = []
  const counts = { begin: 0, put: 0, commit: 0 }
  const server = createServer(async (request, response) => {
    const body = await text(request)
    if (request.method === 'PUT') {
      calls.push(`put ${Number(request.url?.slice(1))}`)
      return (puts[counts.put++] ?? json(200, {}))(response)
    }
    const { query, variables } = JSON.parse(body)
    if (query.includes('beginSnapshotUpload')) {
      const { alreadyStored = false, seconds = 3600 } = tickets[Math.min(counts.begin, tickets.length - 1)] ?? {}
      const uploadId = String(++counts.begin)
      calls.push(`begin ${counts.begin}`)
      keys.add(variables.input.idempotencyKey)
      lives.push(variables.input.expiresIn)
      const url = alreadyStored ? null : `${origin}/${uploadId}`
      const expiresAt = new Date(Date.now() + seconds * 1000).toISOString()
      return data('beginSnapshotUpload', { uploadId, alreadyStored, url, headers: [], parts: [], expiresAt })(response)
    }
    calls.push(`commit ${Number(variables.uploadId)}`)
    commits[Math.min(counts.commit++, commits.length - 1)]?.(response)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const options = { url: origin, mutationMaxBytes: 0, directMinBytes: 0 }
  return {
    calls,
    /** Of the captures that were begun. */
    keys,
    lives,
    capture: (more: Partial<ClientOptions> = {}) =>
      createClient({ ...options, ...more }).capture({ runId: 'run' }, { bytes: Buffer.from('{}') }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const BEGUN: readonly Call[] = ['begin 1', 'put 1']
const commitsOf = (uploadId: number, count: number): Call[] => Array(count).fill(`commit ${uploadId}`)

describe('the client, once all is sent,', () => {
  it('D1: asks again where the answer was lost, more often than it repeats a call that fails', async () => {
    await using server = await scripted({ commits: [lost, lost, lost, stored] })
    const { snapshotId } = await server.capture({ retries: 1 })
    assert.equal(snapshotId, 'id')
    assert.deepEqual(server.calls, [...BEGUN, ...commitsOf(1, 4)])
  })

  it('D1: asks again where the answer does not come, and does not leave that to fetch', async () => {
    await using server = await scripted({ commits: [silent, stored] })
    await server.capture({ timeoutMillis: 300, retries: 0 })
    assert.deepEqual(server.calls, [...BEGUN, ...commitsOf(1, 2)])
  })

  it('D1: asks again while the server is at work', async () => {
    await using server = await scripted({ commits: [underWay, underWay, underWay, underWay, stored] })
    await server.capture({ retries: 0 })
    assert.deepEqual(server.calls, [...BEGUN, ...commitsOf(1, 5)])
  })

  it('D1: gives up when that takes longer than the size can explain', async () => {
    for (const [answer, code] of [
      [underWay, 'STORAGE_TIMEOUT'],
      [lost, 'NETWORK'],
      [silent, 'NETWORK'],
    ] as const) {
      await using server = await scripted({ commits: [answer] })
      await assert.rejects(server.capture({ timeoutMillis: 150 }), { code, retryable: true })
      assert.deepEqual(new Set(server.calls), new Set([...BEGUN, 'commit 1']))
      assert.ok(server.calls.length > 3, `${server.calls.length} calls`)
    }
  })

  it('repeats a commit that the server refuses for now as often as any call', async () => {
    await using server = await scripted({ commits: [failed('OVERLOADED', true)] })
    await assert.rejects(server.capture({ retries: 2 }), { code: 'OVERLOADED' })
    assert.deepEqual(server.calls, [...BEGUN, ...commitsOf(1, 3)])
  })

  it('D1: looks under its key what became of an upload that nobody knows any more', async () => {
    await using server = await scripted({
      tickets: [{}, { alreadyStored: true }],
      commits: [lost, failed('NOT_FOUND'), stored],
    })
    await server.capture()
    assert.deepEqual(server.calls, [...BEGUN, ...commitsOf(1, 2), 'begin 2', 'commit 2'])
    assert.equal(server.keys.size, 1)
    assert.ok(![...server.keys].includes(undefined))
  })

  it('says what is wrong with a state, and asks nothing more', async () => {
    for (const code of ['INVALID_PAYLOAD', 'BAD_REQUEST', 'CONFLICT']) {
      await using server = await scripted({ commits: [failed(code)] })
      await assert.rejects(server.capture(), { code, retryable: false })
      assert.deepEqual(server.calls, [...BEGUN, 'commit 1'])
    }
  })
})

describe('the client, of what the server had already,', () => {
  it('D10: sends it at once where that is gone', async () => {
    await using server = await scripted({
      tickets: [{ alreadyStored: true }, {}],
      commits: [failed('OBJECT_MISSING'), stored],
    })
    await server.capture({ retries: 0 })
    assert.deepEqual(server.calls, ['begin 1', 'commit 1', 'begin 2', 'put 2', 'commit 2'])
    assert.equal(server.keys.size, 1)
  })

  it('D10: sends it where the server has another store by now', async () => {
    for (const code of ['UNSUPPORTED_STORAGE_SCHEME', 'STORAGE_URI_REJECTED']) {
      await using server = await scripted({ commits: [failed(code), stored] })
      await server.capture({ retries: 0 })
      assert.deepEqual(server.calls, [...BEGUN, 'commit 1', 'begin 2', 'put 2', 'commit 2'])
    }
  })

  it('D10: does not go round for ever', async () => {
    await using server = await scripted({ tickets: [{ alreadyStored: true }], commits: [failed('OBJECT_MISSING')] })
    await assert.rejects(server.capture(), { code: 'OBJECT_MISSING' })
    assert.equal(server.calls.length, 8)
  })
})

describe('the client, whose ticket ends while it sends,', () => {
  const refused = json(403, {})

  it('S12: sends it by another one, which lives longer, under the same key', async () => {
    await using server = await scripted({ tickets: [{ seconds: 0 }, {}], puts: [refused], commits: [stored] })
    await server.capture({ retries: 0 })
    assert.deepEqual(server.calls, [...BEGUN, 'begin 2', 'put 2', 'commit 2'])
    assert.deepEqual(server.lives, [undefined, 7200])
    assert.equal(server.keys.size, 1)
  })

  it('S12: heeds what says so, whatever the clock says', async () => {
    for (const code of ['LINK_EXPIRED', 'NOT_FOUND']) {
      const puts = [json(403, { code, message: 'no' })]
      await using server = await scripted({ puts, commits: [stored] })
      await server.capture()
      assert.deepEqual(server.calls, [...BEGUN, 'begin 2', 'put 2', 'commit 2'])
    }
  })

  it('S12: does so a few times only', async () => {
    const puts = Array(10).fill(refused)
    await using server = await scripted({ tickets: [{ seconds: 0 }], puts, commits: [stored] })
    await assert.rejects(server.capture({ ticketSeconds: 40_000 }), { code: 'UPLOAD_REFUSED', status: 403 })
    assert.equal(server.calls.length, 8)
    assert.deepEqual(server.lives, [40_000, 80_000, 86_400, 86_400])
  })

  it('does not begin anew where the store refuses in time', async () => {
    await using server = await scripted({ puts: [refused], commits: [stored] })
    await assert.rejects(server.capture(), { code: 'UPLOAD_REFUSED', status: 403 })
    assert.deepEqual(server.calls, BEGUN)
  })
})
