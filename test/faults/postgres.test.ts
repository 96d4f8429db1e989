import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { sql } from 'kysely'
import pg from 'pg'
import { createDatabase, type Database } from '../../src/db/connect.ts'
import { startEmbeddedPostgres } from '../../src/db/embedded/embedded.ts'
import type { AppError } from '../../src/errors.ts'
import { behindProxy } from '../support/behind.ts'
import { freshDatabase } from '../support/database.ts'
import { send } from '../support/http.ts'
import { eventually, put, storedOf } from '../support/put.ts'
import { query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { temporaryFolder } from '../support/tmp.ts'

const READ = 'query ($id: ID!) { snapshotById(snapshotId: $id) { payload sizeBytes } }'

/** A server whose database is behind a proxy. */
async function startBehind() {
  await using cleanup = new AsyncDisposableStack()
  const database = cleanup.use(await freshDatabase())
  const folder = cleanup.use(await temporaryFolder())
  const { url, proxy } = cleanup.use(await behindProxy(database.url))
  const server = cleanup.use(await startServer({ store: { databaseUrl: url, storagePath: folder.path } }))
  const owned = cleanup.move()
  return { server, proxy, databaseUrl: database.url, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

async function readyStatus(server: TestServer): Promise<number> {
  return (await send(server.url, { target: '/health/ready' })).status
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => 'ok',
    (error: { readonly code: string }) => error.code,
  )
}

const look = (db: Database) => codeOf(db.rows(sql`select 1`))

describe('a database far away', () => {
  it('E4: whose every answer takes 300 ms serves everything, and is ready', async () => {
    await using behind = await startBehind()
    const { server, proxy } = behind
    proxy.latency(150)
    const payload = `[${'7,'.repeat(1000)}7]`
    const { snapshotId } = storedOf(await put(server.url, payload))
    const reads = Array.from({ length: 8 }, () => server.graphql(READ, { id: snapshotId }))
    for (const { errors, data } of await Promise.all(reads)) {
      assert.equal(errors, undefined)
      assert.deepEqual(data['snapshotById'], { payload: JSON.parse(payload), sizeBytes: payload.length })
    }
    const { data } = await server.graphql('{ runs { nodes { runId steps { nodes { stepId } } } } }')
    assert.deepEqual(data, { runs: { nodes: [{ runId: 'run', steps: { nodes: [{ stepId: 'step' }] } }] } })
    await eventually(async () => assert.equal(await readyStatus(server), 200))
    const deleted = await server.graphql('mutation ($id: ID!) { deleteSnapshot(snapshotId: $id) { __typename } }', {
      id: snapshotId,
    })
    assert.equal(deleted.errors, undefined)
  })
})

describe('a database that refuses', { concurrency: true }, () => {
  it('E8: is DATABASE_UNAVAILABLE for whatever it lacks, may be asked again, and no connection is lost by it', async () => {
    await using database = await freshDatabase()
    const db = createDatabase({ url: database.url, maxConnections: 2 })
    const said = ['53000', '53100', '53200', '53300', '53400', '57P01', '57P02', '57P03', '25006', '40001', '40P01']
    for (const state of said) {
      const raise = sql.raw(`do $$ begin raise exception using errcode = '${state}', message = 'secret'; end $$`)
      const outcomes = await Promise.allSettled([1, 2, 3].map(() => raise.execute(db.kysely)))
      for (const outcome of outcomes) {
        assert.equal(outcome.status, 'rejected', state)
        const { reason } = outcome as { reason: AppError }
        assert.deepEqual([reason.code, reason.isRetryable], ['DATABASE_UNAVAILABLE', true], state)
        assert.doesNotMatch(reason.message, /secret/)
      }
      assert.equal(await look(db), 'ok', state)
    }
    await db.close()
  })

  it('E8: is used again once it has connections to give, or is done with shutting down', async () => {
    await using folder = await temporaryFolder()
    const dataDir = join(folder.path, 'data')
    const back = Promise.withResolvers<void>()
    const postgres = await startEmbeddedPostgres({
      dataDir,
      settings: { max_connections: '5', superuser_reserved_connections: '0', fsync: 'off' },
      revival: { died() {}, isBack: back.resolve },
    })
    const db = createDatabase({ url: postgres.url, maxConnections: 1 })
    const others = Array.from({ length: 5 }, () => new pg.Client({ connectionString: postgres.url }))
    for (const other of others) other.on('error', () => {})
    await Promise.all(others.map((other) => other.connect()))
    assert.equal(await look(db), 'DATABASE_UNAVAILABLE', '53300')
    await others.pop()?.end()
    await eventually(async () => assert.equal(await look(db), 'ok'))
    // Waits for its clients to leave, and lets no new one in.
    await db.close()
    const anew = createDatabase({ url: postgres.url, maxConnections: 1 })
    process.kill(Number.parseInt(await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8'), 10), 'SIGTERM')
    await eventually(async () => assert.equal(await look(anew), 'DATABASE_UNAVAILABLE', '57P03'))
    await Promise.all(others.map((other) => other.end()))
    await back.promise
    assert.equal(await look(anew), 'ok')
    await anew.close()
    await postgres.stop()
  })
})

describe('a capture whose answer from the database is lost', () => {
  it('E9: is stored once by a retry with its key, whether it was committed or not', async () => {
    await using behind = await startBehind()
    const { server, proxy, databaseUrl } = behind
    let lost = 0
    let isOver = false
    const cutting = (async () => {
      for (let turn = 0; !isOver; turn++) {
        // After so many bytes of what the database says: in the middle of any exchange.
        proxy.limitData(300 + ((turn * 137) % 1500), turn % 2 === 0 ? 'rst' : 'fin')
        await delay(60)
        await proxy.heal()
        await delay(15)
      }
    })()
    const capture = async (index: number) => {
      const headers = { 'idempotency-key': `key-${index}` }
      for (;;) {
        const answer = await put(server.url, `[${index}]`, { stepId: `s${index}`, headers })
        if (answer.status < 300) return { index, id: storedOf(answer).snapshotId }
        const { code } = JSON.parse(answer.body.toString())
        assert.match(code, /^(DATABASE_UNAVAILABLE|OVERLOADED)$/)
        lost += 1
      }
    }
    const stored: Awaited<ReturnType<typeof capture>>[] = []
    let next = 0
    const captureOn = async () => {
      // Which exchange a cut falls into is chance: they go on until some have been hit.
      while (next < 60 || (lost < 5 && next < 2000)) stored.push(await capture(next++))
    }
    await Promise.all(Array.from({ length: 8 }, captureOn))
    isOver = true
    await cutting
    assert.ok(lost > 0, 'no answer was lost')
    const rows = await query<{ id: string }>(databaseUrl, 'select id from state_snapshots')
    assert.deepEqual(rows.map(({ id }) => id).toSorted(), stored.map(({ id }) => id).toSorted())
    for (const { index, id } of stored) {
      const { body } = await send(server.url, { target: `/snapshots/${id}/payload` })
      assert.equal(body.toString(), `[${index}]`)
    }
  })
})
