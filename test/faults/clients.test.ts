import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { request } from 'node:http'
import { describe, it } from 'node:test'
import { behindProxy } from '../support/behind.ts'
import { send } from '../support/http.ts'
import { startMemoryS3 } from '../support/memory-s3.ts'
import { s3Env } from '../support/objects.ts'
import { eventually, put, storedOf } from '../support/put.ts'
import { startServer } from '../support/server.ts'

const TIMES = 5

/** Downloads a part of an answer, and leaves. @returns when it left, on the clock of the process. */
function leaveAt(url: string, target: string, bytes: number): Promise<number> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    let taken = 0
    request({ hostname, port, path: target, agent: false }, (response) => {
      response.on('error', () => {})
      response.on('data', (chunk: Buffer) => {
        taken += chunk.length
        if (taken < bytes) return
        response.destroy()
        resolve(performance.now())
      })
    })
      .on('error', reject)
      .end()
  })
}

describe('a client that leaves in the middle of a download', () => {
  it('H1: lets the store go at once, wherever it was, and the next one gets all of it', async () => {
    await using store = await startMemoryS3()
    await using behind = await behindProxy(store.service.endpoint)
    const env = s3Env({ ...store.service, endpoint: behind.url })
    await using server = await startServer({ env: { ...env, SNAPSHOT_INLINE_MAX_BYTES: '10' } })
    const state = `"${randomBytes(2_000_000).toString('hex')}"`
    const { snapshotId } = storedOf(await put(server.url, state))
    const target = `/snapshots/${snapshotId}/payload`
    const idle = behind.proxy.openSockets
    const waits: number[] = []
    for (const share of [0.01, 0.5, 0.95]) {
      for (let turn = 0; turn < TIMES; turn++) {
        // Slow enough that the store is still at it when the client has gone.
        behind.proxy.bandwidth(30_000_000)
        const leftAt = await leaveAt(server.url, target, Math.ceil(share * state.length))
        await eventually(async () => assert.ok(behind.proxy.openSockets <= idle + 1))
        waits.push(performance.now() - leftAt)
      }
    }
    const median = waits.toSorted((a, b) => a - b)[Math.floor(waits.length / 2)] ?? 0
    assert.ok(median < 250, `${median} ms until the store is let go`)
    await behind.proxy.heal()
    assert.equal((await send(server.url, { target })).body.toString(), state)
  })
})

describe('a capture of what takes long to look through', () => {
  for (const [what, make] of [
    ['a million keys', () => `{${Array.from({ length: 1_000_000 }, (_, index) => `"k${index}":0`).join()}}`],
    ['a number of 20 MB', () => `1${'0'.repeat(20_000_000)}`],
    ['a string of 30 MB', () => `"${'x'.repeat(30_000_000)}"`],
  ] as const) {
    it(`D9: others are served meanwhile: ${what}`, async () => {
      await using server = await startServer()
      const state = Buffer.from(make())
      let isOver = false
      const capturing = put(server.url, state).finally(() => {
        isOver = true
      })
      let answered = 0
      let longest = 0
      while (!isOver) {
        const from = performance.now()
        assert.equal((await send(server.url, { target: '/health/live' })).status, 200)
        if (!isOver) longest = Math.max(longest, performance.now() - from)
        answered += 1
      }
      assert.equal(storedOf(await capturing).sizeBytes, state.length)
      assert.ok(answered >= 5, `${answered} answers meanwhile, the slowest after ${longest} ms`)
    })
  }
})
