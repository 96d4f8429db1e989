import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { afterEach, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { ByteCache } from '../../src/cache/byte-cache.ts'

export interface CacheSettings {
  readonly maxEntryBytes: number
  readonly ttlSeconds: number
}

const SETTINGS: CacheSettings = { maxEntryBytes: 64 * 1024, ttlSeconds: 60 }

/** The cache contract. `create` gives a cache that is up; the suite closes it. */
export function testByteCache(name: string, create: (settings: CacheSettings) => Promise<ByteCache>): void {
  describe(`${name}: cache contract`, () => {
    const made: ByteCache[] = []
    afterEach(async () => {
      await Promise.all(made.splice(0).map((cache) => cache.close()))
    })

    async function open(settings: CacheSettings = SETTINGS): Promise<ByteCache> {
      const cache = await create(settings)
      made.push(cache)
      return cache
    }

    it('misses what was never set', async () => {
      const cache = await open()
      assert.equal(await cache.get(randomUUID()), undefined)
    })

    it('returns the bytes that were set', async () => {
      const cache = await open()
      const key = randomUUID()
      const bytes = randomBytes(10_000)
      cache.set(key, bytes)
      assert.deepEqual(await kept(cache, key), bytes)
    })

    it('keeps empty bytes', async () => {
      const cache = await open()
      const key = randomUUID()
      cache.set(key, Buffer.alloc(0))
      assert.deepEqual(await kept(cache, key), Buffer.alloc(0))
    })

    it('returns what was set last', async () => {
      const cache = await open()
      const key = randomUUID()
      cache.set(key, Buffer.from('first'))
      cache.set(key, Buffer.from('last'))
      await flushed(cache)
      assert.equal((await kept(cache, key))?.toString(), 'last')
    })

    it('keeps an entry of exactly the largest size, and leaves out a larger one', async () => {
      const cache = await open()
      const key = randomUUID()
      assert.equal(cache.maxEntryBytes, SETTINGS.maxEntryBytes)
      cache.set(`${key}-fits`, Buffer.alloc(SETTINGS.maxEntryBytes, 1))
      cache.set(`${key}-large`, Buffer.alloc(SETTINGS.maxEntryBytes + 1, 1))
      assert.equal((await kept(cache, `${key}-fits`))?.length, SETTINGS.maxEntryBytes)
      await flushed(cache)
      assert.equal(await cache.get(`${key}-large`), undefined)
    })

    it('tells keys apart whatever they hold', async () => {
      const cache = await open()
      const run = randomUUID()
      const tails = [
        '',
        ':',
        '::',
        '\n',
        '\r\nFLUSHALL\r\n',
        ' ',
        '\0',
        '{a}b',
        'é',
        'e\u0301',
        '\ud800',
        '\ud801',
        '\ufffd',
      ]
      const keys = [...tails.map((tail) => run + tail), `${run}${'k'.repeat(2048)}`]
      for (const key of keys) cache.set(key, Buffer.from(key, 'utf16le'))
      await flushed(cache)
      for (const key of keys) {
        const isPlain = key.isWellFormed() && !key.endsWith('\ufffd')
        const bytes = isPlain ? await kept(cache, key) : await cache.get(key)
        // Keys that the server cannot tell apart may push each other out: a miss is right, another's bytes never are.
        if (isPlain) assert.ok(bytes, JSON.stringify(key))
        if (bytes) assert.deepEqual(bytes, Buffer.from(key, 'utf16le'), JSON.stringify(key))
      }
    })

    it('never mixes the answers of concurrent reads', async () => {
      const cache = await open()
      const keys = Array.from({ length: 200 }, () => randomUUID())
      for (const key of keys) cache.set(key, Buffer.from(key))
      await flushed(cache)
      const found = await Promise.all(keys.map((key) => kept(cache, key)))
      assert.deepEqual(found.map(String), keys)
    })

    it('forgets an entry after its time to live', async () => {
      const cache = await open({ ...SETTINGS, ttlSeconds: 0.2 })
      const key = randomUUID()
      cache.set(key, Buffer.from('short-lived'))
      assert.ok(await kept(cache, key))
      assert.ok(await eventually(async () => (await cache.get(key)) === undefined))
    })

    it('is up', async () => {
      const cache = await open()
      assert.equal(await cache.isUp(), true)
    })

    it('is a miss after it was closed, and closes twice without complaint', async () => {
      const cache = await open()
      const key = randomUUID()
      cache.set(key, Buffer.from('x'))
      await kept(cache, key)
      await cache.close()
      await cache.close()
      cache.set(key, Buffer.from('y'))
      assert.equal(await cache.get(key), undefined)
      assert.equal(await cache.isUp(), false)
    })
  })
}

/** Whether the condition came true within the time. It is asked again and again, since a cache tells nobody. */
export async function eventually(condition: () => Promise<boolean>, timeoutMs = 5000): Promise<boolean> {
  const deadline = performance.now() + timeoutMs
  while (performance.now() < deadline) {
    if (await condition()) return true
    await delay(5)
  }
  return false
}

/** The bytes under the key, once they are there: `set` returns before the cache has them, and a slow answer is a miss. */
export async function kept(cache: ByteCache, key: string): Promise<Buffer | undefined> {
  let bytes: Buffer | undefined
  await eventually(async () => {
    bytes = await cache.get(key)
    return bytes !== undefined
  })
  return bytes
}

/** Waits for what was set so far: a cache takes entries in order. */
export async function flushed(cache: ByteCache): Promise<void> {
  const key = randomUUID()
  cache.set(key, Buffer.from('.'))
  assert.ok(await kept(cache, key))
}
