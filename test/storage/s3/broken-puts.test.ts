import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { afterEach, describe, it } from 'node:test'
import { isAppError } from '../../../src/errors.ts'
import type { StorageBackend } from '../../../src/storage/backend.ts'
import { resuming } from '../../../src/storage/resume.ts'
import { createS3Backend, type S3BackendOptions } from '../../../src/storage/s3/s3-backend.ts'
import { type FaultProxy, startFaultProxy } from '../../support/fault-proxy.ts'
import { type BodyFault, type CountingS3, startCountingS3 } from './counting-s3.ts'

const KIB = 1024
const MIB = 1024 * KIB
const URI = { scheme: 's3', bucket: 'bucket', key: 'a' }
/** S3's own rules, a hundred times smaller. */
const SMALL_PARTS = {
  maxParts: 10_000,
  partBytes: 64 * KIB,
  wholeBytes: 256 * KIB,
  heldBytes: 512 * KIB,
  growth: [{ parts: 10_000, partBytes: 64 * KIB }],
}

const running = new Set<AsyncDisposable>()
afterEach(async () => {
  for (const one of running) await one[Symbol.asyncDispose]()
  running.clear()
})

interface Scene {
  readonly store: CountingS3
  readonly proxy: FaultProxy
  readonly backend: StorageBackend
}

async function play(options: Partial<S3BackendOptions> = {}): Promise<Scene> {
  const store = await startCountingS3({
    partMinBytes: (options.partRules ?? { partBytes: 5 * MIB }).partBytes,
    maxParts: 10_000,
  })
  const { hostname: host, port } = new URL(store.endpoint)
  const proxy = await startFaultProxy({ host, port: Number(port) })
  const connection = {
    region: 'us-east-1',
    endpointUrl: `http://${proxy.host}:${proxy.port}`,
    accessKey: 'key',
    secretKey: 's',
  }
  const backend = resuming(createS3Backend({ scheme: 's3', bucket: 'bucket', ...connection, ...options }))
  running
    .add({ [Symbol.asyncDispose]: async () => backend.close() })
    .add(proxy)
    .add(store)
  return { store, proxy, backend }
}

const PIECE = randomBytes(MIB)

async function* body(sizeBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < sizeBytes; at += MIB) yield PIECE.subarray(0, Math.min(MIB, sizeBytes - at))
}

async function digestOf(chunks: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}

const FAULTS: readonly BodyFault[] = (['rst', 'fin', 'busy', 'flipped'] as const).flatMap((how) =>
  [1, 700 * KIB].map((afterBytes) => ({ how, afterBytes })),
)

describe('D2: a store that breaks a body while it is sent', () => {
  const busyTwice = new Array<BodyFault>(2).fill({ how: 'busy', afterBytes: 700 * KIB })
  for (const [sizeBytes, scenes] of [
    [2 * MIB, FAULTS.filter((_, index) => index % 2 === 1)],
    [6 * MIB, FAULTS],
    [24 * MIB, FAULTS.filter((_, index) => index % 3 === 1)],
    [70 * MIB, FAULTS.slice(1, 2)],
  ] as const) {
    it(`once is not noticed, nor is one that is busy twice (${sizeBytes / MIB} MiB)`, async () => {
      const { store, backend } = await play()
      const digest = await digestOf(body(sizeBytes))
      for (const [index, faults] of [...scenes.map((fault) => [fault]), busyTwice].entries()) {
        const uri = { ...URI, key: String(index) }
        store.breakNext(...faults)
        // Two of four do not say their length.
        await backend.put(uri, body(sizeBytes), { sizeBytes: index % 4 < 2 ? sizeBytes : undefined })
        const { sizeBytes: stored, digest: storedDigest } = store.objects.get(uri.key) ?? assert.fail()
        assert.deepEqual([stored, storedDigest], [sizeBytes, digest])
      }
      assert.equal(store.openUploads(), 0)
    })
  }

  it('always is told by a code that says to try again, and leaves nothing', async () => {
    for (const fault of FAULTS) {
      const { store, backend } = await play({ partRules: SMALL_PARTS })
      store.breakNext(...new Array(100).fill({ ...fault, afterBytes: Math.min(fault.afterBytes, 20 * KIB) }))
      const puts = [200 * KIB, 2 * MIB].flatMap((sizeBytes) =>
        [sizeBytes, undefined].map((announced) =>
          backend.put({ ...URI, key: `${sizeBytes}-${announced}` }, body(sizeBytes), { sizeBytes: announced }),
        ),
      )
      for (const result of await Promise.allSettled(puts)) {
        assert.ok(result.status === 'rejected' && isAppError(result.reason) && result.reason.isRetryable)
      }
      assert.deepEqual([store.openUploads(), store.objects.size], [0, 0])
    }
  })

  it('is not blamed for what the sender does meanwhile', async () => {
    const { store, backend } = await play({ partRules: SMALL_PARTS })
    const broken = new Error('the sender broke')
    const breaking = (async function* () {
      yield* body(MIB)
      store.breakNext({ how: 'busy', afterBytes: 1 }, { how: 'rst', afterBytes: 1 })
      yield* body(MIB)
      throw broken
    })()
    await assert.rejects(backend.put(URI, breaking, { sizeBytes: 3 * MIB }), broken)
    assert.equal(store.openUploads(), 0)
  })
})

describe('D2: a body that is streamed, since it is larger than parts in memory carry', () => {
  const partRules = { ...SMALL_PARTS, maxParts: 100, partBytes: KIB, growth: [{ parts: 100, partBytes: KIB }] }
  const sizeBytes = 4 * MIB

  it('is stored', async () => {
    const { store, backend } = await play({ partRules })
    await backend.put(URI, body(sizeBytes), { sizeBytes })
    const { digest, parts } = store.objects.get('a') ?? assert.fail()
    assert.deepEqual([digest, parts.length], [await digestOf(body(sizeBytes)), 100])
  })

  it('is not sent again when the store breaks it, and its sender is told to do so', async () => {
    for (const how of ['rst', 'fin', 'busy'] as const) {
      const { store, backend } = await play({ partRules })
      store.breakNext({ how, afterBytes: 1 })
      const put = backend.put(URI, body(sizeBytes), { sizeBytes })
      await assert.rejects(put, { code: 'STORAGE_UNAVAILABLE' })
      assert.deepEqual([store.openUploads(), store.objects.size], [0, 0])
    }
  })

  it('fails as its sender does, in the middle of a part too', async () => {
    const { store, backend } = await play({ partRules })
    const broken = new Error('the sender broke')
    const breaking = (async function* () {
      yield* body(MIB)
      throw broken
    })()
    await assert.rejects(backend.put(URI, breaking, { sizeBytes }), broken)
    await assert.rejects(backend.put(URI, body(MIB), { sizeBytes }), { code: 'BAD_REQUEST' })
    await assert.rejects(backend.put(URI, body(sizeBytes + 1), { sizeBytes }), { code: 'BAD_REQUEST' })
    assert.deepEqual([store.openUploads(), store.objects.size], [0, 0])
  })
})

describe('N4: a store that hangs while it is written to', () => {
  const deadlineMs = 600
  /** In proportion to 15 seconds for a deadline of 10, and what a busy machine adds. */
  const TOLD_MS = 1.5 * deadlineMs + 400

  async function toldAfter(put: Promise<unknown>): Promise<number> {
    const from = performance.now()
    await assert.rejects(put, { code: 'STORAGE_TIMEOUT' })
    return performance.now() - from
  }

  it('is told in the time of a small request, whatever the size of the body', async () => {
    for (const [sizeBytes, announced] of [
      [1.5 * MIB, 1.5 * MIB],
      [2 * MIB, undefined],
      [40 * MIB, 40 * MIB],
    ] as const) {
      // Each of its own: one that is known to hang is told at once.
      const { proxy, backend } = await play({ deadlineMs })
      proxy.blackhole()
      const ms = await toldAfter(backend.put(URI, body(sizeBytes), { sizeBytes: announced }))
      assert.ok(ms < TOLD_MS, `${sizeBytes}: ${ms} ms`)
    }
  })

  it('is told as soon when it stops in the middle, and the sender is let go', async () => {
    const { store, proxy, backend } = await play({ deadlineMs, partRules: SMALL_PARTS })
    let isLetGo = false
    const hanging = (async function* () {
      try {
        yield* body(MIB)
        while (store.bodies() < 4) await new Promise(setImmediate)
        proxy.blackhole()
        for (let count = 0; count < 100; count += 1) yield PIECE
      } finally {
        isLetGo = true
      }
    })()
    const ms = await toldAfter(backend.put(URI, hanging))
    // Parts are not taken back by a store that hangs: that is waited for a little.
    assert.ok(ms < TOLD_MS + 2000, `${ms} ms`)
    assert.ok(isLetGo)
  })

  it('is waited for when it is slow, but moves on', async () => {
    const { store, proxy, backend } = await play({ deadlineMs: 1500 })
    proxy.bandwidth(2 * MIB)
    const from = performance.now()
    await backend.put(URI, body(6 * MIB), { sizeBytes: 6 * MIB })
    assert.ok(performance.now() - from > 2000)
    assert.equal(store.objects.get('a')?.sizeBytes, 6 * MIB)
  })

  it('is waited for when it takes long to answer, as long as it lives', async () => {
    const { store, backend } = await play({ deadlineMs: 1500 })
    store.hold(new Promise((resolve) => setTimeout(resolve, 1800)))
    await backend.put(URI, body(MIB), { sizeBytes: MIB })
    assert.equal(store.objects.get('a')?.sizeBytes, MIB)
  })
})

describe('D11: 24 uploads that a store answers late', () => {
  it('keep neither reads nor small requests from it', async () => {
    const { store, backend } = await play({ partRules: SMALL_PARTS })
    await backend.put({ ...URI, key: 'stored' }, body(1000), { sizeBytes: 1000 })
    const answered = Promise.withResolvers<void>()
    store.hold(answered.promise)
    const puts = Array.from({ length: 24 }, (_, index) =>
      backend.put({ ...URI, key: String(index) }, body(400 * KIB), { sizeBytes: 400 * KIB }),
    )
    while (store.bodies() < 1 + 24 * 3) await new Promise(setImmediate)
    assert.equal((await buffer((await backend.get({ ...URI, key: 'stored' })).body)).length, 1000)
    assert.equal((await backend.stat({ ...URI, key: 'stored' })).sizeBytes, 1000)
    await backend.check()
    answered.resolve()
    await Promise.all(puts)
    assert.equal(store.objects.size, 25)
  })
})
