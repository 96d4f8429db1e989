import assert from 'node:assert/strict'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { finished } from 'node:stream/promises'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { freshDatabase } from '../support/database.ts'
import { send } from '../support/http.ts'
import { type RunningProcess, startProcess } from '../support/process.ts'
import { startServer } from '../support/server.ts'
import { temporaryFolder } from '../support/tmp.ts'

/** More than the buffers of two sockets take in. */
const PAYLOAD = Buffer.from(`"${'x'.repeat(48_000_000)}"`)

interface Download {
  /** Takes all that comes; `complete` unless the connection was cut. */
  finish(): Promise<{ readonly complete: boolean; readonly size: number }>
}

/** An answer that has begun, and of which the client takes nothing yet. */
async function startDownload(url: string): Promise<Download> {
  const [answer] = (await once(get(url, { agent: false }), 'response')) as [IncomingMessage]
  assert.equal(answer.statusCode, 200)
  return {
    async finish() {
      let size = 0
      answer.on('data', (chunk: Buffer) => {
        size += chunk.length
      })
      await finished(answer).catch(() => {})
      return { complete: answer.complete, size }
    },
  }
}

describe('slow clients', { concurrency: true, timeout: 60_000 }, () => {
  const cleanup = new AsyncDisposableStack()
  let path: string
  let env: Record<string, string>

  before(async () => {
    const database = cleanup.use(await freshDatabase())
    const folder = cleanup.use(await temporaryFolder())
    const store = { databaseUrl: database.url, storagePath: folder.path }
    env = { PORT: '0', DATABASE_URL: store.databaseUrl, SNAPSHOT_STORAGE_PATH: store.storagePath }
    await using server = await startServer({ store })
    const { snapshot } = await server.app.writer.capture({ runId: 'r' }, PAYLOAD)
    path = `/snapshots/${snapshot.snapshotId}/payload`
  })
  after(() => cleanup.disposeAsync())

  async function serve(): Promise<{ readonly child: RunningProcess; readonly url: string }> {
    const child = startProcess({ args: ['serve'], env })
    return { child, url: await child.waitForUrl() }
  }

  it('get what they began to download after SIGTERM, while the server is not ready for others', async () => {
    const { child, url } = await serve()
    await using _child = child
    const download = await startDownload(url + path)
    const stopped = child.stop('SIGTERM')
    const ready = await untilDraining(url)
    assert.deepEqual(ready, { status: 'draining', database: 'up', storage: 'up', cache: 'up' })
    assert.deepEqual(await download.finish(), { complete: true, size: PAYLOAD.length })
    assert.deepEqual(await stopped, { code: 0, signal: null })
    await assert.rejects(fetch(`${url}/health/ready`))
  })

  it('that take nothing are cut, and keep the server from ending for twenty seconds at most', async () => {
    const { child, url } = await serve()
    await using _child = child
    const download = await startDownload(url + path)
    const toldAt = performance.now()
    assert.deepEqual(await child.stop('SIGTERM'), { code: 0, signal: null })
    const seconds = (performance.now() - toldAt) / 1000
    assert.ok(seconds > 5 && seconds < 22, `${seconds} s`)
    assert.equal((await download.finish()).complete, false)
  })

  it('are not waited for after a second signal', async () => {
    for (const [first, second] of [
      ['SIGTERM', 'SIGTERM'],
      ['SIGTERM', 'SIGINT'],
    ] as const) {
      const { child, url } = await serve()
      await using _child = child
      const download = await startDownload(url + path)
      const stopped = child.stop(first)
      await untilDraining(url)
      const toldAt = performance.now()
      child.stop(second)
      assert.deepEqual(await stopped, { code: 1, signal: null })
      assert.ok(performance.now() - toldAt < 1000)
      assert.equal((await download.finish()).complete, false)
    }
  })

  it('whose request comes drop by drop are cut after ten seconds, while others are served', async () => {
    const { child, url } = await serve()
    await using _child = child
    const socket = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => {})
    await once(socket, 'connect')
    const openedAt = performance.now()
    const head = [...`GET /health/live HTTP/1.1\r\nhost: localhost\r\nx-slow: ${'a'.repeat(100)}`]
    const drip = setInterval(() => socket.write(head.shift() ?? 'a'), 200)
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    closed.then(() => clearInterval(drip))
    let answer = ''
    socket.setEncoding('latin1').on('data', (text: string) => {
      answer += text
    })
    assert.equal((await send(url, { target: '/health/live' })).status, 200)
    await closed
    const seconds = (performance.now() - openedAt) / 1000
    assert.match(answer, /^HTTP\/1\.1 408 /)
    assert.ok(seconds > 8 && seconds < 15, `${seconds} s`)
    assert.deepEqual(await child.stop(), { code: 0, signal: null })
  })
})

/** What /health/ready says, on a new connection, once it answers 503; a signal takes a moment to arrive. */
async function untilDraining(url: string): Promise<unknown> {
  for (;;) {
    const { status, body } = await send(url, { target: '/health/ready' })
    if (status === 503) return JSON.parse(body.toString())
    await delay(10)
  }
}
