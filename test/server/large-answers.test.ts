import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync, readlinkSync } from 'node:fs'
import { readFile, truncate, writeFile } from 'node:fs/promises'
import { Agent, type IncomingMessage, request } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { codesByPath } from '../support/answers.ts'
import { freshDatabase } from '../support/database.ts'
import { describeWith } from '../support/describe-with.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { type Objects, openObjects, s3Env } from '../support/objects.ts'
import { startProcess } from '../support/process.ts'
import { eventually, put, storedOf } from '../support/put.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { type S3Service, s3 } from '../support/services.ts'
import { temporaryFolder } from '../support/tmp.ts'

/** Small enough to be read whole, and large enough to be streamed. */
const [WHOLE, STREAMED] = [3_000_000, 5_000_000]
const LARGE = 60_000_000

const payloadOf = (name: string, sizeBytes: number) => `{"name": "${name}", "ü":"${'x'.repeat(sizeBytes)}"}`
const field = (alias: string, stepId: string) =>
  `${alias}: snapshot(runId: "run", stepId: "${stepId}", useCache: false) { payload }`

function post(url: string, query: string, agent?: Agent): Promise<IncomingMessage> {
  const options = { method: 'POST', headers: { 'content-type': 'application/json' }, agent: agent ?? false }
  const sending = request(`${url}/graphql`, options).end(JSON.stringify({ query }))
  return once(sending, 'response').then(([answer]) => answer)
}

/** Whether the answer came to a clean end. */
async function isWhole(answer: IncomingMessage): Promise<boolean> {
  return await buffer(answer).then(
    () => answer.complete,
    () => false,
  )
}

interface Store {
  readonly server: TestServer
  readonly objects: Objects
  /** Files or connections that the server has open in its store now. */
  openNow(): number
}

function openFiles(folder: string): number {
  const links = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return ''
    }
  })
  return links.filter((link) => link.startsWith(folder)).length
}

function testLargeAnswers(name: string, service?: S3Service): void {
  describe(`an answer with large payloads from ${name}`, () => {
    const cleanup = new AsyncDisposableStack()
    let store: Store
    let proxy: FaultProxy | undefined
    let largeUri: string
    const payloads = new Map<string, string>()

    before(async () => {
      if (service) {
        const { hostname, port } = new URL(service.endpoint)
        proxy = cleanup.use(await startFaultProxy({ host: hostname, port: Number(port) }))
      }
      const endpoint = `http://${proxy?.host}:${proxy?.port}`
      const env = service ? s3Env({ ...service, endpoint }) : {}
      const server = cleanup.use(await startServer({ env }))
      const objects = cleanup.use(openObjects({ storagePath: server.storagePath, s3: service }))
      store = { server, objects, openNow: () => proxy?.openSockets ?? openFiles(server.storagePath) }
      for (let index = 0; index < 20; index++) await keep(`step ${index}`, index % 4 ? WHOLE : STREAMED)
      largeUri = await keep('large', LARGE)
    })
    after(() => cleanup.disposeAsync())

    /** @returns where it lies. */
    async function keep(stepId: string, sizeBytes: number): Promise<string> {
      const payload = payloadOf(stepId, sizeBytes)
      const { snapshot } = await store.server.app.writer.capture({ runId: 'run', stepId }, Buffer.from(payload))
      payloads.set(stepId, payload)
      return snapshot.storageUri ?? ''
    }

    it('holds the bytes of all of them, of which two are open at a time', async () => {
      const steps = [...payloads.keys()].slice(0, 20)
      const query = `{ ${steps.map((stepId, index) => field(`p${index}`, stepId)).join(' ')} }`
      const idle = store.openNow()
      const answer = await post(store.server.url, query)
      let most = 0
      let chunks = 0
      answer.on('data', () => {
        if (chunks++ % 20 === 0) most = Math.max(most, store.openNow())
      })
      const body = await buffer(answer)
      const expected = steps.map((stepId, index) => `"p${index}":{"payload":${payloads.get(stepId)}}`)
      assert.ok(body.equals(Buffer.from(`{"data":{${expected.join(',')}}}`)))
      assert.equal(answer.headers['transfer-encoding'], 'chunked')
      // Reads have sockets of their own beside those that the captures left; one whose body has just ended is not free yet.
      assert.ok(most <= Math.max(idle + 4, 5), `${most} are open, ${idle} before`)
    })

    it('holds one of them under many aliases', async () => {
      const aliases = Array.from({ length: 10 }, (_, index) => `p${index}: payload`)
      const query = `{ snapshot(runId: "run", stepId: "step 0", useCache: false) { ${aliases.join(' ')} } }`
      const body = await buffer(await post(store.server.url, query))
      const expected = aliases.map((_, index) => `"p${index}":${payloads.get('step 0')}`)
      assert.ok(body.equals(Buffer.from(`{"data":{"snapshot":{${expected.join(',')}}}}`)))
    })

    it('has null and an error in the place of those that are gone', async () => {
      const { server, objects } = store
      await objects.remove(await keep('gone', WHOLE))
      await objects.remove(await keep('gone too', STREAMED))
      const query = `{ ${['step 0', 'gone', 'step 1', 'gone too', 'step 2'].map((stepId, i) => field(`p${i}`, stepId)).join(' ')} }`
      const text = (await buffer(await post(server.url, query))).toString()
      assert.match(text.slice(-400), /"\}\}\},"errors":\[\{.*\}\]\}$/)
      const { data, errors } = JSON.parse(text)
      assert.deepEqual(codesByPath({ errors }), { 'p1.payload': 'OBJECT_MISSING', 'p3.payload': 'OBJECT_MISSING' })
      assert.deepEqual(
        Object.values<{ payload: { name: string } | null }>(data).map(({ payload }) => payload?.name),
        ['step 0', undefined, 'step 1', undefined, 'step 2'],
      )
    })

    it('lets go of everything when its client leaves in the middle, and another client is served', async () => {
      const { server, openNow } = store
      const query = `{ ${field('a', 'large')} ${field('b', 'step 0')} ${field('c', 'large')} }`
      const idle = openNow()
      for (let round = 0; round < 10; round++) {
        const answer = await post(server.url, query)
        await once(answer, 'data')
        answer.on('error', () => {}).destroy()
      }
      await eventually(async () => assert.ok(openNow() <= Math.max(idle, 2), `${openNow()} are open, ${idle} before`))
      assert.ok(await isWhole(await post(server.url, query)))
    })

    it('never ends cleanly when the store breaks off', async () => {
      const { server, objects } = store
      const query = `{ ${field('a', 'large')} }`
      const path = `${server.storagePath}/${largeUri.replace('file:///', '')}`
      const breakOff = async () => {
        if (!proxy) return await truncate(path, LARGE - 1_000_000)
        // With the object gone, a new connection does not help.
        await objects.remove(largeUri)
        proxy.resetNow()
      }
      for (const text of [query, `{ ${field('a', 'large')} ${field('after', 'step 1')} }`]) {
        const answer = await post(server.url, text)
        assert.equal(answer.statusCode, 200)
        await once(answer, 'readable')
        await breakOff()
        assert.equal(await isWhole(answer), false)
        await objects.replace(largeUri, payloads.get('large') ?? '')
        assert.ok(await isWhole(await post(server.url, text)))
      }
    })

    it('leaves its connection good for the next request', async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      const ports = new Set<number | undefined>()
      for (const query of [
        `{ ${field('a', 'step 0')} }`,
        '{ run(runId: "run") { runId } }',
        `{ ${field('a', 'step 0')} ${field('b', 'step 4')} }`,
      ]) {
        for (let round = 0; round < 2; round++) {
          const answer = await post(store.server.url, query, agent)
          ports.add(answer.socket.localPort)
          assert.ok(JSON.parse((await buffer(answer)).toString()).data)
        }
      }
      assert.equal(ports.size, 1)
      agent.destroy()
    })
  })
}

testLargeAnswers('files')
await describeWith('a real S3 server', s3, (service) => testLargeAnswers('S3', service))

it('a client that reads slowly gets all of a large payload, and the server keeps little of it', async (context) => {
  await using database = await freshDatabase()
  await using folder = await temporaryFolder()
  const env = { PORT: '0', DATABASE_URL: database.url, DATA_DIR: folder.path, PAYLOAD_MAX_BYTES: '200000000' }
  await using server = startProcess({ args: ['serve'], env })
  const url = await server.waitForUrl()
  const sizeBytes = 100_000_000
  const keep = async (stepId: string, size: number) =>
    storedOf(await put(url, Buffer.from(payloadOf(stepId, size)), { runId: 'run', stepId }))
  const query = (stepId: string) => `{ ${field('a', stepId)} }`
  await keep('warm', 20_000_000)
  await keep('large', sizeBytes)
  assert.ok(await isWhole(await post(url, query('warm'))))

  // Makes the peak start anew.
  await writeFile(`/proc/${server.pid}/clear_refs`, '5')
  const from = await memoryOf(server.pid, 'VmRSS')
  const answer = await post(url, query('large'))
  let received = 0
  for await (const chunk of answer) {
    received += chunk.length
    // 10 MB a second for the first two.
    if (received < 20_000_000) await delay(chunk.length / 10_000)
  }
  const grew = (await memoryOf(server.pid, 'VmHWM')) - from
  context.diagnostic(`${grew.toFixed()} MiB`)
  assert.equal(received, payloadOf('large', sizeBytes).length + 1 + '{"data":{"a":{"payload":}}}'.length)
  assert.ok(answer.complete)
  assert.ok(grew <= 64, `${grew} MiB`)
})

async function memoryOf(pid: number, name: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const [, kibibytes] = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status) ?? []
  return Number(kibibytes) / 1024
}
