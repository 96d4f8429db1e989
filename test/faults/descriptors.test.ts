import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { it } from 'node:test'
import { freshDatabase } from '../support/database.ts'
import { send } from '../support/http.ts'
import { startProcess } from '../support/process.ts'
import { eventually, put, storedOf } from '../support/put.ts'
import { temporaryFolder } from '../support/tmp.ts'

/** Of which the server needs about half for itself. */
const OPEN_FILES = 64
const AT_ONCE = 90

it('J7: a server that may open 64 files says so by codes that may be tried again, serves nothing wrong, and goes on', async () => {
  await using database = await freshDatabase()
  await using folder = await temporaryFolder()
  await using server = startProcess({
    args: ['serve'],
    env: {
      PORT: '0',
      DATABASE_URL: database.url,
      DATA_DIR: folder.path,
      SNAPSHOT_INLINE_MAX_BYTES: '1000',
      LOG_REQUESTS: 'false',
    },
    openFiles: OPEN_FILES,
  })
  const url = await server.waitForUrl()
  const state = `"${randomBytes(4_500_000).toString('hex')}"`
  const digestOf = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex')
  const { snapshotId } = storedOf(await put(url, state))

  async function outcomeOf(work: () => ReturnType<typeof send>, expected: (body: Buffer) => boolean): Promise<string> {
    try {
      const { status, body } = await work()
      if (status < 300) return expected(body) ? 'ok' : 'wrong'
      return JSON.parse(body.toString()).code
    } catch (error) {
      // Of a connection that there was no descriptor for.
      return (error as { code: string }).code
    }
  }

  const read = () =>
    outcomeOf(
      () => send(url, { target: `/snapshots/${snapshotId}/payload` }),
      (body) => digestOf(body) === digestOf(state),
    )
  const capture = (index: number) =>
    outcomeOf(
      () => put(url, `"${'x'.repeat(2000)}${index}"`, { stepId: `${index}` }),
      () => true,
    )
  const outcomes = await Promise.all(
    Array.from({ length: AT_ONCE }, (_, index) => (index % 3 === 0 ? capture(index) : read())),
  )
  const unexpected = outcomes.filter(
    (outcome) =>
      !/^(ok|STORAGE_UNAVAILABLE|DATABASE_UNAVAILABLE|OVERLOADED|ECONNRESET|ECONNREFUSED|EPIPE)$/.test(outcome),
  )
  assert.deepEqual(unexpected, [], JSON.stringify(outcomes))
  await eventually(async () => assert.equal(await read(), 'ok'))
  await eventually(async () => assert.equal(await capture(AT_ONCE), 'ok'))
  assert.deepEqual(await server.stop(), { code: 0, signal: null })
})
