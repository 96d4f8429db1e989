import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import { createDatabase } from '../../../src/db/connect.ts'
import { createSweeper } from '../../../src/snapshots/upkeep/sweeper.ts'
import type { StorageUri } from '../../../src/storage/backend.ts'
import { createFileBackend } from '../../../src/storage/file/file-backend.ts'
import { createStorage } from '../../../src/storage/registry.ts'
import { chunked, yielding } from '../../contract/storage-backend.ts'
import { describeWith } from '../../support/describe-with.ts'
import { disks } from '../../support/mounts.ts'
import { filesBelow } from '../../support/objects.ts'
import { put, refusalOf, storedOf } from '../../support/put.ts'
import { countRows, query } from '../../support/rows.ts'
import { startServer } from '../../support/server.ts'

const MIB = 1_048_576
const uri = (key: string): StorageUri => ({ scheme: 'file', bucket: '', key })

const errnoOf = (code: string) => (error: unknown) =>
  assert.deepEqual(
    [Reflect.get(Object(error), 'code'), Reflect.get(Object(Reflect.get(Object(error), 'cause')), 'code')],
    ['STORAGE_UNAVAILABLE', code],
  ) ?? true

await describeWith('real disks', disks, ({ mount }) => {
  describe('G19: a full disk', () => {
    it('takes no object and keeps nothing of it, and still gives and deletes what it has', async () => {
      await using disk = await mount('size=4m')
      const backend = createFileBackend({ root: disk.path })
      await backend.put(uri('a/kept'), yielding('kept'))
      for (const sizeBytes of [undefined, 6 * MIB]) {
        const body = chunked(Buffer.alloc(6 * MIB, 'x'))
        await assert.rejects(backend.put(uri('a/large'), body, { sizeBytes }), errnoOf('ENOSPC'))
        assert.deepEqual(await filesBelow(disk.path), ['a/kept'])
      }
      await writeFile(join(disk.path, 'filler'), Buffer.alloc(4 * MIB)).catch(() => {})
      await assert.rejects(backend.put(uri('a/small'), yielding('x'.repeat(9000))), errnoOf('ENOSPC'))
      assert.equal(String(await buffer((await backend.get(uri('a/kept'))).body)), 'kept')
      // What it holds is served: it is full, and not broken.
      await backend.check()
      await backend.delete(uri('a/kept'))
      await backend.delete(uri('filler'))
      await backend.put(uri('a/small'), yielding('x'.repeat(9000)))
    })

    it('without room for another name takes none', async () => {
      await using disk = await mount('size=4m,nr_inodes=12')
      const backend = createFileBackend({ root: disk.path })
      const stored: number[] = []
      const failures: unknown[] = []
      for (let n = 0; n < 12; n++) {
        await backend.put(uri(`a/${n}`), yielding('x')).then(
          () => stored.push(n),
          (error) => failures.push(error),
        )
      }
      assert.ok(stored.length > 0 && failures.length > 0)
      for (const failure of failures) errnoOf('ENOSPC')(failure)
      assert.deepEqual((await filesBelow(disk.path)).toSorted(), stored.map((n) => `a/${n}`).toSorted())
    })

    it('is a 503 for a capture, which leaves no row, and none for who reads', async () => {
      await using disk = await mount('size=8m')
      await using server = await startServer({ env: { SNAPSHOT_STORAGE_PATH: disk.path } })
      const kept = storedOf(await put(server.url, JSON.stringify('k'.repeat(2 * MIB))))
      const large = JSON.stringify('x'.repeat(12 * MIB))
      assert.deepEqual(refusalOf(await put(server.url, large)), { status: 503, code: 'STORAGE_UNAVAILABLE' })
      assert.equal(await countRows(server.databaseUrl, 'state_snapshots'), 1)
      const read = await fetch(`${server.url}/snapshots/${kept.snapshotId}/payload`)
      assert.equal((await read.arrayBuffer()).byteLength, 2 * MIB + 2)
      // Small states need no disk of ours.
      assert.equal((await put(server.url, '1')).status, 201)
      assert.equal((await fetch(`${server.url}/health/ready`)).status, 200)
    })
  })

  describe('G19: a disk that is mounted for reading', () => {
    it('takes nothing, gives what it has, and goes on as soon as it is mounted for writing', async () => {
      await using disk = await mount('size=4m')
      const backend = createFileBackend({ root: disk.path })
      await backend.put(uri('a/kept'), yielding('kept'))
      await disk.remount('ro')
      await assert.rejects(backend.put(uri('a/b'), yielding('x')), errnoOf('EROFS'))
      await assert.rejects(backend.put(uri('new/b'), yielding('x')), errnoOf('EROFS'))
      await assert.rejects(backend.delete(uri('a/kept')), errnoOf('EROFS'))
      const [refused] = (await backend.deleteMany?.([doomed(uri('a/kept'))])) ?? []
      errnoOf('EROFS')(refused)
      await assert.rejects(backend.check(), errnoOf('EROFS'))
      assert.equal(String(await buffer((await backend.get(uri('a/kept'))).body)), 'kept')
      await disk.remount('rw')
      await backend.put(uri('a/b'), yielding('x'))
      await backend.delete(uri('a/kept'))
      await backend.check()
      assert.deepEqual(await filesBelow(disk.path), ['a/b'])
    })

    it('keeps what is to be deleted in the queue, until it can be', async () => {
      await using disk = await mount('size=8m')
      await using server = await startServer({ env: { SNAPSHOT_STORAGE_PATH: disk.path } })
      const { snapshotId } = storedOf(await put(server.url, JSON.stringify('k'.repeat(2 * MIB))))
      const db = createDatabase({ url: server.databaseUrl })
      const storage = createStorage({ defaultScheme: 'file', file: { root: disk.path } })
      const problems: unknown[] = []
      const sweeper = createSweeper({ db, storage, onProblem: (error) => problems.push(error) })
      await disk.remount('ro')
      const deletion = `mutation { deleteSnapshot(snapshotId: "${snapshotId}") { deleted } }`
      assert.deepEqual((await server.graphql(deletion)).data, { deleteSnapshot: { deleted: true } })
      await query(server.databaseUrl, 'update statelens_objects set not_before = now()')
      await sweeper.sweep()
      assert.equal(await countRows(server.databaseUrl, "statelens_objects where state = 'doomed'"), 1)
      for (const problem of problems) errnoOf('EROFS')(problem)
      await disk.remount('rw')
      await query(server.databaseUrl, 'update statelens_objects set not_before = now()')
      await sweeper.sweep()
      await sweeper.stop()
      assert.equal(await countRows(server.databaseUrl, 'statelens_objects'), 0)
      assert.deepEqual(await filesBelow(disk.path), [])
      await db.close()
      storage.close()
    })
  })
})

function doomed(of: StorageUri) {
  return { uri: of, multipartId: null, versionId: null, isUnfinished: false }
}
