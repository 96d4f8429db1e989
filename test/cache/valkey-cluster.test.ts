import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { afterEach, describe, it } from 'node:test'
import type { ByteCache } from '../../src/cache/byte-cache.ts'
import { createValkeyCache } from '../../src/cache/valkey.ts'
import { eventually, kept, testByteCache } from '../contract/byte-cache.ts'
import { describeWith } from '../support/describe-with.ts'
import { valkeyCluster } from '../support/services.ts'

await describeWith('Valkey cluster', valkeyCluster, ({ url }) => {
  const made: ByteCache[] = []

  async function connect(options?: { readonly ttlSeconds?: number; readonly url?: string }): Promise<ByteCache> {
    const cache = createValkeyCache({ url, cluster: true, maxEntryBytes: 1_048_576, ttlSeconds: 60, ...options })
    made.push(cache)
    assert.ok(await eventually(() => cache.isUp()))
    return cache
  }

  testByteCache('Valkey cluster', connect)

  describe('a cluster', () => {
    afterEach(async () => {
      await Promise.all(made.splice(0).map((cache) => cache.close()))
    })

    it('is used on all of its nodes, by redis:// and by valkey://, without TLS', async () => {
      const caches = [await connect(), await connect({ url: url.replace('redis://', 'valkey://') })]
      const [writer, reader] = caches
      assert.ok(writer && reader)
      // So many that each node has some.
      const keys = Array.from({ length: 30 }, () => randomUUID())
      for (const key of keys) writer.set(key, Buffer.from(`"${key}"`))
      for (const key of keys) assert.deepEqual(await kept(reader, key), Buffer.from(`"${key}"`))
    })
  })
})
