import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3'
import { capture, codesOf, dataOf, payloadBytes, uriOf } from '../support/answers.ts'
import { describeWith } from '../support/describe-with.ts'
import { filesBelow, type Objects, openObjects, s3Env } from '../support/objects.ts'
import { eventually } from '../support/put.ts'
import { countRows, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { type S3Service, s3 } from '../support/services.ts'
import { sweepOnce } from '../support/store.ts'
import {
  announced,
  begin,
  commit,
  expireUploads,
  putTo,
  sendAll,
  type Ticket,
  tryBegin,
  tryCommit,
} from './uploads-fixture.ts'

/** Above this many bytes a payload becomes an object here. */
const INLINE = 1000
const ENV = { SNAPSHOT_INLINE_MAX_BYTES: String(INLINE) }

interface Running {
  readonly server: TestServer
  readonly objects: Objects
  readonly s3?: S3Service
}

/** JSON that no other test has. */
function stateOf(sizeBytes: number): Buffer {
  const head = `{"id":"${randomUUID()}","café":"`
  return Buffer.from(`${head}${'x'.repeat(sizeBytes - Buffer.byteLength(head) - 2)}"}`)
}

const LARGE = 50_000

/** What holds wherever the bytes go. */
function testUploads(running: () => Running): void {
  const server = () => running().server

  async function isGone(storageUri: string): Promise<void> {
    const { objects } = running()
    await eventually(() => assert.rejects(objects.get(storageUri), { code: 'OBJECT_MISSING' }))
  }

  async function uploadOf({ uploadId }: Ticket) {
    const [row] = await query<{ storage_uri: string; state: string }>(
      server().databaseUrl,
      'select storage_uri, state from statelens_uploads where upload_id = $1',
      [uploadId],
    )
    return row ?? assert.fail('no such upload')
  }

  it('becomes a snapshot when it is committed, byte for byte, with all that was said of it', async () => {
    const payload = stateOf(LARGE)
    const said = {
      kind: 'OUTPUT',
      attempt: 2,
      metadata: { a: [1] },
      piiTags: ['email'],
      expiresAt: '2030-01-01T00:00:00Z',
    }
    const ticket = await begin(server(), payload, { runId: 'new run', stepId: 'new step', ...said })
    assert.deepEqual([ticket.alreadyStored, ticket.method, ticket.parts], [false, 'PUT', []])
    const left = new Date(ticket.expiresAt).getTime() - Date.now()
    assert.ok(left > 3_590_000 && left <= 3_600_000)
    await sendAll(ticket, payload)
    const { created, snapshot } = await commit(server(), ticket)
    assert.deepEqual(
      { created, ...announced(payload) },
      { created: true, sizeBytes: snapshot.sizeBytes, digest: snapshot.digest },
    )
    assert.equal(snapshot.storageTier, 'OBJECT')
    assert.deepEqual(await payloadBytes(server(), snapshot.snapshotId), payload)
    const { snapshotById } = await dataOf(
      server().graphql<{ snapshotById: { preview: string } }>(
        `query($id: ID!) { snapshotById(snapshotId: $id) {
          kind attempt metadata piiTags expiresAt preview run { runId } step { stepId } } }`,
        { id: snapshot.snapshotId },
      ),
    )
    const { preview, ...rest } = snapshotById
    assert.deepEqual(rest, { ...said, run: { runId: 'new run' }, step: { stepId: 'new step' } })
    assert.ok(preview.startsWith(payload.subarray(0, 100).toString()))
  })

  it('of a small payload ends in the row, and its object goes', async () => {
    const payload = stateOf(INLINE)
    const ticket = await begin(server(), payload)
    await sendAll(ticket, payload)
    const { storage_uri } = await uploadOf(ticket)
    const { snapshot } = await commit(server(), ticket)
    assert.equal(snapshot.storageTier, 'INLINE')
    assert.deepEqual(await payloadBytes(server(), snapshot.snapshotId), payload)
    await isGone(storage_uri)
  })

  it('is committed once, however often and by however many it is asked for', async () => {
    const payload = stateOf(LARGE)
    const ticket = await begin(server(), payload)
    await sendAll(ticket, payload)
    const answers = await Promise.all(Array.from({ length: 8 }, () => commit(server(), ticket)))
    answers.push(await commit(server(), { uploadId: ticket.uploadId.toUpperCase() }))
    assert.equal(answers.filter(({ created }) => created).length, 1)
    assert.equal(new Set(answers.map(({ snapshot }) => snapshot.snapshotId)).size, 1)
  })

  it('can be committed again while nothing, or not yet all of it, has arrived', async () => {
    const payload = stateOf(LARGE)
    const ticket = await begin(server(), payload)
    assert.deepEqual(codesOf(await tryCommit(server(), ticket.uploadId)), ['OBJECT_MISSING'])
    await sendAll(ticket, payload)
    assert.equal((await commit(server(), ticket)).created, true)
  })

  it('is refused for good when it is not JSON, and leaves no byte', async () => {
    const payload = Buffer.concat([stateOf(LARGE), Buffer.from('}')])
    const ticket = await begin(server(), payload)
    await sendAll(ticket, payload)
    const { storage_uri } = await uploadOf(ticket)
    assert.deepEqual(codesOf(await tryCommit(server(), ticket.uploadId)), ['INVALID_PAYLOAD'])
    await isGone(storage_uri)
    assert.deepEqual(codesOf(await tryCommit(server(), ticket.uploadId)), ['NOT_FOUND'])
    assert.equal(await countRows(server().databaseUrl, `state_snapshots where storage_uri = '${storage_uri}'`), 0)
  })

  it('is refused when other bytes lie in its place', async () => {
    const { objects } = running()
    for (const other of [stateOf(LARGE), stateOf(LARGE - 1)]) {
      const ticket = await begin(server(), stateOf(LARGE))
      const { storage_uri } = await uploadOf(ticket)
      await objects.put(storage_uri, other)
      assert.deepEqual(codesOf(await tryCommit(server(), ticket.uploadId)), ['BAD_REQUEST'])
      await isGone(storage_uri)
    }
  })

  it('takes no body of another length', async () => {
    const payload = stateOf(LARGE)
    const ticket = await begin(server(), payload)
    for (const body of [payload.subarray(1), Buffer.concat([payload, Buffer.from(' ')])]) {
      assert.ok((await putTo(ticket, body)) >= 400)
    }
    assert.deepEqual(codesOf(await tryCommit(server(), ticket.uploadId)), ['OBJECT_MISSING'])
    await sendAll(ticket, payload)
    assert.equal((await commit(server(), ticket)).created, true)
  })

  it('of a capture that was stored before sends nothing, and gives that one', async () => {
    const payload = stateOf(LARGE)
    const key = { idempotencyKey: randomUUID(), runId: 'keyed' }
    const first = await begin(server(), payload, key)
    await sendAll(first, payload)
    const stored = await commit(server(), first)
    const again = await begin(server(), payload, key)
    assert.deepEqual([again.alreadyStored, again.url, again.headers, again.parts], [true, null, [], []])
    const repeated = await commit(server(), again)
    assert.deepEqual([repeated.created, repeated.snapshot.snapshotId], [false, stored.snapshot.snapshotId])
    assert.deepEqual(codesOf(await tryBegin(server(), { ...announced(stateOf(LARGE)), ...key })), ['CONFLICT'])
    assert.deepEqual(codesOf(await tryBegin(server(), { ...announced(payload), ...key, kind: 'ERROR' })), ['CONFLICT'])
    await server().graphql('mutation($id: ID!) { deleteSnapshot(snapshotId: $id) { deleted } }', {
      id: stored.snapshot.snapshotId,
    })
    assert.deepEqual(codesOf(await tryBegin(server(), { ...announced(payload), ...key })), ['CONFLICT'])
    assert.deepEqual(codesOf(await tryCommit(server(), again.uploadId)), ['CONFLICT'])
  })

  it('of content that another run has sends nothing, and makes a snapshot that is its own', async () => {
    const state = { text: randomUUID().repeat(200) }
    const source = await capture(server(), { runId: 'source', stepId: 's', payload: state })
    const payload = Buffer.from(JSON.stringify(state))
    const ticket = await begin(server(), payload, { runId: 'copy' })
    assert.deepEqual([ticket.alreadyStored, ticket.url, ticket.direct], [true, null, false])
    const copy = await commit(server(), ticket)
    assert.equal(copy.created, true)
    assert.notEqual(uriOf(copy), uriOf(source))
    await server().graphql('mutation { deleteRun(runId: "source") { deleted } }')
    await isGone(uriOf(source))
    assert.deepEqual(await payloadBytes(server(), copy.snapshot.snapshotId), payload)
    assert.equal((await commit(server(), ticket)).created, false)
  })

  it('D10: of content that only states with personal data have is sent: a digest does not stand for the bytes', async () => {
    for (const secret of [{ piiTags: ['health'] }, { redactionPolicy: 'mask' }]) {
      const state = { text: randomUUID().repeat(200) }
      const source = await capture(server(), { runId: 'secret', payload: state, ...secret })
      const ticket = await begin(server(), Buffer.from(JSON.stringify(state)), { runId: 'curious' })
      assert.equal(ticket.alreadyStored, false)
      assert.deepEqual(codesOf(await tryCommit(server(), ticket.uploadId)), ['OBJECT_MISSING'])
      await server().graphql('mutation($id: ID!) { deleteSnapshot(snapshotId: $id) { deleted } }', {
        id: source.snapshot.snapshotId,
      })
    }
  })

  it('of content that was deleted before its commit is told to begin anew', async () => {
    const state = { text: randomUUID().repeat(200) }
    await capture(server(), { runId: 'short-lived', stepId: 's', payload: state })
    const payload = Buffer.from(JSON.stringify(state))
    const ticket = await begin(server(), payload)
    await server().graphql('mutation { deleteRun(runId: "short-lived") { deleted } }')
    assert.deepEqual(codesOf(await tryCommit(server(), ticket.uploadId)), ['OBJECT_MISSING'])
    const anew = await begin(server(), payload)
    assert.equal(anew.alreadyStored, false)
  })

  it('makes its run again when that was deleted meanwhile', async () => {
    const payload = stateOf(LARGE)
    const ticket = await begin(server(), payload, { runId: 'deleted' })
    await capture(server(), { runId: 'deleted', payload: 1 })
    await server().graphql('mutation { deleteRun(runId: "deleted") { deleted } }')
    await sendAll(ticket, payload)
    assert.equal((await commit(server(), ticket)).created, true)
    const { run } = await dataOf(server().graphql('{ run(runId: "deleted") { runId } }'))
    assert.deepEqual(run, { runId: 'deleted' })
  })

  it('that is never committed leaves nothing once its time is over, and cannot be committed then', async () => {
    const [sent, unsent] = [stateOf(LARGE), stateOf(LARGE)]
    const tickets = [await begin(server(), sent), await begin(server(), unsent)]
    const [ticket] = tickets
    assert.ok(ticket)
    await sendAll(ticket, sent)
    const { storage_uri } = await uploadOf(ticket)
    const { storagePath, databaseUrl } = server()
    const store = { storagePath, databaseUrl, s3: running().s3 }
    await sweepOnce(store)
    assert.equal((await uploadOf(ticket)).state, 'open', 'a live ticket is left alone')
    await expireUploads(databaseUrl)
    await sweepOnce(store, { graceSeconds: 3600 })
    assert.equal((await uploadOf(ticket)).state, 'open', 'the grace is kept')
    await sweepOnce(store)
    await isGone(storage_uri)
    assert.equal(await countRows(databaseUrl, `statelens_objects where storage_uri = '${storage_uri}'`), 0)
    for (const { uploadId } of tickets) assert.deepEqual(codesOf(await tryCommit(server(), uploadId)), ['NOT_FOUND'])
    assert.equal(await countRows(databaseUrl, "statelens_uploads where state <> 'committed'"), 0)
  })

  it('whose bytes are sent again after they went leaves nothing either', async () => {
    const payload = stateOf(INLINE)
    const ticket = await begin(server(), payload)
    await sendAll(ticket, payload)
    const { storage_uri } = await uploadOf(ticket)
    await commit(server(), ticket)
    await isGone(storage_uri)
    await putTo(ticket, payload)
    await expireUploads(server().databaseUrl)
    await sweepOnce({ ...server(), s3: running().s3 })
    await isGone(storage_uri)
  })

  it('is refused before it begins when it cannot be', async () => {
    const good = announced(stateOf(LARGE))
    for (const [input, code] of [
      [{ ...good, sizeBytes: 0 }, 'BAD_REQUEST'],
      [{ ...good, sizeBytes: -1 }, 'BAD_REQUEST'],
      [{ ...good, sizeBytes: 5 * 2 ** 40 + 1 }, 'PAYLOAD_TOO_LARGE'],
      [{ ...good, digest: good.digest.slice(7) }, 'BAD_REQUEST'],
      [{ ...good, digest: good.digest.toUpperCase() }, 'BAD_REQUEST'],
      [{ ...good, expiresIn: 0 }, 'BAD_REQUEST'],
      [{ ...good, expiresIn: 86_401 }, 'BAD_REQUEST'],
      [{ ...good, runId: '' }, 'BAD_REQUEST'],
      [{ ...good, snapshotId: 'no uuid' }, 'BAD_REQUEST'],
      [{ ...good, attempt: 0 }, 'BAD_REQUEST'],
      [{ ...good, metadata: 'x'.repeat(70_000) }, 'BAD_REQUEST'],
    ] as const) {
      assert.deepEqual(codesOf(await tryBegin(server(), input)), [code], JSON.stringify(input).slice(0, 200))
    }
    for (const id of [randomUUID(), 'no uuid', '']) {
      assert.deepEqual(codesOf(await tryCommit(server(), id)), ['NOT_FOUND'])
    }
  })
}

describe('an upload to a server whose store cannot sign', () => {
  let running: Running
  before(async () => {
    const server = await startServer({ env: ENV })
    running = { server, objects: openObjects(server) }
  })
  after(async () => {
    running.objects[Symbol.dispose]()
    await running.server[Symbol.asyncDispose]()
  })
  testUploads(() => running)

  it('goes by way of the server, and leaves no file that is half written', async () => {
    const { server } = running
    const payload = stateOf(LARGE)
    const ticket = await begin(server, payload)
    assert.equal(ticket.direct, false)
    assert.ok(ticket.url?.startsWith(`${server.url}/uploads/${ticket.uploadId}?`))
    await sendAll(ticket, payload)
    assert.deepEqual(
      (await filesBelow(server.storagePath)).filter((path) => path.endsWith('.partial')),
      [],
    )
  })
})

await describeWith('an upload to S3', s3, (service) => {
  let running: Running
  let admin: S3Client
  before(async () => {
    const server = await startServer({ env: { ...ENV, ...s3Env(service) } })
    running = { server, objects: openObjects({ ...server, s3: service }), s3: service }
    const credentials = { accessKeyId: service.accessKey, secretAccessKey: service.secretKey }
    admin = new S3Client({ endpoint: service.endpoint, region: service.region, forcePathStyle: true, credentials })
  })
  after(async () => {
    admin.destroy()
    running.objects[Symbol.dispose]()
    await running.server[Symbol.asyncDispose]()
  })
  testUploads(() => running)

  const unfinished = async (ticket: Ticket): Promise<number> => {
    const key = new URL(ticket.parts[0]?.url ?? '').pathname.slice(`/${service.bucket}/`.length)
    const { Uploads = [] } = await admin.send(new ListMultipartUploadsCommand({ Bucket: service.bucket, Prefix: key }))
    return Uploads.length
  }

  it('goes to the store itself, and only with the headers that were signed', async () => {
    const { server } = running
    const payload = stateOf(LARGE)
    const ticket = await begin(server, payload)
    assert.equal(ticket.direct, true)
    assert.equal(new URL(ticket.url ?? '').origin, new URL(service.endpoint).origin)
    for (const name of ['content-type', 'x-amz-checksum-sha256', 'if-none-match']) {
      const changed = ticket.headers.map((header) => (header.name === name ? { ...header, value: 'other' } : header))
      assert.equal(await putTo({ ...ticket, headers: changed }, payload), 403, name)
      const without = ticket.headers.filter((header) => header.name !== name)
      assert.equal(await putTo({ ...ticket, headers: without }, payload), 403, name)
    }
    assert.equal(await putTo(ticket, payload), 200)
    assert.equal(await putTo(ticket, payload), 412, 'the object is never replaced')
  })

  it('of more than 100 MB goes in parts, each of its exact length', async () => {
    const { server } = running
    const payload = stateOf(100_000_001)
    const ticket = await begin(server, payload)
    assert.deepEqual([ticket.url, ticket.headers, ticket.direct], [null, [], true])
    assert.deepEqual(
      ticket.parts.map(({ partNumber, offset, sizeBytes }) => [partNumber, offset, sizeBytes]),
      [0, 1, 2].map((index) => [index + 1, index * 33_554_432, Math.min(33_554_432, 100_000_001 - index * 33_554_432)]),
    )
    const [first, ...others] = ticket.parts
    assert.ok(first)
    assert.equal(await putTo(first, payload.subarray(0, 1000)), 403)
    assert.deepEqual(codesOf(await tryCommit(server, ticket.uploadId)), ['OBJECT_MISSING'])
    await sendAll({ ...ticket, parts: others }, payload)
    assert.deepEqual(codesOf(await tryCommit(server, ticket.uploadId)), ['OBJECT_MISSING'])
    await sendAll({ ...ticket, parts: [first] }, payload)
    const { created, snapshot } = await commit(server, ticket)
    assert.deepEqual([created, snapshot.digest], [true, announced(payload).digest])
    assert.equal(await unfinished(ticket), 0)
    assert.equal((await commit(server, ticket)).created, false)
  })

  it('in parts that is never committed leaves no part', async () => {
    const { server } = running
    const payload = stateOf(100_000_001)
    const known = await begin(server, payload)
    const [last] = known.parts.slice(-1)
    assert.ok(last)
    await sendAll({ ...known, parts: [last] }, payload)
    // The store's answer was lost, and with it the upload's name.
    const unknown = await begin(server, stateOf(100_000_002))
    await query(server.databaseUrl, 'update statelens_uploads set multipart_id = null where upload_id = $1', [
      unknown.uploadId,
    ])
    assert.deepEqual([await unfinished(known), await unfinished(unknown)], [1, 1])
    await expireUploads(server.databaseUrl)
    await sweepOnce({ ...server, s3: service })
    assert.deepEqual([await unfinished(known), await unfinished(unknown)], [0, 0])
    assert.deepEqual(codesOf(await tryCommit(server, known.uploadId)), ['NOT_FOUND'])
  })
})
