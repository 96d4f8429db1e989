import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { eventually, put, refusalOf, storedOf } from '../support/put.ts'
import { query } from '../support/rows.ts'
import { startServer } from '../support/server.ts'
import { startPair } from '../support/standby.ts'
import { temporaryFolder } from '../support/tmp.ts'

/** Every connection of the pool may fail once. */
const CONNECTIONS = 10

async function ready(url: string): Promise<{ readonly status: number; readonly database: string }> {
  const response = await fetch(`${url}/health/ready`)
  return { status: response.status, database: ((await response.json()) as { database: string }).database }
}

describe('a failover', () => {
  it('loses nothing that was acknowledged, and writes go on by themselves', async () => {
    await using pair = await startPair()
    const target = { host: '127.0.0.1', port: Number(new URL(pair.primary.url).port) }
    await using proxy = await startFaultProxy(target)
    await using folder = await temporaryFolder()
    const databaseUrl = new URL(pair.primary.url)
    databaseUrl.port = String(proxy.port)
    await using server = await startServer({ store: { databaseUrl: databaseUrl.href, storagePath: folder.path } })
    const acknowledged: string[] = []
    const refused = new Set<string>()
    const write = async (runId: string) => {
      const answer = await put(server.url, '{}', { runId })
      if (answer.status === 201) acknowledged.push(storedOf(answer).snapshotId)
      else refused.add(refusalOf(answer).code)
      return answer.status === 201
    }
    let isOver = false
    const writers = Array.from({ length: 4 }, async (_, number) => {
      while (!isOver) if (!(await write(`writer ${number}`))) await delay(20)
    })
    await eventually(async () => assert.ok(acknowledged.length > 20))

    // A balancer that sends everybody to the standby before it was promoted: connections that take no writes.
    target.port = Number(new URL(pair.standby.url).port)
    proxy.resetNow()
    await pair.primary.stop()
    await eventually(async () => assert.deepEqual(await ready(server.url), { status: 503, database: 'read-only' }))
    await eventually(async () => assert.ok(refused.has('DATABASE_UNAVAILABLE')))
    const text = '{ runs(first: 1) { edges { node { runId } } } }'
    assert.equal((await server.graphql(text)).errors, undefined, 'reads go on')
    const verify = '{ snapshot(runId: "writer 0", stepId: "step") { integrity(verify: true) } }'
    assert.deepEqual((await server.graphql(verify)).data, { snapshot: { integrity: 'VERIFIED' } })
    isOver = true
    await Promise.all(writers)

    await query(pair.standby.url, 'select pg_promote()')
    let attempts = 1
    while (!(await write('after')) && attempts <= CONNECTIONS) attempts++
    assert.ok(attempts <= CONNECTIONS, `${attempts} attempts`)
    await eventually(async () => assert.deepEqual(await ready(server.url), { status: 200, database: 'up' }))
    const kept = await query<{ id: string }>(pair.standby.url, 'select id from state_snapshots')
    const lost = new Set(acknowledged).difference(new Set(kept.map(({ id }) => id)))
    assert.deepEqual([...lost], [])
    assert.deepEqual([...refused], ['DATABASE_UNAVAILABLE'])
  })
})
