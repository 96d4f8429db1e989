import assert from 'node:assert/strict'
import { randomBytes, randomInt, randomUUID } from 'node:crypto'
import { describe, it } from 'node:test'
import type { ByteCache } from '../../src/cache/byte-cache.ts'
import { createValkeyCache } from '../../src/cache/valkey.ts'
import { eventually, flushed, kept } from '../contract/byte-cache.ts'
import { describeWith } from '../support/describe-with.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { redis, valkey } from '../support/services.ts'

const ENTRY = Buffer.from('{"state":1}')
const RECOVERY_MS = 3000

await describeWith('Valkey', valkey, ({ url }) => testBehindProxy('Valkey', url))
await describeWith('Redis', redis, ({ url }) => testBehindProxy('Redis', url))

interface Link extends AsyncDisposable {
  readonly proxy: FaultProxy
  readonly cache: ByteCache
  readonly problems: string[]
}

/** A cache that reaches its server through a proxy. */
async function link(url: string, before?: (proxy: FaultProxy) => Promise<void>): Promise<Link> {
  const address = new URL(url)
  const proxy = await startFaultProxy({ host: address.hostname, port: Number(address.port) })
  await before?.(proxy)
  address.hostname = proxy.host
  address.port = String(proxy.port)
  const problems: string[] = []
  const onProblem = (message: string) => problems.push(message)
  const cache = createValkeyCache({ url: address.href, maxEntryBytes: 65_536, ttlSeconds: 60, onProblem })
  return {
    proxy,
    cache,
    problems,
    async [Symbol.asyncDispose]() {
      await cache.close()
      await proxy[Symbol.asyncDispose]()
    },
  }
}

async function recovers(cache: ByteCache, key: string): Promise<boolean> {
  return eventually(async () => (await cache.get(key)) !== undefined, RECOVERY_MS)
}

/** Milliseconds that each of so many misses took, one after the other. */
async function missTimes(cache: ByteCache, count: number): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < count; i++) {
    const start = performance.now()
    assert.equal(await cache.get('any'), undefined)
    times.push(performance.now() - start)
  }
  return times
}

function median(times: number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0
}

function testBehindProxy(name: string, url: string): void {
  describe(`${name}: the cache on a broken network`, () => {
    it('starts while the server is down, costs nothing, and is used once the server is there', async () => {
      await using down = await link(url, (proxy) => proxy.refuse())
      const { cache, proxy, problems } = down
      assert.ok(await eventually(async () => problems.length > 0))
      cache.set('key', ENTRY)
      assert.ok(median(await missTimes(cache, 100)) < 5)
      assert.equal(await cache.isUp(), false)
      await proxy.heal()
      assert.ok(await eventually(() => cache.isUp(), RECOVERY_MS))
      await flushed(cache)
    })

    it('misses while the server is away, and comes back with it', async () => {
      await using away = await link(url)
      const { cache, proxy } = away
      const key = randomUUID()
      assert.ok(await eventually(() => cache.isUp()))
      cache.set(key, ENTRY)
      await kept(cache, key)
      await proxy.refuse()
      proxy.resetNow()
      const [first = 0, ...others] = await missTimes(cache, 100)
      assert.ok(first < 500 && median(others) < 5, `${first} ${median(others)}`)
      await proxy.heal()
      assert.ok(await recovers(cache, key))
    })

    for (const end of ['heals', 'loses its connections']) {
      it(`gives up on a silent server after five reads, and comes back when the network ${end}`, async () => {
        await using silent = await link(url)
        const { cache, proxy, problems } = silent
        const key = randomUUID()
        assert.ok(await eventually(() => cache.isUp()))
        cache.set(key, ENTRY)
        await kept(cache, key)
        proxy.blackhole()
        const times = await missTimes(cache, 105)
        // 150 ms by the settings; the rest is for a machine that does other things too.
        assert.ok(Math.max(...times.slice(0, 5)) < 500, `${times.slice(0, 5)}`)
        assert.ok(median(times.slice(5)) < 5, `${median(times.slice(5))}`)
        assert.equal(await cache.isUp(), false)
        assert.equal(problems.length, 1)
        if (end !== 'heals') proxy.resetNow()
        await proxy.heal()
        assert.ok(await recovers(cache, key))
      })
    }

    it('gives up on a server that answers too late', async () => {
      await using late = await link(url)
      const { cache, proxy } = late
      assert.ok(await eventually(() => cache.isUp()))
      proxy.latency(500)
      const times = await missTimes(cache, 105)
      assert.ok(Math.max(...times) < 500 && median(times.slice(5)) < 5)
      await proxy.heal()
      assert.ok(await eventually(() => cache.isUp(), RECOVERY_MS))
    })

    it('closes soon while nothing answers', async () => {
      await using dead = await link(url)
      assert.ok(await eventually(() => dead.cache.isUp()))
      dead.proxy.blackhole()
      const reading = dead.cache.get('any')
      const start = performance.now()
      await dead.cache.close()
      assert.ok(performance.now() - start < 1000)
      assert.equal(await reading, undefined)
    })

    it('never mixes answers while connections break in the middle of them', async () => {
      await using broken = await link(url)
      const { cache, proxy } = broken
      const entries = await fill(cache, 2000)
      let hits = 0
      for (let round = 0; round < 5; round++) {
        if (round % 2 === 0) proxy.limitData(randomInt(100_000, 1_000_000), round % 4 === 0 ? 'rst' : 'fin')
        // As many at once as a busy machine answers in the time that a read has.
        for (let at = 0; at < entries.length; at += 50) {
          const reads = entries.slice(at, at + 50).map(async ([key, bytes]) => {
            const found = await cache.get(key)
            if (found === undefined) return
            assert.ok(found.equals(bytes))
            hits += 1
          })
          await Promise.all(reads)
        }
        await proxy.heal()
        // Up is sooner than used again: what has failed often is left alone for a while.
        assert.ok(await recovers(cache, entries[0]?.[0] ?? ''))
      }
      assert.ok(hits > 500, `${hits}`)
    })
  })
}

async function fill(cache: ByteCache, count: number): Promise<[key: string, bytes: Buffer][]> {
  assert.ok(await eventually(() => cache.isUp()))
  const entries: [string, Buffer][] = []
  for (let i = 0; i < count; i++) {
    const entry: [string, Buffer] = [randomUUID(), randomBytes(randomInt(200, 3200))]
    entries.push(entry)
    cache.set(...entry)
    if (i % 200 === 199) await flushed(cache)
  }
  return entries
}
