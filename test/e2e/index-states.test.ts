import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { runIndex } from '../../src/commands/index-states.ts'
import { readConfig } from '../../src/config.ts'
import { STATE } from '../graphql/parts-fixture.ts'
import { openObjects } from '../support/objects.ts'
import { put, storedOf } from '../support/put.ts'
import { countRows, insertForeign, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'

const INDEXES = 'statelens_state_indexes'

/** The command in this process, without a wait for a store that is away. */
async function index({ databaseUrl, storagePath }: TestServer, args: Readonly<Record<string, string>> = {}) {
  const config = { ...readConfig({ DATABASE_URL: databaseUrl, SNAPSHOT_STORAGE_PATH: storagePath }), databaseUrl }
  let printed = ''
  const output = {
    write(text: string) {
      printed += text
    },
  }
  const code = await runIndex({ config, args, output, signal: new AbortController().signal, pauseMs: 10 })
  const rows = [...printed.matchAll(/^([a-z][a-zA-Z ]+?) +(\d+)$/gm)].map(
    ([, what, count]) => [what, Number(count)] as const,
  )
  return { code, printed, counts: Object.fromEntries(rows.filter(([, count]) => count > 0)) }
}

const captured = async (server: TestServer, bytes: Buffer, headers?: Record<string, string>) =>
  storedOf(await put(server.url, bytes, { runId: 'mine', stepId: randomUUID(), headers })).snapshotId

describe('statelens index', () => {
  it('makes the indexes of all states that lack one, and finds nothing to do the second time', async () => {
    await using server = await startServer()
    using objects = openObjects(server)
    await captured(server, STATE)
    await captured(server, gzipSync(Buffer.from(`[${STATE}]`)), { 'content-encoding': 'gzip' })
    await captured(server, Buffer.from('{"small":1}'))
    await query(server.databaseUrl, `delete from ${INDEXES}`)
    await objects.put('file:///foreign.json', STATE)
    await insertForeign(server.databaseUrl, { storageUri: 'file:///foreign.json' })
    await insertForeign(server.databaseUrl, { payload: '{"in":"a row"}' })
    const first = await index(server)
    assert.deepEqual([first.code, first.counts], [0, { made: 3, 'not needed': 2 }])
    assert.equal(await countRows(server.databaseUrl, INDEXES), 3)
    const again = await index(server)
    assert.deepEqual([again.code, again.counts], [0, { 'there already': 3, 'not needed': 2 }])
  })

  it('goes through one run alone, and on behind a snapshot', async () => {
    await using server = await startServer()
    await captured(server, STATE)
    await captured(server, Buffer.from(`[${STATE}]`))
    await query(server.databaseUrl, `delete from ${INDEXES}`)
    const [row] = await query<{ seq: string }>(server.databaseUrl, 'select min(seq) as seq from state_snapshots')
    assert.deepEqual((await index(server, { run: 'another' })).counts, {})
    assert.deepEqual((await index(server, { after: row?.seq ?? '' })).counts, { made: 1 })
    assert.deepEqual((await index(server, { run: 'mine' })).counts, { made: 1, 'there already': 1 })
  })

  it('tells by its code and its lines what cannot be indexed', async () => {
    await using server = await startServer()
    using objects = openObjects(server)
    const [lost, corrupt] = [await captured(server, STATE), await captured(server, Buffer.from(`[${STATE}]`))]
    await query(server.databaseUrl, `delete from ${INDEXES}`)
    const uriOf = async (id: string) =>
      (
        await query<{ uri: string }>(
          server.databaseUrl,
          'select storage_uri as uri from state_snapshots where id = $1',
          [id],
        )
      )[0]?.uri ?? ''
    await objects.put('file:///foreign.json', Buffer.concat([STATE, Buffer.from('!')]))
    const foreign = await insertForeign(server.databaseUrl, { storageUri: 'file:///foreign.json' })
    const only = await index(server, { run: 'foreign run' })
    assert.deepEqual([only.code, only.counts], [0, { 'not JSON': 1 }])
    await objects.remove(await uriOf(lost))
    await objects.replace(await uriOf(corrupt), Buffer.from(`{${STATE}}`))
    const all = await index(server)
    assert.deepEqual([all.code, all.counts], [2, { 'not JSON': 1, missing: 1, corrupt: 1 }])
    for (const [code, id] of [
      ['INVALID_PAYLOAD', foreign],
      ['OBJECT_MISSING', lost],
      ['OBJECT_CORRUPT', corrupt],
    ] as const) {
      assert.match(all.printed, new RegExp(`^${code} +${id}`, 'm'))
    }
    assert.equal(await countRows(server.databaseUrl, INDEXES), 0)
  })
})
