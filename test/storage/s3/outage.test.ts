import assert from 'node:assert/strict'
import { afterEach, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { StorageBackend } from '../../../src/storage/backend.ts'
import { resuming } from '../../../src/storage/resume.ts'
import { createS3Backend } from '../../../src/storage/s3/s3-backend.ts'
import { type FaultProxy, startFaultProxy } from '../../support/fault-proxy.ts'
import { type MemoryS3, startMemoryS3 } from '../../support/memory-s3.ts'
import { answer, failure, reset, type ScriptedS3, type Step, startScriptedS3 } from './scripted-s3.ts'

const URI = { scheme: 's3', bucket: 'memory', key: 'key' }
/** The breaker asks each quarter of a second; the rest is for a machine that does other things too. */
const RECOVERY_MS = 3000

const running = new Set<{ close(): unknown }>()
afterEach(async () => {
  for (const one of [...running].reverse()) await one.close()
  running.clear()
})

interface Scene {
  readonly store: MemoryS3
  readonly proxy: FaultProxy
  readonly backend: StorageBackend
}

function backendAt(endpointUrl: string, deadlineMs: number): StorageBackend {
  const connection = { region: 'us-east-1', endpointUrl, accessKey: 'key', secretKey: 'secret' }
  const backend = resuming(createS3Backend({ scheme: 's3', bucket: 'memory', ...connection, deadlineMs }))
  running.add(backend)
  return backend
}

async function play({ deadlineMs = 600 } = {}): Promise<Scene> {
  const store = await startMemoryS3()
  store.objects.set('key', Buffer.from('[1]'))
  const { hostname: host, port } = new URL(store.service.endpoint)
  const proxy = await startFaultProxy({ host, port: Number(port) })
  running.add({ close: () => store[Symbol.asyncDispose]() }).add({ close: () => proxy[Symbol.asyncDispose]() })
  return { store, proxy, backend: backendAt(`http://${proxy.host}:${proxy.port}`, deadlineMs) }
}

async function script(...steps: readonly Step[]): Promise<{ store: ScriptedS3; backend: StorageBackend }> {
  const store = await startScriptedS3(...steps)
  running.add(store)
  return { store, backend: backendAt(store.endpoint, 5000) }
}

/** The code that a look at the object ends with, or `ok`, and how long it took. */
async function look(backend: StorageBackend): Promise<{ readonly code: string; readonly ms: number }> {
  const from = performance.now()
  const code = await backend.stat(URI).then(
    () => 'ok',
    (error: { readonly code: string }) => error.code,
  )
  return { code, ms: performance.now() - from }
}

/** Looks until the store is given up, which shows in a failure that takes no time. */
async function giveUp(backend: StorageBackend): Promise<void> {
  for (let times = 0; times < 40; times++) {
    const { code, ms } = await look(backend)
    assert.match(code, /^STORAGE_(TIMEOUT|UNAVAILABLE)$/)
    if (code === 'STORAGE_UNAVAILABLE' && ms < 5) return
  }
  assert.fail('it is asked for ever')
}

async function recovers(backend: StorageBackend): Promise<void> {
  const from = performance.now()
  while ((await look(backend)).code !== 'ok') {
    assert.ok(performance.now() - from < RECOVERY_MS, 'it is not asked again')
    await delay(20)
  }
}

describe('a store that does not answer', () => {
  it('G5: is asked no more after some requests, which fails those that come at once, and is used again once it answers', async () => {
    const { proxy, backend } = await play()
    proxy.blackhole()
    await giveUp(backend)
    const connections = proxy.connections
    const looks = await Promise.all(Array.from({ length: 200 }, () => look(backend)))
    assert.deepEqual(new Set(looks.map(({ code }) => code)), new Set(['STORAGE_UNAVAILABLE']))
    assert.ok(proxy.connections - connections <= 8, `${proxy.connections - connections} connections for 200 requests`)
    await proxy.heal()
    await recovers(backend)
  })

  it('G1: is told as fast where it refuses connections, for reads, writes and deletes alike', async () => {
    const { proxy, backend } = await play({ deadlineMs: 5000 })
    await proxy.refuse()
    proxy.resetNow()
    await giveUp(backend)
    const once = async function* () {
      yield Buffer.from('[2]')
    }
    for (const call of [
      () => backend.get(URI),
      () => backend.put({ ...URI, key: 'other' }, once(), { sizeBytes: 3 }),
      () => backend.delete(URI),
      () => backend.check(),
    ]) {
      await assert.rejects(call, { code: 'STORAGE_UNAVAILABLE', isRetryable: true })
    }
    await proxy.heal()
    await recovers(backend)
  })

  it('is not given up for connections that break all at once', async () => {
    const { proxy, backend } = await play({ deadlineMs: 5000 })
    for (let round = 0; round < 3; round++) {
      // Fewer than there are retries at hand.
      const looks = Array.from({ length: 20 }, () => look(backend))
      proxy.resetNow()
      const codes = (await Promise.all(looks)).map(({ code }) => code)
      assert.deepEqual(new Set(codes), new Set(['ok']))
    }
  })

  it('is not given up by those who leave', async () => {
    const { proxy, backend } = await play({ deadlineMs: 5000 })
    proxy.latency(100)
    const until = performance.now() + 1500
    while (performance.now() < until) {
      const left = new AbortController()
      const looks = Array.from({ length: 5 }, () => backend.stat(URI, { signal: left.signal }))
      setTimeout(() => left.abort(new Error('left')), 20)
      for (const { status } of await Promise.allSettled(looks)) assert.equal(status, 'rejected')
    }
    assert.equal((await look(backend)).code, 'ok')
  })
})

it('a store that answers is never given up, whatever it says', async () => {
  const answers = [
    [answer(404), 'OBJECT_MISSING'],
    [answer(412), 'CONFLICT'],
    [answer(416), 'RANGE_NOT_SATISFIABLE'],
    [answer(403), 'STORAGE_UNAVAILABLE'],
    [failure(500, 'InternalError'), 'STORAGE_UNAVAILABLE'],
  ] as const
  const asking = answers.map(async ([step, code]) => {
    const { store, backend } = await script(step)
    const until = performance.now() + 1200
    let asked = 0
    while (performance.now() < until) {
      asked += 1
      assert.equal((await look(backend)).code, code)
      await delay(50)
    }
    assert.ok(store.requests.length >= asked, `${code}: ${store.requests.length} requests for ${asked}`)
  })
  await Promise.all(asking)
})

describe('a body that is taken up again', () => {
  it('G7, F6: asks the store once each time: retries do not multiply', async () => {
    const begin: Step = (response) => {
      response.writeHead(200, { etag: '"e"', 'content-length': 10 }).write('12345')
      setImmediate(() => response.socket?.resetAndDestroy())
    }
    const { store, backend } = await script(begin, reset)
    const { body } = await backend.get(URI)
    await assert.rejects(body.toArray(), { code: 'STORAGE_UNAVAILABLE' })
    assert.equal(store.requests.length, 1 + 3)
  })
})
