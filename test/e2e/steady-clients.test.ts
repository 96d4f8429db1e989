import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { describeWith } from '../support/describe-with.ts'
import { s3Env } from '../support/objects.ts'
import { put, startPut, storedOf } from '../support/put.ts'
import { startServer } from '../support/server.ts'
import { s3 } from '../support/services.ts'
import { readSlowly } from '../support/slow-reader.ts'

/** Clients at the very rate that the defaults want, in real time. `test/server/slow-readers.test.ts` has the same faster. */
const skip = process.env['STATELENS_LONG_TESTS'] === '1' ? false : 'takes five minutes: set STATELENS_LONG_TESTS=1'

const RATE = 65_536
const PAYLOAD = Buffer.from(`"${'x'.repeat(14_000_000)}"`)
const QUERY = JSON.stringify({ query: '{ snapshot(runId: "run", stepId: "step") { payload } }' })

interface Way {
  readonly target: string
  readonly body?: string
}

interface Stored extends AsyncDisposable {
  readonly url: string
  readonly ways: readonly Way[]
}

async function serveStored(env: Record<string, string>): Promise<Stored> {
  const server = await startServer({ env })
  const { snapshotId } = storedOf(await put(server.url, PAYLOAD))
  const ways = [{ target: `/snapshots/${snapshotId}/payload` }, { target: '/graphql', body: QUERY }]
  return { url: server.url, ways, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

async function assertAllServed(env: Record<string, string>): Promise<void> {
  await using server = await serveStored(env)
  const readers = server.ways.flatMap((way) => [
    readSlowly(server.url, { ...way, allowance: (seconds) => seconds * RATE, everyMillis: 100 }),
    readSlowly(server.url, { ...way, allowance: (seconds) => Math.floor(seconds / 5) * 5 * RATE, everyMillis: 100 }),
  ])
  const curls = server.ways.map(async ({ target, body }) => {
    const data = body === undefined ? [] : ['-H', 'content-type: application/json', '-d', body]
    const args = ['-s', '--limit-rate', '64K', '-o', '/dev/null', '-w', '%{size_download}', ...data]
    return await promisify(execFile)('curl', [...args, server.url + target])
  })
  for (const read of await Promise.all(readers)) {
    assert.ok(read.isComplete, JSON.stringify(read))
    assert.ok(read.seconds > PAYLOAD.length / RATE - 10, JSON.stringify(read))
  }
  for (const { stdout } of await Promise.all(curls)) assert.ok(Number(stdout) >= PAYLOAD.length, stdout)
}

/** A busy machine is behind with its timers. */
const LIMIT_SECONDS = 25

const probing = { everyMillis: 100, isProbing: true }

async function assertAllCut(env: Record<string, string>): Promise<void> {
  await using server = await serveStored(env)
  const reads = await Promise.all(
    server.ways.flatMap((way) => [
      readSlowly(server.url, { ...way, ...probing, allowance: () => 0 }),
      readSlowly(server.url, { ...way, ...probing, allowance: () => 131_072 }),
      readSlowly(server.url, { ...way, ...probing, allowance: (seconds) => seconds }),
    ]),
  )
  for (const read of reads)
    assert.ok(!read.isComplete && read.seconds > 19 && read.seconds < LIMIT_SECONDS, JSON.stringify(read))
}

const OPTIONS = { skip, timeout: 400_000 }

describe('clients and the defaults, with a folder', { timeout: 900_000 }, () => {
  it('N3: a steady 64 KiB/s gets all of 14 MB', OPTIONS, () => assertAllServed({}))
  it('N3: who takes nothing, or a byte a second, is cut within 25 seconds', OPTIONS, () => assertAllCut({}))

  it(
    'N1: a body at a byte a second, or one in five or ten, is closed by 30 seconds and a little',
    OPTIONS,
    async () => {
      await using server = await startServer()
      const seconds = await Promise.all(
        [1000, 5000, 10_000].map(async (everyMillis) => {
          const sending = startPut(server.url, { headers: { 'content-length': '100000' } })
          const beganAt = performance.now()
          const ended = new Promise<void>((resolve) => sending.once('response', () => resolve()).once('error', resolve))
          sending.write(' ')
          const timer = setInterval(() => sending.write(' '), everyMillis)
          await ended
          clearInterval(timer)
          sending.destroy()
          return (performance.now() - beganAt) / 1000
        }),
      )
      for (const time of seconds) assert.ok(time > 29 && time < 33, `${seconds}`)
    },
  )

  it('D21: a connection is kept for 75 seconds', OPTIONS, async () => {
    await using server = await startServer()
    const agent = new Agent({ keepAlive: true })
    const [response] = await once(get(`${server.url}/health/live`, { agent }), 'response')
    const { socket } = response
    response.resume()
    await delay(70_000)
    assert.equal(socket.destroyed, false)
    agent.destroy()
  })
})

await describeWith('clients and the defaults, with object storage', s3, (service) => {
  it('N3: a steady 64 KiB/s gets all of 14 MB', OPTIONS, () => assertAllServed(s3Env(service)))
  it('N3: who takes nothing, or a byte a second, is cut within 25 seconds', OPTIONS, () => assertAllCut(s3Env(service)))
})
