import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createMemoryCache } from '../../src/cache/memory.ts'
import { testByteCache } from '../contract/byte-cache.ts'

const MIB = 1024 * 1024

testByteCache('memory', async (settings) => createMemoryCache({ maxBytes: 4 * MIB, ...settings }))

describe('the cache in memory', () => {
  it('holds no more bytes than it may, and keeps the newest', async () => {
    const cache = createMemoryCache({ maxBytes: 20 * MIB, maxEntryBytes: MIB, ttlSeconds: 60 })
    for (let i = 0; i < 10_000; i++) cache.set(`${i}`, Buffer.allocUnsafeSlow(MIB))
    let held = 0
    for (let i = 0; i < 10_000; i++) held += (await cache.get(`${i}`))?.buffer.byteLength ?? 0
    assert.ok(held <= 20 * MIB && held >= 18 * MIB, `${held}`)
    assert.ok(await cache.get('9999'))
    await cache.close()
  })

  it('counts what tiny entries cost beside their bytes', async () => {
    const cache = createMemoryCache({ maxBytes: MIB, maxEntryBytes: MIB, ttlSeconds: 60 })
    for (let i = 0; i < 100_000; i++) cache.set(`${i}`, Buffer.from('{}'))
    let held = 0
    for (let i = 0; i < 100_000; i++) held += (await cache.get(`${i}`)) ? 1 : 0
    assert.ok(held < 5000, `${held}`)
    await cache.close()
  })

  it('does not keep a large buffer for the sake of a small view into it', async () => {
    const cache = createMemoryCache({ maxBytes: MIB, maxEntryBytes: MIB, ttlSeconds: 60 })
    const large = Buffer.alloc(8 * MIB, 7)
    cache.set('view', large.subarray(5, 15))
    const found = await cache.get('view')
    assert.deepEqual(found, Buffer.alloc(10, 7))
    assert.ok((found?.buffer.byteLength ?? Number.POSITIVE_INFINITY) < 1024)
    await cache.close()
  })

  it('keeps no entry that is larger than all of it', async () => {
    const cache = createMemoryCache({ maxBytes: 1000, maxEntryBytes: MIB, ttlSeconds: 60 })
    assert.equal(cache.maxEntryBytes, 1000)
    cache.set('fits', Buffer.alloc(1000))
    assert.equal((await cache.get('fits'))?.length, 1000)
    cache.set('large', Buffer.alloc(1001))
    assert.equal(await cache.get('large'), undefined)
    await cache.close()
  })
})
