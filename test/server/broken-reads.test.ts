import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { it } from 'node:test'
import { describeWith } from '../support/describe-with.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { openObjects, s3Env } from '../support/objects.ts'
import { eventually } from '../support/put.ts'
import { insertForeign } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { type S3Service, s3 } from '../support/services.ts'

const MIB = 1_048_576
const SIZE = 16 * MIB

type Way = 'GraphQL' | 'GET'
const WAYS: readonly Way[] = ['GraphQL', 'GET']

await describeWith('a read from S3 that breaks', s3, (service) => {
  it('goes on unseen, as often as the connection is lost or closed, and leaves none behind', async () => {
    await using scene = await start(service)
    const { server, proxy } = scene
    const { bytes, snapshotId } = await captured(server)
    await read(server, snapshotId)
    const files = await openFiles()
    for (const end of ['rst', 'fin'] as const) {
      proxy.limitData(3 * MIB, end)
      for (const way of WAYS) assert.ok(bytes.equals(await read(server, snapshotId, way)), `${way} ${end}`)
    }
    await proxy.heal()
    assert.ok(proxy.connections > 4 * (SIZE / (3 * MIB)))
    await eventually(async () => assert.equal(proxy.openSockets, 0))
    await eventually(async () => assert.ok((await openFiles()) <= files + 2))
  })

  for (const way of WAYS) {
    it(`goes on after one reset in the middle (${way})`, async () => {
      await using scene = await start(service)
      const { server, proxy } = scene
      const { bytes, snapshotId } = await captured(server)
      proxy.bandwidth(20 * MIB)
      const response = await open(server, snapshotId, way)
      const [first] = await firstChunk(response)
      proxy.resetNow()
      await proxy.heal()
      assert.ok(bytes.equals(payloadIn(Buffer.concat([first, await buffer(response)]), way)))
    })

    it(`ends the client's connection when it cannot go on, and serves the next one (${way})`, async () => {
      await using scene = await start(service)
      const { server, proxy } = scene
      const { bytes, snapshotId } = await captured(server)
      proxy.bandwidth(20 * MIB)
      const response = await open(server, snapshotId, way)
      await firstChunk(response)
      proxy.limitData(100, 'rst')
      proxy.resetNow()
      await assert.rejects(buffer(response), { code: 'ECONNRESET' })
      assert.equal(response.complete, false)
      await proxy.heal()
      assert.ok(bytes.equals(await read(server, snapshotId, way)))
    })

    it(`never mixes two versions of an object (${way})`, async () => {
      await using scene = await start(service)
      const { server, proxy } = scene
      using objects = openObjects({ storagePath: server.storagePath, s3: service })
      const storageUri = `s3://${service.bucket}/foreign/${randomUUID()}.json`
      const versions = ['a', 'b'].map((letter) => Buffer.from(`"${letter.repeat(SIZE)}"`))
      await objects.put(storageUri, versions[0] ?? '')
      const snapshotId = await insertForeign(server.databaseUrl, { storageUri })
      // The first read has checked it: the next ones stream at once.
      await read(server, snapshotId, 'GraphQL')
      proxy.bandwidth(8 * MIB)
      const response = await open(server, snapshotId, way)
      await firstChunk(response)
      await objects.replace(storageUri, versions[1] ?? '')
      proxy.resetNow()
      await proxy.heal()
      await assert.rejects(buffer(response), { code: 'ECONNRESET' })
      assert.ok(versions[1]?.equals(await read(server, snapshotId, way)))
    })
  }
})

interface Scene extends AsyncDisposable {
  readonly server: TestServer
  readonly proxy: FaultProxy
}

/** A server whose way to S3 can be broken. */
async function start(service: S3Service): Promise<Scene> {
  await using cleanup = new AsyncDisposableStack()
  const { hostname, port } = new URL(service.endpoint)
  const proxy = cleanup.use(await startFaultProxy({ host: hostname, port: Number(port) }))
  const endpoint = `http://${proxy.host}:${proxy.port}`
  const server = cleanup.use(await startServer({ env: s3Env({ ...service, endpoint }) }))
  const owned = cleanup.move()
  return { server, proxy, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** A state too large for row and cache. */
async function captured({ app }: TestServer) {
  const bytes = Buffer.from(JSON.stringify({ numbers: Array.from({ length: SIZE / 8 }, (_, i) => 1_000_000 + i) }))
  const { snapshot } = await app.writer.capture({ runId: 'run', stepId: 'step' }, bytes)
  return { bytes, snapshotId: snapshot.snapshotId }
}

/** A request on a connection of its own, up to the head of its answer. */
function open(server: TestServer, snapshotId: string, way: Way): Promise<IncomingMessage> {
  const path = way === 'GET' ? `/snapshots/${snapshotId}/payload` : '/graphql'
  const query = `{ snapshotById(snapshotId: "${snapshotId}") { payload } }`
  return new Promise((resolve, reject) => {
    const asking = request(`${server.url}${path}`, {
      method: way === 'GET' ? 'GET' : 'POST',
      headers: way === 'GET' ? {} : { 'content-type': 'application/json' },
      agent: false,
    })
    asking.once('response', resolve).once('error', reject)
    asking.end(way === 'GET' ? undefined : JSON.stringify({ query }))
  })
}

async function read(server: TestServer, snapshotId: string, way: Way = 'GET'): Promise<Buffer> {
  const response = await open(server, snapshotId, way)
  assert.equal(response.statusCode, 200)
  return payloadIn(await buffer(response), way)
}

/** The payload alone; nothing else may be in the answer. */
function payloadIn(body: Buffer, way: Way): Buffer {
  if (way === 'GET') return body
  const head = '{"data":{"snapshotById":{"payload":'
  assert.equal(body.subarray(0, head.length).toString(), head)
  assert.equal(body.subarray(-3).toString(), '}}}')
  return body.subarray(head.length, -3)
}

/** Some bytes of the body; the rest waits until somebody reads on. */
async function firstChunk(response: IncomingMessage): Promise<[Buffer]> {
  return await new Promise((resolve, reject) => {
    response.once('error', reject)
    response.once('readable', () => {
      response.removeListener('error', reject)
      resolve([response.read() ?? Buffer.alloc(0)])
    })
  })
}

async function openFiles(): Promise<number> {
  return (await readdir('/proc/self/fd').catch(() => [])).length
}
