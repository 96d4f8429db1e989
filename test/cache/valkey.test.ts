import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { after, afterEach, describe, it } from 'node:test'
import { Redis } from 'iovalkey'
import type { ByteCache } from '../../src/cache/byte-cache.ts'
import { createValkeyCache, type ValkeyCacheOptions } from '../../src/cache/valkey.ts'
import { eventually, flushed, kept, testByteCache } from '../contract/byte-cache.ts'
import { describeWith } from '../support/describe-with.ts'
import { redis, valkey } from '../support/services.ts'

const STORED = 'statelens:1:'
const MIB = 1024 * 1024
const ENTRY = Buffer.from('{"state":1}')

await describeWith('Valkey', valkey, ({ url }) => testOn('Valkey', url))
await describeWith('Redis', redis, ({ url }) => testOn('Redis', url))

function testOn(name: string, url: string): void {
  const made: ByteCache[] = []

  async function connect(options?: Partial<ValkeyCacheOptions>): Promise<ByteCache> {
    const cache = createValkeyCache({ url, maxEntryBytes: MIB, ttlSeconds: 60, ...options })
    made.push(cache)
    assert.ok(await eventually(() => cache.isUp()))
    return cache
  }

  testByteCache(name, connect)

  describe(`${name}: the cache on it`, () => {
    const raw = new Redis(url)
    after(() => raw.disconnect())
    afterEach(async () => {
      await Promise.all(made.splice(0).map((cache) => cache.close()))
    })

    it('shares entries between servers', async () => {
      const [writer, reader] = [await connect(), await connect()]
      const key = randomUUID()
      writer.set(key, ENTRY)
      assert.deepEqual(await kept(reader, key), ENTRY)
    })

    it('sets a time to live on what it stores', async () => {
      const cache = await connect()
      const key = randomUUID()
      cache.set(key, ENTRY)
      await flushed(cache)
      const ttlMs = await raw.pttl(STORED + key)
      assert.ok(ttlMs > 0 && ttlMs <= 60_000, `${ttlMs}`)
    })

    const poisons: Record<string, (key: string, envelope: Buffer) => Promise<unknown>> = {
      'random bytes': (key) => raw.set(STORED + key, randomBytes(500)),
      'an empty value': (key) => raw.set(STORED + key, ''),
      'the bytes alone': (key) => raw.set(STORED + key, ENTRY),
      'a value that was cut short': (key, envelope) => raw.set(STORED + key, envelope.subarray(0, -1)),
      'a value with a changed byte': (key) => raw.setrange(STORED + key, 60, '!'),
      'a value of another type': (key) =>
        raw
          .multi()
          .del(STORED + key)
          .lpush(STORED + key, 'x')
          .exec(),
    }
    for (const [what, poison] of Object.entries(poisons)) {
      it(`never serves ${what}, and drops it`, async () => {
        const cache = await connect()
        const key = randomUUID()
        cache.set(key, ENTRY)
        await flushed(cache)
        const envelope = await raw.getBuffer(STORED + key)
        assert.ok(envelope)
        await poison(key, envelope)
        assert.equal(await cache.get(key), undefined)
        assert.ok(await eventually(async () => (await raw.exists(STORED + key)) === 0))
        cache.set(key, ENTRY)
        assert.deepEqual(await kept(cache, key), ENTRY)
      })
    }

    it('never serves the value of another key', async () => {
      const cache = await connect()
      const [key, other] = [randomUUID(), randomUUID()]
      cache.set(other, ENTRY)
      await flushed(cache)
      await raw.copy(STORED + other, STORED + key)
      assert.equal(await cache.get(key), undefined)
      assert.deepEqual(await cache.get(other), ENTRY)
    })

    it('bounds the writes that are under way, by number and by bytes', async () => {
      const cache = await connect()
      const small = Array.from({ length: 1000 }, () => randomUUID())
      for (const key of small) cache.set(key, ENTRY)
      assert.ok(await eventually(async () => (await cache.get(small[255] ?? '')) !== undefined))
      assert.equal(await raw.exists(...small.map((key) => STORED + key)), 256)
      const large = Array.from({ length: 40 }, () => randomUUID())
      const bytes = Buffer.alloc(MIB)
      for (const key of large) cache.set(key, bytes)
      assert.ok(await eventually(async () => (await raw.exists(STORED + large[31])) === 1))
      assert.equal(await raw.unlink(...large.map((key) => STORED + key)), 32)
    })

    it('goes on reading from a server that refuses writes', async () => {
      const [user, key] = [`reader-${randomUUID()}`, randomUUID()]
      const writer = await connect()
      writer.set(key, ENTRY)
      await flushed(writer)
      await raw.call('ACL', 'SETUSER', user, 'on', '>pw', '~*', '+get', '+ping', '+info')
      const readerUrl = new URL(url)
      readerUrl.username = user
      readerUrl.password = 'pw'
      const cache = await connect({ url: readerUrl.href })
      for (let i = 0; i < 20; i++) cache.set(randomUUID(), ENTRY)
      for (let i = 0; i < 20; i++) assert.deepEqual(await cache.get(key), ENTRY)
      await raw.call('ACL', 'DELUSER', user)
    })

    it('tells of a wrong password once, without showing it', async () => {
      const problems: string[] = []
      const wrong = new URL(url)
      wrong.password = 'canary-password'
      const cache = createValkeyCache({
        url: wrong.href,
        maxEntryBytes: MIB,
        ttlSeconds: 60,
        onProblem: (message) => problems.push(message),
      })
      made.push(cache)
      assert.ok(await eventually(async () => problems.length > 0))
      for (let i = 0; i < 100; i++) assert.equal(await cache.get(randomUUID()), undefined)
      assert.equal(await cache.isUp(), false)
      assert.equal(problems.length, 1)
      assert.doesNotMatch(problems.join(), /canary|127\.0\.0\.1|:\/\//)
    })
  })
}

describe('the address of the cache', () => {
  it('is refused when it is none of Valkey or Redis', () => {
    const foreign = ['', 'nonsense', 'http://127.0.0.1:6379', '/var/run/valkey.sock']
    for (const url of [...foreign, 'redis:', 'redis:host', 'redis:///0', 'redis://:50%@host']) {
      for (const cluster of [false, true]) {
        const create = () => createValkeyCache({ url, cluster, maxEntryBytes: 1, ttlSeconds: 1 })
        assert.throws(create, { code: 'BAD_REQUEST' }, url)
      }
    }
  })
})
