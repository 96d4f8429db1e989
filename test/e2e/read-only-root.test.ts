import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import { stateOf } from '../engines/checks.ts'
import { freshDatabase } from '../support/database.ts'
import { startProcess } from '../support/process.ts'
import { put, storedOf } from '../support/put.ts'
import { temporaryFolder } from '../support/tmp.ts'

/** Everything is read-only but the folder $1; then what follows it runs. */
const READ_ONLY = `mount --bind "$1" "$1" && mount -o remount,bind,ro / && for place in /tmp /var/tmp /dev/shm; do
  if mountpoint -q "$place"; then mount -o remount,bind,ro "$place"; fi; done; shift; exec "$@"`
const NAMESPACE = ['--user', '--map-root-user', '--mount', 'sh', '-c', READ_ONLY, 'sh']

const execute = promisify(execFile)
const canMount = await execute('unshare', [...NAMESPACE, '/mnt', 'true']).then(
  () => true,
  () => false,
)

describe('a root that cannot be written', { skip: canMount ? false : 'this machine lets nobody mount' }, () => {
  it('is enough for a server, which writes to its volume alone', async () => {
    await using database = await freshDatabase()
    await using folder = await temporaryFolder()
    const volume = `${folder.path}/volume`
    await mkdir(volume)
    await assert.rejects(execute('unshare', [...NAMESPACE, volume, 'touch', `${folder.path}/file`]), /Read-only/)
    await using server = startProcess({
      command: ['unshare', ...NAMESPACE, volume],
      args: ['serve'],
      env: { PORT: '0', DATABASE_URL: database.url, DATA_DIR: volume, DRAIN_DELAY_SECONDS: '0' },
    })
    const url = await server.waitForUrl()
    const state = stateOf(2_000_000)
    const stored = storedOf(await put(url, state))
    assert.equal(stored.storageTier, 'OBJECT')
    const response = await fetch(`${url}/snapshots/${stored.snapshotId}/payload`)
    assert.ok(Buffer.from(await response.arrayBuffer()).equals(state))
    assert.deepEqual(await server.stop('SIGTERM'), { code: 0, signal: null })
  })
})
