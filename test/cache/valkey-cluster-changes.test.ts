import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'iovalkey'
import type { ByteCache } from '../../src/cache/byte-cache.ts'
import { createValkeyCache } from '../../src/cache/valkey.ts'
import { kept, eventually as soon } from '../contract/byte-cache.ts'
import { createHost } from '../support/broker/host.ts'
import { startValkeyCluster } from '../support/broker/key-value.ts'
import { describeWith } from '../support/describe-with.ts'
import { eventually } from '../support/put.ts'
import { valkey } from '../support/services.ts'

const KEYS = Array.from({ length: 60 }, () => randomUUID())
const bytesOf = (key: string) => Buffer.from(`"${key}"`)

interface Node {
  readonly id: string
  readonly port: number
  readonly isPrimary: boolean
  /** The first of its slots; NaN without any. */
  readonly slot: number
}

async function nodesAt(client: Redis): Promise<readonly Node[]> {
  const lines = String(await client.call('CLUSTER', 'NODES'))
    .trim()
    .split('\n')
  return lines.map((line) => {
    const [id = '', address = '', flags = '', , , , , , slots = ''] = line.split(' ')
    const port = Number(/:(\d+)@/.exec(address)?.[1])
    return {
      id,
      port,
      isPrimary: flags.includes('master') && !flags.includes('fail'),
      slot: Number.parseInt(slots, 10),
    }
  })
}

/** How many are found; each that is found is right. */
async function countKept(cache: ByteCache): Promise<number> {
  const found = await Promise.all(KEYS.map(async (key) => ({ key, bytes: await cache.get(key) })))
  for (const { key, bytes } of found) if (bytes) assert.deepEqual(bytes, bytesOf(key))
  return found.filter(({ bytes }) => bytes !== undefined).length
}

/** Moves a slot with the keys in it, as resharding does. */
async function moveSlot(slot: number, from: Redis, to: Redis, password: string): Promise<void> {
  const [fromId, toId] = await Promise.all([from, to].map(async (node) => String(await node.call('CLUSTER', 'MYID'))))
  await to.call('CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', String(fromId))
  await from.call('CLUSTER', 'SETSLOT', String(slot), 'MIGRATING', String(toId))
  const keys = (await from.call('CLUSTER', 'GETKEYSINSLOT', String(slot), '1000')) as string[]
  const target = ['127.0.0.1', String(to.options.port), '', '0', '5000', 'AUTH', password, 'KEYS']
  if (keys.length > 0) await from.call('MIGRATE', ...target, ...keys)
  for (const node of [to, from]) await node.call('CLUSTER', 'SETSLOT', String(slot), 'NODE', String(toId))
}

await describeWith('a Valkey cluster that changes', valkey, () => {
  it('keeps what it holds while a slot moves, and is used again soon after a primary was killed', async () => {
    await using cleanup = new AsyncDisposableStack()
    const host = await createHost()
    cleanup.defer(() => host.stop())
    const cluster = await startValkeyCluster(host, { hasCopies: true })
    assert.ok('url' in cluster)
    const { password } = new URL(cluster.url)
    const connect = (port: number) => {
      const client = new Redis({ host: '127.0.0.1', port, password, retryStrategy: () => null })
      client.on('error', () => {})
      cleanup.defer(() => client.disconnect())
      return client
    }
    const first = connect(Number(new URL(cluster.url).port))
    const cache = createValkeyCache({ url: cluster.url, cluster: true, maxEntryBytes: 1024, ttlSeconds: 600 })
    cleanup.defer(() => cache.close())
    assert.ok(await soon(() => cache.isUp()))
    // An answer that is slow on a busy machine is a miss.
    const allKept = (when: string) => eventually(async () => assert.equal(await countKept(cache), KEYS.length, when))
    for (const key of KEYS) {
      cache.set(key, bytesOf(key))
      await kept(cache, key)
    }
    await allKept('at first')

    const primaries = (await nodesAt(first)).filter(({ isPrimary }) => isPrimary)
    assert.equal(primaries.length, 3)
    // In no order; the one that is asked all the while is left alone.
    const [second, third] = primaries.filter(({ port }) => port !== first.options.port)
    assert.ok(second && third)
    const [from, to] = [connect(second.port), connect(third.port)]
    const slot = Number(await first.call('CLUSTER', 'KEYSLOT', await anyKeyAt(from)))
    await moveSlot(slot, from, to, password)
    await allKept('the client follows the slot')

    const pid = Number(/^process_id:(\d+)/m.exec(await from.info('server'))?.[1])
    process.kill(pid, 'SIGKILL')
    // Nothing but misses meanwhile; then its copy has taken over.
    await eventually(async () => {
      const now = (await nodesAt(first)).filter(({ isPrimary }) => isPrimary)
      assert.equal(now.filter(({ id }) => id !== second.id).length, 3)
      await delay(50)
    })
    await allKept('by the copy')
    const key = randomUUID()
    await eventually(async () => {
      cache.set(key, bytesOf(key))
      assert.deepEqual(await kept(cache, key), bytesOf(key))
    })
    assert.ok(await cache.isUp())
  })
})

/** The name of some key that the node holds. */
async function anyKeyAt(node: Redis): Promise<string> {
  const [key] = await node.keys('*')
  assert.ok(key)
  return key
}
