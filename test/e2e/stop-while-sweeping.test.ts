import assert from 'node:assert/strict'
import { it } from 'node:test'
import { eventually } from '../contract/byte-cache.ts'
import { hang, startScriptedS3 } from '../storage/s3/scripted-s3.ts'
import { freshDatabase } from '../support/database.ts'
import { startProcess } from '../support/process.ts'
import { countRows, query } from '../support/rows.ts'
import { graphqlAt } from '../support/server.ts'
import { temporaryFolder } from '../support/tmp.ts'

const DOOMED = 12

it('N4, J1: a server ends within its time while the store answers no delete, and sweeps later what is left', async () => {
  await using cleanup = new AsyncDisposableStack()
  const s3 = await startScriptedS3(hang)
  cleanup.defer(() => s3.close())
  const { url: databaseUrl } = cleanup.use(await freshDatabase())
  const { path } = cleanup.use(await temporaryFolder())
  const server = cleanup.use(
    startProcess({
      args: ['serve'],
      env: {
        DATABASE_URL: databaseUrl,
        SNAPSHOT_STORAGE_PATH: path,
        PORT: '0',
        SNAPSHOT_STORAGE_BACKEND: 's3',
        S3_BUCKET: 'bucket',
        S3_REGION: 'us-east-1',
        S3_ENDPOINT_URL: s3.endpoint,
        S3_ACCESS_KEY: 'key',
        S3_SECRET_KEY: 'secret',
      },
    }),
  )
  const origin = await server.waitForUrl()
  await query(
    databaseUrl,
    `insert into statelens_objects (storage_uri, snapshot_id, state)
     select 's3://bucket/' || n, gen_random_uuid(), 'doomed' from generate_series(1, $1::int) n`,
    [DOOMED],
  )
  await graphqlAt(origin)('mutation { deleteRun(runId: "none") { deleted } }')
  assert.ok(await eventually(async () => s3.requests.length > 0))
  const begun = performance.now()
  const { code } = await server.stop()
  const seconds = (performance.now() - begun) / 1000
  assert.equal(code, 0)
  assert.ok(seconds < 25, `${seconds} s`)
  assert.equal(await countRows(databaseUrl, "statelens_objects where state = 'doomed'"), DOOMED)
})
