import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type ClientRequest, request } from 'node:http'
import { after, afterEach, before, beforeEach, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { recordingClient } from '../client/recording.ts'
import { type CaptureAnswer, codesOf, dataOf } from '../support/answers.ts'
import { describeWith } from '../support/describe-with.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { s3Env } from '../support/objects.ts'
import { startProcess } from '../support/process.ts'
import { countRows, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { s3 } from '../support/services.ts'
import { announced, begin, sendAll, type Ticket, tryCommit } from './uploads-fixture.ts'

const MIB = 2 ** 20
/** A store that gives an object back slowly. With `STATELENS_LONG_TESTS` set it is as slow, and the object as large, as it was reported. */
const { SIZE, BYTES_PER_SECOND, LEAVE_MILLIS, LEAVE_SOON_MILLIS } = process.env['STATELENS_LONG_TESTS']
  ? { SIZE: 300 * MIB, BYTES_PER_SECOND: 7 * MIB, LEAVE_MILLIS: 3000, LEAVE_SOON_MILLIS: 2000 }
  : { SIZE: 4 * MIB, BYTES_PER_SECOND: 4 * MIB, LEAVE_MILLIS: 300, LEAVE_SOON_MILLIS: 100 }

function stateOf(sizeBytes: number): Buffer {
  const head = `{"id":"${randomUUID()}","text":"`
  return Buffer.from(`${head}${'x'.repeat(sizeBytes - head.length - 2)}"}`)
}

const COMMIT = 'mutation($id: ID!) { commitSnapshotUpload(uploadId: $id) { created snapshot { snapshotId } } }'

/** Asks for a commit on a connection of its own. */
function askToCommit(url: string, id: string): ClientRequest {
  const headers = { 'content-type': 'application/json' }
  const asking = request(`${url}/graphql`, { method: 'POST', headers, agent: false })
  asking.on('error', () => {})
  asking.end(JSON.stringify({ query: COMMIT, variables: { id } }))
  return asking
}

/** Commits, as often as it is told to ask again; it must succeed. */
async function commitPatiently(server: TestServer, ticket: Ticket): Promise<CaptureAnswer> {
  for (;;) {
    const answer = await tryCommit(server, ticket.uploadId)
    if (!codesOf(answer).includes('STORAGE_TIMEOUT'))
      return (await dataOf(Promise.resolve(answer))).commitSnapshotUpload
  }
}

/** Asks for a commit, and goes away before it is answered. */
async function askAndLeave(url: string, id: string, millis: number): Promise<void> {
  const asking = askToCommit(url, id)
  let isAnswered = false
  asking.once('response', () => {
    isAnswered = true
  })
  await delay(millis)
  assert.equal(isAnswered, false, 'the store is too fast for this test')
  asking.destroy()
}

await describeWith('a commit of what a slow store gives back', s3, (service) => {
  let server: TestServer
  let proxy: FaultProxy
  let env: Record<string, string>

  before(async () => {
    const { hostname, port } = new URL(service.endpoint)
    proxy = await startFaultProxy({ host: hostname, port: Number(port) })
    // The server's own way to the store is the slow one.
    const slowly = { S3_ENDPOINT_URL: `http://${proxy.host}:${proxy.port}`, S3_PUBLIC_ENDPOINT_URL: service.endpoint }
    env = { ...s3Env(service), ...slowly }
    server = await startServer({ env })
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await proxy[Symbol.asyncDispose]()
  })
  beforeEach(() => proxy.bandwidth(BYTES_PER_SECOND))
  afterEach(() => proxy.heal())

  async function sent(payload: Buffer): Promise<Ticket> {
    const ticket = await begin(server, payload)
    await sendAll(ticket, payload)
    return ticket
  }

  async function isOpen({ uploadId }: Ticket): Promise<void> {
    const [row] = await query<{ state: string }>(
      server.databaseUrl,
      'select state from statelens_uploads where upload_id = $1',
      [uploadId],
    )
    assert.equal(row?.state, 'open')
  }

  it('D1: goes on when its caller hangs up, and the next one, with nothing sent, gives the snapshot', async () => {
    const payload = stateOf(SIZE)
    const ticket = await sent(payload)
    await askAndLeave(server.url, ticket.uploadId, LEAVE_MILLIS)
    await isOpen(ticket)
    const { snapshot } = await commitPatiently(server, ticket)
    assert.equal(snapshot.digest, announced(payload).digest)
  })

  it('D1b: is not kept from the sixth caller by five that hang up', async () => {
    const payload = stateOf(SIZE)
    const ticket = await sent(payload)
    const begun = performance.now()
    for (let callers = 5; callers > 0; callers--) await askAndLeave(server.url, ticket.uploadId, LEAVE_SOON_MILLIS)
    const { snapshot } = await commitPatiently(server, ticket)
    assert.equal(snapshot.digest, announced(payload).digest)
    const once = (SIZE / BYTES_PER_SECOND) * 1000
    assert.ok(performance.now() - begun < 1.8 * once + 2000, 'it was read once')
  })

  it('D1: is made by the next server when one is killed in the middle', async () => {
    const payload = stateOf(SIZE)
    const ticket = await sent(payload)
    const { databaseUrl, storagePath } = server
    const own = {
      PORT: '0',
      DATABASE_URL: databaseUrl,
      SNAPSHOT_STORAGE_PATH: storagePath,
      S3_FORCE_PATH_STYLE: 'true',
    }
    await using child = startProcess({ args: ['serve'], env: { ...env, ...own } })
    const url = await child.waitForUrl()
    const before = proxy.openSockets
    askToCommit(url, ticket.uploadId)
    while (proxy.openSockets === before) await delay(10)
    await delay(LEAVE_SOON_MILLIS)
    await child.stop('SIGKILL')
    await isOpen(ticket)
    assert.equal((await commitPatiently(server, ticket)).snapshot.digest, announced(payload).digest)
  })

  it('D1: is left open by a server that stops, whose caller is told to ask again', async () => {
    const payload = stateOf(SIZE)
    const ticket = await sent(payload)
    const { databaseUrl, storagePath } = server
    await using stopping = await startServer({ env, store: { databaseUrl, storagePath } })
    await askAndLeave(stopping.url, ticket.uploadId, LEAVE_SOON_MILLIS)
    await stopping[Symbol.asyncDispose]()
    await isOpen(ticket)
    assert.equal((await commitPatiently(server, ticket)).snapshot.digest, announced(payload).digest)
  })

  it('D1: is asked for by the client until it is there, and the bytes are sent once', async () => {
    const bytes = new Uint8Array(stateOf(SIZE))
    const timeoutMillis = LEAVE_MILLIS
    const client = recordingClient({ url: server.url, mutationMaxBytes: 0, directMinBytes: 0, timeoutMillis })
    const { digest } = await client.capture({ runId: 'slow' }, { bytes })
    assert.equal(digest, announced(Buffer.from(bytes)).digest)
    const puts = client.requests.filter((asked) => asked.startsWith('PUT'))
    assert.equal(puts.length, Math.ceil(SIZE > 100e6 ? SIZE / (32 * MIB) : 1))
    const last = client.requests.lastIndexOf(puts.at(-1) ?? '')
    assert.ok(client.requests.length - last > 2, `${client.requests.length - last - 1} commits`)
    assert.equal(await countRows(server.databaseUrl, "state_snapshots where run_id = 'slow'"), 1)
  })
})
