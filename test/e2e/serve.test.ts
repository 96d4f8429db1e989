import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { freshDatabase } from '../support/database.ts'
import { describeWith } from '../support/describe-with.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { send } from '../support/http.ts'
import { s3Env } from '../support/objects.ts'
import { type RunningProcess, startProcess } from '../support/process.ts'
import { eventually } from '../support/put.ts'
import { s3 } from '../support/services.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/tmp.ts'
import { livingProcessesOf } from './processes.ts'

const CAPTURE = `mutation ($stepId: String!, $payload: JSON) {
  captureSnapshot(input: { runId: "r", stepId: $stepId, payload: $payload }) { snapshot { digest sizeBytes storageTier } }
}`
const READ =
  'query ($stepId: String!) { snapshot(runId: "r", stepId: $stepId) { digest sizeBytes storageTier payload } }'

const SMALL = { text: 'café 東京 🚚', list: [1, 2.5, null, true] }
const LARGE = Array.from({ length: 20_000 }, (_none, id) => ({ id, text: `document ${id} `.repeat(5) }))

interface Asked {
  readonly data: Record<string, unknown> | null
  readonly errors: readonly { readonly extensions: { readonly code: string } }[]
}

async function ask(url: string, text: string, variables: object): Promise<Asked> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: text, variables }),
  })
  return { errors: [], ...((await response.json()) as { data: Asked['data'] }) }
}

async function query(url: string, text: string, variables: object): Promise<Record<string, unknown>> {
  const { data, errors } = await ask(url, text, variables)
  assert.deepEqual(errors, [])
  return data ?? {}
}

describe('serve with no settings', () => {
  let folder: TemporaryFolder
  before(async () => {
    folder = await temporaryFolder()
  })
  after(() => folder[Symbol.asyncDispose]())

  /** In an empty folder, where DATA_DIR is `.statelens`; a free port lets tests run beside a server. */
  function serve(): RunningProcess {
    return startProcess({ args: ['serve'], env: { PORT: '0' }, cwd: folder.path })
  }

  it('answers on an embedded database, and keeps what it captured over a restart', async () => {
    const captured = []
    {
      await using server = serve()
      const url = await server.waitForUrl()
      for (const [stepId, payload] of Object.entries({ small: SMALL, large: LARGE })) {
        const { captureSnapshot } = await query(url, CAPTURE, { stepId, payload })
        captured.push((captureSnapshot as { snapshot: object }).snapshot)
      }
      assert.deepEqual(await server.stop(), { code: 0, signal: null })
      assert.equal(server.stderr(), '')
    }
    assert.deepEqual(await livingProcessesOf(folder.path), [])
    await using server = serve()
    const url = await server.waitForUrl()
    for (const [index, [stepId, payload]] of Object.entries({ small: SMALL, large: LARGE }).entries()) {
      const { snapshot } = await query(url, READ, { stepId })
      const { payload: read, ...metadata } = snapshot as { payload: unknown }
      assert.deepEqual(metadata, captured[index])
      assert.deepEqual(read, payload)
    }
    assert.deepEqual(
      captured.map((snapshot) => (snapshot as { storageTier: string }).storageTier),
      ['INLINE', 'OBJECT'],
    )
    assert.deepEqual(await server.stop(), { code: 0, signal: null })
    assert.deepEqual(await livingProcessesOf(folder.path), [])
  })

  it('E13: goes on by itself when its database is killed in the middle of writes, and has every one that it acknowledged', async () => {
    await using server = serve()
    const url = await server.waitForUrl()
    const kept: string[] = []
    let codes = new Set<string>()
    let isOver = false
    const writing = (async () => {
      for (let step = 0; !isOver; step++) {
        const { data, errors } = await ask(url, CAPTURE, { stepId: `w${step}`, payload: step })
        if (data?.['captureSnapshot']) kept.push(`w${step}`)
        else codes = codes.union(new Set(errors.map(({ extensions }) => extensions.code)))
      }
    })()
    await eventually(async () => assert.ok(kept.length > 20))
    const lock = await readFile(join(folder.path, '.statelens', 'postgres', 'postmaster.pid'), 'utf8')
    process.kill(Number.parseInt(lock, 10), 'SIGKILL')
    await server.waitForLine(/the embedded database is back/)
    const before = kept.length
    await eventually(async () => assert.ok(kept.length > before + 20))
    isOver = true
    await writing
    assert.deepEqual(
      [...codes].filter((code) => !/^DATABASE_UNAVAILABLE$/.test(code)),
      [],
    )
    for (const stepId of kept) assert.ok((await query(url, READ, { stepId }))['snapshot'], stepId)
    assert.deepEqual(await server.stop(), { code: 0, signal: null })
    assert.deepEqual(await livingProcessesOf(folder.path), [])
  })

  it('says that its port is taken, and leaves no database running', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const address = other.address()
    const port = typeof address === 'object' && address !== null ? String(address.port) : ''
    await using server = startProcess({ args: ['serve'], env: { PORT: port }, cwd: folder.path })
    assert.deepEqual(await server.exited, { code: 1, signal: null })
    assert.match(server.stderr(), /^PORT is taken/)
    assert.deepEqual(await livingProcessesOf(folder.path), [])
    await new Promise((resolve) => other.close(resolve))
  })

  it('refuses settings that are wrong, all of them at once, before it starts anything', async () => {
    const env = { PORT: 'canary', HOST: '0.0.0.0', SIGNED_URL_SECRET: 'canary', DATABASE_URL: 'canary' }
    await using server = startProcess({ args: ['serve'], env, cwd: folder.path })
    assert.deepEqual(await server.exited, { code: 1, signal: null })
    for (const name of Object.keys(env)) assert.match(server.stderr(), new RegExp(`^ {2}- ${name} `, 'm'))
    assert.doesNotMatch(server.stderr() + server.stdout(), /canary/)
  })
})

interface Proxied extends AsyncDisposable {
  /** Of the service, by way of the proxy. */
  readonly url: string
  readonly proxy: FaultProxy
}

async function behindProxy(url: string): Promise<Proxied> {
  const through = new URL(url)
  const proxy = await startFaultProxy({ host: through.hostname, port: Number(through.port) })
  through.hostname = proxy.host
  through.port = String(proxy.port)
  return { url: through.href, proxy, [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose]() }
}

/** What /health/ready says, once it says so: it looks once a second. */
async function becomesReady(url: string, expected: string): Promise<void> {
  await eventually(async () => {
    const { status } = JSON.parse((await send(url, { target: '/health/ready' })).body.toString())
    assert.equal(status, expected)
  })
}

describe('serve on a database that cannot be reached', { concurrency: true }, () => {
  async function serveOn(template: 'empty' | 'migrated', env: Record<string, string> = {}) {
    await using cleanup = new AsyncDisposableStack()
    const database = cleanup.use(await freshDatabase({ template }))
    const folder = cleanup.use(await temporaryFolder())
    const { url: DATABASE_URL, proxy } = cleanup.use(await behindProxy(database.url))
    await proxy.refuse()
    const settings = { PORT: '0', DATABASE_URL, DATA_DIR: folder.path, ...env }
    const server = cleanup.use(startProcess({ args: ['serve'], env: settings }))
    const owned = cleanup.move()
    return { server, proxy, [Symbol.asyncDispose]: () => owned.disposeAsync() }
  }

  it('N8: lives, is not ready, and is when the database is there', async () => {
    await using started = await serveOn('migrated', { S3_BUKET: 'canary' })
    const { server, proxy } = started
    await server.waitForLine(/"name":"S3_BUKET"/)
    await server.waitForLine(/"code":"ECONNREFUSED"/)
    const url = (await server.waitForLine(/http:\/\/[^\s/"]+/))[0]
    assert.equal((await send(url, { target: '/health/live' })).status, 200)
    await becomesReady(url, 'not ready')
    await proxy.heal()
    await becomesReady(url, 'ready')
    await query(url, CAPTURE, { stepId: 'small', payload: SMALL })
    assert.deepEqual(await server.stop(), { code: 0, signal: null })
    assert.doesNotMatch(server.stdout(), /canary/)
  })

  it('S9: ends with a message when it turns out to lack its tables, and leaves no socket open', async () => {
    await using started = await serveOn('empty')
    const { server, proxy } = started
    const url = await server.waitForUrl()
    assert.equal((await send(url, { target: '/health/live' })).status, 200)
    await proxy.heal()
    assert.deepEqual(await server.exited, { code: 1, signal: null })
    assert.match(server.stderr(), /^The database needs a migration .*statelens migrate/)
    await assert.rejects(send(url, { target: '/health/live' }), { code: 'ECONNREFUSED' })
  })
})

describe('serve that is told to stop', { concurrency: true }, () => {
  it('D21: says so for five seconds after SIGTERM, before it refuses connections; Ctrl-C waits for nobody', async () => {
    await using database = await freshDatabase()
    await using folder = await temporaryFolder()
    const env = { PORT: '0', DATABASE_URL: database.url, DATA_DIR: folder.path }
    for (const [signal, from, to, settings] of [
      ['SIGTERM', 5, 12, {}],
      ['SIGINT', 0, 4, {}],
      ['SIGTERM', 0, 4, { DRAIN_DELAY_SECONDS: '0' }],
    ] as const) {
      await using server = startProcess({ args: ['serve'], env: { ...env, ...settings } })
      const url = await server.waitForUrl()
      await becomesReady(url, 'ready')
      const toldAt = performance.now()
      const seconds = () => (performance.now() - toldAt) / 1000
      const stopped = server.stop(signal)
      if (from > 0) {
        await becomesReady(url, 'draining')
        while (seconds() < 4) {
          const { status, headers } = await send(url, {
            target: '/health/ready',
            headers: { connection: 'keep-alive' },
          })
          assert.deepEqual([status, headers.connection], [503, 'close'])
          await delay(100)
        }
      }
      assert.deepEqual(await stopped, { code: 0, signal: null })
      assert.ok(seconds() >= from && seconds() < to, `${signal}: ${seconds()} s`)
    }
  })
})

await describeWith('serve that is told to stop, with object storage', s3, (service) => {
  it('J1: ends within 25 seconds though its store answers nothing', { timeout: 60_000 }, async () => {
    await using database = await freshDatabase()
    await using folder = await temporaryFolder()
    await using storage = await behindProxy(service.endpoint)
    const env = {
      ...s3Env(service),
      S3_ENDPOINT_URL: storage.url,
      PORT: '0',
      DATABASE_URL: database.url,
      DATA_DIR: folder.path,
      SNAPSHOT_INLINE_MAX_BYTES: '10',
    }
    await using server = startProcess({ args: ['serve'], env })
    const url = await server.waitForUrl()
    for (let step = 0; step < 6; step++) await query(url, CAPTURE, { stepId: `${step}`, payload: SMALL })
    storage.proxy.blackhole()
    await query(url, 'mutation { deleteRun(runId: "r") { __typename } }', {})
    const toldAt = performance.now()
    assert.deepEqual(await server.stop('SIGTERM'), { code: 0, signal: null })
    const seconds = (performance.now() - toldAt) / 1000
    assert.ok(seconds < 25, `${seconds} s`)
  })
})
